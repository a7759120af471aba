package parser

import (
	"bytes"
	"fmt"
	"mime"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html/charset"
)

// knownDifferences are where net/mail and mime read something else than this
// parser does in the corpus, with the reason why it is the parser that is right.
// "From mail": the field and the mail.
var knownDifferences = map[string]string{
	"From mikel-mail/spec/fixtures/emails/error_emails/invalid_subject_characters.eml": encodedInQuotes,
	"From mikel-mail/spec/fixtures/emails/plain_emails/raw_email_bad_time.eml":         encodedInQuotes,
	"From rspamd-rspamd/test/functional/messages/bad_message.eml":                      encodedInQuotes,
	"Reply-To rspamd-rspamd/test/functional/messages/bad_message.eml":                  encodedInQuotes,
	"To jhillyerd-enmime/testdata/mail/qp-utf8-header.raw":                             encodedInQuotes,

	"From rspamd-rspamd/test/functional/messages/phish_sender3.eml": "the second From field has a blank before its colon (RFC 5322 section 4.5): it is one all the same, and who looks at the first alone is deceived",

	"Date apache-spamassassin/t/data/nice/mime2":                                            zoneByName,
	"Date apache-spamassassin/t/data/nice/mime3":                                            zoneByName,
	"Date apache-spamassassin/t/data/nice/mime4":                                            zoneByName,
	"Date apache-spamassassin/t/data/nice/mime5":                                            zoneByName,
	"Date apache-spamassassin/t/data/nice/mime6":                                            zoneByName,
	"Date apache-spamassassin/t/data/nice/mime7":                                            zoneByName,
	"Date apache-spamassassin/t/data/nice/mime9":                                            zoneByName,
	"Date jstedfast-MimeKit/UnitTests/TestData/messages/feedback-report.txt":                zoneByName,
	"Date mailgun-flanker/tests/fixtures/messages/complaints/aol.eml":                       zoneByName,
	"Date mikel-mail/spec/fixtures/emails/error_emails/content_transfer_encoding_7-bit.eml": zoneByName,
	"Date postalsys-postal-mime/test/fixtures/arf.eml":                                      zoneByName,
	"Subject apache-spamassassin/t/data/nice/cjk/big5-base64.1":                             rawOctets,
	"Subject apache-spamassassin/t/data/nice/cjk/gb2312.1":                                  rawOctets,
	"Subject mailgun-flanker/tests/fixtures/messages/mailformed-headers.eml":                rawOctets,
	"Subject mailgun-flanker/tests/fixtures/messages/spam/broken-headers.eml":               rawOctets,
	"Subject mikel-mail/spec/fixtures/emails/error_emails/invalid_subject_characters.eml":   rawOctets,
	"Subject mikel-mail/spec/fixtures/emails/error_emails/bad_encoded_subject.eml":          "the charset is called NONE and the base64 has one = of two: what it says is in ASCII all the same",
}

const (
	encodedInQuotes = "an encoded-word in quotes, which RFC 2047 section 5 does not allow, and many programs write: people are shown its text by every client"
	zoneByName      = "a zone by its name, which RFC 5322 section 4.3 gives an offset: the library takes it for UTC"
	rawOctets       = "octets outside ASCII with no charset, which the library passes on: they make no JSON"
)

// TestEveryDifferenceFromTheStandardLibraryIsKnown compares what both read in
// every mail of the corpus, whatever is wrong with it.
func TestEveryDifferenceFromTheStandardLibraryIsKnown(t *testing.T) {
	seen, compared, refused := map[string]bool{}, 0, 0
	for path, octets := range corpus(t) {
		m := parseOctets(t, octets, Limits{})
		std, err := netmail.ReadMessage(bytes.NewReader(octets))
		if err != nil {
			refused++ // where there is nothing to compare with
			continue
		}
		differs := func(field string, got, want any) {
			compared++
			if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
				key := field + " " + path
				seen[key] = true
				if knownDifferences[key] == "" {
					t.Errorf("%s: %s is %q, the library has %q", path, field, g, w)
				}
			}
		}
		words := mime.WordDecoder{CharsetReader: charset.NewReaderLabel}
		if raw := std.Header["Subject"]; len(raw) > 0 {
			if want, err := words.DecodeHeader(raw[len(raw)-1]); err == nil {
				differs("Subject", cleanBlanks(str(m.Subject)), cleanBlanks(want))
			}
		}
		parse := netmail.AddressParser{WordDecoder: &words}
		for field, list := range map[string][]Address{"From": m.From, "To": m.To, "Cc": m.CC, "Reply-To": m.ReplyTo, "Sender": m.Sender} {
			if len(std.Header[field]) != 1 {
				continue
			}
			theirs, err := parse.ParseList(std.Header[field][0])
			if err != nil {
				continue
			}
			var want []string
			for _, a := range theirs {
				want = append(want, cleanBlanks(a.Name)+" <"+a.Address+">")
			}
			differs(field, namesAndAddresses(list), want)
		}
		if d, err := std.Header.Date(); err == nil && len(std.Header["Date"]) == 1 {
			got := "none"
			if m.SentAt != nil {
				got = m.SentAt.UTC().String()
			}
			differs("Date", got, d.UTC().String())
		}
		if id := std.Header["Message-Id"]; len(id) == 1 && strings.HasPrefix(id[0], "<") {
			differs("Message-ID", m.MessageID, []string{strings.Trim(id[0], "<> ")})
		}
	}
	for key := range knownDifferences {
		if !seen[key] {
			t.Errorf("there is no difference any more in %s", key)
		}
	}
	t.Logf("%d fields compared, %d of them differ; %d mails are refused by the library", compared, len(seen), refused)
	if compared < 2000 {
		t.Error("too few to say anything")
	}
}

func namesAndAddresses(list []Address) (all []string) {
	for _, a := range list {
		name := ""
		if a.Name != nil {
			name = cleanBlanks(*a.Name)
		}
		all = append(all, name+" <"+a.Email+">")
	}
	return slices.Clip(all)
}
