package demo

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

func TestTheOutgoingServerHandsOnWhatItIsSent(t *testing.T) {
	var sent []string
	refuse := true
	w := start(t, Options{Sent: func(raw []byte) error {
		if refuse {
			return errors.New("not now")
		}
		sent = append(sent, string(raw))
		return nil
	}})
	send := func() error {
		c, err := tls.Dial("tcp", w.Outgoing.Address, trusting(t, w))
		if err != nil {
			t.Fatal(err)
		}
		client := smtp.NewClient(c)
		defer client.Close()
		return client.SendMail("desk@example.com", []string{"a@customer.example"}, strings.NewReader("Subject: x\r\n\r\nhello\r\n"))
	}
	if err := send(); err == nil || len(sent) > 0 {
		t.Errorf("a mail that was not taken: %v, %q", err, sent)
	}
	refuse = false
	if err := send(); err != nil || len(sent) != 1 || !strings.HasSuffix(sent[0], "Subject: x\r\n\r\nhello\r\n") || !strings.HasPrefix(sent[0], "Return-Path: <desk@example.com>\r\n") {
		t.Errorf("%v, %q", err, sent)
	}
}

func TestTheReceiverAnswersWhatItIsTold(t *testing.T) {
	w := start(t, Options{Answer: func(e Event) []byte {
		if strings.Contains(string(e.Body), "question") {
			return []byte(`{"reply": "yes"}`)
		}
		return nil
	}})
	for body, want := range map[string]string{`{"a":"question"}`: `200 {"reply": "yes"}`, `{}`: "204 "} {
		q := signed(t, w.HookURL, w.HookSecret.Reveal(), body, time.Now())
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
		resp, err := c.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := resp.Status[:4] + string(said); err != nil || got != want {
			t.Errorf("%s is answered %q, %v", body, got, err)
		}
	}
}
