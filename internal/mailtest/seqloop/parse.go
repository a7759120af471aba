package main

import (
	"bytes"
	"io"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"
)

// event is a mail as it is posted.
type event struct {
	MessageID   string       `json:"messageId"`
	Date        time.Time    `json:"date"`
	From        []address    `json:"from"`
	To          []address    `json:"to"`
	Cc          []address    `json:"cc"`
	Subject     string       `json:"subject"`
	Text        string       `json:"text"`
	HTML        string       `json:"html"`
	Attachments []attachment `json:"attachments"`
}

type address struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

type attachment struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Size    int    `json:"size"`
	Content []byte `json:"content"` // base64 in JSON
}

// parse reads a mail. A header field that cannot be read is left empty.
func parse(raw []byte) (*event, error) {
	r, err := mail.CreateReader(bytes.NewReader(raw))
	if err != nil && !message.IsUnknownCharset(err) {
		return nil, err
	}
	defer r.Close()
	e := &event{From: addresses(r, "From"), To: addresses(r, "To"), Cc: addresses(r, "Cc")}
	e.MessageID, _ = r.Header.MessageID()
	e.Date, _ = r.Header.Date()
	e.Subject, _ = r.Header.Subject()
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return e, nil
		}
		if err != nil && !message.IsUnknownCharset(err) {
			return nil, err
		}
		if err := e.add(p); err != nil {
			return nil, err
		}
	}
}

// add takes a part in: the first text and the first HTML are the body, all else
// is attached.
func (e *event) add(p *mail.Part) error {
	content, err := io.ReadAll(p.Body)
	if err != nil {
		return err
	}
	switch h := p.Header.(type) {
	case *mail.InlineHeader:
		kind, _, _ := h.ContentType()
		switch {
		case kind == "text/html" && e.HTML == "":
			e.HTML = string(content)
		case kind == "text/plain" && e.Text == "":
			e.Text = string(content)
		default:
			e.Attachments = append(e.Attachments, attachment{Type: kind, Size: len(content), Content: content})
		}
	case *mail.AttachmentHeader:
		kind, _, _ := h.ContentType()
		name, _ := h.Filename()
		e.Attachments = append(e.Attachments, attachment{Name: name, Type: kind, Size: len(content), Content: content})
	}
	return nil
}

func addresses(r *mail.Reader, field string) []address {
	list, err := r.Header.AddressList(field)
	if err != nil {
		return nil
	}
	var all []address
	for _, a := range list {
		all = append(all, address{a.Name, a.Address})
	}
	return all
}
