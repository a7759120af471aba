package parser

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// TestTheStandardLibrarySaysTheSameOfWellFormedMail compares the fields of corpus
// mails with what net/mail and mime/multipart read, where both can be right: a
// mail of which neither has anything to complain about.
func TestTheStandardLibrarySaysTheSameOfWellFormedMail(t *testing.T) {
	ids, subjects, senders, dates, files := 0, 0, 0, 0, 0
	for path, octets := range corpus(t) {
		m := parseOctets(t, octets, Limits{})
		if len(m.Problems) > 0 {
			continue
		}
		std, err := netmail.ReadMessage(bytes.NewReader(octets))
		if err != nil {
			continue
		}
		if id := std.Header.Get("Message-ID"); strings.HasPrefix(id, "<") && strings.HasSuffix(id, ">") && !strings.ContainsAny(id[1:len(id)-1], "<> \t") && len(std.Header["Message-Id"]) == 1 {
			ids++
			if want := id[1 : len(id)-1]; len(m.MessageID) != 1 || m.MessageID[0] != want {
				t.Errorf("%s: Message-ID %q, the library has %q", path, m.MessageID, want)
			}
		}
		words := mime.WordDecoder{CharsetReader: charset.NewReaderLabel}
		if raw := std.Header.Get("Subject"); len(std.Header["Subject"]) == 1 && utf8.ValidString(raw) {
			if want, err := words.DecodeHeader(raw); err == nil && !strings.Contains(want, "=?") && !strings.Contains(want, "\uFFFD") && cleanBlanks(want) == want {
				subjects++
				if m.Subject == nil || cleanBlanks(*m.Subject) != cleanBlanks(want) {
					t.Errorf("%s: subject %q, the library has %q", path, str(m.Subject), want)
				}
			}
		}
		parse := netmail.AddressParser{WordDecoder: &words}
		if raw := std.Header.Get("From"); len(std.Header["From"]) == 1 {
			if list, err := parse.ParseList(raw); err == nil {
				senders++
				var want []string
				for _, a := range list {
					want = append(want, a.Address)
				}
				var got []string
				for _, a := range m.From {
					got = append(got, a.Email)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: from %q, the library has %q", path, got, want)
				}
			}
		}
		if d, err := std.Header.Date(); err == nil && len(std.Header["Date"]) == 1 && m.SentAt != nil && onlyNumericZone(std.Header.Get("Date")) {
			dates++
			if !m.SentAt.Equal(d) {
				t.Errorf("%s: date %s, the library has %s", path, m.SentAt, d)
			}
		}
		want := map[string]int{}
		if hashLeaves(textproto.MIMEHeader(std.Header), std.Body, want, 0) {
			for i := range m.Attachments {
				a := &m.Attachments[i]
				if strings.Count(a.PartID, ".") > 4 || a.part.within {
					continue
				}
				files++
				if want[a.SHA256] == 0 {
					t.Errorf("%s: attachment %s %s has a sha256 the library has not", path, a.PartID, a.Type)
				}
			}
		}
	}
	t.Logf("compared %d ids, %d subjects, %d senders, %d dates, %d attachments", ids, subjects, senders, dates, files)
	if ids < 200 || subjects < 250 || senders < 250 || dates < 200 || files < 60 {
		t.Error("too few to say anything")
	}
}

func cleanBlanks(s string) string { return strings.Join(strings.Fields(s), " ") }

// onlyNumericZone: the library takes zones by name for UTC.
func onlyNumericZone(date string) bool {
	date, _, _ = strings.Cut(date, "(")
	words := strings.Fields(date)
	return len(words) > 0 && strings.ContainsAny(words[len(words)-1][:1], "+-")
}

// hashLeaves hashes the decoded octets of every part that is no multipart; false
// where the library cannot read one.
func hashLeaves(h textproto.MIMEHeader, body io.Reader, into map[string]int, depth int) bool {
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if h.Get("Content-Type") == "" {
		mediaType, err = "text/plain", nil
	}
	if err != nil || depth > 10 {
		return false
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		r := multipart.NewReader(body, params["boundary"])
		for {
			part, err := r.NextRawPart()
			if err == io.EOF {
				return true
			}
			if err != nil || !hashLeaves(part.Header, part, into, depth+1) {
				return false
			}
		}
	}
	octets, err := io.ReadAll(decoderOf(h.Get("Content-Transfer-Encoding"), body))
	if err != nil {
		return false
	}
	into[sha256Hex(octets)]++
	return true
}
