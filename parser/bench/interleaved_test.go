package bench

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gomail "github.com/emersion/go-message/mail"
	"github.com/microcosm-cc/bluemonday"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks/payload"
)

// BenchmarkInterleaved lets all parsers read the same mails in turn, for some hundredths
// of a second each, many times over, so that what disturbs the machine disturbs all of
// them alike; it tells the median of the processor time of each, and its ratio to
// the others:
//
//	go test -run '^$' -bench Interleaved -benchtime 1x
func BenchmarkInterleaved(b *testing.B) {
	all := classes(b)
	for _, class := range []string{"small", "corpus", "mid", "large"} {
		b.Run(class, func(b *testing.B) {
			for b.Loop() {
				interleave(b, class, all[class])
			}
		})
	}
}

// rival is a parser: read reads all the mails n times and tells what it cost.
type rival struct {
	name string
	read func(n int) time.Duration
	n    int
	cost []float64 // seconds for all mails, one figure a round
}

const (
	rounds = 31
	slice  = 30 * time.Millisecond
)

func interleave(b *testing.B, class string, mails [][]byte) {
	rivals := []*rival{
		{name: "postferry, all it derives", read: inProcess(mails, readPostferry)},
		{name: "postferry, as JSON with attachments", read: inProcess(mails, readToJSON)},
		{name: "go-message", read: inProcess(mails, readGoMessage)},
		{name: "go-message, texts kept, HTML sanitised, attachments hashed", read: inProcess(mails, readGoMessageAlike)},
		{name: "standard library", read: inProcess(mails, readStdlib)},
		{name: "enmime", read: inProcess(mails, readEnmime)},
	}
	if g := startGMime(b, mails); g != nil {
		rivals = append(rivals, &rival{name: "GMime", read: g})
	}
	for _, r := range rivals {
		for r.n = 1; r.n < 1<<20; r.n *= 2 {
			if d := r.read(r.n); d >= slice/2 {
				break
			}
		}
	}
	for range rounds {
		for _, r := range rivals {
			runtime.GC() // nobody pays for what another left behind
			r.cost = append(r.cost, r.read(r.n).Seconds()/float64(r.n))
		}
	}
	size := 0
	for _, m := range mails {
		size += len(m)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%s: %d mails, %d octets\n", class, len(mails), size)
	for _, r := range rivals {
		cost := median(r.cost)
		fmt.Fprintf(&table, "%-60s %7.0f MB/s %8.0f mails/s", r.name, float64(size)/1e6/cost, float64(len(mails))/cost)
		for _, other := range rivals[2:] {
			var ratios []float64
			for i := range r.cost {
				ratios = append(ratios, other.cost[i]/r.cost[i])
			}
			if other.name == "go-message" || other.name == "GMime" {
				fmt.Fprintf(&table, "  %.2f x %s", median(ratios), other.name)
			}
		}
		table.WriteByte('\n')
	}
	b.Log("\n" + table.String())
}

func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}

func inProcess(mails [][]byte, read func([]byte)) func(int) time.Duration {
	return func(n int) time.Duration {
		before := cpuTime()
		for range n {
			for _, m := range mails {
				read(m)
			}
		}
		return cpuTime() - before
	}
}

// readToJSON is readPostferry, and data.message of the event with the attachments
// inside it.
func readToJSON(mail []byte) {
	m, err := parser.Parse(bytes.NewReader(mail), int64(len(mail)), parser.Limits{})
	if err != nil {
		panic(err)
	}
	body, err := payload.Message(m, payload.Options{Attachments: payload.Inline})
	if err != nil {
		panic(err)
	}
	if _, err := body.WriteTo(io.Discard); err != nil {
		panic(err)
	}
	body.Release()
}

var policy = bluemonday.UGCPolicy()

// readGoMessageAlike does with go-message what comes nearest to what Parse does: it
// keeps the texts, sanitises the HTML and hashes the attachments. It parts no reply,
// tells no bounce, makes no text of HTML and mends nothing.
func readGoMessageAlike(mail []byte) {
	r, err := gomail.CreateReader(bytes.NewReader(mail))
	if r == nil {
		return
	}
	_ = err
	_, _ = r.Header.Subject()
	_, _ = r.Header.Date()
	_, _ = r.Header.MessageID()
	for fields := r.Header.Fields(); fields.Next(); {
		_, _ = fields.Text()
	}
	for _, name := range []string{"From", "To", "Cc", "Reply-To", "Sender", "Bcc"} {
		_, _ = r.Header.AddressList(name)
	}
	for {
		p, err := r.NextPart()
		if err != nil {
			return
		}
		switch h := p.Header.(type) {
		case *gomail.InlineHeader:
			text, _ := io.ReadAll(p.Body)
			if kind, _, _ := h.ContentType(); kind == "text/html" {
				_ = policy.Sanitize(string(text))
			}
		case *gomail.AttachmentHeader:
			_, _ = h.Filename()
			sum := sha256.New()
			_, _ = io.Copy(sum, p.Body)
			sum.Sum(nil)
		}
	}
}

// startGMime builds and starts the program in testdata/gmime.c, which reads the mails as
// often as it is told and answers with its processor time; nil where there is no C
// compiler or no GMime (Debian: libgmime-3.0-dev).
func startGMime(b *testing.B, mails [][]byte) func(int) time.Duration {
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "gmime-3.0").Output()
	if err != nil {
		b.Log("GMime is not installed")
		return nil
	}
	dir := b.TempDir()
	program := filepath.Join(dir, "gmime")
	if out, err := exec.Command("cc", append([]string{"-O2", "-o", program, filepath.Join("testdata", "gmime.c")}, strings.Fields(string(flags))...)...).CombinedOutput(); err != nil {
		b.Fatalf("gmime.c: %v\n%s", err, out)
	}
	var files []string
	for i, m := range mails {
		name := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(name, m, 0o600); err != nil {
			b.Fatal(err)
		}
		files = append(files, name)
	}
	cmd := exec.Command(program, files...)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	answers := bufio.NewScanner(out)
	return func(n int) time.Duration {
		if _, err := fmt.Fprintln(in, n); err != nil || !answers.Scan() {
			b.Fatal("the GMime program ended")
		}
		ns, err := strconv.ParseInt(answers.Text(), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		return time.Duration(ns)
	}
}
