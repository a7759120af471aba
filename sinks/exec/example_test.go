package exec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestTheProgramOfTheExampleKeepsEachMailOnce(t *testing.T) {
	folder, kept := filepath.Join(mailtest.ModuleRoot(t), "examples", "program"), t.TempDir()
	mail, err := os.ReadFile(filepath.Join(folder, "mail.eml"))
	must(t, err)
	raw, err := payload.NewRenderer("raw", payload.Options{})
	must(t, err)
	o := Options{Command: []string{filepath.Join(folder, "keep-mail")}, Env: map[string]secret.Secret{"KEEP": secret.New(kept)}}
	s, err := New("program", o, raw, sinks.Env{})
	must(t, err)
	for _, n := range []int{1, 1, 2} {
		r, err := s.Deliver(t.Context(), sinktest.Delivery(t, n, string(mail)))
		if err != nil || r.Answer != "kept as "+sinktest.ID(n)+".eml" {
			t.Errorf("%+v, %v", r, err)
		}
	}
	files, err := os.ReadDir(kept)
	must(t, err)
	if len(files) != 2 {
		t.Errorf("%d files", len(files))
	}
	for _, f := range files {
		if got, err := os.ReadFile(filepath.Join(kept, f.Name())); err != nil || string(got) != string(mail) {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
	o.Env["KEEP"] = secret.New(filepath.Join(kept, "nowhere"))
	s, err = New("program", o, raw, sinks.Env{})
	must(t, err)
	if _, err := deliver(t, s, sinktest.Mail); err == nil || sinks.IsPermanent(err) || sinks.IsSinkFault(err) {
		t.Errorf("without its folder: %v", err)
	}
}
