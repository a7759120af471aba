package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func makeSink(t testing.TB, o Options) sinks.Sink {
	t.Helper()
	s, err := New("out", o, payload.Renderer{}, sinks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// linesOf are the lines of a file, which must end in a newline, by the id in them.
func linesOf(t testing.TB, path string) map[string][][]byte {
	t.Helper()
	octets, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][][]byte{}
	if len(octets) == 0 {
		return all
	}
	if !bytes.HasSuffix(octets, []byte("\n")) {
		t.Errorf("%s does not end in a newline", path)
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(octets, []byte("\n")), []byte("\n")) {
		var event struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Errorf("a line is not JSON: %v: %.100s", err, line)
		}
		all[event.ID] = append(all[event.ID], line)
	}
	return all
}

func TestLinesAreASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		dir := t.TempDir()
		path := filepath.Join(dir, "mails.jsonl")
		s := makeSink(t, Options{Path: path})
		return sinktest.Fixture{
			Sink:   s,
			Stored: func(t testing.TB, id string) [][]byte { return linesOf(t, path)[id] },
			// A directory in the place of the file cannot be written to.
			Refuse: func(t testing.TB) {
				must(t, os.Rename(path, path+".moved"))
				must(t, os.Mkdir(path, 0o700))
			},
			Accept: func(t testing.TB) {
				must(t, os.Remove(path))
				must(t, os.Rename(path+".moved", path))
			},
		}
	})
}

func TestDirectoriesAreASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		dir := filepath.Join(t.TempDir(), "made", "here")
		s := makeSink(t, Options{Dir: dir})
		return sinktest.Fixture{
			Sink: s, Once: true,
			Stored: func(t testing.TB, id string) [][]byte {
				octets, err := os.ReadFile(filepath.Join(dir, id+".json"))
				if errors.Is(err, os.ErrNotExist) {
					return nil
				}
				must(t, err)
				return [][]byte{octets}
			},
			Refuse: func(t testing.TB) {
				must(t, os.Mkdir(filepath.Join(dir, "."+sinktest.ID(1)+".json.tmp"), 0o700))
				must(t, os.WriteFile(filepath.Join(dir, "."+sinktest.ID(1)+".json.tmp", "full"), nil, 0o600))
			},
			Accept: func(t testing.TB) { must(t, os.RemoveAll(filepath.Join(dir, "."+sinktest.ID(1)+".json.tmp"))) },
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func deliver(t testing.TB, s sinks.Sink, d *sinks.Delivery) sinks.Receipt {
	t.Helper()
	r, err := s.Deliver(t.Context(), d)
	must(t, err)
	return r
}

// headed is a format that says a part of it in header fields.
type headed struct{ payload.Format }

func (headed) NeedsHeader() bool { return true }

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	raw, err := payload.NewRenderer("raw", payload.Options{})
	must(t, err)
	for _, c := range []struct {
		name string
		o    Options
		r    payload.Renderer
		says string
	}{
		{"nothing", Options{}, payload.Renderer{}, "set path"},
		{"both", Options{Path: "a", Dir: "b"}, payload.Renderer{}, "exclude each other"},
		{"each with path", Options{Path: "a", Each: "message"}, payload.Renderer{}, "each needs dir"},
		{"another each", Options{Dir: "a", Each: "part"}, payload.Renderer{}, "not message or attachment"},
		{"lines of something else", Options{Path: filepath.Join(t.TempDir(), "a")}, raw, "use dir"},
		{"a format that needs header fields", Options{Dir: t.TempDir()}, payload.Renderer{Format: headed{}}, "header fields"},
		{"a format of attachments", Options{Dir: t.TempDir(), Each: "attachment"}, raw, "format: with each: attachment"},
		{"contents of attachments by themselves", Options{Dir: t.TempDir(), Each: "attachment"}, payload.Renderer{Options: payload.Options{Attachments: payload.Metadata}}, "attachments: with each: attachment"},
		{"a directory that cannot be made", Options{Dir: "/dev/null/x"}, payload.Renderer{}, "making the directory"},
		{"a file that cannot be made", Options{Path: "/dev/null/x"}, payload.Renderer{}, "opening the file"},
	} {
		if _, err := New("out", c.o, c.r, sinks.Env{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What a crash may have left at the end of the file, and what becomes of it.
func TestTheEndOfTheFileIsMended(t *testing.T) {
	const whole = `{"id":"msg_a","data":{"x":"}"}}`
	long := `{"id":"msg_b","data":"` + strings.Repeat("x", 200_000)
	for _, c := range []struct{ name, before, after string }{
		{"nothing", "", ""},
		{"whole lines", whole + "\n" + whole + "\n", whole + "\n" + whole + "\n"},
		{"half a line", whole + "\n" + `{"id":"msg_b","da`, whole + "\n"},
		{"half a line alone", `{"id":"msg_b"`, ""},
		{"one octet of a line", whole + "\n{", whole + "\n"},
		{"a long half line", whole + "\n" + long, whole + "\n"},
		{"half of a character", whole + "\n" + `{"id":"Gr` + "\xc3", whole + "\n"},
		{"a line without its newline", whole + "\n" + whole, whole + "\n" + whole + "\n"},
		{"somebody else's words", "# notes", "# notes\n"},
		{"an empty line", whole + "\n\n", whole + "\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mails.jsonl")
			must(t, os.WriteFile(path, []byte(c.before), 0o600))
			s := makeSink(t, Options{Path: path})
			got, err := os.ReadFile(path)
			must(t, err)
			if string(got) != c.after {
				t.Errorf("it is now %.200q", got)
			}
			deliver(t, s, sinktest.Delivery(t, 1, sinktest.Mail))
			got, err = os.ReadFile(path)
			must(t, err)
			if !strings.HasPrefix(string(got), c.after+`{"id":"msg_test0001"`) {
				t.Errorf("with a line more it is %.200q", got)
			}
		})
	}
}

func TestTheFileIsOpenedAnewWhenItWasMoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mails.jsonl")
	s := makeSink(t, Options{Path: path})
	deliver(t, s, sinktest.Delivery(t, 1, sinktest.Mail))
	must(t, os.Rename(path, path+".1"))
	deliver(t, s, sinktest.Delivery(t, 2, sinktest.Mail))
	must(t, os.Remove(path))
	deliver(t, s, sinktest.Delivery(t, 3, sinktest.Mail))
	if got := linesOf(t, path+".1"); len(got) != 1 {
		t.Errorf("the file moved away has %d lines", len(got))
	}
	if got := linesOf(t, path); len(got) != 1 || got[sinktest.ID(3)] == nil {
		t.Errorf("the new file has %d lines", len(got))
	}
}

// A line is acknowledged when it is on disk: a write whose fsync fails is none.
func TestALineIsAcknowledgedAfterItsSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mails.jsonl")
	s := makeSink(t, Options{Path: path}).(*lines)
	// A descriptor that is closed takes no fsync, as a disk that fails.
	other, err := os.Open(path)
	must(t, err)
	other.Close()
	s.sync.file = other
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail)); err == nil {
		t.Error("a line that was not synced was acknowledged")
	}
	deliver(t, s, sinktest.Delivery(t, 1, sinktest.Mail)) // opened anew
	if got := linesOf(t, path); len(got[sinktest.ID(1)]) < 1 {
		t.Error("the line is not there")
	}
}

func TestAFileHasItsNameAfterItsSync(t *testing.T) {
	path := t.TempDir()
	s := makeSink(t, Options{Dir: path}).(*dir)
	synced := 0
	s.store.Sync = func(f *os.File) error {
		synced++
		if names := namesIn(t, path); len(names) != 1 || !strings.HasSuffix(names[0], ".tmp") {
			t.Errorf("before the sync there are %q", names)
		}
		return errors.New("input/output error")
	}
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail)); err == nil || synced != 1 {
		t.Errorf("a file that was not synced was acknowledged: %d, %v", synced, err)
	}
	if names := namesIn(t, path); len(names) != 0 {
		t.Errorf("it left %q", names)
	}
}

func TestSyncsAreShared(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	defer f.Close()
	s := newSyncer(f)
	var all sync.WaitGroup
	for range 50 {
		n := s.wrote()
		all.Go(func() {
			if err := s.wait(n); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s.synced != 50 {
		t.Errorf("%d of 50 writes are synced", s.synced)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	deliver(t, makeSink(t, Options{Path: filepath.Join(dir, "mails.jsonl")}), sinktest.Delivery(t, 1, sinktest.Mail))
	deliver(t, makeSink(t, Options{Dir: filepath.Join(dir, "d")}), sinktest.Delivery(t, 1, sinktest.Mail))
	for _, name := range []string{"mails.jsonl", "d/msg_test0001.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", name, info.Mode())
		}
	}
}

func TestAttachmentsAreFilesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	s := makeSink(t, Options{Dir: dir, Each: "attachment"})
	if splits, ok := s.(sinks.Splitter); !ok || !splits.SplitsAttachments() {
		t.Fatal("attachments are no deliveries of their own")
	}
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	d.Part = d.Message.Attachments[0].PartID
	for range 2 {
		deliver(t, s, d)
	}
	got, err := os.ReadFile(filepath.Join(dir, sinktest.ID(1)+"-invoice.pdf"))
	if err != nil || string(got) != "%PDF-" {
		t.Errorf("%q, %v", got, err)
	}
	if names := namesIn(t, dir); len(names) != 1 {
		t.Errorf("the directory has %q", names)
	}
	none := sinktest.Delivery(t, 2, "Subject: nothing attached\r\n\r\n")
	if r := deliver(t, s, none); r.Detail != "no attachments" || len(namesIn(t, dir)) != 1 {
		t.Errorf("%+v", r)
	}
	d.Part = "99"
	if _, err := s.Deliver(t.Context(), d); !sinks.IsPermanent(err) {
		t.Errorf("a part that is not there: %v", err)
	}
}

// No name of a mail leads out of the directory, hides in it, or is too long.
func TestNamesOfMailsMakeOnlyFilesInTheDirectory(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "d")
	s := makeSink(t, Options{Dir: dir, Each: "attachment"})
	for i, name := range []string{
		"../../x", "/etc/passwd", `..\\..\\x`, "a/b/c", ".bashrc", "", "con", strings.Repeat("ü", 300) + ".pdf", "x\u202Efdp.exe", "a b;rm -rf", "-rf", "..",
	} {
		raw := strings.Replace(sinktest.Mail, "filename=invoice.pdf", `filename="`+name+`"`, 1)
		d := sinktest.Delivery(t, i, raw)
		d.Part = d.Message.Attachments[0].PartID
		deliver(t, s, d)
		// Even if a name were not safe.
		d.Message.Attachments[0].SafeName = name
		d.ID += "u"
		if _, err := s.Deliver(t.Context(), d); err != nil && !strings.ContainsAny(name, "\x00") {
			t.Errorf("%q: %v", name, err)
		}
	}
	names := namesIn(t, dir)
	if len(names) != 24 {
		t.Errorf("%d files: %q", len(names), names)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "msg_test") || len(name) > 255 {
			t.Errorf("a file is called %q", name)
		}
	}
	if got := namesIn(t, above); len(got) != 1 {
		t.Errorf("beside the directory there are %q", got)
	}
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	d.Part = d.Message.Attachments[0].PartID
	for _, id := range []string{"", "../x", "a/b", "x\x00", "."} {
		d.ID = id
		if _, err := s.Deliver(t.Context(), d); !sinks.IsPermanent(err) {
			t.Errorf("the id %q: %v", id, err)
		}
	}
}

func namesIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// What a crash leaves under the temporary name does not last.
func TestAHalfWrittenFileIsWrittenOver(t *testing.T) {
	dir := t.TempDir()
	s := makeSink(t, Options{Dir: dir})
	must(t, os.WriteFile(filepath.Join(dir, "."+sinktest.ID(1)+".json.tmp"), bytes.Repeat([]byte("x"), 1<<20), 0o600))
	deliver(t, s, sinktest.Delivery(t, 1, sinktest.Mail))
	got, err := os.ReadFile(filepath.Join(dir, sinktest.ID(1)+".json"))
	if err != nil || !json.Valid(got) {
		t.Errorf("%v", err)
	}
	if names := namesIn(t, dir); len(names) != 1 {
		t.Errorf("the directory has %q", names)
	}
}

func TestRawMailsAreFilesOctetForOctet(t *testing.T) {
	dir := t.TempDir()
	raw, err := payload.NewRenderer("raw", payload.Options{})
	must(t, err)
	s, err := New("out", Options{Dir: dir}, raw, sinks.Env{})
	must(t, err)
	defer s.Close()
	for i, mail := range sinktest.Hostile() {
		deliver(t, s, sinktest.Delivery(t, i, mail))
		got, err := os.ReadFile(filepath.Join(dir, sinktest.ID(i)+".eml"))
		if err != nil || string(got) != mail {
			t.Errorf("mail %d: %d octets, %v", i, len(got), err)
		}
	}
}

func TestStandardOutputTakesLines(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	s := &lines{file: w, name: "standard output"}
	read := make(chan []byte)
	go func() {
		var b bytes.Buffer
		b.ReadFrom(r)
		read <- b.Bytes()
	}()
	deliver(t, s, sinktest.Delivery(t, 1, sinktest.Mail))
	deliver(t, s, sinktest.Delivery(t, 2, sinktest.Mail))
	must(t, s.Close())
	w.Close()
	got := <-read
	r.Close()
	if n := bytes.Count(got, []byte("\n")); n != 2 || !bytes.HasPrefix(got, []byte(`{"id":"msg_test0001"`)) {
		t.Errorf("%d lines: %.200s", n, got)
	}
	if s, err := New("out", Options{Path: "-"}, payload.Renderer{}, sinks.Env{}); err != nil || s.(*lines).file != os.Stdout {
		t.Errorf("%v, %v", s, err)
	}
}

// A write that breaks off leaves nothing of its line.
func TestAWriteThatFailsIsTakenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mails.jsonl")
	s := makeSink(t, Options{Path: path}).(*lines)
	deliver(t, s, sinktest.Delivery(t, 1, sinktest.Mail))
	_, err := s.file.WriteString(`{"id":"msg_half`)
	must(t, err)
	s.torn = true // as after a write that failed on a full disk
	deliver(t, s, sinktest.Delivery(t, 2, sinktest.Mail))
	if got := linesOf(t, path); len(got) != 2 {
		t.Errorf("%d lines", len(got))
	}
}

func TestCheckMakesNoFile(t *testing.T) {
	dir := t.TempDir()
	s := makeSink(t, Options{Dir: dir}).(sinks.Checker)
	if f := s.Check(context.Background()); len(f) != 1 || !f[0].OK || len(namesIn(t, dir)) != 0 {
		t.Errorf("%+v, %q", f, namesIn(t, dir))
	}
	must(t, os.Remove(dir))
	if f := s.Check(context.Background()); len(f) != 1 || f[0].OK || f[0].Fix == "" {
		t.Errorf("%+v", f)
	}
}

func BenchmarkLines(b *testing.B) {
	s := makeSink(b, Options{Path: filepath.Join(b.TempDir(), "mails.jsonl")})
	d := sinktest.Delivery(b, 1, sinktest.Mail)
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Deliver(context.Background(), d); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Whatever stands at the end of the file, mending keeps every whole line, ends in
// a newline or nothing, and has nothing to do a second time.
func FuzzMend(f *testing.F) {
	for _, s := range []string{"", "{\"id\":1}\n", "{\"id\":1}\n{\"id", "{\"a\":{}}", "x", "\n\n{", "{}{}", "{\"a\":\"\\"} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "f")
	f.Fuzz(func(t *testing.T, before []byte) {
		must(t, os.WriteFile(path, before, 0o600))
		file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
		must(t, err)
		defer file.Close()
		must(t, mend(file))
		after, err := os.ReadFile(path)
		must(t, err)
		whole := before[:bytes.LastIndexByte(before, '\n')+1]
		if !bytes.HasPrefix(after, whole) || len(after) > 0 && after[len(after)-1] != '\n' {
			t.Fatalf("%q became %q", before, after)
		}
		must(t, mend(file))
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, after) {
			t.Fatalf("%q became %q", after, again)
		}
	})
}

func TestASinkMadeForPreviewsMakesNothing(t *testing.T) {
	above := t.TempDir()
	for _, o := range []Options{{Path: filepath.Join(above, "mails.jsonl")}, {Dir: filepath.Join(above, "d")}} {
		s, err := New("out", o, payload.Renderer{}, sinks.Env{Inert: true})
		must(t, err)
		r, err := s.(sinks.Previewer).Preview(sinktest.Delivery(t, 1, sinktest.Mail))
		if err != nil || !bytes.HasPrefix(r.Body, []byte(`{"id":"msg_test0001"`)) {
			t.Errorf("%.100s, %v", r.Body, err)
		}
		must(t, s.Close())
	}
	if names := namesIn(t, above); len(names) != 0 {
		t.Errorf("there are %q", names)
	}
}
