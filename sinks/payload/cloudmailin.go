package payload

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
)

// cloudMailin is CloudMailin's normalized format, as JSON or as a form, described
// in docs/formats/cloudmailin.md.
type cloudMailin struct {
	Multipart bool `config:"multipart" doc:"true: a multipart form with the attachments as files, instead of JSON with their contents in base64"`
}

func (*cloudMailin) Name() string { return "cloudmailin" }

func (c *cloudMailin) ContentType() string {
	if c.Multipart {
		return multipartForm
	}
	return "application/json"
}

// Stops implements Stopper: with a 4xx a receiver refuses the mail for good. Those
// that speak of the connection, the sink's settings or the moment do not.
func (*cloudMailin) Stops(status int) bool {
	return status >= 400 && status <= 499 && !slices.Contains([]int{401, 405, 407, 408, 421, 425, 429}, status)
}

func (c *cloudMailin) Render(d *sinks.Delivery, o Options) (*Body, error) {
	if c.Multipart {
		return c.form(d, o)
	}
	m := d.Message
	b := newBody(c.ContentType())
	t := append(*b.text, `{"headers":{`...)
	for i, h := range normalized(m.Headers) {
		if i > 0 {
			t = append(t, ',')
		}
		t = append(appendString(t, h.name), ':')
		if len(h.values) == 1 {
			t = appendString(t, h.values[0])
		} else {
			t = appendStrings(t, h.values, false)
		}
	}
	t = appendCloudMailinEnvelope(append(t, `},"envelope":`...), d)
	t = appendString(append(t, `,"plain":`...), text(m.Text))
	t = appendString(append(t, `,"html":`...), text(m.HTML))
	t = appendString(append(t, `,"reply_plain":`...), replyText(m))
	*b.text = append(t, `,"attachments":[`...)
	first := true
	for a := range o.place(d, true) {
		if !first {
			*b.text = append(*b.text, ',')
		}
		first = false
		if err := b.appendCloudMailinAttachment(a); err != nil {
			b.Release()
			return nil, err
		}
	}
	*b.text = append(*b.text, "]}"...)
	return b, nil
}

func (body *Body) appendCloudMailinAttachment(a placed) error {
	*body.text = append(*body.text, '{')
	if a.omitted == "" {
		*body.text = append(*body.text, `"content":`...)
		if err := body.appendContent(a.Attachment); err != nil {
			return readError(a.Attachment, err)
		}
		*body.text = append(*body.text, ',')
	} else if a.url != "" {
		*body.text = append(appendString(append(*body.text, `"url":`...), a.url), ',')
	}
	b := appendString(append(*body.text, `"file_name":`...), nameOf(a.Attachment))
	b = appendString(append(b, `,"content_type":`...), a.Type)
	b = appendInt(append(b, `,"size":`...), a.Size)
	b = appendString(append(b, `,"disposition":`...), dispositionOf(a.Attachment))
	if a.CID != nil && *a.CID != "" {
		b = appendString(append(b, `,"content_id":`...), *a.CID)
	}
	*body.text = append(b, '}')
	return nil
}

// dispositionOf is attachment or inline. RFC 2183, section 2.8: one that is not
// known is attachment.
func dispositionOf(a *parser.Attachment) string {
	if text(a.Disposition) == "inline" {
		return "inline"
	}
	return "attachment"
}

func appendCloudMailinEnvelope(b []byte, d *sinks.Delivery) []byte {
	auth, to, from := d.Message.Auth, recipient(d), returnPath(d.Message)
	b = appendString(append(b, `{"to":`...), to)
	b = append(b, `,"recipients":[`...)
	if to != "" {
		b = appendString(b, to)
	}
	b = appendString(append(b, `],"from":`...), from)
	b = appendString(append(b, `,"helo_domain":"","remote_ip":"","spf":{"result":`...), text(auth.SPF))
	b = appendString(append(b, `,"domain":`...), spfDomain(d.Message))
	b = append(b, '}')
	if auth.DKIM != nil {
		b = appendBool(append(b, `,"dkim":{"success":`...), *auth.DKIM == "pass")
		b = appendString(append(b, `,"result":[{"result":`...), *auth.DKIM)
		b = append(b, `,"domain":"","selector":""}]}`...)
	}
	if auth.DMARC != nil {
		b = appendBool(append(b, `,"dmarc":{"success":`...), *auth.DMARC == "pass")
		b = appendString(append(b, `,"result":`...), *auth.DMARC)
		b = append(b, '}')
	}
	return append(b, '}')
}

// spfDomain is the domain a known result of SPF is about: that of the
// reverse-path (RFC 7208, section 2.4).
func spfDomain(m *parser.Message) string {
	if m.Auth.SPF == nil {
		return ""
	}
	_, domain, _ := cutDomain(returnPath(m))
	return domain
}

// form writes the same as fields whose names are paths.
func (c *cloudMailin) form(d *sinks.Delivery, o Options) (*Body, error) {
	m, auth := d.Message, d.Message.Auth
	f := newForm(d, multipartForm)
	f.field("plain", text(m.Text))
	f.field("html", text(m.HTML))
	f.field("reply_plain", replyText(m))
	for _, h := range normalized(m.Headers) {
		if len(h.values) == 1 {
			f.field("headers["+h.name+"]", h.values[0])
			continue
		}
		for i, v := range h.values {
			f.field("headers["+h.name+"]["+strconv.Itoa(i)+"]", v)
		}
	}
	to := recipient(d)
	f.field("envelope[to]", to)
	if to != "" {
		f.field("envelope[recipients][0]", to)
	}
	f.field("envelope[from]", returnPath(m))
	f.field("envelope[helo_domain]", "")
	f.field("envelope[remote_ip]", "")
	f.field("envelope[spf][result]", text(auth.SPF))
	f.field("envelope[spf][domain]", spfDomain(m))
	if auth.DKIM != nil {
		f.field("envelope[dkim][success]", strconv.FormatBool(*auth.DKIM == "pass"))
		f.field("envelope[dkim][result][0][result]", *auth.DKIM)
	}
	if auth.DMARC != nil {
		f.field("envelope[dmarc][success]", strconv.FormatBool(*auth.DMARC == "pass"))
		f.field("envelope[dmarc][result]", *auth.DMARC)
	}
	i := 0
	for a := range o.place(d, true) {
		name := "attachments[" + strconv.Itoa(i) + "]"
		i++
		if a.omitted == "" {
			f.file(name, a.Attachment)
			continue
		}
		if a.url != "" {
			f.field(name+"[url]", a.url)
		}
		f.field(name+"[file_name]", nameOf(a.Attachment))
		f.field(name+"[content_type]", a.Type)
		f.field(name+"[size]", strconv.FormatInt(a.Size, 10))
		f.field(name+"[disposition]", dispositionOf(a.Attachment))
		if a.CID != nil && *a.CID != "" {
			f.field(name+"[content_id]", *a.CID)
		}
	}
	return f.end()
}

// grouped is a field of the header with all its values.
type grouped struct {
	name   string
	values []string
}

// normalized groups fields under their names in lower case with _, in the order in
// which they first stand.
func normalized(list []parser.Header) []grouped {
	var all []grouped
	at := map[string]int{}
	for _, h := range list {
		name := strings.Map(func(r rune) rune {
			switch {
			case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
				return r
			case 'A' <= r && r <= 'Z':
				return r - 'A' + 'a'
			}
			return '_'
		}, h.Name)
		i, seen := at[name]
		if !seen {
			i = len(all)
			at[name] = i
			all = append(all, grouped{name: name})
		}
		all[i].values = append(all[i].values, h.Value)
	}
	return all
}
