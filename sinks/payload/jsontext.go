package payload

import "io"

// jsonWriter writes the UTF-8 that is written to it as the inside of a JSON
// string.
type jsonWriter struct {
	w   io.Writer
	buf []byte
}

func (j *jsonWriter) Write(p []byte) (int, error) {
	b := j.buf[:0]
	for i, c := range p {
		if plain[c] || c >= 0x80 {
			b = append(b, c)
		} else {
			b = appendEscaped(b, c)
		}
		if len(b) < 16<<10 && i < len(p)-1 {
			continue
		}
		if _, err := j.w.Write(b); err != nil {
			return i, err
		}
		b = b[:0]
	}
	j.buf = b
	return len(p), nil
}

// putJSON puts what write writes, in UTF-8, at the end of the body as a JSON
// string.
func (b *Body) putJSON(write func(io.Writer) error) error {
	*b.text = append(*b.text, '"')
	err := b.put(-1, func(w io.Writer) error { return write(&jsonWriter{w: w}) })
	*b.text = append(*b.text, '"')
	return err
}
