package parser

import (
	"encoding/base64"
	"errors"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

var errNoSource = errors.New("the attachment has no octets: it does not come from Parse")

// Open reads the attachment, decoded: Size octets. The source given to Parse
// must still be there.
func (a *Attachment) Open() (io.ReadCloser, error) {
	if a.part.r == nil {
		return nil, errNoSource
	}
	return io.NopCloser(a.part.decode()), nil
}

// WriteBase64 writes the attachment in base64 with padding (RFC 4648 section 4),
// in one line. What the mail carries in correct base64 is not decoded for it.
func (a *Attachment) WriteBase64(w io.Writer) error {
	if a.part.r == nil {
		return errNoSource
	}
	if a.part.clean {
		return copyLetters(w, io.NewSectionReader(a.part.r, a.part.off, a.part.n))
	}
	enc := base64.NewEncoder(base64.StdEncoding, w)
	if _, err := io.Copy(enc, struct{ io.Reader }{a.part.decode()}); err != nil {
		return err
	}
	return enc.Close()
}

// copyLetters copies base64 without its line ends, and with the letters of the
// standard alphabet.
func copyLetters(w io.Writer, r io.Reader) error {
	var buf [32 << 10]byte
	for {
		n, err := r.Read(buf[:])
		out := buf[:0]
		for _, c := range buf[:n] {
			switch v := base64Class[c]; {
			case v < classPad:
				out = append(out, base64Letters[v])
			case v == classPad:
				out = append(out, '=')
			}
		}
		if _, werr := w.Write(out); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// maxSafeName bounds a file name, in octets: every file system takes 255, and
// something may be put before it.
const maxSafeName = 120

// safeName makes a name that is a file name everywhere and nowhere a path, an
// option or a device: letters and digits of any script, and "._- ()".
func safeName(name, id, mediaType string) string {
	name = strings.ReplaceAll(name, `\`, "/")
	name = path.Base("/" + name)
	var b strings.Builder
	for _, r := range name {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.Is(unicode.Mn, r), strings.ContainsRune("._-()+ ", r):
			b.WriteRune(r)
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case unicode.Is(unicode.Cf, r): // what turns the direction of text hides an extension
		default:
			b.WriteByte('_')
		}
	}
	name = strings.Trim(strings.Join(strings.Fields(b.String()), " "), ". -_")
	ext := path.Ext(name)
	if len(ext) > 20 {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	if stem == "" {
		stem = "part-" + strings.ReplaceAll(id, ".", "-")
		if ext == "" {
			ext = extension(mediaType)
		}
	}
	if devices[strings.ToLower(stem)] || strings.Contains(stem, ".") && devices[strings.ToLower(stem[:strings.IndexByte(stem, '.')])] {
		stem = "_" + stem
	}
	stem = clip(stem, maxSafeName-len(ext))
	if !utf8.ValidString(stem) {
		stem = strings.ToValidUTF8(stem, "_")
	}
	return stem + ext
}

// devices are no files on Windows, whatever their extension.
var devices = map[string]bool{
	"con": true, "prn": true, "aux": true, "nul": true, "com1": true, "com2": true, "com3": true, "com4": true, "com5": true, "com6": true,
	"com7": true, "com8": true, "com9": true, "lpt1": true, "lpt2": true, "lpt3": true, "lpt4": true, "lpt5": true, "lpt6": true, "lpt7": true,
	"lpt8": true, "lpt9": true,
}
