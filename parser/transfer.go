package parser

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
)

// encoding is a content transfer encoding (RFC 2045 section 6).
type encoding int

const (
	encIdentity encoding = iota // 7bit, 8bit, binary
	encBase64
	encQP
	encUU   // uuencode
	encYEnc // only within a text
)

// readEncoding reads a Content-Transfer-Encoding field, with the comments,
// quotes and punctuation that mail puts around it.
func (p *parse) readEncoding(raw, where string) encoding {
	v := strings.ToLower(strings.Trim(strings.TrimSpace(stripComments(raw)), `"';,. `))
	v, _, _ = strings.Cut(v, ";")
	v = strings.TrimSpace(v)
	name := v
	switch v {
	case "7bit", "8bit", "binary", "base64", "quoted-printable":
	default:
		name = strings.Map(func(r rune) rune {
			if r == '-' || r == '_' || r == ' ' {
				return -1
			}
			return r
		}, v)
	}
	switch name {
	case "", "7bit", "8bit", "binary", "7bits", "8bits", "none", "7", "8":
		return encIdentity
	case "base64", "b64":
		return encBase64
	case "quoted-printable", "quotedprintable", "qp", "quoteprintable":
		return encQP
	case "uuencode", "xuuencode", "uue", "xuue", "uu":
		return encUU
	}
	p.problem(ProblemBadEncoding, where, "the transfer encoding reads "+clip(v, 60))
	return encIdentity
}

// rawPart is where a part's octets lie and how they are encoded.
type rawPart struct {
	r        io.ReaderAt
	off, n   int64
	encoding encoding
	clean    bool // base64 without anything odd: it can be passed on as it is

	// What lies within another part (a file in a winmail.dat, uuencoded data in a
	// text) is inner octets of the decoded part, from skip on.
	within        bool
	skip, inner   int64
	innerEncoding encoding
}

// decoder is a reader that tells whether it had to mend what it read.
type decoder interface {
	io.Reader
	mended() bool
}

// decode reads the part decoded.
func (r rawPart) decode() decoder {
	return r.decodeFrom(io.NewSectionReader(r.r, r.off, r.n))
}

// decodeFrom reads the part decoded, its octets coming from src.
func (r rawPart) decodeFrom(src io.Reader) decoder {
	d := decodeFrom(src, r.encoding, r.n)
	if !r.within {
		return d
	}
	return decodeFrom(io.LimitReader(&skipReader{d, r.skip}, r.inner), r.innerEncoding, r.inner)
}

// skipReader reads what follows the first skip octets of r.
type skipReader struct {
	r    io.Reader
	skip int64
}

func (s *skipReader) Read(p []byte) (int, error) {
	if s.skip > 0 {
		n, err := io.CopyN(io.Discard, s.r, s.skip)
		s.skip -= n
		if err != nil {
			return 0, err
		}
	}
	return s.r.Read(p)
}

// decodeFrom decodes n octets of src.
func decodeFrom(src io.Reader, e encoding, n int64) decoder {
	switch e {
	case encBase64:
		direct, _ := src.(*span)
		return &base64Decoder{src: src, direct: direct, size: int(max(min(n, base64Chunk), 64))}
	case encQP:
		return &lineDecoder{src: lineReader(src, n), line: decodeQP}
	case encUU:
		return &lineDecoder{src: lineReader(src, n), line: (&uuState{}).decode}
	case encYEnc:
		return &lineDecoder{src: lineReader(src, n), line: (&yencState{}).decode}
	}
	return identity{src}
}

// lineReader has a buffer no larger than what there is to read.
func lineReader(src io.Reader, n int64) *bufio.Reader {
	return bufio.NewReaderSize(src, int(max(min(n, 32<<10), 512)))
}

type identity struct{ io.Reader }

func (identity) mended() bool { return false }

// lineDecoder decodes line by line. A line longer than its buffer comes in
// pieces.
type lineDecoder struct {
	src  *bufio.Reader
	line func(out, line []byte, whole bool) (_ []byte, ok, end bool)
	hold []byte // the end of a piece that cannot be decoded alone
	out  []byte
	buf  []byte
	bad  bool
	err  error
}

func (d *lineDecoder) mended() bool { return d.bad }

func (d *lineDecoder) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		line, err := d.src.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			d.err = err
		}
		whole := err != bufio.ErrBufferFull
		if len(d.hold) > 0 {
			line = append(d.hold, line...)
			d.hold = nil
		}
		if !whole { // an escape or trailing white space may be cut in two
			keep := len(line)
			for keep > 0 && len(line)-keep < 3 && line[keep-1] != '=' {
				keep--
			}
			if keep > 0 && line[keep-1] == '=' {
				keep--
			} else {
				keep = len(line)
			}
			d.hold = bytes.Clone(line[keep:])
			line = line[:keep]
		}
		out, ok, end := d.line(d.buf[:0], line, whole)
		d.buf, d.out = out, out
		d.bad = d.bad || !ok
		if end {
			d.err = io.EOF
		}
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// decodeQP decodes a line of quoted-printable (RFC 2045 section 6.7). A broken
// escape stays as it stands.
func decodeQP(out, line []byte, whole bool) (_ []byte, ok, end bool) {
	ok = true
	body, ending := line, []byte(nil)
	if whole {
		n := len(line)
		for n > 0 && (line[n-1] == '\n' || line[n-1] == '\r') {
			n--
		}
		ending = line[n:]
		for n > 0 && (line[n-1] == ' ' || line[n-1] == '\t') { // rule 3: white space at the end was added on the way
			n--
		}
		if body = line[:n]; n > 0 && line[n-1] == '=' {
			body, ending = line[:n-1], nil // rule 5: a soft line break
		}
	}
	for len(body) > 0 {
		i := 0
		for i < len(body) && i < 8 && body[i] != '=' { // escapes often stand close together
			i++
		}
		if i == 8 {
			if i = bytes.IndexByte(body[8:], '='); i < 0 {
				out = append(out, body...)
				break
			}
			i += 8
		}
		out = append(out, body[:i]...)
		if body = body[i:]; len(body) == 0 {
			break
		}
		if len(body) > 2 && isHex(body[1]) && isHex(body[2]) {
			out = append(out, unhex(body[1])<<4|unhex(body[2]))
			body = body[3:]
			continue
		}
		ok = false
		out, body = append(out, '='), body[1:]
	}
	return append(out, ending...), ok, false
}

// appendQP decodes text that is there as a whole.
func appendQP(out, text []byte) (_ []byte, ok bool) {
	ok = true
	out = slices.Grow(out, len(text))
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\n') + 1
		if n == 0 {
			n = len(text)
		}
		var good bool
		out, good, _ = decodeQP(out, text[:n], true)
		ok, text = ok && good, text[n:]
	}
	return out, ok
}

// transferProblem is the code of a mended transfer encoding.
func transferProblem(e encoding) string {
	switch e {
	case encBase64:
		return ProblemBadBase64
	case encQP:
		return ProblemBadQP
	}
	return ProblemBadUUencode
}
