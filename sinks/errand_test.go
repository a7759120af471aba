package sinks

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postferry/postferry/spool"
)

// answering is a sink whose every answer asks for errands.
type answering struct {
	*scripted
	errands []spool.Errand
}

func (a answering) Deliver(ctx context.Context, d *Delivery) (Receipt, error) {
	r, err := a.scripted.Deliver(ctx, d)
	r.Errands = a.errands
	return r, err
}

// obliging does errands.
type obliging struct {
	*scripted
	done chan string
}

func (o obliging) Errand(ctx context.Context, d *Delivery, e *spool.Errand) (Receipt, error) {
	if _, err := o.scripted.Deliver(ctx, d); err != nil {
		return Receipt{}, err
	}
	o.done <- fmt.Sprintf("%s %s of %s for %s", e.Verb, e.Content, *d.Message.Subject, e.Parent)
	return Receipt{Detail: "250"}, nil
}

func replies(t *testing.T, text string) []spool.Errand {
	t.Helper()
	d := Directive{Text: text}
	e, err := d.Errand("desk", VerbReply)
	if err != nil {
		t.Fatal(err)
	}
	return []spool.Errand{e}
}

func TestWhatAnAnswerAsksForIsDoneByTheSinkItNames(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		app := answering{accepts(), replies(t, "Thanks")}
		desk := obliging{script(func(_ context.Context, _ *Delivery, n int) error {
			if n == 1 {
				return errDown
			}
			return nil
		}), make(chan string, 9)}
		id := w.take("m0")
		stop := w.run(map[string]Destination{"app": {Sink: app}, "desk": {Sink: desk}}, Options{}, Route{To: "app"})
		if err := w.spool.Drain(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		stop()
		parent := app.seen()[0].ID
		if got, want := <-desk.done, `reply {"text":"Thanks"} of m0 for `+parent; got != want || len(desk.done) > 0 {
			t.Errorf("done: %s, not %s", got, want)
		}
		tries := desk.seen()
		if len(tries) != 2 || tries[1].ID != spool.ErrandID(parent, "reply") || tries[1].Part != "" || tries[1].Attempt != 2 {
			t.Errorf("tries: %+v", tries)
		}
		m, err := w.spool.Show(t.Context(), spool.Target{Item: id})
		if err != nil || m.State != spool.Delivered || len(m.Deliveries) != 2 {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

// A sink may have become another while a reply was waiting for it.
func TestASinkThatDoesNoErrandsIsGivenNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.take("m0")
		app, desk := answering{accepts(), replies(t, "Thanks")}, accepts()
		stop := w.run(map[string]Destination{"app": {Sink: app}, "desk": {Sink: desk}}, Options{}, Route{To: "app"})
		synctest.Wait()
		stop()
		m, err := w.spool.Show(t.Context(), spool.Target{Item: id})
		if err != nil || m.State != spool.Dead || !strings.Contains(m.Deliveries[1].Attempts[0].Error, "type: smtp") || len(desk.seen()) > 0 {
			t.Errorf("%+v, %v; given %d", m, err, len(desk.seen()))
		}
	})
}

func TestAMailFromNoMailboxIsGivenToItsSink(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		octets := strings.NewReader("From: a@x.example\r\nSubject: hello\r\n\r\nx\r\n")
		env := Envelope{From: "a@x.example", To: []string{"b@y.example"}}
		e, err := env.Errand("desk")
		if err != nil {
			t.Fatal(err)
		}
		desk := obliging{accepts(), make(chan string, 9)}
		stop := w.run(map[string]Destination{"app": {Sink: accepts()}, "desk": {Sink: desk}}, Options{}, Route{To: "app"})
		if _, err := w.spool.Send(t.Context(), "1@x.example", octets, e); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop()
		if got, want := <-desk.done, `send {"from":"a@x.example","to":["b@y.example"]} of hello for `; got != want {
			t.Errorf("done: %s, not %s", got, want)
		}
	})
}
