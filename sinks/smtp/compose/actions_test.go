package compose

import (
	"bytes"
	"io"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/parser"
)

func TestActionsMakeTheMailsOfTheRFCs(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"reply": func(o *Options) {
			o.Action, o.From, o.Text = Reply, "Support <support@example.com>", "Dear {{ message.from[0].name }},\n\nit is on its way.\n"
		},
		"reply-all": func(o *Options) {
			o.Action, o.Text, o.HTML, o.BCC = ReplyAll, "On its way.", "<p>On its way.</p>", []string{"archive@example.com"}
			o.Headers = map[string]string{"X-Ticket": "{{ message.thread.key }}", "X-Empty": "{{ message.list.id }}"}
		},
		"acknowledge": func(o *Options) { o.Action = Acknowledge },
		"forward": func(o *Options) {
			o.Action, o.To, o.Text = Forward, []string{"Team <team@example.com>"}, "Please look."
		},
		"forward-original": func(o *Options) {
			o.Action, o.To, o.Attach = Forward, []string{"team@example.com"}, "original"
		},
		"redirect": func(o *Options) {
			o.Action, o.From, o.To, o.CC = Redirect, "desk@example.com", []string{"Team <team@example.com>"}, []string{"boss@example.com"}
		},
		"notify": func(o *Options) {
			o.Action, o.To, o.ReplyTo = Notify, []string{"pager@example.com"}, []string{"{{ message.from }}"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, composed(t, composer(t, change), delivery(t, wire(question))), Offers{})
		})
	}
}

func TestRecipientsAndReversePathOfEachAction(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Options)
		from   string
		to     []string
	}{
		{"reply", func(o *Options) { o.Action, o.Text = Reply, "x" }, "support@example.com", []string{"ada@customer.example"}},
		{"reply-all", func(o *Options) { o.Action, o.Text = ReplyAll, "x" }, "support@example.com", []string{"ada@customer.example", "bob@customer.example", "juergen@customer.example"}},
		{"acknowledge", func(o *Options) { o.Action = Acknowledge }, "", []string{"ada@customer.example"}},
		{"redirect", func(o *Options) {
			o.Action, o.To, o.BCC = Redirect, []string{"team@example.com"}, []string{"TEAM@example.com", "b@example.com"}
		}, "support@example.com", []string{"team@example.com", "b@example.com"}},
		{"envelope_from", func(o *Options) {
			o.Action, o.To, o.Envelope = Notify, []string{"p@example.com"}, "bounces@example.com"
		}, "bounces@example.com", []string{"p@example.com"}},
		{"a null envelope_from", func(o *Options) { o.Action, o.To, o.Envelope = Notify, []string{"p@example.com"}, "<>" }, "", []string{"p@example.com"}},
	} {
		m := composed(t, composer(t, c.change), delivery(t, wire(question)))
		if m.From != c.from || !slices.Equal(m.To, c.to) {
			t.Errorf("%s goes from %q to %q", c.name, m.From, m.To)
		}
	}
}

func TestRepliesGoWhereTheMailWantsThem(t *testing.T) {
	head := "Message-ID: <1@a.example>\nFrom: ada@a.example\nTo: support@example.com, bob@b.example\nSubject: x\n"
	for _, c := range []struct {
		name, fields, action string
		want                 []string
	}{
		{"Reply-To before From", "Reply-To: r@a.example, s@a.example\n", Reply, []string{"r@a.example", "s@a.example"}},
		{"an unusable Reply-To counts for nothing", "Reply-To: nobody\n", Reply, []string{"ada@a.example"}},
		{"Mail-Followup-To for an answer to all", "Mail-Followup-To: list@l.example\nCc: c@c.example\n", ReplyAll, []string{"list@l.example"}},
		{"Mail-Followup-To is not for a reply", "Mail-Followup-To: list@l.example\n", Reply, []string{"ada@a.example"}},
		{"own addresses, tagged or in capitals, get no copy", "Cc: Support+vip@EXAMPLE.com, c@c.example, ada@A.example\n", ReplyAll, []string{"ada@a.example", "bob@b.example", "c@c.example"}},
		{"an acknowledgement goes to one address", "Reply-To: r@a.example, s@a.example\n", Acknowledge, []string{"r@a.example"}},
	} {
		m := composed(t, composer(t, func(o *Options) { o.Action, o.Text = c.action, "x" }), delivery(t, wire(head+c.fields+"\nhello\n")))
		if !slices.Equal(m.To, c.want) {
			t.Errorf("%s: it goes to %q", c.name, m.To)
		}
	}
}

func TestSenderIsAnsweredWhereThereIsNoFrom(t *testing.T) {
	m := composed(t, composer(t, func(o *Options) { o.Action, o.Text = Reply, "x" }), delivery(t, wire("Sender: s@a.example\nSubject: x\n\nhello\n")))
	if !slices.Equal(m.To, []string{"s@a.example"}) {
		t.Errorf("it goes to %q", m.To)
	}
}

func TestReferencesFollowRFC5322(t *testing.T) {
	long := make([]string, 60)
	for i := range long {
		long[i] = string(rune('a'+i%26)) + strings.Repeat("x", i/26) + "@t"
	}
	for _, c := range []struct {
		name  string
		m     parser.Message
		reply string
		refs  []string
	}{
		{"References and Message-ID", parser.Message{MessageID: []string{"c@x"}, References: []string{"a@x", "b@x"}, InReplyTo: []string{"z@x"}}, "c@x", []string{"a@x", "b@x", "c@x"}},
		{"In-Reply-To of one id where there are no References", parser.Message{MessageID: []string{"c@x"}, InReplyTo: []string{"b@x"}}, "c@x", []string{"b@x", "c@x"}},
		{"not In-Reply-To of two", parser.Message{MessageID: []string{"c@x"}, InReplyTo: []string{"b@x", "a@x"}}, "c@x", []string{"c@x"}},
		{"none without a Message-ID", parser.Message{References: []string{"a@x"}}, "", nil},
		{"an id twice is named once, the answered one last", parser.Message{MessageID: []string{"c@x"}, References: []string{"c@x", "a@x", "a@x"}}, "c@x", []string{"a@x", "c@x"}},
		{"ids that are none are left out", parser.Message{MessageID: []string{"c@x"}, References: []string{"a\r\nBcc: x@y", "<b@x>", "é@x"}}, "c@x", []string{"c@x"}},
		{"of a long thread the first and the last", parser.Message{MessageID: []string{"c@x"}, References: long}, "c@x", append(append([]string{long[0]}, long[60-28:]...), "c@x")},
	} {
		reply, refs := thread(&c.m)
		if reply != c.reply || !slices.Equal(refs, c.refs) {
			t.Errorf("%s: %q %q", c.name, reply, refs)
		}
	}
}

func TestSubjectsAreNotPrefixedTwice(t *testing.T) {
	for subject, want := range map[string][2]string{
		"Order":                                  {"Re: Order", "Fwd: Order"},
		"Re: Order":                              {"Re: Order", "Fwd: Re: Order"},
		"AW: RE : Re[2]: SV: Antw: Re(3): Order": {"Re: Order", "Fwd: AW: RE : Re[2]: SV: Antw: Re(3): Order"},
		"Fwd: Order":                             {"Re: Fwd: Order", "Fwd: Order"},
		"WG: FW: Order":                          {"Re: WG: FW: Order", "Fwd: Order"},
		"回复：订单":                                  {"Re: 订单", "Fwd: 回复：订单"},
		"Regarding: Order":                       {"Re: Regarding: Order", "Fwd: Regarding: Order"},
		"Re: ":                                   {"Re:", "Fwd: Re:"},
		"":                                       {"Re:", "Fwd:"},
		"12:30 at the café":                      {"Re: 12:30 at the café", "Fwd: 12:30 at the café"},
	} {
		if re, fwd := replySubject(subject), forwardSubject(subject); re != want[0] || fwd != want[1] {
			t.Errorf("%q becomes %q and %q", subject, re, fwd)
		}
	}
}

func TestWhateverAFieldIsGivenItIsOneField(t *testing.T) {
	for _, value := range []string{"a\r\nBcc: x@evil.example", "a\nBcc: x", "a\rBcc: x", "a\r\n\r\nbody", "a\x00b", "a\u2028Bcc: x", "a\u0085Bcc: x", "\xff\r\nBcc: x"} {
		var h header
		h.add("X-A", value)
		h.text("X-B", value)
		name := value
		h.addresses("X-C", []parser.Address{{Name: &name, Email: "a@example.com"}})
		lines := strings.Split(strings.TrimSuffix(string(h.octets()), "\r\n"), "\r\n")
		if len(lines) != 3 || strings.ContainsAny(strings.Join(lines, ""), "\r\n\x00") {
			t.Errorf("%q makes %q", value, lines)
		}
	}
}

func TestAutomaticSubjectsDoNotGrow(t *testing.T) {
	for subject, want := range map[string]string{"Order": "Auto: Order", "Re: Order": "Auto: Order", "Re: Auto: Re: Order": "Auto: Order", "Fwd: Order": "Auto: Fwd: Order"} {
		if got := automaticSubject(subject); got != want {
			t.Errorf("%q becomes %q", subject, got)
		}
	}
	for _, same := range []string{"order", "Re: Order", "AW: Auto: RE: Order", "Fwd: Re: Order"} {
		if got := baseSubject(same); got != "order" {
			t.Errorf("%q comes from %q", same, got)
		}
	}
}

func TestOwnQuoteIsSplitOffAgain(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.Text, o.HTML = Reply, "It is on its way.", "<p>It is on its way.</p>" })
	raw := written(t, composed(t, c, delivery(t, wire(question))), Offers{})
	m := delivery(t, raw).Message
	if m.Reply == nil || m.Reply.Text != "It is on its way." || !strings.Contains(m.Reply.Quoted, "Still nothing here.") {
		t.Errorf("message.reply of our reply is %+v", m.Reply)
	}
	if !m.Automated.Is || len(m.Problems) != 0 {
		t.Errorf("automated %+v, problems %v", m.Automated, m.Problems)
	}
}

const pictures = `From: ada@customer.example
To: support@example.com
Subject: Pictures
Message-ID: <p@customer.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=o

--o
Content-Type: multipart/related; boundary=r

--r
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<p onclick="x()">Grüße <img src="cid:logo@x"></p></blockquote><script>x()</script><b>open
--r
Content-Type: image/png
Content-ID: <logo@x>
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--r--

--o
Content-Type: application/pdf
Content-Disposition: attachment; filename*=utf-8''%E2%82%AC.pdf
Content-Transfer-Encoding: base64

JVBERi0=
--o--
`

func TestForwardKeepsAttachmentsAndPictures(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.To = Forward, []string{"team@example.com"} })
	m := delivery(t, written(t, composed(t, c, delivery(t, wire(pictures))), Offers{EightBit: true})).Message
	if m.HTML == nil || !strings.Contains(*m.HTML, `<p>Grüße <img src="cid:logo@x"></p><b>open</b>`) || strings.Contains(*m.HTML, "script") || strings.Contains(*m.HTML, "</blockquote>") {
		t.Errorf("the HTML is %q", *m.HTML)
	}
	got := map[string]string{}
	for i := range m.Attachments {
		a := &m.Attachments[i]
		r, err := a.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		cid := ""
		if a.CID != nil {
			cid = *a.CID
		}
		got[a.Type+" "+cid+" "+people([]parser.Address{{Name: a.Name}})] = string(b)
	}
	if len(got) != 2 || got["application/pdf  €.pdf <>"] != "%PDF-" {
		t.Errorf("attachments are %q", got)
	}
	if !slices.ContainsFunc(m.Attachments, func(a parser.Attachment) bool { return a.CID != nil && *a.CID == "logo@x" }) {
		t.Errorf("the picture is not there: %q", got)
	}
	if len(m.Problems) != 0 {
		t.Errorf("problems: %v", m.Problems)
	}
}

func TestReplyLeavesPicturesOfTheQuoteOut(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.HTML = Reply, "<p>Thanks</p>" })
	m := delivery(t, written(t, composed(t, c, delivery(t, wire(pictures))), Offers{EightBit: true})).Message
	if m.HTML == nil || strings.Contains(*m.HTML, "cid:") || !strings.Contains(*m.HTML, "Grüße") || !strings.Contains(*m.HTML, "<b>open</b>") || len(m.Attachments) != 0 {
		t.Errorf("the HTML is %v, with %d attachments", *m.HTML, len(m.Attachments))
	}
}

func TestEncodingFollowsWhatTheServerOffers(t *testing.T) {
	for _, c := range []struct {
		name, text string
		offers     Offers
		want       string
	}{
		{"US-ASCII", "hello", Offers{}, "7bit"},
		{"a letter beyond it", "Grüße aus Köln, wo es regnet", Offers{}, "quoted-printable"},
		{"a letter beyond it, 8BITMIME", "Grüße aus Köln", Offers{EightBit: true}, "8bit"},
		{"a letter beyond it, SMTPUTF8", "Grüße aus Köln", Offers{UTF8: true}, "8bit"},
		{"Chinese", "订单还没有到", Offers{}, "base64"},
		{"a line of 998", strings.Repeat("a", 998), Offers{}, "7bit"},
		{"a line of 999", strings.Repeat("a", 999), Offers{EightBit: true}, "quoted-printable"},
	} {
		c2 := composer(t, func(o *Options) { o.Action, o.To, o.Text = Notify, []string{"p@example.com"}, c.text })
		raw := written(t, composed(t, c2, delivery(t, wire(question))), c.offers)
		msg, err := mail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := msg.Header.Get("Content-Transfer-Encoding"); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
		if m := delivery(t, raw).Message; m.Text == nil || strings.TrimSpace(*m.Text) != c.text {
			t.Errorf("%s: the text is %q", c.name, *m.Text)
		}
		for line := range strings.SplitSeq(raw, "\r\n") {
			if len(line) > 998 {
				t.Errorf("%s: a line has %d octets", c.name, len(line))
			}
		}
	}
}

func TestRedirectNeedsEightBitForOctetsItMayNotChange(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.To = Redirect, []string{"team@example.com"} })
	m := composed(t, c, delivery(t, wire(pictures)))
	if err := m.WriteTo(io.Discard, Offers{}); err != ErrEightBit {
		t.Errorf("without 8BITMIME: %v", err)
	}
	if raw := written(t, m, Offers{EightBit: true}); !strings.HasSuffix(raw, wire(pictures)) {
		t.Error("the octets are others")
	}
}

func TestRedirectMendsLineEndsAndNothingElse(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.To = Redirect, []string{"team@example.com"} })
	d := delivery(t, " folded\nSubject: x\r\rone\r\n.\rtwo\x00\n\n.\n"+strings.Repeat("b", 2000))
	raw := written(t, composed(t, c, d), Offers{})
	head, rest, _ := strings.Cut(raw, " folded\r\n")
	if want := "Subject: x\r\n\r\none\r\n.\r\ntwo\r\n\r\n.\r\n" + strings.Repeat("b", 2000) + "\r\n"; rest != want {
		t.Errorf("the rest is %q", rest)
	}
	if !strings.HasSuffix(head, "X-Postferry-Redirected: the mail begins with a folded line:\r\n") {
		t.Errorf("what the mail begins with goes on with ours: %q", head)
	}
}

func TestOriginalThatCannotGoAsMessageGoesAsFile(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.To, o.Attach = Forward, []string{"team@example.com"}, "original" })
	m := composed(t, c, delivery(t, wire(pictures)))
	for _, f := range []struct {
		offers Offers
		want   string
	}{{Offers{}, "application/octet-stream"}, {Offers{EightBit: true}, "message/rfc822"}} {
		sent := delivery(t, written(t, m, f.offers)).Message
		if len(sent.Attachments) != 1 || sent.Attachments[0].Type != f.want {
			t.Fatalf("attachments: %+v", sent.Attachments)
		}
		r, err := sent.Attachments[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(bytes.TrimSpace(b), bytes.TrimSpace([]byte(wire(pictures)))) {
			t.Errorf("%s: %v, octets differ", f.want, err)
		}
	}
}

func TestInternationalAddresses(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.Text = Reply, "x" })
	m := composed(t, c, delivery(t, "From: Jürgen <juergen@bücher.example>\r\nSubject: Grüße\r\n\r\nx\r\n"))
	if m.UTF8 || !slices.Equal(m.To, []string{"juergen@xn--bcher-kva.example"}) {
		t.Errorf("a domain beyond US-ASCII: %q, SMTPUTF8 %v", m.To, m.UTF8)
	}
	m = composed(t, c, delivery(t, "From: Jürgen <jürgen@bücher.example>\r\nSubject: Grüße\r\n\r\nx\r\n"))
	if !m.UTF8 || !slices.Equal(m.To, []string{"jürgen@xn--bcher-kva.example"}) {
		t.Errorf("a local part beyond US-ASCII: %q, SMTPUTF8 %v", m.To, m.UTF8)
	}
	if err := m.WriteTo(io.Discard, Offers{EightBit: true}); err != ErrUTF8 {
		t.Errorf("without SMTPUTF8: %v", err)
	}
	if raw := written(t, m, Offers{UTF8: true}); !strings.Contains(raw, "To: =?utf-8?b?SsO8cmdlbg==?= <jürgen@xn--bcher-kva.example>\r\nSubject: =?utf-8?q?Re:_Gr=C3=BC=C3=9Fe?=\r\n") {
		t.Errorf("it says %s", raw)
	}
}

func TestSameOctetsAtEveryAttempt(t *testing.T) {
	c := composer(t, func(o *Options) { o.Action, o.To, o.Attach = Forward, []string{"team@example.com"}, "all" })
	first := composed(t, c, delivery(t, wire(pictures)))
	d := delivery(t, wire(pictures))
	d.Attempt = 7
	second := composed(t, c, d)
	if one := written(t, first, Offers{}); one != written(t, first, Offers{}) || one != written(t, second, Offers{}) {
		t.Error("they differ")
	}
	if first.MessageID != "msg_2h9kQ4x1@example.com" {
		t.Errorf("the Message-ID is %s", first.MessageID)
	}
}
