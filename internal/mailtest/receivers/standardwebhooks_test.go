package receivers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/postferry/postferry/sinks/sinktest"
)

// javaScriptLibrary is the release of the library of Standard Webhooks for
// JavaScript, from the registry of npm.
const javaScriptLibrary = "standardwebhooks@1.0.0"

// The three keys: two of a rotation, and one of somebody else.
var webhookKeys = [3]string{
	"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=",
	"whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=",
}

// With POSTFERRY_SOAK there are ten thousand bodies.
func TestTheJavaScriptLibraryOfStandardWebhooksVerifies(t *testing.T) {
	n := 500
	if os.Getenv("POSTFERRY_SOAK") != "" {
		n = 10_000
	}
	dir := t.TempDir()
	if out, err := exec.Command("npm", "install", "--prefix", dir, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", javaScriptLibrary).CombinedOutput(); err != nil {
		t.Fatalf("installing %s: %v: %s", javaScriptLibrary, err, out)
	}
	t.Setenv("NODE_PATH", dir+"/node_modules")
	r := start(t, "node", append([]string{"receive_standardwebhooks.js"}, webhookKeys[:]...)...)
	s := sink(t, "http://"+r.address+"/", fmt.Sprintf("secret: %s, secrets: [%s], attachments: inline", webhookKeys[0], webhookKeys[1]))
	rng := rand.New(rand.NewPCG(3, 3))
	mails := append(hostile(), sinktest.Mail, strings.Replace(sinktest.Mail, "JVBERi0=", strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 440_000), 1))
	largest := 0
	for i := range n {
		raw := "Subject: random\r\n\r\n"
		if i < len(mails) {
			raw = mails[i]
		}
		for range rng.IntN(1500) {
			raw += string(rune(rng.IntN(0x1ffff)))
		}
		if !deliver(t, s, sinktest.Delivery(t, i, raw)) {
			t.Fatalf("body %d", i)
		}
		var got struct {
			ID    string
			Size  int
			Wrong []string
		}
		r.read(t, &got)
		if got.ID != sinktest.ID(i) || len(got.Wrong) > 0 {
			t.Fatalf("body %d: %+v", i, got)
		}
		largest = max(largest, got.Size)
	}
	if largest < 25_000_000 {
		t.Errorf("the largest body had %d characters", largest)
	}
}
