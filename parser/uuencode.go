package parser

import (
	"bytes"
	"strings"
)

// uuState decodes uuencode (POSIX uuencode): lines between "begin" and "end",
// each beginning with its length. Lines that look like data count also where
// "begin" is missing.
type uuState struct{ begun bool }

func (u *uuState) decode(out, line []byte, _ bool) (_ []byte, ok, end bool) {
	line = bytes.TrimRight(line, "\r\n")
	switch {
	case !u.begun && bytes.HasPrefix(line, []byte("begin ")):
		u.begun = true
		return out, true, false
	case !u.begun && !isUULine(line):
		return out, len(line) == 0, false
	case len(line) == 0:
		return out, true, false
	case string(line) == "end":
		return out, true, true
	}
	u.begun = true
	n := uuValue(line[0])
	line = line[1:]
	for n > 0 {
		if len(line) == 0 {
			return out, false, false
		}
		var group [4]byte
		for i := range group {
			if i < len(line) {
				group[i] = byte(uuValue(line[i]))
			}
		}
		line = line[min(4, len(line)):]
		three := [3]byte{group[0]<<2 | group[1]>>4, group[1]<<4 | group[2]>>2, group[2]<<6 | group[3]}
		out = append(out, three[:min(n, 3)]...)
		n -= 3
	}
	return out, true, false
}

func uuValue(c byte) int { return int(c-' ') & 0x3f }

// isUULine tells whether a line has the length that its first character says.
// Some encoders drop white space at the end, some add a checksum.
func isUULine(line []byte) bool {
	if len(line) < 2 || line[0] <= ' ' || line[0] > 'M' {
		return false
	}
	for _, c := range line {
		if c < ' ' || c > '`' {
			return false
		}
	}
	want := 1 + (uuValue(line[0])+2)/3*4
	return len(line) >= want-3 && len(line) <= want+1
}

// yencState decodes yEnc, version 1.3, of one part.
type yencState struct{ begun bool }

func (y *yencState) decode(out, line []byte, _ bool) (_ []byte, ok, end bool) {
	line = bytes.TrimRight(line, "\r\n")
	switch {
	case !y.begun:
		y.begun = bytes.HasPrefix(line, []byte("=ybegin "))
		return out, true, false
	case bytes.HasPrefix(line, []byte("=ypart ")):
		return out, true, false
	case bytes.HasPrefix(line, []byte("=yend")):
		return out, true, true
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c == '=' {
			if i++; i == len(line) {
				return out, false, false
			}
			c = line[i] - 64
		}
		out = append(out, c-42)
	}
	return out, true, false
}

// embeddedFile is a file that stands encoded in the octets of a text.
type embeddedFile struct {
	start, end int
	encoding   encoding
	name       string
}

// maxEmbedded bounds the files looked for in one text.
const maxEmbedded = 100

// embeddedFiles finds the uuencoded and the yEnc files in a text. Only whole ones
// count: data lines between their beginning and their end.
func embeddedFiles(text []byte) []embeddedFile {
	if !bytes.Contains(text, []byte("begin ")) {
		return nil
	}
	var out []embeddedFile
	var open *embeddedFile
	for at := 0; at < len(text) && len(out) < maxEmbedded; {
		next := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			next = at + i + 1
		}
		line := bytes.TrimRight(text[at:next], "\r\n")
		switch {
		case open == nil:
			open = openFile(line, at)
		case open.encoding == encUU && string(line) == "end", open.encoding == encYEnc && bytes.HasPrefix(line, []byte("=yend")):
			open.end = next
			out, open = append(out, *open), nil
		case open.encoding == encUU && len(line) > 0 && string(line) != "`" && string(line) != " " && !isUULine(line):
			open = openFile(line, at)
		}
		at = next
	}
	return out
}

// openFile reads the line that begins a file: "begin 644 name" or "=ybegin
// line=128 size=123 name=name".
func openFile(line []byte, at int) *embeddedFile {
	if rest, ok := bytes.CutPrefix(line, []byte("begin ")); ok {
		mode, name, ok := strings.Cut(string(rest), " ")
		if ok && len(mode) >= 3 && len(mode) <= 4 && strings.Trim(mode, "01234567") == "" && strings.TrimSpace(name) != "" {
			return &embeddedFile{start: at, encoding: encUU, name: strings.TrimSpace(name)}
		}
	}
	if bytes.HasPrefix(line, []byte("=ybegin ")) {
		if _, name, ok := strings.Cut(string(line), " name="); ok && !bytes.Contains(line, []byte(" part=")) {
			return &embeddedFile{start: at, encoding: encYEnc, name: strings.TrimSpace(name)}
		}
	}
	return nil
}
