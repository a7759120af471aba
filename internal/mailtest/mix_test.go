package mailtest

import (
	"bytes"
	"io"
	"net/mail"
	"reflect"
	"testing"
)

func TestMixHasTheStatedSizesAndProportions(t *testing.T) {
	mails := Mix(200, 7)
	text, alternative, attached, total := 0, 0, 0, 0
	tokens, ids := map[string]bool{}, map[string]bool{}
	for i, raw := range mails {
		total += len(raw)
		switch n := len(raw); {
		case n > 3_800 && n < 4_300:
			text++
		case n > 38_000 && n < 42_000:
			alternative++
		case n > 490_000 && n < 512_000:
			attached++
		default:
			t.Errorf("mail %d has %d octets", i, n)
		}
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("mail %d: %v", i, err)
		}
		if _, err := io.Copy(io.Discard, m.Body); err != nil {
			t.Fatal(err)
		}
		ids[m.Header.Get("Message-ID")] = true
		tokens[Token([]byte(m.Header.Get("Subject")))] = true
		if !bytes.Equal(CRLF(raw), raw) || !bytes.HasSuffix(raw, []byte("\r\n")) {
			t.Errorf("mail %d has lines that do not end in CRLF", i)
		}
		for line := range bytes.Lines(raw) {
			if len(line) > 1000 { // RFC 5322 section 2.1.1
				t.Fatalf("mail %d has a line of %d octets", i, len(line))
			}
		}
	}
	if text != 160 || alternative != 30 || attached != 10 {
		t.Errorf("%d texts, %d alternatives, %d with an attachment; want 160, 30, 10", text, alternative, attached)
	}
	if mean := total / len(mails); mean < 33_000 || mean > 36_000 {
		t.Errorf("the mean size is %d, want about 34,000", mean)
	}
	if len(ids) != 200 || len(tokens) != 200 || tokens[""] {
		t.Errorf("%d Message-IDs and %d tokens, want 200 of each", len(ids), len(tokens))
	}
}

func TestMixIsDeterministic(t *testing.T) {
	a, b, other := Mix(20, 1), Mix(20, 1), Mix(20, 2)
	if !reflect.DeepEqual(a, b) {
		t.Error("the same seed gave other mails")
	}
	if bytes.Equal(a[0], other[0]) {
		t.Error("another seed gave the same mail")
	}
}

func TestCorpusIsWholeAndCRLF(t *testing.T) {
	mails := Corpus(t)
	if len(mails) < 600 {
		t.Fatalf("the corpus has %d mails, want at least 600", len(mails))
	}
	for i, raw := range mails {
		if !bytes.Equal(CRLF(raw), raw) {
			t.Errorf("mail %d has a bare LF", i)
		}
	}
}

func TestDovecotServesTheCorpusAsStored(t *testing.T) {
	d := StartDovecot(t)
	d.AddUser(t, ada, password)
	for _, raw := range Corpus(t) {
		d.Append(t, ada, "INBOX", raw)
	}
	stored, served := d.Stored(t, ada, "INBOX"), fetchAll(t, signIn(t, d), "INBOX")
	if len(stored) != len(served) {
		t.Fatalf("%d stored, %d served", len(stored), len(served))
	}
	for i := range stored {
		if !bytes.Equal(stored[i], served[i]) {
			t.Errorf("mail %d: %d octets stored, %d served", i, len(stored[i]), len(served[i]))
		}
	}
}
