package webhook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/postferry/postferry/config"
	"github.com/postferry/postferry/internal/localca"
	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

// request reads one request and its body.
func request(c net.Conn) bool {
	q, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, q.Body)
	return err == nil
}

// misbehaviour is what a receiver does to a request instead of answering it well.
type misbehaviour struct {
	name  string
	serve func(net.Conn)
	want  verdict
	says  string
}

func misbehaviours() []misbehaviour {
	return []misbehaviour{
		{"closes at once", func(net.Conn) {}, temporary, ""},
		{"closes after the request", func(c net.Conn) { request(c) }, temporary, "closed the connection without an answer"},
		{"half closes after the request", func(c net.Conn) {
			request(c)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
		}, temporary, "closed the connection without an answer"},
		{"answers no HTTP", func(c net.Conn) { request(c); io.WriteString(c, "220 mail.example ESMTP\r\n") }, temporary, "malformed HTTP"},
		{"answers nothing", func(c net.Conn) { request(c); io.Copy(io.Discard, c) }, temporary, "no answer within the sink's timeout"},
		{"answers half a header", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Half")
			io.Copy(io.Discard, c)
		}, temporary, "no answer within the sink's timeout"},
		{"answers an endless header", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("v", 1000)); err != nil {
					return
				}
			}
		}, temporary, "server response headers exceeded"},
		{"breaks the body off", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		}, delivered, ""},
		{"breaks the body of a failure off", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nhalf")
		}, temporary, "answered 500"},
		{"sends its body too slowly", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
			io.Copy(io.Discard, c)
		}, delivered, ""},
		{"sends its body an octet at a time without end", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}, delivered, ""},
		{"sends a header field of a megabyte", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nRetry-After: "+strings.Repeat("1", 1<<20)+"\r\n\r\n")
		}, temporary, "server response headers exceeded"},
		{"speaks of octets it does not send", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n{}")
		}, delivered, ""},
		{"answers with a chunk that is none", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		}, temporary, "answered 503"},
		{"answers twice", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
		}, delivered, ""},
		{"answers before it has read the request", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			io.Copy(io.Discard, c)
		}, temporary, ""},
		{"gives early hints", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
		}, delivered, ""},
		{"gives endless early hints", func(c net.Conn) {
			request(c)
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"); err != nil {
					return
				}
			}
		}, temporary, ""},
		{"switches protocols", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
			io.Copy(io.Discard, c)
		}, temporary, ""},
		{"answers a status beyond all", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n")
		}, temporary, "999"},
	}
}

func TestReceiversThatMisbehave(t *testing.T) {
	for _, c := range misbehaviours() {
		t.Run(c.name, func(t *testing.T) {
			s := makeSink(t, Options{URL: "http://" + listener(t, c.serve) + "/hook?k=secret-in-query", Timeout: time.Second}, sinks.Env{})
			_, err := deliver(t, s)
			if got := verdictOf(err); got != c.want {
				t.Errorf("it is %s: %v", got, err)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret-in-query")) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// However often a receiver misbehaves, nothing of it is left: no goroutine, no
// connection. It is thirty times each, or with POSTFERRY_SOAK ten thousand. What
// takes longer than the timeout here is temporary, in a hurry.
func TestNothingIsLeftOfReceiversThatMisbehave(t *testing.T) {
	times := 30
	if os.Getenv("POSTFERRY_SOAK") != "" {
		times = 10_000
	}
	words := log.Writer() // net/http tells of answers that nobody asked for
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(words) })
	for _, c := range misbehaviours() {
		t.Run(c.name, func(t *testing.T) {
			const atOnce = 30
			address := listener(t, c.serve)
			before := runtime.NumGoroutine()
			s := makeSink(t, Options{URL: "http://" + address + "/", Timeout: 200 * time.Millisecond}, sinks.Env{Concurrency: atOnce})
			d := sinktest.Delivery(t, 1, sinktest.Mail)
			var left atomic.Int64
			left.Store(int64(times))
			var workers sync.WaitGroup
			for range atOnce {
				workers.Go(func() {
					for left.Add(-1) >= 0 {
						_, err := s.Deliver(t.Context(), d)
						if got := verdictOf(err); got != c.want && got != temporary {
							t.Errorf("it is %s: %v", got, err)
						}
					}
				})
			}
			workers.Wait()
			s.Close()
			for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d goroutines more than before", runtime.NumGoroutine()-before)
				}
			}
		})
	}
}

// Of an endless body no more than 64 KiB is read: what the receiver got rid of
// is that, and what the buffers of the two ends hold.
func TestAnEndlessBodyIsReadToItsLimit(t *testing.T) {
	var written atomic.Int64
	address := listener(t, func(c net.Conn) {
		request(c)
		c.(*net.TCPConn).SetWriteBuffer(16 << 10)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		chunk := "1000\r\n" + strings.Repeat("z", 0x1000) + "\r\n"
		for {
			n, err := io.WriteString(c, chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	s := makeSink(t, Options{URL: "http://" + address, Timeout: 30 * time.Second}, sinks.Env{})
	receipt, err := deliver(t, s)
	if err != nil || receipt.Detail != "200" {
		t.Errorf("%+v, %v", receipt, err)
	}
	if n := written.Load(); n > 32<<20 {
		t.Errorf("the receiver wrote %d octets", n)
	}
}

// A mail of 25 MB in which an attachment is sent inline costs a fraction of that.
func TestALargeMailIsNotHeldInMemory(t *testing.T) {
	r := mailtest.NewReceiver(t, mailtest.HashBodies)
	s := makeSink(t, Options{URL: r.URL}, sinks.Env{})
	s.render.Options.Attachments = "inline"
	d := sinktest.Delivery(t, 1, large())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := s.Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("%d octets were allocated", got)
	}
	if q := r.Requests()[0]; q.Size < 33_000_000 || q.Err != nil {
		t.Errorf("%d octets arrived, %v", q.Size, q.Err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := mailtest.NewReceiver(t)
	r := mailtest.NewReceiver(t)
	r.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: 307, Header: http.Header{"Location": {other.URL}}}
	})
	if _, err := deliver(t, makeSink(t, Options{URL: r.URL}, sinks.Env{})); verdictOf(err) != temporary {
		t.Errorf("%v", err)
	}
	if n := other.Count(); n != 0 {
		t.Errorf("the other place got %d requests", n)
	}
}

func TestARequestIsMadeOnceOnAConnectionThatIsUsedAgain(t *testing.T) {
	var connections, requests atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		requests.Add(1)
		io.Copy(io.Discard, q.Body)
		io.WriteString(w, "queued")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	s := makeSink(t, Options{URL: server.URL}, sinks.Env{})
	for i := range 20 {
		if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, i, sinktest.Mail)); err != nil {
			t.Fatal(err)
		}
	}
	if requests.Load() != 20 || connections.Load() != 1 {
		t.Errorf("%d requests on %d connections", requests.Load(), connections.Load())
	}
}

func TestNobodyListens(t *testing.T) {
	_, err := deliver(t, makeSink(t, Options{URL: "http://" + unused(t) + "/?k=secret-in-query"}, sinks.Env{}))
	if verdictOf(err) != temporary || !strings.Contains(fmt.Sprint(err), "connection refused — check that the receiver runs") {
		t.Errorf("%s: %v", verdictOf(err), err)
	}
}

func TestNameResolutionFailuresAreTheSinksFault(t *testing.T) {
	for name, rcode := range map[string]byte{"NXDOMAIN": 3, "SERVFAIL": 2, "REFUSED": 5} { // RFC 1035, section 4.1.1
		t.Run(name, func(t *testing.T) {
			s := makeSink(t, Options{URL: "https://hooks.example/hook?k=secret-in-query", Timeout: 30 * time.Second}, sinks.Env{})
			s.transport.DialContext = (&net.Dialer{Resolver: resolver(t, rcode)}).DialContext
			_, err := deliver(t, s)
			if verdictOf(err) != sinkFault || !strings.Contains(fmt.Sprint(err), "looking up hooks.example") || strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("%s: %v", verdictOf(err), err)
			}
		})
	}
}

// resolver asks a name server that answers every question with rcode.
func resolver(t testing.TB, rcode byte) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			buf[2] |= 0x80               // QR
			buf[3] = buf[3]&0xf0 | rcode // RCODE
			buf[10], buf[11] = 0, 0      // no additional records
			pc.WriteTo(buf[:question(buf[:n])], from)
		}
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// question is where the question section ends.
func question(message []byte) int {
	i := 12
	for message[i] != 0 {
		i += 1 + int(message[i])
	}
	return i + 5
}

func TestTLSFailuresAreTheSinksFault(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	trusted := mailtest.NewReceiver(t, mailtest.WithTLS(ca))
	plain := mailtest.NewReceiver(t)
	onPlain := "https" + strings.TrimPrefix(plain.URL, "http")
	alert := listener(t, func(c net.Conn) {
		tc := tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert, Certificates: ca.Server().Certificates})
		if tc.Handshake() == nil {
			io.Copy(io.Discard, tc)
		}
	})
	for _, c := range []struct {
		name string
		o    Options
		want verdict
		says string
	}{
		{"a trusted certificate", Options{URL: trusted.URL, TLS: config.TLS{CAFile: caFile(t, ca)}}, delivered, ""},
		{"an unknown issuer", Options{URL: trusted.URL}, sinkFault, "tls.ca_file"},
		{"another issuer", Options{URL: trusted.URL, TLS: config.TLS{CAFile: caFile(t, other)}}, sinkFault, "tls.ca_file"},
		{"another name", Options{URL: trusted.URL, TLS: config.TLS{CAFile: caFile(t, ca), ServerName: "other.example"}}, sinkFault, "tls.server_name"},
		{"another key than the pinned one", Options{URL: trusted.URL, TLS: config.TLS{CAFile: caFile(t, ca), PinSHA256: []string{strings.Repeat("A", 43) + "="}}}, sinkFault, "pin_sha256"},
		{"no TLS at all", Options{URL: onPlain, TLS: config.TLS{CAFile: caFile(t, ca)}}, sinkFault, "does not speak TLS"},
		{"a client certificate is asked for", Options{URL: "https://" + alert, TLS: config.TLS{CAFile: caFile(t, ca)}}, sinkFault, "tls.client_cert"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := makeSink(t, c.o, sinks.Env{})
			_, err := deliver(t, s)
			// In TLS 1.3 the alert about a certificate comes after the handshake, when
			// the request is being written: where the write fails first, the attempt is
			// temporary, and a later one is told.
			for try := 0; c.want == sinkFault && verdictOf(err) == temporary && try < 50; try++ {
				_, err = deliver(t, s)
			}
			if verdictOf(err) != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", verdictOf(err), err)
			}
		})
	}
}

func TestTheSinkShowsItsCertificateToAReceiverThatAsksForIt(t *testing.T) {
	ca, client := newCA(t), newCA(t)
	certificate := client.Server().Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var shown atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		shown.Store(q.TLS.PeerCertificates[0].Raw)
	}))
	server.TLS = ca.Server()
	server.TLS.ClientAuth = tls.RequireAnyClientCert
	server.StartTLS()
	defer server.Close()
	s := makeSink(t, Options{URL: server.URL, TLS: config.TLS{CAFile: caFile(t, ca), ClientCert: certFile, ClientKey: keyFile}}, sinks.Env{})
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	if got, _ := shown.Load().([]byte); !bytes.Equal(got, certificate.Certificate[0]) {
		t.Error("the receiver saw another certificate")
	}
}

func TestADeliveryThatIsCutShortBlamesNobody(t *testing.T) {
	address := listener(t, func(c net.Conn) { request(c); io.Copy(io.Discard, c) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s := makeSink(t, Options{URL: "http://" + address}, sinks.Env{})
	_, err := s.Deliver(ctx, sinktest.Delivery(t, 1, sinktest.Mail))
	if verdictOf(err) != temporary {
		t.Errorf("%v", err)
	}
}

func newCA(t testing.TB) *localca.CA {
	t.Helper()
	ca, err := localca.New()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func caFile(t testing.TB, ca *localca.CA) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStreamsOfHTTP2ThatBreakOffAreTemporary(t *testing.T) {
	ca := newCA(t)
	var protocol atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		protocol.Store(int64(q.ProtoMajor))
		if q.Header.Get("Webhook-Id") == sinktest.ID(1) {
			panic(http.ErrAbortHandler) // RST_STREAM
		}
		io.Copy(io.Discard, q.Body)
	}))
	server.EnableHTTP2, server.TLS = true, ca.Server()
	server.StartTLS()
	defer server.Close()
	s := makeSink(t, Options{URL: server.URL, TLS: config.TLS{CAFile: caFile(t, ca)}}, sinks.Env{})
	if _, err := deliver(t, s); verdictOf(err) != temporary {
		t.Errorf("%s: %v", verdictOf(err), err)
	}
	if _, err := s.Deliver(t.Context(), sinktest.Delivery(t, 2, sinktest.Mail)); err != nil || protocol.Load() != 2 {
		t.Errorf("over HTTP/%d: %v", protocol.Load(), err)
	}
}

// A connection that its receiver is leaving (GOAWAY, RFC 9113, section 6.8) costs
// no delivery: the request goes over a new one where it was not looked at, and is
// temporary where nobody can know.
func TestAReceiverThatGoesAwayOnHTTP2IsAskedAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(fr *http2.Framer, stream uint32) error
		want  verdict
		seen  int64 // connections
	}{
		{"before it looked at the request", func(fr *http2.Framer, _ uint32) error { return fr.WriteGoAway(0, http2.ErrCodeNo, nil) }, delivered, 2},
		{"with an error in the middle of the body", func(fr *http2.Framer, stream uint32) error {
			return errors.Join(fr.WriteGoAway(stream, http2.ErrCodeInternal, []byte("out of memory")), io.EOF) // and closes
		}, temporary, 1},
		{"by breaking the stream off", func(fr *http2.Framer, stream uint32) error {
			return fr.WriteRSTStream(stream, http2.ErrCodeInternal)
		}, temporary, 1},
		{"by refusing the stream", func(fr *http2.Framer, stream uint32) error {
			return fr.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}, delivered, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca := newCA(t)
			server := ca.Server()
			server.NextProtos = []string{"h2"}
			var connections, requests atomic.Int64
			address := listener(t, func(conn net.Conn) {
				connections.Add(1)
				tc := tls.Server(conn, server)
				defer tc.Close()
				serveHTTP2(tc, func(fr *http2.Framer, stream uint32) error {
					if requests.Add(1) == 1 {
						return c.leave(fr, stream)
					}
					var block bytes.Buffer
					hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "204"})
					return fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
				})
			})
			s := makeSink(t, Options{URL: "https://" + address, TLS: config.TLS{CAFile: caFile(t, ca)}, Timeout: 30 * time.Second}, sinks.Env{})
			_, err := s.Deliver(t.Context(), sinktest.Delivery(t, 1, sinktest.Mail))
			if verdictOf(err) != c.want || connections.Load() != c.seen {
				t.Errorf("%s over %d connections: %v", verdictOf(err), connections.Load(), err)
			}
		})
	}
}

// serveHTTP2 calls answer for the header of each request; bodies are read past.
func serveHTTP2(c net.Conn, answer func(fr *http2.Framer, stream uint32) error) {
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	fr := http2.NewFramer(c, c)
	if fr.WriteSettings() != nil {
		return
	}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() && fr.WriteSettingsAck() != nil {
				return
			}
		case *http2.HeadersFrame:
			if answer(fr, f.StreamID) != nil {
				return
			}
		}
	}
}
