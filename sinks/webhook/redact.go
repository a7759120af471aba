package webhook

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"sort"
	"strings"

	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/sinks/payload"
)

// shortest is the length from which a configured value is taken for a secret
// when it turns up in an answer; a shorter one would blank out common words.
const shortest = 6

// token is the length from which a segment of the url's path is taken for a secret:
// the addresses of chat rooms end in one.
const token = 20

// tokens are the segments of a path that may be secrets. What holes give is none.
func tokens(u *url.URL) []string {
	var found []string
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		if len(segment) >= token && !strings.Contains(segment, holeWord) {
			found = append(found, segment)
		}
	}
	return found
}

// literals are what stands around the holes of a text.
func literals(t *payload.Text) []string {
	all := strings.Split(t.With(func(int) string { return "\x00" }), "\x00")
	for i, part := range all {
		all[i] = strings.TrimSpace(part)
	}
	return all
}

// redactor masks the sink's secrets wherever the network echoes them: receivers
// under repair like to answer with the whole request.
type redactor struct {
	*strings.Replacer
	longest int // octets of the longest form of a secret
}

// begin is the text without secrets; cut says that it is the beginning of a
// longer one, whose end may be that of half a secret.
func (r redactor) begin(text string, cut bool) string {
	text = r.Replace(text)
	if cut {
		text = text[:max(0, len(text)-r.longest)]
	}
	return text
}

func (o *Options) redactor(target *url.URL, header http.Header) redactor {
	values := []string{o.Secret.Reveal(), o.Bearer.Reveal(), o.Basic.Password.Reveal(), header.Get("Authorization")}
	for _, s := range o.Secrets {
		values = append(values, s.Reveal())
	}
	for _, s := range o.Headers {
		if text, err := payload.CompileText(s.Reveal()); err == nil {
			values = append(values, literals(text)...)
		}
	}
	values = append(values, tokens(target)...)
	for _, list := range target.Query() {
		values = append(values, list...)
	}
	if proxy, err := url.Parse(o.Proxy); err == nil && proxy.User != nil {
		password, _ := proxy.User.Password()
		values = append(values, password, proxy.User.String())
	}
	var list []string
	for _, v := range values {
		for _, form := range []string{v, strings.TrimPrefix(v, "whsec_"), strings.TrimPrefix(v, "Basic "), url.QueryEscape(v), base64.StdEncoding.EncodeToString([]byte(v))} {
			if len(v) >= shortest && len(form) >= shortest {
				list = append(list, form)
			}
		}
	}
	// The replacer prefers earlier pairs: the longest first, so that no part of a
	// secret is left over.
	sort.Slice(list, func(i, j int) bool { return len(list[i]) > len(list[j]) })
	pairs := make([]string, 0, 2*len(list))
	for _, v := range list {
		pairs = append(pairs, v, secret.Masked)
	}
	longest := 0
	if len(list) > 0 {
		longest = len(list[0])
	}
	return redactor{strings.NewReplacer(pairs...), longest}
}
