package imap

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/config"
)

// decode reads the keys of an IMAP mailbox, given on top of those it must have.
func decode(t *testing.T, keys string) (own Config, m *config.Mailbox, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "postferry.yaml")
	text := "version: 1\nmailboxes:\n  m:\n    server: imaps://imap.example.com\n    username: u\n    password: p\n    deliver: [app]\n" + keys +
		"sinks:\n  app: {type: file, path: x}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load([]string{file}, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m = c.Mailbox("m")
	err = m.Section.Decode(&own)
	return own, m, err
}

func TestTheKeysOfAMailbox(t *testing.T) {
	for _, test := range []struct {
		keys string
		want Config
		says string
	}{
		{"", Config{Folders: []string{"INBOX"}, Idle: true}, ""},
		{"    idle: false\n    folders: [INBOX, Süd]\n", Config{Folders: []string{"INBOX", "Süd"}}, ""},
		{"    search: {since: 7d, unseen: true}\n", Config{Folders: []string{"INBOX"}, Idle: true, Search: SearchConfig{Since: 7 * 24 * time.Hour, Unseen: true}}, ""},
		{"    folders: []\n", Config{}, "the list is empty"},
		{"    folders: [\"\"]\n", Config{}, "entry 1 is empty"},
		{"    folders: [Inbox, INBOX]\n", Config{}, "is there twice"},
		{"    folders: [\"a\\r\\nX LOGOUT\"]\n", Config{}, "line break"},
		{"    search: {unsen: true}\n", Config{}, "unseen"},
		{"    folders: ['Lists/*', '\\junk', '!Lists/old']\n", Config{Folders: []string{"Lists/*", `\junk`, "!Lists/old"}, Idle: true}, ""},
		{"    folders: ['\\Spam']\n", Config{}, `"\\Spam" is no use of a folder`},
		{"    folders: ['!Lists']\n", Config{}, "every entry takes folders out"},
	} {
		got, _, err := decode(t, test.keys)
		switch {
		case test.says != "":
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q: error %v, want %q in it", test.keys, err, test.says)
			}
		case err != nil:
			t.Errorf("%q: %v", test.keys, err)
		case !reflect.DeepEqual(got, test.want):
			t.Errorf("%q gives %+v, want %+v", test.keys, got, test.want)
		}
	}
}

func TestMailIsMovedToUsesThereAre(t *testing.T) {
	for keys, says := range map[string]string{
		"    after: move:\\Archive\n    backfill: all\n": "",
		"    after: move:\\Bin\n    backfill: all\n":     `after: "\\Bin" is no use of a folder`,
		"    failed: move:\\Bin\n":                       `failed: "\\Bin" is no use of a folder`,
	} {
		own, m, err := decode(t, keys)
		if err != nil {
			t.Fatal(err)
		}
		if err = own.Check(m); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want %q in it", keys, err, says)
		}
	}
}

func TestASourceIsMadeOfTheKeys(t *testing.T) {
	own, m, err := decode(t, "    search: {unseen: true}\n")
	if err != nil {
		t.Fatal(err)
	}
	s, err := own.Source(m, nil, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o := s.o; o.Server.Address() != "imap.example.com:993" || o.Username != "u" || o.Password.Reveal() != "p" || !o.ReadOnly || !o.Search.Unseen {
		t.Errorf("options %+v", o)
	}
}
