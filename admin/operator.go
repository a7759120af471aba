package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/postferry/postferry/spool"
)

// Operator is what an operator does with the mail of a store. A *spool.Spool is
// one, for a store nobody runs on, and so is Remote, for a running service. Each
// method does what the method of *spool.Spool says.
type Operator interface {
	List(context.Context, spool.Filter) (spool.Page, error)
	Show(context.Context, spool.Target) (*spool.Mail, error)
	Octets(context.Context, spool.ID) (*spool.Octets, error)
	Retry(context.Context, ...spool.Target) (int, error)
	Replay(context.Context, ...spool.Target) (int, error)
	Drop(context.Context, ...spool.Target) (int, error)
	Forget(context.Context, ...spool.ID) (int, error)
	ForgetAddress(context.Context, string) ([]spool.ID, error)
	Send(ctx context.Context, uid string, mail io.Reader, e spool.Errand) (spool.ID, error)
}

var (
	_ Operator = (*spool.Spool)(nil)
	_ Operator = Remote{}
)

// outcome is the answer to a change: how much was done, and what could not be.
type outcome struct {
	N       int        `json:"n"`
	Items   []spool.ID `json:"items,omitempty"`
	Error   string     `json:"error,omitempty"`
	Unknown bool       `json:"unknown,omitempty"` // the error is spool.ErrUnknown
	Erased  bool       `json:"erased,omitempty"`  // the error is spool.ErrErased
	Full    bool       `json:"full,omitempty"`    // the error is spool.ErrFull
}

func outcomeOf(n int, err error) outcome {
	o := outcome{N: n}
	if err != nil {
		o.Error, o.Unknown, o.Erased, o.Full = err.Error(), errors.Is(err, spool.ErrUnknown), errors.Is(err, spool.ErrErased), errors.Is(err, spool.ErrFull)
	}
	return o
}

// remoteError is an error of the service, with the marks it had there.
type remoteError struct {
	text  string
	marks []error
}

func (e *remoteError) Error() string   { return e.text }
func (e *remoteError) Unwrap() []error { return e.marks }

func (o outcome) err() error {
	if o.Error == "" {
		return nil
	}
	e := &remoteError{text: o.Error}
	if o.Unknown {
		e.marks = append(e.marks, spool.ErrUnknown)
	}
	if o.Erased {
		e.marks = append(e.marks, spool.ErrErased)
	}
	if o.Full {
		e.marks = append(e.marks, spool.ErrFull)
	}
	return e
}

// operate adds the routes of an Operator.
func operate(mux *http.ServeMux, op Operator) {
	mux.HandleFunc("GET /v1/mails", func(w http.ResponseWriter, r *http.Request) {
		f, err := filterOf(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p, err := op.List(r.Context(), f)
		answer(w, p, err)
	})
	mux.HandleFunc("GET /v1/mails/{target}", func(w http.ResponseWriter, r *http.Request) {
		t, err := spool.ParseTarget(r.PathValue("target"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		m, err := op.Show(r.Context(), t)
		answer(w, shown{Mail: m, outcome: outcomeOf(0, err)}, nil)
	})
	mux.HandleFunc("GET /v1/mails/{target}/octets", func(w http.ResponseWriter, r *http.Request) { sendOctets(w, r, op) })
	change := func(name string, do func(context.Context, ...spool.Target) (int, error)) {
		mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
			var targets []spool.Target
			if err := json.NewDecoder(r.Body).Decode(&targets); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			n, err := do(r.Context(), targets...)
			answer(w, outcomeOf(n, err), nil)
		})
	}
	change("retry", op.Retry)
	change("replay", op.Replay)
	change("drop", op.Drop)
	change("forget", func(ctx context.Context, targets ...spool.Target) (int, error) {
		var ids []spool.ID
		for _, t := range targets {
			ids = append(ids, t.Item)
		}
		return op.Forget(ctx, ids...)
	})
	mux.HandleFunc("POST /v1/forget-address", func(w http.ResponseWriter, r *http.Request) {
		var address string
		if err := json.NewDecoder(r.Body).Decode(&address); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		items, err := op.ForgetAddress(r.Context(), address)
		o := outcomeOf(len(items), err)
		o.Items = items
		answer(w, o, nil)
	})
	mux.HandleFunc("POST "+sendRoute, func(w http.ResponseWriter, r *http.Request) { take(w, r, op) })
}

// shown is the answer to Show.
type shown struct {
	Mail *spool.Mail `json:"mail"`
	outcome
}

func sendOctets(w http.ResponseWriter, r *http.Request, op Operator) {
	t, err := spool.ParseTarget(r.PathValue("target"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o, err := op.Octets(r.Context(), t.Item)
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(outcomeOf(0, err))
		return
	}
	defer o.Close()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(10 * answerTime))
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(o.Size(), 10))
	_, _ = io.Copy(w, o.Reader())
}

func filterOf(q url.Values) (f spool.Filter, err error) {
	f = spool.Filter{Mailbox: q.Get("mailbox"), State: spool.State(q.Get("state")), Sink: q.Get("sink"), Cursor: q.Get("cursor")}
	if s := q.Get("limit"); s != "" {
		if f.Limit, err = strconv.Atoi(s); err != nil {
			return f, fmt.Errorf("limit: %w", err)
		}
	}
	if s := q.Get("since"); s != "" {
		if f.Since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return f, fmt.Errorf("since: %w", err)
		}
	}
	return f, nil
}

// Remote is the Operator of the service that listens on the socket of that path.
// Its methods give ErrNotRunning where none does.
type Remote struct{ Path string }

// List implements Operator.
func (r Remote) List(ctx context.Context, f spool.Filter) (spool.Page, error) {
	q := url.Values{}
	for key, value := range map[string]string{"mailbox": f.Mailbox, "state": string(f.State), "sink": f.Sink, "cursor": f.Cursor} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	var p spool.Page
	err := ask(ctx, r.Path, http.MethodGet, "/v1/mails?"+q.Encode(), nil, &p)
	return p, err
}

// Show implements Operator.
func (r Remote) Show(ctx context.Context, t spool.Target) (*spool.Mail, error) {
	var s shown
	if err := ask(ctx, r.Path, http.MethodGet, "/v1/mails/"+url.PathEscape(t.String()), nil, &s); err != nil {
		return nil, err
	}
	return s.Mail, s.err()
}

// Octets implements Operator. They are held in memory.
func (r Remote) Octets(ctx context.Context, id spool.ID) (*spool.Octets, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*answerTime)
	defer cancel()
	resp, err := send(ctx, r.Path, http.MethodGet, fmt.Sprintf("/v1/mails/%d/octets", id), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		b, err := io.ReadAll(resp.Body)
		if err == nil && int64(len(b)) != resp.ContentLength {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("reading the mail from the service: %w", err)
		}
		return spool.NewOctets(b), nil
	case http.StatusConflict:
		var o outcome
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&o); err != nil {
			return nil, fmt.Errorf("reading the service's answer: %w", err)
		}
		return nil, o.err()
	}
	return nil, fmt.Errorf("the running service answers %s", resp.Status)
}

// change asks for a change of targets.
func (r Remote) change(ctx context.Context, name string, body any) (outcome, error) {
	var o outcome
	if err := ask(ctx, r.Path, http.MethodPost, "/v1/"+name, body, &o); err != nil {
		return o, err
	}
	return o, o.err()
}

// Retry implements Operator.
func (r Remote) Retry(ctx context.Context, targets ...spool.Target) (int, error) {
	o, err := r.change(ctx, "retry", targets)
	return o.N, err
}

// Replay implements Operator.
func (r Remote) Replay(ctx context.Context, targets ...spool.Target) (int, error) {
	o, err := r.change(ctx, "replay", targets)
	return o.N, err
}

// Drop implements Operator.
func (r Remote) Drop(ctx context.Context, targets ...spool.Target) (int, error) {
	o, err := r.change(ctx, "drop", targets)
	return o.N, err
}

// Forget implements Operator.
func (r Remote) Forget(ctx context.Context, items ...spool.ID) (int, error) {
	targets := make([]spool.Target, len(items))
	for i, id := range items {
		targets[i].Item = id
	}
	o, err := r.change(ctx, "forget", targets)
	return o.N, err
}

// ForgetAddress implements Operator.
func (r Remote) ForgetAddress(ctx context.Context, address string) ([]spool.ID, error) {
	o, err := r.change(ctx, "forget-address", address)
	return o.Items, err
}
