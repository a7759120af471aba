package submit_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest/smtpd"
)

// variants are mails in which a dot stands between every two of the octets that
// some server takes for the end of a line, with what would be a mail of its own
// behind it, at the beginning, in the middle and at the end, stuffed and not.
func variants() (mails []string) {
	ends := []string{"\r\n", "\n", "\r", "\x00", ""}
	smuggled := func(end string) string {
		return strings.Join([]string{"MAIL FROM:<evil@example.com>", "RCPT TO:<victim@example.com>", "DATA", "Subject: smuggled", "", "x", "."}, end) + end
	}
	for _, before := range ends {
		for _, after := range ends {
			for _, dots := range []string{".", "..", "...", ".\x00", "\x00."} {
				mails = append(mails,
					letter+"a"+before+dots+after+smuggled("\r\n"),
					letter+before+dots+after+smuggled("\n"),
					letter+smuggled("\r")+before+dots+after)
			}
		}
	}
	return mails
}

// VU#302671: servers differ in where they see the end of a mail. Whatever is in it,
// each of them sees as many mails as were sent.
func TestNoServerSeesAnotherMailInAMail(t *testing.T) {
	all := variants()
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("POSTFERRY_SMUGGLE")); err == nil {
		rounds = n
	}
	for kind, name := range map[smtpd.Ends]string{smtpd.Strict: "strict", smtpd.LFLenient: "LF alone", smtpd.CRLenient: "CR alone", smtpd.Anything: "NUL alone"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := smtpd.Start(t, smtpd.Options{Ends: kind})
			c := client(t, s, nil)
			sent := 0
			for range rounds {
				for _, m := range all {
					if _, err := c.Send(t.Context(), mail(m, "b@example.com")); err != nil {
						t.Fatalf("%q: %v", m, err)
					}
					sent++
				}
			}
			got := s.Mails()
			if len(got) != sent || s.Sessions() != 1 {
				t.Fatalf("%d mails were sent and %d came, over %d connections", sent, len(got), s.Sessions())
			}
			for i, m := range got[:len(all)] {
				if m.From != "ada@example.com" || len(m.To) != 1 || m.To[0] != "b@example.com" {
					t.Fatalf("%q came from %s for %s", all[i], m.From, m.To)
				}
				if kind == smtpd.Strict && string(m.Data) != canonical(all[i]) {
					t.Fatalf("%q came as %q", all[i], m.Data)
				}
			}
			t.Logf("%d mails were sent, and as many came", sent)
		})
	}
}

// canonical is what a mail is when each CRLF, CR and LF has become CRLF and each
// NUL a question mark; it ends in CRLF.
func canonical(mail string) string {
	mail = strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n", "\x00", "?").Replace(mail)
	if !strings.HasSuffix(mail, "\r\n") {
		mail += "\r\n"
	}
	return mail
}

// The receivers are only worth something if they can be fooled: what is given to
// them here is what a client would send that lets everything through.
func TestEachKindOfServerSeesItsOwnEnds(t *testing.T) {
	for kind, ends := range map[smtpd.Ends]string{smtpd.Strict: "\r\n.\r\n", smtpd.LFLenient: "\n.\n", smtpd.CRLenient: "\r.\r", smtpd.Anything: "\x00.\x00"} {
		for other := smtpd.Strict; other <= smtpd.Anything; other++ {
			s := smtpd.Start(t, smtpd.Options{Ends: other})
			conn := talk(t, s)
			fmt.Fprintf(conn, "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\none%sNOOP\r\ntwo\r\n.\r\nQUIT\r\n", ends)
			conn.drain()
			fooled := bytes.Contains([]byte(strings.Join(s.Commands(), "|")), []byte("NOOP"))
			if len(s.Mails()) != 1 || fooled != (other >= kind) {
				t.Errorf("a server of kind %d sees the end of kind %d: %v; %q", other, kind, fooled, s.Commands())
			}
		}
	}
}

func FuzzNoServerSeesAnotherMail(f *testing.F) {
	for _, m := range variants()[:40] {
		f.Add([]byte(m))
	}
	var servers []*smtpd.Server
	for kind := smtpd.Strict; kind <= smtpd.Anything; kind++ {
		servers = append(servers, smtpd.Start(f, smtpd.Options{Ends: kind}))
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		for _, s := range servers {
			before := len(s.Mails())
			if _, err := client(t, s, nil).Send(t.Context(), mail(string(octets), "b@example.com")); err != nil {
				t.Fatal(err)
			}
			if n := len(s.Mails()) - before; n != 1 {
				t.Errorf("%d mails came", n)
			}
		}
	})
}
