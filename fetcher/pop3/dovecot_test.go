package pop3_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strconv"
	"testing"

	"github.com/postferry/postferry/fetcher"
	"github.com/postferry/postferry/fetcher/pop3"
	"github.com/postferry/postferry/fetcher/sourcetest"
	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/spool"
)

const ada, password = "ada@example.com", "correct horse"

// dovecotOptions are those of ada's account with the scheme, in plain text where
// that is asked for.
func dovecotOptions(t testing.TB, d *mailtest.Dovecot, scheme string, insecure bool) pop3.Options {
	t.Helper()
	server, err := dial.Parse(d.URL(scheme), insecure)
	if err != nil {
		t.Fatal(err)
	}
	return pop3.Options{Server: server, TLS: dial.TLS{CAFile: d.CAFile}, Username: ada, Password: secret.New(password)}
}

func newSource(t testing.TB, o pop3.Options) *pop3.Source {
	t.Helper()
	s, err := pop3.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSource(t *testing.T) {
	for _, way := range []struct {
		name, scheme string
		insecure     bool
		window       int
	}{
		{"implicit TLS", "pop3s", false, 0},
		{"STLS", "pop3", false, 0},
		{"plain text", "pop3", true, 0},
		{"one at a time", "pop3", true, 1},
	} {
		t.Run(way.name, func(t *testing.T) {
			d := mailtest.StartDovecot(t)
			for i := range 30 { // before the first sign-in: Dovecot looks for changes once a second
				d.AddUser(t, "user"+strconv.Itoa(i)+"@example.com", password)
			}
			n := 0
			sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture {
				n++
				o := dovecotOptions(t, d, way.scheme, way.insecure)
				o.Username, o.WindowMails = "user"+strconv.Itoa(n)+"@example.com", way.window
				user := o.Username
				wrong := o
				wrong.Password = secret.New("wrong")
				return sourcetest.Fixture{
					Source: newSource(t, o), Refused: newSource(t, wrong), Box: "INBOX",
					Add:    func(t testing.TB, raw []byte) { d.Append(t, user, "INBOX", raw) },
					Stored: func(t testing.TB) int { return d.Count(t, user, "INBOX") },
					Verbs:  []spool.Verb{spool.Delete},
				}
			})
		})
	}
}

func TestRealMailComesAsItIsStored(t *testing.T) {
	d := mailtest.StartDovecot(t)
	d.AddUser(t, ada, password)
	for _, raw := range slices.Concat(mailtest.Corpus(t), mailtest.Mix(50, 1)) {
		d.Append(t, ada, "INBOX", raw)
	}
	want := d.Stored(t, ada, "INBOX")
	got := retrieveAll(t, newSource(t, dovecotOptions(t, d, "pop3s", false)))
	if len(got) != len(want) {
		t.Fatalf("%d mails came, want %d", len(got), len(want))
	}
	for i := range want {
		// The end of the reply begins with CRLF, so a mail without a line end at its
		// end gains one (RFC 1939 section 3).
		if !bytes.Equal(got[i], want[i]) && !bytes.Equal(got[i], append(want[i], "\r\n"...)) {
			t.Errorf("mail %d: %d octets came, want %d", i, len(got[i]), len(want[i]))
		}
	}
}

func retrieveAll(t testing.TB, s *pop3.Source) (mails [][]byte) {
	t.Helper()
	x, err := s.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	l, err := x.List(context.Background(), "INBOX", "")
	if err != nil {
		t.Fatal(err)
	}
	err = x.Retrieve(context.Background(), l.Refs, func(_ fetcher.Ref, r io.Reader) error {
		raw, err := io.ReadAll(r)
		mails = append(mails, raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return mails
}
