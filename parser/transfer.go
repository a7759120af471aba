package parser

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"strings"
)

// encoding is a content transfer encoding (RFC 2045 section 6).
type encoding int

const (
	encIdentity encoding = iota // 7bit, 8bit, binary
	encBase64
	encQP
	encUU // uuencode
)

// readEncoding reads a Content-Transfer-Encoding field, with the comments,
// quotes and punctuation that mail puts around it.
func (p *parse) readEncoding(raw, where string) encoding {
	v := strings.ToLower(strings.Trim(strings.TrimSpace(stripComments(raw)), `"';,. `))
	v, _, _ = strings.Cut(v, ";")
	v = strings.TrimSpace(v)
	switch strings.NewReplacer("-", "", "_", "", " ", "").Replace(v) {
	case "", "7bit", "8bit", "binary", "7bits", "8bits", "none", "7", "8":
		return encIdentity
	case "base64", "b64":
		return encBase64
	case "quotedprintable", "qp", "quoteprintable":
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
}

// decoder is a reader that tells whether it had to mend what it read.
type decoder interface {
	io.Reader
	mended() bool
}

// decode reads the part decoded.
func (r rawPart) decode() decoder {
	return decodeFrom(io.NewSectionReader(r.r, r.off, r.n), r.encoding)
}

func decodeFrom(src io.Reader, e encoding) decoder {
	switch e {
	case encBase64:
		return &base64Decoder{src: src}
	case encQP:
		return &lineDecoder{src: bufio.NewReaderSize(src, 32<<10), line: decodeQP}
	case encUU:
		d := &lineDecoder{src: bufio.NewReaderSize(src, 8<<10)}
		d.line = (&uuState{}).decode
		return d
	}
	return identity{src}
}

type identity struct{ io.Reader }

func (identity) mended() bool { return false }

// base64Decoder reads base64 (RFC 2045 section 6.8): what is not of its alphabet
// is passed over, the URL-safe letters count as their twins (RFC 4648 section 5),
// padding may be missing or stand in the middle.
type base64Decoder struct {
	src  io.Reader
	in   [32 << 10]byte
	held int    // letters of in that make no group of four yet
	out  []byte // decoded and not read
	buf  []byte
	bad  bool
	done bool // padding was seen
	err  error
}

func (d *base64Decoder) mended() bool { return d.bad }

func (d *base64Decoder) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.fill()
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

func (d *base64Decoder) fill() {
	n, err := d.src.Read(d.in[d.held:])
	letters := d.in[:d.held]
	for _, c := range d.in[d.held : d.held+n] {
		switch v := base64Class[c]; v {
		case classSpace:
		case classBad:
			d.bad = true
		case classPad:
			letters = d.pad(letters)
		default:
			if d.done { // letters after padding: two texts were joined
				d.bad, d.done = true, false
			}
			letters = append(letters, v)
		}
	}
	if err != nil {
		if len(letters)%4 != 0 {
			d.bad = true // RFC 4648 section 3.2: padding is missing
		}
		d.out = d.flush(letters)
		d.held, d.err = 0, err
		return
	}
	whole := len(letters) / 4 * 4
	d.out = d.flush(letters[:whole])
	d.held = copy(d.in[:], letters[whole:])
}

// pad ends a group. letters is within d.in, so what was decoded is kept in buf.
func (d *base64Decoder) pad(letters []byte) []byte {
	switch rest := len(letters) % 4; {
	case d.done: // the second of "=="
	case rest == 0 || rest == 1:
		d.bad = true
	default:
		for range 4 - rest {
			letters = append(letters, padLetter)
		}
	}
	d.done = true
	return letters
}

// padLetter stands for padding inside a group; it is no letter.
const padLetter = '='

// flush decodes letters: groups of four, the last perhaps shorter.
func (d *base64Decoder) flush(letters []byte) []byte {
	if cap(d.buf) < len(letters) {
		d.buf = make([]byte, 32<<10)
	}
	out := d.buf[:0]
	if n, err := base64.StdEncoding.Decode(d.buf[:cap(d.buf)], letters); err == nil {
		return d.buf[:n]
	}
	for len(letters) > 0 {
		group := letters[:min(4, len(letters))]
		letters = letters[len(group):]
		group = bytes.TrimRight(group, string(rune(padLetter)))
		var three [3]byte
		n, _ := base64.RawStdEncoding.Decode(three[:], group)
		out = append(out, three[:n]...)
	}
	return out
}

const (
	classBad   = 0
	classSpace = 1
	classPad   = 2
)

// base64Class maps an octet to its class, or to the letter of the standard
// alphabet it stands for.
var base64Class = func() (t [256]byte) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		t[c] = byte(c)
	}
	t['-'], t['_'] = '+', '/'
	t[' '], t['\t'], t['\r'], t['\n'] = classSpace, classSpace, classSpace, classSpace
	t['='] = classPad
	return t
}()

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
		body = bytes.TrimRight(line, "\r\n")
		ending = line[len(body):]
		body = bytes.TrimRight(body, " \t") // rule 3: white space at the end was added on the way
		if len(body) > 0 && body[len(body)-1] == '=' {
			body, ending = body[:len(body)-1], nil // rule 5: a soft line break
		}
	}
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c != '=' {
			j := bytes.IndexByte(body[i:], '=')
			if j < 0 {
				j = len(body) - i
			}
			out = append(out, body[i:i+j]...)
			i += j - 1
			continue
		}
		if i+2 < len(body) && isHex(body[i+1]) && isHex(body[i+2]) {
			out = append(out, unhex(body[i+1])<<4|unhex(body[i+2]))
			i += 2
			continue
		}
		ok = false
		out = append(out, c)
	}
	return append(out, ending...), ok, false
}

// uuState decodes uuencode (POSIX uuencode): lines between "begin" and "end",
// each beginning with its length.
type uuState struct{ begun bool }

func (u *uuState) decode(out, line []byte, _ bool) (_ []byte, ok, end bool) {
	line = bytes.TrimRight(line, "\r\n")
	switch {
	case !u.begun:
		u.begun = bytes.HasPrefix(line, []byte("begin "))
		return out, true, false
	case len(line) == 0:
		return out, true, false
	case string(line) == "end":
		return out, true, true
	}
	n := int(line[0]-' ') & 0x3f
	line = line[1:]
	var group [4]byte
	for n > 0 {
		if len(line) == 0 {
			return out, false, false
		}
		got := copy(group[:], line)
		line = line[got:]
		for i := range group {
			if i >= got {
				group[i] = ' '
			}
			group[i] = (group[i] - ' ') & 0x3f
		}
		three := [3]byte{group[0]<<2 | group[1]>>4, group[1]<<4 | group[2]>>2, group[2]<<6 | group[3]}
		out = append(out, three[:min(n, 3)]...)
		n -= 3
	}
	return out, true, false
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
