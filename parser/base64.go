package parser

import (
	"bytes"
	"encoding/base64"
	"io"
)

// base64Decoder reads base64 (RFC 2045 section 6.8): what is not of its alphabet
// is passed over, the URL-safe letters count as their twins (RFC 4648 section 5),
// padding may be missing or stand in the middle.
type base64Decoder struct {
	src     io.Reader
	size    int    // of the buffers, a multiple of four
	buf     []byte // read, then stripped of line ends
	carry   int    // letters at the beginning of buf that make no group of four yet
	decoded []byte
	out     []byte // decoded and not read
	letters lettersDecoder
	padded  bool // the last group decoded the quick way had padding
	err     error
}

func (d *base64Decoder) mended() bool { return d.letters.bad }

// plain tells whether the text can stand for itself in strict base64.
func (d *base64Decoder) plain() bool { return !d.letters.bad && !d.letters.odd }

// base64Chunk is how much is decoded at once.
const base64Chunk = 32 << 10

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

// fill decodes the next chunk: the quick way if it is what it should be, else
// letter by letter.
func (d *base64Decoder) fill() {
	if d.buf == nil {
		d.buf = make([]byte, d.size)
		d.decoded = make([]byte, 0, d.size)
	}
	n, err := d.src.Read(d.buf[d.carry:])
	d.err = err
	letters := stripLineEnds(d.buf[:d.carry+n], d.carry)
	whole := len(letters) / 4 * 4
	if !d.padded && d.letters.idle() {
		if m, err := strictBase64.Decode(d.decoded[:cap(d.decoded)], letters[:whole]); err == nil {
			d.out = d.decoded[:m]
			d.padded = whole > 0 && letters[whole-1] == '='
			d.carry = copy(d.buf, letters[whole:])
			if d.err != nil && d.carry > 0 {
				d.out = d.letters.end(d.letters.append(d.out, d.buf[:d.carry]))
			}
			return
		}
	}
	if d.padded {
		d.letters.done, d.padded = true, false
	}
	d.out = d.letters.append(d.decoded[:0], letters)
	d.carry = 0
	if d.err != nil {
		d.out = d.letters.end(d.out)
	}
}

// strictBase64 refuses what would not come out the same when encoded again.
var strictBase64 = base64.StdEncoding.Strict()

// stripLineEnds takes CR and LF out of b from i on, in place.
func stripLineEnds(b []byte, i int) []byte {
	out := i
	for i < len(b) {
		end := bytes.IndexByte(b[i:], '\n')
		next := i + end + 1
		if end < 0 {
			end, next = len(b)-i, len(b)
		}
		end += i
		for end > i && b[end-1] == '\r' {
			end--
		}
		out += copy(b[out:], b[i:end])
		i = next
	}
	return b[:out]
}

// lettersDecoder decodes base64 letter by letter.
type lettersDecoder struct {
	bits uint32
	n    int  // letters in bits
	done bool // padding was seen
	more int  // how many more signs of padding may follow
	bad  bool
	odd  bool // bits that say nothing are not zero
}

func (d *lettersDecoder) idle() bool { return d.n == 0 && !d.done }

// append decodes text and appends what it says to out.
func (d *lettersDecoder) append(out, text []byte) []byte {
	for _, c := range text {
		v := base64Class[c]
		switch v {
		case classSpace:
			continue
		case classBad:
			d.bad = true
			continue
		case classPad:
			switch {
			case d.n == 2:
				d.more = 1
			case d.n == 3:
			case d.n == 0 && d.more > 0:
				d.more--
			default:
				d.bad = true
			}
			out = d.flush(out)
			d.done = true
			continue
		}
		if d.done { // letters after padding: two texts were joined
			d.bad, d.done, d.more = true, false, 0
		}
		d.bits = d.bits<<6 | uint32(v)
		if d.n++; d.n == 4 {
			out = append(out, byte(d.bits>>16), byte(d.bits>>8), byte(d.bits))
			d.bits, d.n = 0, 0
		}
	}
	return out
}

// end decodes what is left of a text without its padding (RFC 4648 section 3.2).
func (d *lettersDecoder) end(out []byte) []byte {
	if d.n > 0 {
		d.bad = true
	}
	return d.flush(out)
}

// flush decodes a group of less than four letters.
func (d *lettersDecoder) flush(out []byte) []byte {
	switch d.n {
	case 2:
		out = append(out, byte(d.bits>>4))
		d.odd = d.odd || d.bits&0xf != 0
	case 3:
		out = append(out, byte(d.bits>>10), byte(d.bits>>2))
		d.odd = d.odd || d.bits&0x3 != 0
	}
	d.bits, d.n = 0, 0
	return out
}

// The classes of octets in base64; below them are the values of the letters.
const (
	classBad   = 0xff
	classSpace = 0xfe
	classPad   = 0xfd
)

// base64Class maps an octet to its class or its value. The URL-safe letters count
// as their twins.
var base64Class = func() (t [256]byte) {
	for i := range t {
		t[i] = classBad
	}
	for i, c := range base64Letters {
		t[c] = byte(i)
	}
	t['-'], t['_'] = 62, 63
	t[' '], t['\t'], t['\r'], t['\n'] = classSpace, classSpace, classSpace, classSpace
	t['='] = classPad
	return t
}()

const base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
