package parser

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"path"
	"strings"
	"sync"
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
	lent := letterBuffers.Get().(*[]byte)
	defer letterBuffers.Put(lent)
	if _, err := io.CopyBuffer(struct{ io.Writer }{enc}, struct{ io.Reader }{a.part.decode()}, *lent); err != nil {
		return err
	}
	return enc.Close()
}

// copyLetters copies base64 without its line ends, and with the letters of the
// standard alphabet.
func copyLetters(w io.Writer, r io.Reader) error {
	lent := letterBuffers.Get().(*[]byte)
	defer letterBuffers.Put(lent)
	buf := *lent
	for {
		n, err := r.Read(buf)
		if _, werr := w.Write(onlyLetters(buf[:n])); werr != nil {
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

var letterBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// onlyLetters takes out of correct base64 what is no letter and no padding, and
// makes the URL-safe letters their twins, in place.
func onlyLetters(b []byte) []byte {
	for _, c := range [...]byte{'-', '_', ' ', '\t'} {
		if bytes.IndexByte(b, c) < 0 {
			continue
		}
		out := b[:0]
		for _, c := range b {
			switch v := base64Class[c]; {
			case v < classPad:
				out = append(out, base64Letters[v])
			case v == classPad:
				out = append(out, '=')
			}
		}
		return out
	}
	// Only line ends are to be taken out.
	out := 0
	for i := 0; i < len(b); {
		end := bytes.IndexByte(b[i:], '\n')
		next := i + end + 1
		if end < 0 {
			end, next = len(b)-i, len(b)
		}
		line := b[i : i+end]
		for len(line) > 0 && line[len(line)-1] == '\r' {
			line = line[:len(line)-1]
		}
		if bytes.IndexByte(line, '\r') >= 0 {
			line = bytes.ReplaceAll(line, []byte("\r"), nil)
		}
		out += copy(b[out:], line)
		i = next
	}
	return b[:out]
}

// maxSafeName bounds a file name, in octets: every file system takes 255, and
// something may be put before it.
const maxSafeName = 120

// safeName makes a name that is a file name everywhere and nowhere a path, an
// option or a device: letters and digits of any script, and "._- ()".
func safeName(name, id, mediaType string) string {
	switch {
	case name == "":
		return "part-" + strings.ReplaceAll(id, ".", "-") + extension(mediaType)
	case isSafeName(name):
		return name
	}
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

// isSafeName tells whether a name is one already, as most are: ASCII words, a dot
// and an extension, short.
func isSafeName(name string) bool {
	dot := -1
	for i := range len(name) {
		switch c := name[i]; {
		case isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z':
		case c == '.' && dot < 0 && i > 0:
			dot = i
		case (c == '-' || c == '_') && i > 0 && i < len(name)-1:
		default:
			return false
		}
	}
	return dot > 0 && len(name)-dot > 1 && len(name)-dot <= 20 && len(name) < 100 && name[dot-1] != '-' && name[dot-1] != '_' && !devices[strings.ToLower(name[:dot])]
}

// devices are no files on Windows, whatever their extension.
var devices = map[string]bool{
	"con": true, "prn": true, "aux": true, "nul": true, "com1": true, "com2": true, "com3": true, "com4": true, "com5": true, "com6": true,
	"com7": true, "com8": true, "com9": true, "lpt1": true, "lpt2": true, "lpt3": true, "lpt4": true, "lpt5": true, "lpt6": true, "lpt7": true,
	"lpt8": true, "lpt9": true,
}
