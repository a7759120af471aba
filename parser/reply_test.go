package parser

import (
	"strings"
	"testing"
)

func TestRepliesAreParted(t *testing.T) {
	for _, c := range []struct{ fact, in, text, quoted string }{
		{"nothing quoted", "Hello\n\nBye\n", "Hello\n\nBye", ""},
		{"marked lines", "Yes.\n\n> Will you?\n> Ada\n", "Yes.", "> Will you?\n> Ada"},
		{"Gmail in English", "Yes.\n\nOn Tue, Nov 24, 2026 at 10:00 AM Ada Byron <ada@example.com> wrote:\n\n> Will you?\n", "Yes.", "On Tue, Nov 24, 2026 at 10:00 AM Ada Byron <ada@example.com> wrote:\n\n> Will you?"},
		{"Gmail, broken in two lines", "Yes.\n\nOn Tue, Nov 24, 2026 at 10:00 AM Ada Byron <ada@example.com>\nwrote:\n\n> Will you?\n", "Yes.", "On Tue, Nov 24, 2026 at 10:00 AM Ada Byron <ada@example.com>\nwrote:\n\n> Will you?"},
		{"Apple Mail", "Yes.\n\n> On 24 Nov 2026, at 10:00, Ada Byron <ada@example.com> wrote:\n> \n> Will you?\n", "Yes.", "> On 24 Nov 2026, at 10:00, Ada Byron <ada@example.com> wrote:\n> \n> Will you?"},
		{"German", "Ja.\n\nAm Di., 24. Nov. 2026 um 10:00 Uhr schrieb Ada Byron <ada@example.com>:\n\n> Machst du?\n", "Ja.", "Am Di., 24. Nov. 2026 um 10:00 Uhr schrieb Ada Byron <ada@example.com>:\n\n> Machst du?"},
		{"German, Thunderbird", "Ja.\n\nAm 24.11.26 um 10:00 schrieb Ada Byron:\n> Machst du?\n", "Ja.", "Am 24.11.26 um 10:00 schrieb Ada Byron:\n> Machst du?"},
		{"French", "Oui.\n\nLe mar. 24 nov. 2026 à 10:00, Ada Byron <ada@example.com> a écrit :\n\n> Alors ?\n", "Oui.", "Le mar. 24 nov. 2026 à 10:00, Ada Byron <ada@example.com> a écrit :\n\n> Alors ?"},
		{"Spanish", "Sí.\n\nEl mar, 24 nov 2026 a las 10:00, Ada Byron (<ada@example.com>) escribió:\n\n> ¿Y?\n", "Sí.", "El mar, 24 nov 2026 a las 10:00, Ada Byron (<ada@example.com>) escribió:\n\n> ¿Y?"},
		{"Portuguese", "Sim.\n\nEm ter., 24 de nov. de 2026 às 10:00, Ada Byron <ada@example.com>\nescreveu:\n\n> E?\n", "Sim.", "Em ter., 24 de nov. de 2026 às 10:00, Ada Byron <ada@example.com>\nescreveu:\n\n> E?"},
		{"Italian", "Sì.\n\nIl giorno mar 24 nov 2026 alle ore 10:00 Ada Byron <ada@example.com> ha scritto:\n\n> E?\n", "Sì.", "Il giorno mar 24 nov 2026 alle ore 10:00 Ada Byron <ada@example.com> ha scritto:\n\n> E?"},
		{"Dutch", "Ja.\n\nOp di 24 nov 2026 om 10:00 schreef Ada Byron <ada@example.com>:\n\n> En?\n", "Ja.", "Op di 24 nov 2026 om 10:00 schreef Ada Byron <ada@example.com>:\n\n> En?"},
		{"Polish", "Tak.\n\nwt., 24 lis 2026 o 10:00 Ada Byron <ada@example.com> napisał(a):\n\n> I?\n", "Tak.", "wt., 24 lis 2026 o 10:00 Ada Byron <ada@example.com> napisał(a):\n\n> I?"},
		{"Swedish", "Ja.\n\nDen tis 24 nov. 2026 kl 10:00 skrev Ada Byron <ada@example.com>:\n\n> Och?\n", "Ja.", "Den tis 24 nov. 2026 kl 10:00 skrev Ada Byron <ada@example.com>:\n\n> Och?"},
		{"Russian", "Да.\n\nвт, 24 нояб. 2026 г. в 10:00, Ada Byron <ada@example.com>:\n\n> И?\n", "Да.", "вт, 24 нояб. 2026 г. в 10:00, Ada Byron <ada@example.com>:\n\n> И?"},
		{"Czech", "Ano.\n\nDne út 24. 11. 2026 10:00 uživatel Ada Byron <ada@example.com> napsal:\n\n> A?\n", "Ano.", "Dne út 24. 11. 2026 10:00 uživatel Ada Byron <ada@example.com> napsal:\n\n> A?"},
		{"Japanese", "はい。\n\n2026年11月24日(火) 10:00 Ada Byron <ada@example.com>:\n\n> どう?\n", "はい。", "2026年11月24日(火) 10:00 Ada Byron <ada@example.com>:\n\n> どう?"},
		{"Chinese", "是。\n\nAda Byron <ada@example.com> 于2026年11月24日周二 10:00写道：\n\n> 吗?\n", "是。", "Ada Byron <ada@example.com> 于2026年11月24日周二 10:00写道：\n\n> 吗?"},
		{"Korean", "네.\n\n2026년 11월 24일 (화) 오전 10:00, Ada Byron <ada@example.com>님이 작성:\n\n> 뭐?\n", "네.", "2026년 11월 24일 (화) 오전 10:00, Ada Byron <ada@example.com>님이 작성:\n\n> 뭐?"},
		{"Turkish", "Evet.\n\nAda Byron <ada@example.com>, 24 Kas 2026 Sal, 10:00 tarihinde şunu yazdı:\n\n> Ne?\n", "Evet.", "Ada Byron <ada@example.com>, 24 Kas 2026 Sal, 10:00 tarihinde şunu yazdı:\n\n> Ne?"},
		{"Outlook's dashes", "Yes.\n\n-----Original Message-----\nFrom: Ada\nSent: now\n\nWill you?\n", "Yes.", "-----Original Message-----\nFrom: Ada\nSent: now\n\nWill you?"},
		{"Outlook's dashes in German", "Ja.\n\n-----Ursprüngliche Nachricht-----\nVon: Ada\n\nMachst du?\n", "Ja.", "-----Ursprüngliche Nachricht-----\nVon: Ada\n\nMachst du?"},
		{"Outlook's block", "Yes.\n\n________________________________\nFrom: Ada Byron <ada@example.com>\nSent: Tuesday, November 24, 2026 10:00 AM\nTo: Bob\nSubject: Tea\n\nWill you?\n", "Yes.",
			"________________________________\nFrom: Ada Byron <ada@example.com>\nSent: Tuesday, November 24, 2026 10:00 AM\nTo: Bob\nSubject: Tea\n\nWill you?"},
		{"Outlook's block in bold", "Yes.\n\n*From:* Ada\n*Sent:* now\n*To:* Bob\n\nWill you?\n", "Yes.", "*From:* Ada\n*Sent:* now\n*To:* Bob\n\nWill you?"},
		{"Outlook's block in German", "Ja.\n\nVon: Ada\nGesendet: Dienstag\nAn: Bob\nBetreff: Tee\n\nMachst du?\n", "Ja.", "Von: Ada\nGesendet: Dienstag\nAn: Bob\nBetreff: Tee\n\nMachst du?"},
		{"Outlook's block in French", "Oui.\n\nDe : Ada\nEnvoyé : mardi\nÀ : Bob\nObjet : Thé\n\nAlors ?\n", "Oui.", "De : Ada\nEnvoyé : mardi\nÀ : Bob\nObjet : Thé\n\nAlors ?"},
		{"Outlook's block in Chinese", "是。\n\n发件人: Ada\n发送时间: 2026\n收件人: Bob\n主题: 茶\n\n吗?\n", "是。", "发件人: Ada\n发送时间: 2026\n收件人: Bob\n主题: 茶\n\n吗?"},
		{"an introduction before lines without marks", "Yes.\n\nOn Tue, 24 Nov 2026 at 10:00, Ada <ada@example.com> wrote:\nWill you?\nAda\n", "Yes.", "On Tue, 24 Nov 2026 at 10:00, Ada <ada@example.com> wrote:\nWill you?\nAda"},
		{"an answer below", "On Tue, 24 Nov 2026 at 10:00, Ada wrote:\n> Will you?\n\nYes.\n", "Yes.", "On Tue, 24 Nov 2026 at 10:00, Ada wrote:\n> Will you?"},
		{"answers between", "Ada wrote:\n> Will you?\n\nYes.\n\n> When?\n\nNow.\n", "Yes.\n\n\nNow.", "Ada wrote:\n> Will you?\n> When?"},
		{"a signature (RFC 3676 section 4.3)", "Yes.\n\n-- \nBob\nExample Ltd\n", "Yes.", ""},
		{"a signature before the quote", "Yes.\n\n-- \nBob\n\nOn 24 Nov 2026 10:00, Ada wrote:\n> Will you?\n", "Yes.", "On 24 Nov 2026 10:00, Ada wrote:\n> Will you?"},
		{"a signature without its blank", "Yes.\n\n--\nBob\n", "Yes.", ""},
		{"a telephone", "Yes.\n\nSent from my iPhone\n", "Yes.", ""},
		{"a telephone in German, before the quote", "Ja.\n\nVon meinem iPhone gesendet\n\n> Am 24.11.2026 um 10:00 schrieb Ada:\n> \n> Machst du?\n", "Ja.", "> Am 24.11.2026 um 10:00 schrieb Ada:\n> \n> Machst du?"},
		{"a forwarded mail", "See below.\n\n---------- Forwarded message ---------\nFrom: Ada\n\nTea?\n", "See below.", "---------- Forwarded message ---------\nFrom: Ada\n\nTea?"},
		{"Apple's forward", "See below.\n\nBegin forwarded message:\n\n> From: Ada\n", "See below.", "Begin forwarded message:\n\n> From: Ada"},
		{"a help desk's line", "Yes.\n\n##- Please type your reply above this line -##\nTicket 1\n", "Yes.", "##- Please type your reply above this line -##\nTicket 1"},
		{"a sentence that only looks like it", "On Monday we wrote:\n- one\n- two\n", "On Monday we wrote:\n- one\n- two", ""},
		{"a sentence before the introduction", "On it, will do.\nOn Tue, 24 Nov 2026 at 10:00, Ada <ada@example.com> wrote:\n> Will you?\n", "On it, will do.", "On Tue, 24 Nov 2026 at 10:00, Ada <ada@example.com> wrote:\n> Will you?"},
		{"a list of dashes", "One:\n\n- a\n- b\n\n---\n\nTwo\n", "One:\n\n- a\n- b\n\n---\n\nTwo", ""},
		{"From alone is no block", "From: the desk of Ada\n\nHello\n", "From: the desk of Ada\n\nHello", ""},
	} {
		r := splitReply(c.in)
		if r.Text != c.text || r.Quoted != c.quoted {
			t.Errorf("%s:\n got %q\n     %q\nwant %q\n     %q", c.fact, r.Text, r.Quoted, c.text, c.quoted)
		}
	}
}

func TestRepliesInHTMLAreParted(t *testing.T) {
	m := read(t, "Content-Type: text/html; charset=utf-8", "",
		`<div dir="ltr">Yes.</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On Tue, Nov 24, 2026 at 10:00 AM Ada &lt;<a href="mailto:ada@example.com">ada@example.com</a>&gt; wrote:<br></div><blockquote class="gmail_quote">Will you?<br>Ada</blockquote></div>`)
	if m.Reply.Text != "Yes." || !strings.HasSuffix(m.Reply.Quoted, "> Will you?\n> Ada") {
		t.Errorf("got %q, %q", m.Reply.Text, m.Reply.Quoted)
	}
}

func TestEveryLeadIsFoundInCapitalsToo(t *testing.T) {
	for _, lead := range leads {
		if !hasLead(lead+"1 Jan") || isASCII(lead) && !hasLead(strings.ToUpper(lead)+"1 Jan") {
			t.Errorf("%q is not found", lead)
		}
	}
	if hasLead("x 1 Jan") || hasLead("Sincerely") {
		t.Error("found where there is none")
	}
}
