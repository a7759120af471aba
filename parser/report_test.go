package parser

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// wantJSON compares what a value is in JSON.
func wantJSON(t *testing.T, fact string, got any, want string) {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(got)
	b := bytes.TrimSpace(out.Bytes())
	if err != nil || string(b) != want {
		t.Errorf("%s:\n got %s %v\nwant %s", fact, b, err, want)
	}
}

// TestDeliveryStatusIsReadAsRFC3464Shows has the examples of RFC 3464 appendix D.
func TestDeliveryStatusIsReadAsRFC3464Shows(t *testing.T) {
	m := read(t, // D.1
		"Date: Thu, 7 Jul 1994 17:16:05 -0400", "From: Mail Delivery Subsystem <MAILER-DAEMON@CS.UTK.EDU>", "Message-Id: <199407072116.RAA14128@CS.UTK.EDU>",
		"Subject: Returned mail: Cannot send message for 5 days", "To: <owner-info-mime@cs.utk.edu>", "MIME-Version: 1.0",
		`Content-Type: multipart/report; report-type=delivery-status;`, `      boundary="RAA14128.773615765/CS.UTK.EDU"`, "",
		"--RAA14128.773615765/CS.UTK.EDU", "", "The original message was received at Sat, 2 Jul 1994 17:10:28 -0400", "from root@localhost", "",
		"--RAA14128.773615765/CS.UTK.EDU", "content-type: message/delivery-status", "",
		"Reporting-MTA: dns; cs.utk.edu", "",
		"Original-Recipient: rfc822;louisl@larry.slip.umd.edu", "Final-Recipient: rfc822;louisl@larry.slip.umd.edu", "Action: failed", "Status: 4.0.0", "Diagnostic-Code: smtp; 426 connection timed out", "Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400", "",
		"--RAA14128.773615765/CS.UTK.EDU", "content-type: message/rfc822", "", "Message-ID: <orig@cs.utk.edu>", "Subject: =?utf-8?Q?caf=C3=A9?=", "", "[original message goes here]", "",
		"--RAA14128.773615765/CS.UTK.EDU--")
	wantJSON(t, "D.1", m.Bounce, `{"recipients":[{"email":"louisl@larry.slip.umd.edu","action":"failed","status":"4.0.0","diagnostic":"426 connection timed out"}],"original":{"messageId":"orig@cs.utk.edu","subject":"café"}}`)
	wantJSON(t, "D.1", m.Automated, `{"is":true,"kind":"bounce","reason":"a delivery status notification"}`)

	m = read(t, // D.2
		"From: a@example.com", `Content-Type: multipart/report; report-type=delivery-status; boundary=b`, "",
		"--b", "content-type: message/delivery-status", "", "Reporting-MTA: dns; cs.utk.edu", "",
		"Original-Recipient: rfc822;arathib@vnet.ibm.com", "Final-Recipient: rfc822;arathib@vnet.ibm.com", "Action: failed", "Status: 5.0.0 (permanent failure)", "Diagnostic-Code: smtp;", "   550 'arathib@vnet.IBM.COM' is not a", "     registered gateway user", "Remote-MTA: dns; vnet.ibm.com", "",
		"Original-Recipient: rfc822;johnh@hpnjld.njd.hp.com", "Final-Recipient: rfc822;johnh@hpnjld.njd.hp.com", "Action: delayed", "Status: 4.0.0 (hpnjld.njd.jp.com: host name lookup failure)", "",
		"Original-Recipient: rfc822;wsnell@sdcc13.ucsd.edu", "Final-Recipient: rfc822;wsnell@sdcc13.ucsd.edu", "Action: failed", "Status: 5.0.0", "Diagnostic-Code: smtp; 550 user unknown", "Remote-MTA: dns; sdcc13.ucsd.edu", "",
		"--b--")
	wantJSON(t, "D.2", m.Bounce, `{"recipients":[`+
		`{"email":"arathib@vnet.ibm.com","action":"failed","status":"5.0.0","diagnostic":"550 'arathib@vnet.IBM.COM' is not a registered gateway user"},`+
		`{"email":"johnh@hpnjld.njd.hp.com","action":"delayed","status":"4.0.0","diagnostic":null},`+
		`{"email":"wsnell@sdcc13.ucsd.edu","action":"failed","status":"5.0.0","diagnostic":"550 user unknown"}],"original":{"messageId":null,"subject":null}}`)

	m = read(t, // D.3: an address of another kind
		"From: a@example.com", "Content-Type: multipart/report; report-type=delivery-status; boundary=b", "",
		"--b", "Content-type: message/delivery-status", "", "Reporting-MTA: mailbus; SYS30", "",
		"Final-Recipient: unknown; nair_s", "Status: 5.0.0 (unknown permanent failure)", "Action: failed", "", "--b--")
	wantJSON(t, "D.3", m.Bounce, `{"recipients":[{"email":"nair_s","action":"failed","status":"5.0.0","diagnostic":null}],"original":{"messageId":null,"subject":null}}`)
}

// TestADeliveryStatusIsReadWhereTheReturnedMailLiesFarBehindIt has more between
// the two than is in memory at once, and a status in a transfer encoding.
func TestADeliveryStatusIsReadWhereTheReturnedMailLiesFarBehindIt(t *testing.T) {
	want := `{"recipients":[{"email":"a@example.com","action":"failed","status":"5.1.1","diagnostic":null}],"original":{"messageId":"orig@example.com","subject":null}}`
	for _, status := range []string{
		"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; b\r\n\r\nFinal-Recipient: rfc822; a@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n",
		"Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nFinal-Recipient: rfc822; a=40example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n",
	} {
		m := read(t, "From: a@example.com", "Content-Type: multipart/report; report-type=delivery-status; boundary=b", "",
			"--b", status, "--b", "Content-Type: image/png", "", strings.Repeat("a", 2*windowSize),
			"--b", "Content-Type: message/rfc822", "Content-Transfer-Encoding: quoted-printable", "", "Message-ID: <orig=40example.com>", "", "gone", "--b--")
		wantJSON(t, "status", m.Bounce, want)
	}
}

func TestBouncesOfEximAreReadByTheirField(t *testing.T) {
	m := read(t, "X-Failed-Recipients: a@example.com, b@example.com", "From: Mail Delivery System <Mailer-Daemon@example.net>", "", "gone")
	wantJSON(t, "Exim", m.Bounce, `{"recipients":[{"email":"a@example.com","action":"failed","status":null,"diagnostic":null},{"email":"b@example.com","action":"failed","status":null,"diagnostic":null}],"original":{"messageId":null,"subject":null}}`)
}

// TestBouncesOfQmailAreReadByTheirText has the example of the QSBMF specification
// (D. J. Bernstein, 1996), and what qmail and its descendants write today.
func TestBouncesOfQmailAreReadByTheirText(t *testing.T) {
	intro := []string{"Hi. This is the qmail-send program at silverton.berkeley.edu.", "I'm afraid I wasn't able to deliver your message to the following addresses.", "This is a permanent error; I've given up. Sorry it didn't work out.", ""}
	tail := []string{"--- Below this line is a copy of the message.", "", "Return-Path: <djb@silverton.berkeley.edu>", "Received: (qmail 1234 invoked by uid 666); 29 Jul 1996 11:35:35 -0000", "Date: 29 Jul 1996 11:35:35 -0000",
		"Message-ID: <19960729113535.375.qmail@silverton.berkeley.edu>", "From: djb@silverton.berkeley.edu (D. J. Bernstein)", "To: fred@silverton.berkeley.edu", "Subject: are you", " there?", "", "Hi. This is the body.", "", "<nobody@example.com>:", "gone", ""}
	original := `"original":{"messageId":"19960729113535.375.qmail@silverton.berkeley.edu","subject":"are you there?"}`
	for _, c := range []struct {
		fact  string
		lines []string
		want  string
	}{
		{"the example", []string{"<god@heaven.af.mil>:", "Sorry, I couldn't find any host by that name.", ""}, `[{"email":"god@heaven.af.mil","action":"failed","status":null,"diagnostic":"Sorry, I couldn't find any host by that name."}]`},
		{"a status and several lines", []string{"<a@example.com>:", "192.0.2.1 does not like recipient.", "Remote host said: 550 5.1.1 no such user", "Giving up on 192.0.2.1.", ""},
			`[{"email":"a@example.com","action":"failed","status":"5.1.1","diagnostic":"192.0.2.1 does not like recipient. Remote host said: 550 5.1.1 no such user Giving up on 192.0.2.1."}]`},
		{"two recipients, a status of qmail's own", []string{"<a@example.com>:", "Sorry, no mailbox here by that name. (#5.1.1)", "", "<b c@example.com>:", "I'm not going to try again; this message has been in the queue too long. (#4.4.1)", ""},
			`[{"email":"a@example.com","action":"failed","status":"5.1.1","diagnostic":"Sorry, no mailbox here by that name. (#5.1.1)"},{"email":"bc@example.com","action":"failed","status":"4.4.1","diagnostic":"I'm not going to try again; this message has been in the queue too long. (#4.4.1)"}]`},
		{"a paragraph that names nobody", []string{"This message is looping.", "", "<a@example.com>:", "x", ""}, `[{"email":"a@example.com","action":"failed","status":null,"diagnostic":"x"}]`},
	} {
		lines := append([]string{"From: MAILER-DAEMON@silverton.berkeley.edu", "Subject: failure notice", ""}, intro...)
		m := read(t, append(append(lines, c.lines...), tail...)...)
		wantJSON(t, c.fact, m.Bounce, `{"recipients":`+c.want+`,`+original+`}`)
		wantJSON(t, c.fact, m.Automated.Kind, `"bounce"`)
	}
	for fact, lines := range map[string][]string{
		"nobody named":                    append(append([]string{"From: a@example.com", ""}, intro...), tail[0]),
		"another beginning":               {"From: a@example.com", "", "Look what I got:", "", intro[0], "", "<a@example.com>:", "gone", "", tail[0]},
		"no copy of the message below it": append(append([]string{"From: a@example.com", ""}, intro...), "<a@example.com>:", "gone"),
		"no program named":                {"From: a@example.com", "", "Hi. This is Ada.", "", "<a@example.com>:", "gone", "", tail[0]},
	} {
		if m := read(t, lines...); m.Bounce != nil {
			t.Errorf("%s: a bounce", fact)
		}
	}
}

func TestAutomatedIsToldByTheFields(t *testing.T) {
	const no = `{"is":false,"kind":null,"reason":null}`
	yes := func(kind, reason string) string {
		return `{"is":true,"kind":"` + kind + `","reason":"` + reason + `"}`
	}
	for _, c := range []struct {
		fact  string
		lines []string
		want  string
	}{
		{"a person", []string{"From: a@example.com"}, no},
		{"no (RFC 3834 section 5)", []string{"Auto-Submitted: no"}, no},
		{"no with a comment", []string{"Auto-Submitted: (what) no"}, no},
		{"auto-replied", []string{"Auto-Submitted: auto-replied"}, yes("auto-reply", "Auto-Submitted: auto-replied")},
		{"auto-replied with parameters", []string{"Auto-Submitted: Auto-Replied; owner-email=a"}, yes("auto-reply", "Auto-Submitted: Auto-Replied; owner-email=a")},
		{"auto-generated", []string{"Auto-Submitted: auto-generated"}, yes("auto-generated", "Auto-Submitted: auto-generated")},
		{"auto-notified (RFC 5435)", []string{"Auto-Submitted: auto-notified"}, yes("auto-generated", "Auto-Submitted: auto-notified")},
		{"Exchange's answer", []string{"Auto-Submitted: auto-generated", "Subject: Automatic reply: Hello"}, yes("auto-reply", "Auto-Submitted: auto-generated")},
		{"vacation", []string{"X-Autoreply: yes"}, yes("auto-reply", "X-Autoreply: yes")},
		{"Precedence: auto_reply", []string{"Precedence: auto_reply"}, yes("auto-reply", "Precedence: auto_reply")},
		{"the null reverse-path", []string{"Return-Path: <>"}, yes("auto-generated", "Return-Path: <>")},
		{"the null reverse-path of a daemon", []string{"Return-Path: <>", "From: MAILER-DAEMON@example.com"}, yes("bounce", "Return-Path: <>")},
		{"a reverse-path", []string{"Return-Path: <a@example.com>"}, no},
		{"a list", []string{"List-ID: <a.example.com>"}, yes("list", "a mailing list's fields")},
		{"a list that was answered", []string{"List-Post: <mailto:a@example.com>", "In-Reply-To: <b@c>"}, yes("list", "a mailing list's fields")},
		{"Precedence: list", []string{"Precedence: list"}, yes("list", "Precedence: list")},
		{"Precedence: bulk", []string{"Precedence: bulk"}, yes("bulk", "Precedence: bulk")},
		{"a newsletter", []string{"List-Unsubscribe: <https://example.com/u>"}, yes("bulk", "List-Unsubscribe")},
		{"Precedence: first-class", []string{"Precedence: first-class"}, no},
		{"a notification", []string{"X-Auto-Response-Suppress: All"}, yes("auto-generated", "X-Auto-Response-Suppress: All")},
		{"a disposition notification (RFC 8098)", []string{"Content-Type: multipart/report; report-type=disposition-notification; boundary=b"}, yes("disposition", "a disposition notification")},
		{"a feedback report (RFC 5965)", []string{"Content-Type: multipart/report; report-type=feedback-report; boundary=b"}, yes("report", "multipart/report; report-type=feedback-report")},
	} {
		wantJSON(t, c.fact, read(t, append(c.lines, "", "x")...).Automated, c.want)
	}
}

func TestListFieldsAreRead(t *testing.T) {
	for _, c := range []struct {
		fact  string
		lines []string
		want  string
	}{
		{"none", []string{"From: a@b"}, "null"},
		{"RFC 2919", []string{"List-Id: List Header Mailing List <list-header.nisto.com>"}, `{"id":"list-header.nisto.com","unsubscribe":[],"post":null}`},
		{"RFC 2919 without brackets", []string{"List-Id: list-header.nisto.com"}, `{"id":"list-header.nisto.com","unsubscribe":[],"post":null}`},
		{"RFC 2369 section 3.2", []string{"List-Unsubscribe: <mailto:list@host.com?subject=unsubscribe>"}, `{"id":null,"unsubscribe":["mailto:list@host.com?subject=unsubscribe"],"post":null}`},
		{"RFC 2369 section 3.2, with a comment", []string{"List-Unsubscribe: (Use this command to get off the list)", "     <mailto:list-manager@host.com?body=unsubscribe%20list>"}, `{"id":null,"unsubscribe":["mailto:list-manager@host.com?body=unsubscribe%20list"],"post":null}`},
		{"RFC 2369 section 3.2, two", []string{"List-Unsubscribe: <http://www.host.com/list.cgi?cmd=unsub&lst=list>,", "     <mailto:list-request@host.com?subject=unsubscribe>"}, `{"id":null,"unsubscribe":["http://www.host.com/list.cgi?cmd=unsub&lst=list","mailto:list-request@host.com?subject=unsubscribe"],"post":null}`},
		{"RFC 2369 section 3.4", []string{"List-Post: <mailto:moderator@host.com> (Postings are Moderated)"}, `{"id":null,"unsubscribe":[],"post":"mailto:moderator@host.com"}`},
		{"RFC 2369 section 3.4, no posting", []string{"List-Id: <a.b>", "List-Post: NO (posting not allowed on this list)"}, `{"id":"a.b","unsubscribe":[],"post":null}`},
		{"what a program must not follow", []string{"List-Unsubscribe: <javascript:alert(1)>, <https://a.example/u>"}, `{"id":null,"unsubscribe":["https://a.example/u"],"post":null}`},
	} {
		wantJSON(t, c.fact, read(t, append(c.lines, "", "x")...).List, c.want)
	}
}

func TestRecipientsAreFoundInTheTrace(t *testing.T) {
	for _, c := range []struct {
		fact      string
		lines     []string
		delivered string
		tags      string
	}{
		{"nothing", []string{"From: a@b"}, `[]`, `[]`},
		{"Delivered-To", []string{"Delivered-To: support+vip@example.com", "To: x@example.com"}, `["support+vip@example.com"]`, `["vip"]`},
		{"several, each once", []string{"Delivered-To: a@example.com", "Delivered-To: A@example.com", "X-Original-To: b+t@example.com"}, `["a@example.com","b+t@example.com"]`, `["t"]`},
		{"Envelope-To with a list", []string{"Envelope-To: a@example.com, b@example.com"}, `["a@example.com","b@example.com"]`, `[]`},
		{"Received", []string{"Received: from x (y for c@d) by z with ESMTP id 1", " for <a+1@example.com>; Tue, 24 Nov 2026 10:00:00 +0000"}, `["a+1@example.com"]`, `["1"]`},
		{"tags of To and Cc", []string{"To: a+x@example.com", "Cc: b+y@example.com, c@example.com"}, `[]`, `["x","y"]`},
		{"a plus at the end", []string{"To: a+@example.com"}, `[]`, `[]`},
		{"several pluses", []string{"To: a+b+c@example.com"}, `[]`, `["b+c"]`},
	} {
		m := read(t, append(c.lines, "", "x")...)
		wantJSON(t, c.fact, m.DeliveredTo, c.delivered)
		wantJSON(t, c.fact, m.RecipientTags, c.tags)
	}
}

func TestThreadsAndIDs(t *testing.T) {
	for _, c := range []struct {
		fact  string
		lines []string
		key   string
		ids   string
		codes string
	}{
		{"References come first", []string{"References: <a@x> <b@x>", "In-Reply-To: <b@x>", "Message-ID: <c@x>"}, "a@x", `["c@x"]`, ""},
		{"then In-Reply-To", []string{"In-Reply-To: <b@x>", "Message-ID: <c@x>"}, "b@x", `["c@x"]`, ""},
		{"then the mail's own id", []string{"Message-ID: <c@x>"}, "c@x", `["c@x"]`, ""},
		{"an empty field is none", []string{"References: ", "Message-ID: <c@x>"}, "c@x", `["c@x"]`, ""},
		{"phrases of old (RFC 5322 section 4.5.4)", []string{"In-Reply-To: Your message of Friday <b@x>", "Message-ID: <c@x>"}, "b@x", `["c@x"]`, ""},
		{"no brackets", []string{"Message-ID: c@x"}, "c@x", `["c@x"]`, ProblemBadMessageID},
		{"no closing bracket", []string{"Message-ID: <c@x"}, "c@x", `["c@x"]`, ProblemBadMessageID},
		{"brackets twice", []string{"Message-ID: <<c@x>>"}, "c@x", `["c@x"]`, ProblemBadMessageID},
		{"RFC 5322 A.6.3", []string{"Message-ID  : <1234   @   local(blah)  .machine .example>"}, "1234@local.machine.example", `["1234@local.machine.example"]`, ""},
		{"a blank inside", []string{"Message-ID: <c d@x>"}, "cd@x", `["cd@x"]`, ""},
		{"a comment (RFC 5322 A.5)", []string{"Message-ID:              <testabcd.1234@silly.test>"}, "testabcd.1234@silly.test", `["testabcd.1234@silly.test"]`, ""},
	} {
		m := read(t, append(c.lines, "", "x")...)
		if m.Thread.Key != c.key || codes(m) != c.codes {
			t.Errorf("%s: key %q %q, want %q %q", c.fact, m.Thread.Key, codes(m), c.key, c.codes)
		}
		wantJSON(t, c.fact, m.MessageID, c.ids)
	}
	a, b := read(t, "Subject: x", "", "x"), read(t, "Subject: x", "", "x")
	if a.Thread.Key == "" || a.Thread.Key != b.Thread.Key || a.MessageID != nil {
		t.Errorf("without an id: %q, %q", a.Thread.Key, b.Thread.Key)
	}
	if c := read(t, "Subject: y", "", "x"); c.Thread.Key == a.Thread.Key {
		t.Error("another mail without an id has the same key")
	}
}
