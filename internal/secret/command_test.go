package secret_test

import (
	"testing"

	"github.com/postferry/postferry/internal/secret"
)

func TestCommandKeepsWhatIsPrintedWithinBounds(t *testing.T) {
	for _, c := range []struct {
		fact, script, out, complaint string
		over, fails                  bool
	}{
		{"both streams", "printf token; printf why >&2", "token", "why", false, false},
		{"more than the limit", "printf 123456789", "12345678", "", true, false},
		{"no input", "cat; printf end", "end", "", false, false},
		{"a command that fails", "printf half; printf why >&2; exit 3", "half", "why", false, true},
		{"what it left running", "sleep 30 & printf token", "token", "", false, false},
	} {
		t.Run(c.fact, func(t *testing.T) {
			p, err := secret.Command(t.Context(), []string{"sh", "-c", c.script}, t.TempDir(), 8)
			if string(p.Out) != c.out || string(p.Complaint) != c.complaint || p.Over != c.over || (err != nil) != c.fails {
				t.Errorf("printed %q, over %v, complained %q, error %v", p.Out, p.Over, p.Complaint, err)
			}
		})
	}
}
