package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/secret"
)

// canary must not appear in any rendering, in clear, quoted or in hexadecimal.
const canary = "c4n4ry-p4ss"

func TestSecretIsMaskedInEveryRendering(t *testing.T) {
	s := secret.New(canary)
	holder := struct {
		Password secret.Secret
		Pointer  *secret.Secret
	}{s, &s}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "password", s, "holder", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "password", s, "holder", holder)
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	renderings := []string{log.String(), string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		renderings = append(renderings, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, &holder))
		// A verb that does not fit a pointer: fmt then asks no method of what it
		// points to.
		outer := struct{ Inner any }{&holder}
		renderings = append(renderings, fmt.Sprintf(verb, outer), fmt.Sprintf(verb, []any{&holder, outer}))
	}
	for _, r := range renderings {
		if strings.Contains(r, canary) || strings.Contains(strings.ToLower(r), fmt.Sprintf("%x", canary)) {
			t.Errorf("secret shown in %q", r)
		}
	}
	if s.Reveal() != canary {
		t.Errorf("Reveal() = %q, want the value", s.Reveal())
	}
}
