package demo

import (
	"bytes"
	"embed"
	"fmt"
	"net/mail"
	"time"
)

//go:embed mails/*.eml
var mails embed.FS

// The samples of each mailbox, in the order in which they lie there.
var (
	imapSamples = []string{"support", "invoice", "alert", "newsletter"}
	pop3Samples = []string{"chinese", "bounce", "invitation"}
)

// Samples is how many mails lie in the two mailboxes of a new World.
func Samples() int { return len(imapSamples) + len(pop3Samples) }

// sample is the mail of that name and the time in its Date field.
func sample(name string) ([]byte, time.Time, error) {
	raw, err := mails.ReadFile("mails/" + name + ".eml")
	if err != nil {
		return nil, time.Time{}, err
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the sample %s: %w", name, err)
	}
	at, err := m.Header.Date()
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the date of the sample %s: %w", name, err)
	}
	return raw, at, nil
}
