package parser

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// corpus yields the mails of testdata/corpus by their path there.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	mails := map[string][]byte{}
	err := filepath.WalkDir("testdata/corpus", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "LICENSES" {
				return fs.SkipDir
			}
			return nil
		}
		if d.Name() == "NOTICE.md" {
			return nil
		}
		octets, err := os.ReadFile(path)
		mails[strings.TrimPrefix(filepath.ToSlash(path), "testdata/corpus/")] = octets
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return mails
}

// parseOctets parses a mail and requires what holds for every mail.
func parseOctets(t testing.TB, mail []byte, lim Limits) *Message {
	t.Helper()
	m, err := Parse(bytes.NewReader(mail), int64(len(mail)), lim)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	for _, q := range m.Problems {
		if q.Code == ProblemFault {
			t.Fatalf("fault: %s", q.Detail)
		}
	}
	return m
}

func TestEveryCorpusMailIsReadAndMakesJSON(t *testing.T) {
	mails := corpus(t)
	if len(mails) < 700 {
		t.Fatalf("only %d mails", len(mails))
	}
	for path, mail := range mails {
		t.Run(path, func(t *testing.T) {
			m := parseOctets(t, mail, Limits{})
			checkMessage(t, m)
		})
	}
}

// checkMessage holds a message to what its documentation promises of every mail.
func checkMessage(t testing.TB, m *Message) {
	t.Helper()
	out, err := json.Marshal(m)
	if err != nil || !json.Valid(out) {
		t.Fatalf("no JSON: %v", err)
	}
	if !utf8.Valid(out) {
		t.Error("the JSON is not UTF-8")
	}
	if m.Thread.Key == "" {
		t.Error("no thread key")
	}
	if n := utf8.RuneCountInString(m.Preview); n > 256 {
		t.Errorf("a preview of %d characters", n)
	}
	for _, list := range []string{"attachments", "headers", "deliveredTo", "recipientTags", "calendar", "problems"} {
		if strings.Contains(string(out), `"`+list+`":null`) {
			t.Errorf("%s is null", list)
		}
	}
	if (m.HTML == nil) != (m.HTMLSafe == nil) {
		t.Error("html and htmlSafe differ in being null")
	}
	if (m.Text == nil) != (m.Reply == nil) {
		t.Error("text and reply differ in being null")
	}
	for i := range m.Attachments {
		a := &m.Attachments[i]
		r, err := a.Open()
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := got.ReadFrom(r); err != nil {
			t.Error(err)
		}
		if int64(got.Len()) != a.Size {
			t.Errorf("attachment %s: size %d, octets %d", a.PartID, a.Size, got.Len())
		}
		if sum := sha256Hex(got.Bytes()); sum != a.SHA256 {
			t.Errorf("attachment %s: sha256 %s, octets have %s", a.PartID, a.SHA256, sum)
		}
		if err := a.checkBase64(got.Bytes()); err != nil {
			t.Errorf("attachment %s: %v", a.PartID, err)
		}
		if a.SafeName == "" || strings.ContainsAny(a.SafeName, "/\\\x00") || strings.HasPrefix(a.SafeName, ".") || len(a.SafeName) > 255 {
			t.Errorf("attachment %s: safe name %q", a.PartID, a.SafeName)
		}
	}
}
