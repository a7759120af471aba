package webhook

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/payload"
)

func TestConditionsOnTheAnswerDecide(t *testing.T) {
	for _, c := range []struct {
		name          string
		success, fail string
		answer        mailtest.Answer
		want          verdict
		says          string
	}{
		{"ok is true", `body.ok == true`, "", mailtest.Answer{Status: 200, Body: `{"ok":true}`}, delivered, ""},
		{"ok is false", `body.ok == true`, "", mailtest.Answer{Status: 200, Body: `{"ok":false,"error":"channel_not_found"}`}, temporary, "success_when does not hold"},
		{"no JSON", `body.ok == true`, "", mailtest.Answer{Status: 200, Body: `<html>maintenance`}, temporary, "success_when does not hold"},
		{"an empty answer", `body.ok == true`, "", mailtest.Answer{Status: 200}, temporary, "success_when does not hold"},
		{"JSON of another shape", `body.ok == true`, "", mailtest.Answer{Status: 200, Body: `"ok"`}, temporary, "success_when cannot be told"},
		{"an answer cut off at its limit", `body.ok == true`, "", mailtest.Answer{Status: 200, Body: `{"ok":true,"x":"` + strings.Repeat("y", maxAnswer) + `"}`}, temporary, "does not hold"},
		{"a long answer", `body.ok == true`, "", mailtest.Answer{Status: 200, Body: `{"x":"` + strings.Repeat("y", 60_000) + `","ok":true}`}, delivered, ""},
		{"a conflict that is a yes", `status == 409 or status < 300`, "", mailtest.Answer{Status: 409}, delivered, ""},
		{"a status that stays a no", `status == 409`, "", mailtest.Answer{Status: 422}, mailFault, "422"},
		{"a header that says no", "", `header("x-state") == "rejected"`, mailtest.Answer{Status: 200, Header: http.Header{"X-State": {"rejected"}}}, temporary, "fail_when holds"},
		{"a header by its name", "", `headers["X-State"] == "rejected" and headers["x-state"] == "rejected"`, mailtest.Answer{Status: 200, Header: http.Header{"X-State": {"rejected"}}}, temporary, "fail_when holds"},
		{"a header that says nothing", "", `header("x-state") == "rejected"`, mailtest.Answer{Status: 200}, delivered, ""},
		{"a text that says no", "", `text contains "quota"`, mailtest.Answer{Status: 200, Body: "over quota"}, temporary, "fail_when holds"},
		{"fail_when comes first", `status == 200`, `body.errors != nil`, mailtest.Answer{Status: 200, Body: `{"errors":[]}`}, temporary, "fail_when holds"},
		{"fail_when that cannot be told", "", `body.n > 3`, mailtest.Answer{Status: 200, Body: `{"n":"many"}`}, temporary, "fail_when cannot be told"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mailtest.NewReceiver(t)
			r.Answer(func(*mailtest.Request) mailtest.Answer { return c.answer })
			_, err := deliver(t, makeSink(t, Options{URL: r.URL, SuccessWhen: c.success, FailWhen: c.fail}, sinks.Env{}))
			if got := verdictOf(err); got != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("it is %s: %v", got, err)
			}
			var answered *sinks.AttemptError
			if err != nil && (!errors.As(err, &answered) || answered.Detail == "") {
				t.Errorf("the answer is not kept: %v", err)
			}
		})
	}
}

func TestConditionsAreCheckedWhenTheSinkIsMade(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{SuccessWhen: `body.ok =`}, "success_when: "},
		{Options{FailWhen: `bdy.ok`}, `fail_when: unknown name "bdy"; did you mean "body"?`},
		{Options{FailWhen: `status == "200"`}, "fail_when: invalid operation"},
		{Options{FailWhen: `message.subject == "x"`}, "fail_when: unknown name"},
	} {
		c.o.URL = "https://app.example.com/"
		if _, err := New("app", c.o, payload.Renderer{}, sinks.Env{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v", err)
		}
	}
}

func TestAConditionShowsNoSecret(t *testing.T) {
	r := mailtest.NewReceiver(t)
	r.Answer(func(*mailtest.Request) mailtest.Answer {
		return mailtest.Answer{Status: 200, Body: `{"at":"secret-bearer-1"}`}
	})
	s := makeSink(t, Options{URL: r.URL, Bearer: secret.New("secret-bearer-1"), SuccessWhen: `date(body.at) > date("2026-01-01")`}, sinks.Env{})
	if _, err := deliver(t, s); err == nil || strings.Contains(err.Error(), "secret-bearer-1") {
		t.Errorf("%v", err)
	}
}

// The first is what Discord sends, the second what Telegram does.
func TestTheWaitInAnAnswersBodyIsHeededWithinBounds(t *testing.T) {
	r := mailtest.NewReceiver(t)
	s := makeSink(t, Options{URL: r.URL, FailWhen: `body.ok == false`}, sinks.Env{})
	for _, c := range []struct {
		name, header, body string
		status             int
		want               time.Duration
	}{
		{"a number of seconds", "", `{"message": "You are being rate limited.", "retry_after": 64.57, "global": false}`, 429, 64_570 * time.Millisecond},
		{"among the parameters", "", `{"ok":false,"error_code":429,"parameters":{"retry_after":35}}`, 429, 35 * time.Second},
		{"with a 2xx that is a no", "", `{"ok":false,"retry_after":90}`, 200, 90 * time.Second},
		{"less than a second", "", `{"retry_after":0.2}`, 503, time.Second},
		{"negative", "", `{"retry_after":-1e300}`, 503, time.Second},
		{"for ever", "", `{"retry_after":1e300}`, 503, 24 * time.Hour},
		{"the header counts more", "120", `{"retry_after":5}`, 503, 2 * time.Minute},
		{"a text", "", `{"retry_after":"5"}`, 503, 0},
		{"no object", "", `[5]`, 503, 0},
		{"no JSON", "", `retry_after: 5`, 503, 0},
	} {
		r.Answer(func(*mailtest.Request) mailtest.Answer {
			h := http.Header{}
			if c.header != "" {
				h.Set("Retry-After", c.header)
			}
			return mailtest.Answer{Status: c.status, Header: h, Body: c.body}
		})
		_, err := deliver(t, s)
		if wait, _ := sinks.RetryAfterOf(err); err == nil || wait != c.want {
			t.Errorf("%s: %s, %v", c.name, wait, err)
		}
	}
	// A sink that sets nothing looks at as much of a no.
	plain := makeSink(t, Options{URL: r.URL}, sinks.Env{})
	for size, want := range map[int]time.Duration{10: 35 * time.Second, 60 << 10: 35 * time.Second, 64 << 10: 0} {
		r.Answer(func(*mailtest.Request) mailtest.Answer {
			return mailtest.Answer{Status: 503, Body: `{"retry_after":35,"why":"` + strings.Repeat("x", size) + `"}`}
		})
		_, err := deliver(t, plain)
		if wait, _ := sinks.RetryAfterOf(err); err == nil || wait != want {
			t.Errorf("in an answer of %d octets: %s, %.200v", size, wait, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{"", "{}", `{"ok":true}`, `{"retry_after":1e999}`, `{"parameters":[]}`, `[[[[`, `"\ud800"`, `{"ok":{"ok":[1,{"ok":true}]}}`} {
		f.Add(200, s)
	}
	success, err := newCondition("success_when", `body.ok == true or any(body.list, .n > 1) or lower(body.state) startsWith "q" or header("x") == text`)
	if err != nil {
		f.Fatal(err)
	}
	s := &Sink{successWhen: success, clock: &fixed{}, target: &target{url: mustURL(f, "https://h/")}}
	s.redact = (&Options{}).redactor(mustURL(f, "https://h/"), http.Header{})
	f.Fuzz(func(t *testing.T, status int, body string) {
		_, err := s.judge(&sinks.Delivery{}, s.target.url, &answer{status: status, header: http.Header{}, octets: []byte(body), whole: true})
		if wait, ok := sinks.RetryAfterOf(err); ok && (wait < minWait || wait > maxWait) {
			t.Fatalf("the wait is %s", wait)
		}
	})
}
