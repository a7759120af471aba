package smtp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/smtp/submit"
)

// checkTimeout bounds a check.
const checkTimeout = 30 * time.Second

// Check implements sinks.Checker: the connection, TLS, what the server offers and
// the sign-in, step by step. Nothing is sent.
func (s *Sink) Check(ctx context.Context) []sinks.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	record := dial.NewRecord(s.options.Password, s.options.OAuth2.ClientSecret, s.options.OAuth2.RefreshToken)
	offers, err := s.client.Check(dial.WithRecord(ctx, record))
	var found []sinks.Finding
	for _, step := range record.Steps() {
		f := sinks.Finding{Step: step.Name, OK: true, Said: step.Said}
		if step.Warning != "" {
			f.Said += "; " + step.Warning
		}
		if f.Said == "" {
			f.Said = "done"
		}
		found = append(found, f)
	}
	if err == nil {
		return append(found, sinks.Finding{Step: "sending", OK: true, Said: "the server is ready for mail " + size(offers) + "; none was sent"})
	}
	v := submit.Grade(err)
	failed := sinks.Finding{Step: "SMTP", Said: fmt.Sprintf("%s: %s", record.Clean(err.Error()), v.Means), Fix: v.Do}
	if v.Do == "nothing" {
		failed.Fix = "nothing now; it passes"
	}
	if n := len(found); n > 0 {
		failed.Step = found[n-1].Step
		return append(found[:n-1], failed)
	}
	return append(found, failed)
}

func size(o submit.Offers) string {
	if o.MaxSize == 0 {
		return "of any size"
	}
	return fmt.Sprintf("of up to %d octets", o.MaxSize)
}

// Preview implements sinks.Previewer: the mail as a server would get it that
// offers all there is, and its envelope as the header.
func (s *Sink) Preview(d *sinks.Delivery) (sinks.Request, error) {
	m, err := s.composer.Compose(context.Background(), d, nil)
	if err != nil {
		return sinks.Request{}, err
	}
	out, err := m.Submit(submit.Offers{EightBit: true, UTF8: true})
	if err != nil {
		return sinks.Request{}, err
	}
	r, err := out.Open()
	if err != nil {
		return sinks.Request{}, err
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		return sinks.Request{}, fmt.Errorf("composing the mail: %w", err)
	}
	return sinks.Request{Method: "DATA", URL: s.server.String(), Header: http.Header{"MAIL FROM": {"<" + out.From + ">"}, "RCPT TO": out.To}, Body: body}, nil
}
