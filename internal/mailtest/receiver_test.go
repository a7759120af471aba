package mailtest

import (
	"context"
	"crypto/sha256"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/localca"
)

// post sends one body under a webhook-id and returns the status, 0 if the
// connection was closed without one.
func post(t testing.TB, c *http.Client, url, id, body string) int {
	t.Helper()
	q, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	q.Header.Set("webhook-id", id)
	resp, err := c.Do(q)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestReceiverRecordsEveryRequest(t *testing.T) {
	r := NewReceiver(t)
	r.Statuses(503, 0, 202)
	var got []int
	for range 4 {
		got = append(got, post(t, http.DefaultClient, r.URL+"/hook?x=1", "msg_a", "hello"))
	}
	got = append(got, post(t, http.DefaultClient, r.URL, "msg_b", ""))
	if want := []int{503, 0, 202, 202, 503}; !reflect.DeepEqual(got, want) {
		t.Errorf("answers were %v, want %v", got, want)
	}
	reqs := r.Requests()
	if len(reqs) != 5 || r.Count() != 5 {
		t.Fatalf("%d requests recorded, want 5", len(reqs))
	}
	q := reqs[2]
	if q.N != 3 || q.Try != 3 || q.ID != "msg_a" || q.URL != "/hook?x=1" || q.Method != "POST" || string(q.Body) != "hello" ||
		q.SHA256 != sha256.Sum256([]byte("hello")) || q.Size != 5 || q.Status != 202 || q.Header.Get("webhook-id") != "msg_a" || q.At.IsZero() {
		t.Errorf("the third request is %+v", q)
	}
	if want := map[string]int{"msg_a": 2}; !reflect.DeepEqual(r.Accepted(), want) {
		t.Errorf("Accepted = %v, want %v", r.Accepted(), want)
	}
	if want := []string{"msg_a", "msg_b"}; !reflect.DeepEqual(r.IDs(), want) {
		t.Errorf("IDs = %v, want %v", r.IDs(), want)
	}
	if n := len(r.Bodies()); n != 2 {
		t.Errorf("%d bodies were accepted, want 2", n)
	}
	if r.Octets() != 20 {
		t.Errorf("Octets = %d, want 20", r.Octets())
	}
}

func TestReceiverKeepsOnlyWhatItIsAskedTo(t *testing.T) {
	hashes, counts := NewReceiver(t, HashBodies), NewReceiver(t, CountOnly)
	post(t, http.DefaultClient, hashes.URL, "msg_a", "hello")
	post(t, http.DefaultClient, counts.URL, "msg_a", "hello")
	if q := hashes.Requests()[0]; q.Body != nil || q.SHA256 != sha256.Sum256([]byte("hello")) {
		t.Errorf("with HashBodies the request is %+v", q)
	}
	if n := len(counts.Requests()); n != 0 || counts.Count() != 1 || counts.Octets() != 5 || counts.Accepted()["msg_a"] != 1 {
		t.Errorf("with CountOnly %d requests were kept, %d counted", n, counts.Count())
	}
}

func TestReceiverSpeaksTLS(t *testing.T) {
	ca, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	r := NewReceiver(t, WithTLS(ca))
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: ca.Client("127.0.0.1")}}
	defer c.CloseIdleConnections()
	if status := post(t, c, r.URL, "msg_a", "x"); status != 200 {
		t.Errorf("over TLS the status is %d", status)
	}
	if status := post(t, http.DefaultClient, r.URL, "msg_a", "x"); status != 0 {
		t.Errorf("a client that does not know the authority got %d", status)
	}
}

func TestReceiverWaitIsBounded(t *testing.T) {
	r := NewReceiver(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.WaitAccepted(ctx, 1); err == nil || !strings.Contains(err.Error(), "0 of 1") {
		t.Errorf("waiting in vain gave %v", err)
	}
	go post(t, http.DefaultClient, r.URL, "msg_a", "x")
	r.Wait(t, 1)
	if err := r.WaitRequests(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

func BenchmarkReceiverCountOnly(b *testing.B) {
	r := NewReceiver(b, CountOnly)
	body := strings.Repeat("x", 4096)
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer c.CloseIdleConnections()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			post(b, c, r.URL, "msg_a", body)
		}
	})
}
