package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/postferry/postferry/spool"
)

const (
	sendRoute = "/v1/send"
	maxBody   = 1 << 20  // octets of a request
	maxSent   = 64 << 20 // of one with a mail in it
)

// given is the first line of a request to send a mail, whose octets follow.
type given struct {
	UID    string       `json:"uid"`
	Sink   string       `json:"sink"`
	Errand spool.Errand `json:"errand"`
}

// bounded lets no request be larger than its kind may be.
func bounded(h http.Handler) http.Handler {
	small, large := http.MaxBytesHandler(h, maxBody), http.MaxBytesHandler(h, maxSent)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == sendRoute {
			large.ServeHTTP(w, r)
			return
		}
		small.ServeHTTP(w, r)
	})
}

func take(w http.ResponseWriter, r *http.Request, op Operator) {
	body := bufio.NewReader(r.Body)
	line, err := body.ReadBytes('\n')
	var g given
	if err == nil {
		err = json.Unmarshal(line, &g)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.Errand.Sink = g.Sink
	id, err := op.Send(r.Context(), g.UID, body, g.Errand)
	o := outcomeOf(1, err)
	o.Items = []spool.ID{id}
	answer(w, o, nil)
}

// Send implements Operator. A mail is at most 64 MiB with what goes before it.
func (r Remote) Send(ctx context.Context, uid string, mail io.Reader, e spool.Errand) (spool.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	line, err := json.Marshal(given{UID: uid, Sink: e.Sink, Errand: e})
	if err != nil {
		return 0, err
	}
	resp, err := sendBody(ctx, r.Path, http.MethodPost, sendRoute, io.MultiReader(bytes.NewReader(append(line, '\n')), mail))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, fmt.Errorf("reading the service's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the running service answers %s: %s", resp.Status, bytes.TrimSpace(said))
	}
	var o outcome
	if err := json.Unmarshal(said, &o); err != nil {
		return 0, fmt.Errorf("reading the service's answer: %w", err)
	}
	if o.Error != "" || len(o.Items) != 1 {
		return 0, o.err()
	}
	return o.Items[0], nil
}
