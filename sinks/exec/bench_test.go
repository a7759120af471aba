package exec

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/postferry/postferry/sinks/sinktest"
)

// BenchmarkDeliver is beside os/exec, which gives the same program a mail of the same
// size, as many at once.
func BenchmarkDeliver(b *testing.B) {
	s := makeSink(b, Options{Command: []string{"cat"}})
	body := mustRender(b, s, sinktest.Delivery(b, 1, sinktest.Numbered(1)))
	octets, err := body.ReadAll()
	must(b, err)
	text := string(octets)
	sinktest.Bench(b, s, 8, func() error {
		cmd := exec.Command("cat")
		cmd.Stdin = strings.NewReader(text)
		return cmd.Run()
	})
}
