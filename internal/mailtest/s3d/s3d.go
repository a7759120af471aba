// Package s3d is an S3-compatible store for tests, on loopback. It checks of each
// request what AWS checks first: that it is signed by the key it knows (Signature
// Version 4), for the region, and not long ago; and that the octets are those
// announced.
package s3d

import (
	"bufio"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The key and the region every Server knows.
const (
	AccessKey = "AKIAPOSTFERRYTEST"
	SecretKey = "test-secret-key-of-the-store"
	Region    = "eu-test-1"
)

// Object is one stored object.
type Object struct {
	Body        []byte
	ContentType string
}

// Server is the store. It has the one bucket it was started with.
type Server struct {
	URL string

	bucket string
	http   *httptest.Server
	mu     sync.Mutex
	hang   func()
	refuse int // status every request is answered with; 0: none
	stored map[string]Object
	puts   []string // keys in the order they were put
	parts  map[string]map[int][]byte
}

// Start starts a store with one bucket; it is stopped when the test ends.
func Start(t testing.TB, bucket string) *Server {
	t.Helper()
	s := &Server{bucket: bucket, stored: map[string]Object{}, parts: map[string]map[int][]byte{}}
	s.http = httptest.NewServer(s)
	t.Cleanup(func() { s.stop() })
	s.URL = s.http.URL
	return s
}

// Restart breaks every connection and comes back at the same address, with what
// is stored.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.stop()
	ln, err := net.Listen("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.http = &httptest.Server{Listener: ln, Config: &http.Server{Handler: s}}
	s.http.Start()
}

func (s *Server) stop() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Objects are all there are, by key.
func (s *Server) Objects() map[string]Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Object{}
	for k, v := range s.stored {
		all[k] = v
	}
	return all
}

// Puts are the keys in the order they were put.
func (s *Server) Puts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.puts)
}

// Lose makes the store forget an object, as a rule of its lifecycle does.
func (s *Server) Lose(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.stored, key)
}

// Cut takes the last octet of an object away.
func (s *Server) Cut(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, there := s.stored[key]; there {
		o.Body = o.Body[:len(o.Body)-1]
		s.stored[key] = o
	}
}

// Refuse makes the store answer every request with that status; 0 ends it.
func (s *Server) Refuse(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = status
}

// Hang makes the store call entered at every request and give no answer.
func (s *Server) Hang(entered func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = entered
}

type failure struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	xml.NewEncoder(w).Encode(failure{Code: code, Message: message})
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refuse, hang := s.refuse, s.hang
	s.mu.Unlock()
	body, err := octets(r)
	if hang != nil {
		hang()
		<-r.Context().Done()
		return
	}
	switch bucket, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); {
	case err != nil:
		fail(w, 400, "IncompleteBody", err.Error())
	case refuse == 403:
		fail(w, 403, "AccessDenied", "Access Denied.")
	case refuse != 0:
		fail(w, refuse, "InternalError", "We encountered an internal error, please try again.")
	case verify(r) != nil:
		fail(w, 403, "SignatureDoesNotMatch", verify(r).Error())
	case bucket != s.bucket:
		fail(w, 404, "NoSuchBucket", "The specified bucket does not exist")
	default:
		s.obey(w, r, body)
	}
}

func (s *Server) obey(w http.ResponseWriter, r *http.Request, body []byte) {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	tag := fmt.Sprintf(`"%x"`, md5.Sum(body))
	switch {
	case key == "" && r.Method == http.MethodHead:
	case key != "" && r.Method == http.MethodHead:
		o, there := s.stored[key]
		if !there {
			w.WriteHeader(http.StatusNotFound) // a HEAD is answered without a body
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(o.Body)))
		w.Header().Set("Content-Type", o.ContentType)
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(o.Body)))
	case key == "" && q.Has("location"):
		fmt.Fprintf(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">%s</LocationConstraint>`, Region)
	case r.Method == http.MethodPost && q.Has("uploads"):
		s.parts[key] = map[int][]byte{}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>")
	case r.Method == http.MethodPut && q.Has("partNumber"):
		n, _ := strconv.Atoi(q.Get("partNumber"))
		s.parts[key][n] = body
		w.Header().Set("ETag", tag)
	case r.Method == http.MethodPost && q.Has("uploadId"):
		var whole []byte
		for n := 1; s.parts[key][n] != nil; n++ {
			whole = append(whole, s.parts[key][n]...)
		}
		s.stored[key], s.puts = Object{Body: whole}, append(s.puts, key)
		fmt.Fprintf(w, "<CompleteMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>%s</Bucket><Key>k</Key><ETag>%s</ETag></CompleteMultipartUploadResult>", s.bucket, tag)
	case r.Method == http.MethodPut:
		s.stored[key], s.puts = Object{body, r.Header.Get("Content-Type")}, append(s.puts, key)
		w.Header().Set("ETag", tag)
	default:
		fail(w, 405, "MethodNotAllowed", r.Method+" "+r.URL.String())
	}
}

// octets reads a request's body, and takes the chunks of a streaming signature
// apart.
func octets(r *http.Request) ([]byte, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return io.ReadAll(r.Body)
	}
	var all []byte
	in := bufio.NewReader(r.Body)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(size, 16, 64)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return nil, err
		}
		all = append(all, chunk[:n]...)
	}
	if want := r.Header.Get("X-Amz-Decoded-Content-Length"); want != strconv.Itoa(len(all)) {
		return nil, fmt.Errorf("%d octets came of %s", len(all), want)
	}
	_, err := io.Copy(io.Discard, in)
	return all, err
}

// verify computes the signature of the request's header (AWS, "Create a signed
// request").
func verify(r *http.Request) error {
	fields := map[string]string{}
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return fmt.Errorf("no signature of version 4")
	}
	for f := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(f), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[0] != AccessKey || scope[2] != Region || scope[3] != "s3" {
		return fmt.Errorf("the credential %s is not known here", fields["Credential"])
	}
	stamp := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", stamp)
	if err != nil || time.Since(at).Abs() > 15*time.Minute {
		return fmt.Errorf("the request is of %s", stamp)
	}
	headers := strings.Split(fields["SignedHeaders"], ";")
	sort.Strings(headers)
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, (&url.URL{Path: r.URL.Path}).EscapedPath(), strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20"))
	for _, h := range headers {
		value := strings.Join(r.Header.Values(h), ",")
		switch h {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		fmt.Fprintf(&canonical, "%s:%s\n", h, strings.TrimSpace(value))
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", strings.Join(headers, ";"), r.Header.Get("X-Amz-Content-Sha256"))
	sum := sha256.Sum256([]byte(canonical.String()))
	toSign := "AWS4-HMAC-SHA256\n" + stamp + "\n" + strings.Join(scope[1:], "/") + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + SecretKey)
	for _, part := range scope[1:] {
		key = mac(key, part)
	}
	if want := hex.EncodeToString(mac(key, toSign)); want != fields["Signature"] {
		return fmt.Errorf("the signature does not match")
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, text)
	return h.Sum(nil)
}
