package payload

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/postferry/postferry/internal/secret"
	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// mailgun is the form a Mailgun route posts, described in docs/formats/mailgun.md.
type mailgun struct {
	SigningKey secret.Secret `config:"signing_key" doc:"signs each attempt, as Mailgun's HTTP webhook signing key does; without it timestamp, token and signature are not sent"`
	MIME       bool          `config:"mime" doc:"true: the whole mail as body-mime, as for a route to a URL that ends in mime, instead of its parts"`
}

func (*mailgun) Name() string { return "mailgun" }

// ContentType is that of a form without files.
func (*mailgun) ContentType() string { return urlencodedForm }

// Stops implements Stopper: Mailgun tries no more after a 406.
func (*mailgun) Stops(status int) bool { return status == http.StatusNotAcceptable }

// UseTestKey implements Signer.
func (g *mailgun) UseTestKey() { g.SigningKey = secret.New(TestKey) }

// CheckOptions implements Checker.
func (g *mailgun) CheckOptions(o Options) error {
	if g.MIME {
		return sendsAll("format mailgun with mime", o)
	}
	return nil
}

func (g *mailgun) Render(d *sinks.Delivery, o Options) (*Body, error) {
	m, files := d.Message, slices.Collect(o.place(d, true))
	contentType := urlencodedForm
	if !g.MIME && slices.ContainsFunc(files, func(a placed) bool { return a.omitted == "" }) {
		contentType = multipartForm
	}
	f := newForm(d, contentType)
	if to := recipient(d); to != "" || !g.MIME { // Action Mailbox, which asks for mime, takes no empty one
		f.field("recipient", to)
	}
	f.field("sender", returnPath(m))
	f.field("subject", text(m.Subject))
	f.field("from", addresses(m.From, false))
	if g.MIME {
		mail, err := newMailText(d.Octets, false)
		if err != nil {
			f.Release()
			return nil, err
		}
		f.stream("body-mime", mail.size(), mail.write)
	} else {
		g.parsed(f, d, files)
	}
	g.sign(f, d, o)
	return f.end()
}

// parsed adds what stands instead of body-mime.
func (g *mailgun) parsed(f *form, d *sinks.Delivery, files []placed) {
	m := d.Message
	headers := g.headers(m)
	for _, h := range headers[:min(len(headers), maxHeaderFields)] {
		if name := textproto.CanonicalMIMEHeaderKey(h.Name); isWord(name) {
			f.field(name, h.Value)
		}
	}
	f.field("message-headers", string(appendPairs(nil, headers)))
	f.field("body-plain", text(m.Text))
	f.field("stripped-text", replyText(m))
	f.field("stripped-signature", "")
	if m.HTML != nil {
		f.field("body-html", *m.HTML)
		stripped := *m.HTML
		if m.Reply != nil && m.Reply.Quoted != "" {
			stripped = "" // what of the HTML is quoted is not known
		}
		f.field("stripped-html", stripped)
	}
	g.attached(f, files)
}

// attached adds the files, and the list a stored message is described with for
// those that are left out.
func (g *mailgun) attached(f *form, files []placed) {
	n := 0
	var ids, described []byte
	for _, a := range files {
		if a.omitted != "" {
			described = appendSeparator(described, '[')
			described = append(described, '{')
			if a.url != "" {
				described = append(appendString(append(described, `"url":`...), a.url), ',')
			}
			described = appendInt(append(described, `"size":`...), a.Size)
			described = appendString(append(described, `,"name":`...), nameOf(a.Attachment))
			described = appendString(append(described, `,"content-type":`...), a.Type)
			described = append(described, '}')
			continue
		}
		n++
		name := "attachment-" + strconv.Itoa(n)
		f.file(name, a.Attachment)
		if a.CID != nil && *a.CID != "" {
			ids = appendSeparator(ids, '{')
			ids = appendString(ids, "<"+*a.CID+">")
			ids = appendString(append(ids, ':'), name)
		}
	}
	if n > 0 {
		f.field("attachment-count", strconv.Itoa(n))
	}
	if ids != nil {
		f.field("content-id-map", string(append(ids, '}')))
	}
	if described != nil {
		f.field("attachments", string(append(described, ']')))
	}
}

// headers are the mail's fields and those Mailgun adds of what is known. Fields of
// that kind that the mail brought along are the sender's word, not a check's.
func (*mailgun) headers(m *parser.Message) []parser.Header {
	list := []parser.Header{{Name: "X-Mailgun-Incoming", Value: "Yes"}}
	if from := returnPath(m); from != "" {
		list = append(list, parser.Header{Name: "X-Envelope-From", Value: "<" + from + ">"})
	}
	for name, result := range map[string]*string{"X-Mailgun-Spf": m.Auth.SPF, "X-Mailgun-Dkim-Check-Result": m.Auth.DKIM} {
		if words := map[string]string{"pass": "Pass", "fail": "Fail", "softfail": "SoftFail", "neutral": "Neutral", "none": "None"}; words[text(result)] != "" {
			list = append(list, parser.Header{Name: name, Value: words[text(result)]})
		}
	}
	slices.SortFunc(list, func(a, b parser.Header) int { return strings.Compare(a.Name, b.Name) })
	for _, h := range m.Headers {
		if lower := strings.ToLower(h.Name); !strings.HasPrefix(lower, "x-mailgun-") && lower != "x-envelope-from" {
			list = append(list, h)
		}
	}
	return list
}

// sign adds what proves that the form comes from who knows the key. Receivers
// refuse a timestamp that is old and a token they have seen, so each attempt has
// its own; the token follows from the key, which keeps it beyond guessing.
func (g *mailgun) sign(f *form, d *sinks.Delivery, o Options) {
	if g.SigningKey.IsZero() {
		return
	}
	timestamp := strconv.FormatInt(o.At.Unix(), 10)
	token := g.mac("token " + d.ID + " " + strconv.Itoa(d.Attempt) + " " + strconv.FormatInt(o.At.UnixNano(), 10))[:50]
	f.field("timestamp", timestamp)
	f.field("token", token)
	f.field("signature", g.mac(timestamp+token))
}

func (g *mailgun) mac(of string) string {
	h := hmac.New(sha256.New, []byte(g.SigningKey.Reveal()))
	h.Write([]byte(of))
	return hex.EncodeToString(h.Sum(nil))
}

// maxHeaderFields is how many header fields become fields of a form: receivers
// bound those, and all of them are in a list as well.
const maxHeaderFields = 250

// isWord tells names that no receiver takes for a path into a structure.
func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
}

// appendPairs appends fields as [["Name","value"],…].
func appendPairs(b []byte, list []parser.Header) []byte {
	b = append(b, '[')
	for i, h := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, '['), h.Name)
		b = appendString(append(b, ','), h.Value)
		b = append(b, ']')
	}
	return append(b, ']')
}

// appendSeparator begins a list or goes on with it.
func appendSeparator(b []byte, begin byte) []byte {
	if b == nil {
		return []byte{begin}
	}
	return append(b, ',')
}
