package demo

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
)

// maxLine is the longest command, its line end included (RFC 2449 section 4).
const maxLine = 255

var (
	errLineTooLong = errors.New("a command has at most 255 octets")
	errNotACommand = errors.New("a command is printable ASCII and ends in CRLF")
)

// command is a command line: its keyword in capital letters, and what follows
// the first space as it came.
type command struct{ word, rest string }

// readCommand reads one line. After errNotACommand the next line can be read;
// after other errors the connection is of no use.
func readCommand(r *bufio.Reader) (command, error) {
	line, err := r.ReadSlice('\n')
	if len(line) > maxLine {
		return command{}, errLineTooLong
	}
	if err != nil {
		return command{}, err
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")) // people at a terminal send LF alone
	for _, b := range line {
		if b < ' ' || b == 0x7f {
			return command{}, errNotACommand
		}
	}
	word, rest, _ := strings.Cut(string(line), " ")
	return command{strings.ToUpper(word), rest}, nil
}

// args are the numbers that follow the keyword, want of them: a message number,
// or TOP's count of lines. They are decimal (RFC 1939 section 3).
func (c command) args(want int) ([]int, bool) {
	words := strings.Fields(c.rest)
	if len(words) != want {
		return nil, false
	}
	var all []int
	for _, w := range words {
		n, ok := number(w)
		if !ok {
			return nil, false
		}
		all = append(all, n)
	}
	return all, true
}

// number reads up to nine digits.
func number(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	n := 0
	for _, r := range s {
		if r < '0' || r > '9' {
			return 0, false
		}
		n = 10*n + int(r-'0')
	}
	return n, true
}
