package parser

import (
	"encoding/binary"
	"io"
)

// base64Decoder reads base64 (RFC 2045 section 6.8): what is not of its alphabet
// is passed over, the URL-safe letters count as their twins (RFC 4648 section 5),
// padding may be missing or stand in the middle.
type base64Decoder struct {
	src     io.Reader
	direct  *span // src, where it shows its octets without copying them
	size    int   // of buf
	buf     []byte
	decoded []byte
	out     []byte // decoded and not read
	letters lettersDecoder
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

// next returns octets that are good until it is called again.
func (d *base64Decoder) next() ([]byte, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return nil, d.err
		}
		d.fill()
	}
	out := d.out
	d.out = nil
	return out, nil
}

// fill decodes the next chunk.
func (d *base64Decoder) fill() {
	var text []byte
	if d.direct != nil {
		text, d.err = d.direct.next(base64Chunk)
	} else {
		if d.buf == nil {
			d.buf = make([]byte, d.size)
		}
		n := 0
		n, d.err = d.src.Read(d.buf)
		text = d.buf[:n]
	}
	d.decoded = d.letters.appendQuick(d.decoded[:0], text)
	if d.err != nil {
		d.decoded = d.letters.end(d.decoded)
	}
	d.out = d.decoded
}

// appendQuick is append, quick where the text is what it should be: whole groups
// of four letters, and line ends anywhere between letters.
func (d *lettersDecoder) appendQuick(out, text []byte) []byte {
	if room := len(text)/4*3 + 16; cap(out)-len(out) < room { // the last eight octets are written at once
		out = append(make([]byte, 0, len(out)+room), out...)
	}
	for len(text) > 0 {
		if d.idle() {
			n, read := decodeGroups(out[len(out):cap(out)], text)
			out, text = out[:len(out)+n], text[read:]
		}
		slow := min(len(text), 80) // to the end of a line, most likely
		out, text = d.append(out, text[:slow]), text[slow:]
	}
	return out
}

// decodeGroups decodes groups of four letters up to the first that is none. There
// must be room in out for three octets for each group, and eight more.
func decodeGroups(out, text []byte) (n, read int) {
	i := 0
	for {
		for ; len(text)-i >= 8 && len(out)-n >= 8; i, n = i+8, n+6 {
			s := text[i : i+8 : i+8]
			hi := base64Group[0][s[0]] | base64Group[1][s[1]] | base64Group[2][s[2]] | base64Group[3][s[3]]
			lo := base64Group[0][s[4]] | base64Group[1][s[5]] | base64Group[2][s[6]] | base64Group[3][s[7]]
			if (hi|lo)&notGroup != 0 {
				break
			}
			binary.BigEndian.PutUint64(out[n:n+8:n+8], uint64(hi)<<40|uint64(lo)<<16)
		}
		if len(text)-i >= 4 {
			s := text[i : i+4 : i+4]
			if v := base64Group[0][s[0]] | base64Group[1][s[1]] | base64Group[2][s[2]] | base64Group[3][s[3]]; v&notGroup == 0 {
				out[n], out[n+1], out[n+2] = byte(v>>16), byte(v>>8), byte(v)
				i, n = i+4, n+3
			}
		}
		if i < len(text) && (text[i] == '\r' || text[i] == '\n') {
			for i < len(text) && (text[i] == '\r' || text[i] == '\n') {
				i++
			}
			continue
		}
		// A line end between the letters of a group, or no group.
		end, bits, letters := i, uint32(0), 0
		for ; letters < 4 && end < len(text); end++ {
			c := text[end]
			if v := base64Class[c]; v < classPad {
				bits = bits<<6 | uint32(v)
				letters++
			} else if c != '\r' && c != '\n' {
				return n, i
			}
		}
		if letters < 4 {
			return n, i
		}
		out[n], out[n+1], out[n+2] = byte(bits>>16), byte(bits>>8), byte(bits)
		i, n = end, n+3
	}
}

// base64Group has the bits of each letter at each place of a group, and notGroup
// for every other octet.
var base64Group = func() (t [4][256]uint32) {
	for c, v := range base64Class {
		for place := range t {
			t[place][c] = notGroup
			if v < classPad {
				t[place][c] = uint32(v) << (18 - 6*place)
			}
		}
	}
	return t
}()

const notGroup = 1 << 31

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
	if d.n > 0 || d.more > 0 {
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
