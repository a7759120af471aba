package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	gomail "github.com/emersion/go-message/mail"
	"github.com/jhillyerd/enmime"

	"github.com/postferry/postferry/parser"
)

// classes are the sizes of mail: those of the corpus of 2 to 5 KB and of 20 to 120 KB,
// and made ones of about 45 KB and 5 MB. Mails go-message refuses, or gives up, are left out: it is
// done with them before anybody else.
func classes(b *testing.B) map[string][][]byte {
	b.Helper()
	out := map[string][][]byte{}
	refused := map[string]int{}
	err := filepath.WalkDir("../testdata/corpus", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		octets, err := os.ReadFile(path)
		class := ""
		switch {
		case err != nil:
			return err
		case len(octets) >= 2<<10 && len(octets) <= 5<<10 && strings.HasSuffix(path, ".eml"):
			class = "small"
		case len(octets) >= 20<<10 && len(octets) <= 120<<10:
			class = "corpus"
		default:
			return nil
		}
		if goMessageReads(octets) {
			out[class] = append(out[class], octets)
		} else {
			refused[class]++
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for class, n := range refused {
		b.Logf("%s: %d mails, and %d more that go-message does not read to their end", class, len(out[class]), n)
	}
	for i := range 20 {
		out["mid"] = append(out["mid"], made(20<<10, 18<<10, uint64(i)))
	}
	out["large"] = [][]byte{made(20<<10, 4<<20, 1)}
	return out
}

func goMessageReads(mail []byte) bool {
	r, err := gomail.CreateReader(bytes.NewReader(mail))
	if err != nil && !message.IsUnknownCharset(err) {
		return false
	}
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return true
		}
		if err != nil && !message.IsUnknownCharset(err) {
			return false
		}
		if _, err := io.Copy(io.Discard, p.Body); err != nil {
			return false
		}
	}
}

// made is a mail with a text, the same as HTML, and an attachment.
func made(text, attached int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var words strings.Builder
	for words.Len() < text/2 {
		fmt.Fprintf(&words, "word%d ", rnd.IntN(5000))
		if rnd.IntN(12) == 0 {
			words.WriteString("\r\n")
		}
	}
	file := make([]byte, attached)
	for i := range file {
		file[i] = byte(rnd.Uint32())
	}
	var b bytes.Buffer
	b.WriteString("From: Ada Byron <ada@example.com>\r\nTo: Bob <bob@example.com>, c@example.com\r\nSubject: =?utf-8?Q?Caf=C3=A9?= and more\r\nDate: Tue, 24 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n")
	b.WriteString("Content-Type: multipart/mixed; boundary=\"outer\"\r\n\r\n--outer\r\nContent-Type: multipart/alternative; boundary=\"inner\"\r\n\r\n")
	b.WriteString("--inner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	io.WriteString(w, words.String())
	w.Close()
	b.WriteString("\r\n--inner\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w = quotedprintable.NewWriter(&b)
	io.WriteString(w, "<html><body><p>"+strings.ReplaceAll(words.String(), "\r\n", "</p>\r\n<p>")+"</p></body></html>")
	w.Close()
	b.WriteString("\r\n--inner--\r\n--outer\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Disposition: attachment; filename=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for s := base64.StdEncoding.EncodeToString(file); s != ""; {
		n := min(76, len(s))
		b.WriteString(s[:n] + "\r\n")
		s = s[n:]
	}
	b.WriteString("--outer--\r\n")
	return b.Bytes()
}

func run(b *testing.B, mails [][]byte, read func([]byte)) {
	var size int64
	for _, m := range mails {
		size += int64(len(m))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		for _, m := range mails {
			read(m)
		}
	}
	spent := cpuTime() - before
	b.ReportMetric(float64(size)*float64(b.N)/1e6/spent.Seconds(), "MB/cpu-s")
	b.ReportMetric(float64(len(mails))*float64(b.N)/spent.Seconds(), "mails/cpu-s")
}

// cpuTime is what the process has spent, garbage collection included. Other work on
// the machine disturbs it less than the time on the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkParser is for profiles; BenchmarkInterleaved compares.
func BenchmarkParser(b *testing.B) {
	all := classes(b)
	for _, class := range []string{"small", "corpus", "mid", "large"} {
		for _, p := range []struct {
			name string
			read func([]byte)
		}{{"postferry", readPostferry}, {"go-message", readGoMessage}, {"stdlib", readStdlib}, {"enmime", readEnmime}} {
			b.Run(class+"/"+p.name, func(b *testing.B) { run(b, slices.Clone(all[class]), p.read) })
		}
	}
}

// readPostferry derives all fields, the text, the sanitised HTML and the hash of
// each attachment.
func readPostferry(mail []byte) {
	if _, err := parser.Parse(bytes.NewReader(mail), int64(len(mail)), parser.Limits{}); err != nil {
		panic(err)
	}
}

// readGoMessage decodes the usual header fields and every part.
func readGoMessage(mail []byte) {
	r, err := gomail.CreateReader(bytes.NewReader(mail))
	if r == nil {
		return
	}
	_ = err
	_, _ = r.Header.Subject()
	_, _ = r.Header.Date()
	_, _ = r.Header.MessageID()
	for _, name := range []string{"From", "To", "Cc", "Reply-To"} {
		_, _ = r.Header.AddressList(name)
	}
	for {
		p, err := r.NextPart()
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, p.Body)
	}
}

func readStdlib(mail []byte) {
	m, err := netmail.ReadMessage(bytes.NewReader(mail))
	if err != nil {
		return
	}
	_, _ = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	_, _ = m.Header.Date()
	for _, name := range []string{"From", "To", "Cc", "Reply-To"} {
		_, _ = m.Header.AddressList(name)
	}
	leaves(textproto.MIMEHeader(m.Header), m.Body, 0)
}

func leaves(h textproto.MIMEHeader, body io.Reader, depth int) {
	mediaType, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if strings.HasPrefix(mediaType, "multipart/") && depth < 20 {
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err != nil {
				return
			}
			leaves(p.Header, p, depth+1)
		}
	}
	switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	_, _ = io.Copy(io.Discard, body)
}

func readEnmime(mail []byte) { _, _ = enmime.ReadEnvelope(bytes.NewReader(mail)) }
