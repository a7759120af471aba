package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/internal/secret"
)

const maxPrinted = 64 << 10 // octets a command may print

// run has the command print a token: alone on a line, or as the answer of an
// authorisation server (RFC 6749 section 5.1), in JSON. It runs without a shell
// and without input.
func (s *Source) run(ctx context.Context) (answer, error) {
	name := s.c.Command[0]
	printed, err := secret.Command(ctx, s.c.Command, "", maxPrinted)
	if ctx.Err() != nil {
		return answer{}, &Error{Err: fmt.Errorf("%s did not end within %v", name, fetchTime)}
	}
	if err != nil {
		hide := dial.NewHider(secret.New(string(bytes.TrimSpace(printed.Out))))
		said := shorten(hide.Clean(string(printed.Complaint)))
		if said == "" {
			said = "it said nothing"
		}
		return answer{}, &Error{Err: fmt.Errorf("%s: %w: %s", name, err, said), Hint: "run the command by hand, as the user postferry runs as"}
	}
	a, err := parsePrinted(printed)
	if err != nil {
		return answer{}, &Error{Err: fmt.Errorf("%s: %w", name, err), Hint: "it must print an access token alone, or JSON with access_token and expires_in"}
	}
	return a, nil
}

// parsePrinted reads what a command has printed. Its errors repeat nothing of it.
func parsePrinted(p secret.Printed) (answer, error) {
	text := strings.TrimSpace(string(p.Out))
	switch {
	case p.Over:
		return answer{}, fmt.Errorf("it printed more than %d KiB", maxPrinted>>10)
	case text == "":
		return answer{}, errors.New("it printed nothing")
	case strings.HasPrefix(text, "{"):
		return parseJSON(text)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }): // RFC 6750 section 2.1
		return answer{}, errors.New("what it printed is no access token")
	}
	return answer{token: secret.New(text)}, nil
}

func parseJSON(text string) (answer, error) {
	var said struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   any    `json:"expires_in"`
	}
	if json.Unmarshal([]byte(text), &said) != nil {
		return answer{}, errors.New("the JSON it printed is malformed")
	}
	a, err := parsePrinted(secret.Printed{Out: []byte(said.AccessToken)})
	if err != nil || strings.HasPrefix(said.AccessToken, "{") {
		return answer{}, errors.New("the JSON it printed has no access_token")
	}
	a.life = secondsOf(said.ExpiresIn)
	return a, nil
}
