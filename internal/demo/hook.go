package demo

import (
	"errors"
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const maxEvent = 128 << 20 // octets of a webhook's body: the largest mail's attachments in base64, and its texts thrice

// Event is one request that came to the webhook receiver.
type Event struct {
	ID     string // its webhook-id: the same when a delivery is repeated
	Body   []byte
	Forged error // nil: the signature is right (Standard Webhooks 1.0)
}

// hook is the receiver.
type hook struct {
	verifier *standardwebhooks.Webhook
	limit    int64 // octets of a body
	receive  func(Event) error
	answer   func(Event) []byte // nil: none
	mu       sync.Mutex         // one event at a time
}

// hookPath is the only path that is answered.
const hookPath = "/mail"

func newHookServer(key []byte, receive func(Event) error, answer func(Event) []byte, log *log.Logger) (*http.Server, error) {
	v, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+hookPath, &hook{verifier: v, limit: maxEvent, receive: receive, answer: answer})
	return &http.Server{
		Handler:           mux,
		ErrorLog:          log,
		ReadHeaderTimeout: patience,
		ReadTimeout:       2 * time.Minute,
		WriteTimeout:      3 * time.Minute,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}, nil
}

// ServeHTTP implements http.Handler.
func (h *hook) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, h.limit))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, "the event is too large", http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		http.Error(w, "the event could not be read", http.StatusBadRequest)
		return
	}
	e := Event{ID: q.Header.Get(standardwebhooks.HeaderWebhookID), Body: body, Forged: h.verifier.Verify(body, q.Header)}
	switch said, err := h.hand(e); {
	case e.Forged != nil:
		http.Error(w, "the signature is wrong: "+e.Forged.Error(), http.StatusUnauthorized)
	case err != nil:
		http.Error(w, "the event could not be handed on: "+err.Error(), http.StatusInternalServerError)
	case len(said) > 0:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(said) // the sender tries again where it did not arrive
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *hook) hand(e Event) (answer []byte, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.receive(e); err != nil || e.Forged != nil || h.answer == nil {
		return nil, err
	}
	return h.answer(e), nil
}
