package compose

import (
	"errors"
	"fmt"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks/payload"
)

// defaultAcknowledgement is what an acknowledgement says that was given no text.
const defaultAcknowledgement = "Your mail has arrived. We will answer it as soon as we can.\n\nThis is an automatic answer, sent once.\n"

// texts are what the mail is to say above what it quotes: the wish, else what the
// sink is configured with, else the action's own words.
func (x *draft) texts() (plain, html string, err error) {
	if x.w.Text != "" || x.w.HTML != "" {
		return x.w.Text, parser.SafeHTML(x.w.HTML, longestMade), nil
	}
	plain, err = x.fill("text", x.Composer.text, func(t *payload.Text) (string, error) { return t.Fill(x.d, nil) })
	if err != nil {
		return "", "", err
	}
	html, err = x.fill("html", x.Composer.html, func(t *payload.Text) (string, error) { return t.FillHTML(x.d) })
	if err != nil || plain != "" || html != "" {
		return plain, html, err
	}
	switch x.action {
	case Acknowledge:
		return defaultAcknowledgement, "", nil
	case Notify:
		return x.notification(), "", nil
	case Reply, ReplyAll:
		return "", "", impossible("text", errors.New("a reply says nothing: set text or html"))
	}
	return "", "", nil
}

// notification tells of a mail.
func (x *draft) notification() string {
	s := fmt.Sprintf("A mail has arrived in %s.\n\n", x.d.Origin.Name)
	for _, f := range forwardedFields(x.m) {
		s += f.Name + ": " + f.Value + "\n"
	}
	return s + "\n" + x.m.Preview + "\n"
}

// body puts texts, quotes and what goes along together.
func (x *draft) body(l *Letter) error {
	plain, html, err := x.texts()
	if err != nil {
		return err
	}
	if plain == "" && html != "" {
		plain = parser.HTMLText(html, longestMade)
	}
	attach := x.options.Attach
	if attach == "" || !x.ours {
		attach = "none"
		if x.action == Forward {
			attach = "all"
		}
	}
	var shown map[string]bool
	switch {
	case x.action == Forward && attach != "original":
		if attach == "all" && x.m.HTMLSafe != nil {
			shown = shownIn(*x.m.HTMLSafe)
		}
		if html == "" && x.m.HTMLSafe != nil && plain != "" {
			html = "<div>" + asHTML(plain) + "</div>"
		}
		if html != "" || x.m.HTMLSafe != nil {
			html = forwardHTML(html, x.m, shown)
		}
		plain = forwardText(plain, x.m)
	case isAnswer(x.action) && x.quotes():
		intro, err := x.intro.Fill(x.d, oneLine)
		if err != nil {
			return impossible("attribution", err)
		}
		if html != "" {
			html = quoteHTML(html, intro, x.m)
		}
		plain = quoteText(plain, intro, x.m)
	}
	l.Text, l.HTML = plain, html
	switch attach {
	case "all":
		for i := range x.m.Attachments {
			f := attachment(&x.m.Attachments[i])
			if f.CID != "" && shown[f.CID] {
				l.related = append(l.related, f)
				continue
			}
			f.CID = ""
			l.Files = append(l.Files, f)
		}
	case "original":
		t, err := look(x.d.Octets.Reader())
		if err != nil {
			return fmt.Errorf("reading the mail: %w", err)
		}
		l.whole = &original{open: x.d.Octets.Reader, traits: t, name: "original.eml"}
	}
	return nil
}

// quotes tells whether an answer quotes what it answers.
func (x *draft) quotes() bool {
	if x.options.Quote != nil && x.ours {
		return *x.options.Quote
	}
	return x.action != Acknowledge
}
