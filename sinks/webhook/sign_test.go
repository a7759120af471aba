package webhook

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
	"github.com/postferry/postferry/sinks/sinktest"
)

func verifier(t testing.TB, key string) *standardwebhooks.Webhook {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	return wh
}

// The published example of the specification.
func TestSignatureOfTheSpecification(t *testing.T) {
	s, err := newSigner([]secret.Secret{secret.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")})
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"test": 2432232314}`
	wh := verifier(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	at := time.Unix(1614265330, 0)
	want, err := wh.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(body))
	if err != nil || want != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Fatal(want, err)
	}
	raw, err := payload.NewRenderer("raw", payload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := sinktest.Delivery(t, 1, body)
	b, err := raw.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	stamp, signature, err := s.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b)
	if err != nil || stamp != "1614265330" || signature != want {
		t.Errorf("%s %s %v", stamp, signature, err)
	}
}

// bodies is how many random mails are signed: ten thousand with POSTFERRY_SOAK.
func bodies() int {
	if os.Getenv("POSTFERRY_SOAK") != "" {
		return 10_000
	}
	return 300
}

// randomMail is a mail of random octets, or of random text in many scripts.
func randomMail(rng *rand.Rand) string {
	var b strings.Builder
	b.WriteString("Subject: random\r\n\r\n")
	octets := rng.IntN(2) == 0
	for range rng.IntN(1500) {
		if octets {
			b.WriteByte(byte(rng.Uint32()))
		} else {
			b.WriteRune(rune(rng.IntN(0x1ffff)))
		}
	}
	return b.String()
}

// large is a mail whose event has more than 25 MB, with its attachment inline.
func large() string {
	return strings.Replace(sinktest.Mail, "JVBERi0=", strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 440_000), 1)
}

func TestSignaturesVerifyWithThePublicLibrary(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{URL: r.URL, Secret: secret.New(keyOne), Secrets: []secret.Secret{secret.New(keyTwo)}}, sinks.Env{})
	rng := rand.New(rand.NewPCG(1, 1))
	mails := append(sinktest.Hostile(), sinktest.Mail)
	one, two, other := verifier(t, keyOne), verifier(t, keyTwo), verifier(t, keyThree)
	for i := range bodies() {
		raw := randomMail(rng)
		if i < len(mails) {
			raw = mails[i]
		}
		if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, i, raw)); err != nil {
			t.Fatal(err)
		}
	}
	for i, q := range r.Requests() {
		for key, wh := range map[string]*standardwebhooks.Webhook{"first": one, "second": two} {
			if err := wh.Verify(q.Body, q.Header); err != nil {
				t.Errorf("mail %d with the %s key: %v", i, key, err)
			}
		}
		if other.Verify(q.Body, q.Header) == nil {
			t.Errorf("mail %d verifies with another key", i)
		}
		tampered := bytes.Clone(q.Body)
		tampered[rng.IntN(len(tampered))] ^= 1 << rng.IntN(8)
		if one.Verify(tampered, q.Header) == nil {
			t.Errorf("mail %d verifies with another body", i)
		}
		for _, name := range []string{"webhook-id", "webhook-timestamp"} {
			h := q.Header.Clone()
			h.Set(name, h.Get(name)+"1")
			if one.VerifyIgnoringTimestamp(q.Body, h) == nil {
				t.Errorf("mail %d verifies with another %s", i, name)
			}
		}
	}
}

// The receivers of examples/receivers in Python and Node, which verify with what
// comes with the languages, take every request of a sink whose secret rotates to
// theirs, and none that is signed with another.
func TestSignaturesVerifyInOtherLanguages(t *testing.T) {
	root := filepath.Join(mailtest.ModuleRoot(t), "examples", "receivers")
	for language, command := range map[string][2]string{
		"Python": {"python3", filepath.Join(root, "python", "receiver.py")}, "Node": {"node", filepath.Join(root, "node", "receiver.js")},
	} {
		t.Run(language, func(t *testing.T) {
			path, err := exec.LookPath(command[0])
			if err != nil {
				t.Fatal(err)
			}
			address := unused(t)
			_, port, _ := net.SplitHostPort(address)
			mailtest.StartProc(t, mailtest.Command{Path: path, Args: []string{command[1]}, Dir: t.TempDir(), Env: []string{"PORT=" + port, "HOOK_SECRET=" + keyOne}})
			awaitListener(t, address)
			url := "http://" + address + "/"
			s := makeSink(t, Options{URL: url, Secret: secret.New(keyTwo), Secrets: []secret.Secret{secret.New(keyOne)}}, sinks.Env{})
			s.render.Options.Attachments = payload.Inline
			rng := rand.New(rand.NewPCG(2, 2))
			mails := append(sinktest.Hostile(), sinktest.Mail)
			if bodies() > 1000 {
				mails = append(mails, large())
			}
			for i := range bodies() {
				raw := randomMail(rng)
				if i < len(mails) {
					raw = mails[i]
				}
				if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, i, raw)); err != nil {
					t.Fatalf("mail %d: %v", i, err)
				}
			}
			others := makeSink(t, Options{URL: url, Secret: secret.New(keyTwo)}, sinks.Env{})
			if _, err := deliver(t, others); verdictOf(err) != sinkFault {
				t.Errorf("signed with another key: %v", err)
			}
		})
	}
}

// awaitListener waits until somebody listens at the address.
func awaitListener(t testing.TB, address string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestRotatingSecretsSignWithEachOfThem(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{URL: r.URL, Secret: secret.New(keyOne), Secrets: []secret.Secret{secret.New(keyTwo)}}, sinks.Env{})
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	q := r.Requests()[0]
	if n := len(strings.Split(q.Header.Get("webhook-signature"), " ")); n != 2 {
		t.Errorf("%d signatures: %s", n, q.Header.Get("webhook-signature"))
	}
	for _, key := range []string{keyOne, keyTwo} {
		if err := verifier(t, key).Verify(q.Body, q.Header); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// A body of 25 MB is signed and sent without being in memory, and is the same at
// every attempt; the timestamp is that of the attempt.
func TestEveryAttemptHasTheSameIDAndBodyAndItsOwnTimestamp(t *testing.T) {
	r := mailtest.NewReceiver(t)
	clock := &fixed{time.Unix(1800000000, 0)}
	render, err := payload.NewRenderer("", payload.Options{Attachments: payload.Inline})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New("app", Options{URL: r.URL, Secret: secret.New(keyOne)}, render, sinks.Env{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n, raw := range []string{sinktest.Mail, large()} {
		for attempt := range 3 {
			d := sinktest.Delivery(t, n, raw)
			d.Attempt = attempt + 1
			clock.now = clock.now.Add(time.Hour)
			if _, err := s.Deliver(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
	}
	requests := r.Requests()
	for i, q := range requests {
		first := requests[i/3*3]
		if q.ID != first.ID || q.SHA256 != first.SHA256 || q.Header.Get("Content-Length") != strconv.Itoa(len(q.Body)) {
			t.Errorf("request %d: %s, %d octets", i, q.ID, len(q.Body))
		}
		if want := strconv.FormatInt(1800000000+3600*int64(i+1), 10); q.Header.Get("webhook-timestamp") != want {
			t.Errorf("request %d has the timestamp %s", i, q.Header.Get("webhook-timestamp"))
		}
		if err := verifier(t, keyOne).VerifyIgnoringTimestamp(q.Body, q.Header); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if n := len(requests[3].Body); n < 33_000_000 {
		t.Errorf("the large body has %d octets", n)
	}
}

func TestWithoutASecretNothingIsSigned(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{URL: r.URL}, sinks.Env{})
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	h := r.Requests()[0].Header
	if _, there := h[http.CanonicalHeaderKey("webhook-signature")]; there || h.Get("webhook-id") == "" || h.Get("webhook-timestamp") == "" {
		t.Errorf("%v", h)
	}
}

func TestSecretsThatCannotSignAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"whsec_":                              "holds 0 octets",
		"whsec_c2hvcnQ=":                      "holds 5 octets; 24 to 64 are wanted",
		"hello":                               "not whsec_ and base64",
		"whsk_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0":   "ed25519",
		"whsec_" + strings.Repeat("QUJD", 22): "holds 66 octets",
		keyOne[:20] + "\n" + keyOne[20:]:      "not whsec_ and base64",
	} {
		_, err := New("app", Options{URL: "https://app.example.com", Secret: secret.New(text)}, payload.Renderer{}, sinks.Env{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "openssl rand") {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && len(text) > 8 && strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("the error shows %q", text)
		}
	}
	for _, text := range []string{keyOne, strings.TrimPrefix(keyOne, "whsec_"), " " + keyOne + "\n"} {
		if _, err := New("app", Options{URL: "https://app.example.com", Secret: secret.New(text)}, payload.Renderer{}, sinks.Env{}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
