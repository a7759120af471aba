package file

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// longestLine is how far back mend looks for the end of the last whole line, in
// octets: more than a line with the largest mail has.
const longestLine = 1 << 30

// mend makes the file end in a whole line, or empty. What follows the last
// newline is half a line, which was never acknowledged and is delivered again: it
// is cut off. If it is whole JSON, though, only its newline is missing.
func mend(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	start, err := lastLine(f, info.Size())
	if err != nil || start == info.Size() {
		return err
	}
	whole, err := isWhole(io.NewSectionReader(f, start, info.Size()-start))
	if err != nil {
		return err
	}
	if whole {
		_, err = f.WriteString("\n") // the file is open for appending
		return err
	}
	return f.Truncate(start)
}

// lastLine is where the octets after the last newline begin; size if there are
// none.
func lastLine(f *os.File, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := size; end > 0 && size-end < longestLine; {
		n := min(int64(len(buf)), end)
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1, nil
		}
		end -= n
	}
	return 0, nil
}

// isWhole tells whether r holds one JSON value and nothing else, or something
// that is no JSON object at all.
func isWhole(r io.Reader) (bool, error) {
	in := bufio.NewReader(r)
	if first, err := in.Peek(1); err != nil || first[0] != '{' {
		return true, err
	}
	d := json.NewDecoder(in)
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return false, readError(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			break
		}
	}
	if _, err := d.Token(); err != io.EOF {
		return false, readError(err)
	}
	return true, nil
}

// readError is err unless it says that the octets are not JSON.
func readError(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return err
	}
	return nil
}
