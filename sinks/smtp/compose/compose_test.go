package compose

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/spool"
)

var update = flag.Bool("update", false, "write the golden files anew")

// wire is a mail with line ends as on the wire.
func wire(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// question is the mail most tests answer.
const question = `Return-Path: <ada@customer.example>
Received: from mail.customer.example by mx.example.com; Mon, 23 Nov 2026 12:59:43 +0100
Message-ID: <caf3.91@customer.example>
In-Reply-To: <t1042@example.com>
References: <t1042@example.com>
From: "Byron, Ada" <ada@customer.example>
To: Support <support@example.com>, bob@customer.example
Cc: =?utf-8?q?J=C3=BCrgen?= <juergen@customer.example>
Subject: AW: Re: Order 1042 is late
Date: Mon, 23 Nov 2026 12:59:40 +0100
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

Still nothing here.

> It was sent on Friday.
`

// delivery is one of a mail that was taken from support@example.com.
func delivery(t testing.TB, raw string) *sinks.Delivery {
	t.Helper()
	octets := spool.NewOctets([]byte(raw))
	m, err := parser.Parse(octets, octets.Size(), parser.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 12, 0, 1, 0, time.UTC)
	return &sinks.Delivery{
		ID: "msg_2h9kQ4x1", Attempt: 1, Timestamp: at, Message: m, Octets: octets,
		Origin: sinks.Origin{Name: "support", Protocol: "imap", Address: "support@example.com"},
	}
}

// composer makes one; its options begin with the defaults.
func composer(t testing.TB, change func(*Options)) *Composer {
	t.Helper()
	var o Options
	o.SetDefaults()
	change(&o)
	c, err := New("desk", o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// written are the octets of a mail.
func written(t testing.TB, m *Mail, o Offers) string {
	t.Helper()
	var b bytes.Buffer
	if err := m.WriteTo(&b, o); err != nil {
		t.Fatal(err)
	}
	if size, err := m.Size(o); err != nil || size != int64(b.Len()) {
		t.Errorf("Size is %d, %v; %d octets were written", size, err, b.Len())
	}
	return b.String()
}

func composed(t testing.TB, c *Composer, d *sinks.Delivery) *Mail {
	t.Helper()
	m, err := c.Compose(context.Background(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// golden compares a mail with testdata/NAME.eml, which was written by hand from
// the RFCs; -update is for reading what changed.
func golden(t *testing.T, name string, m *Mail, o Offers) {
	t.Helper()
	path := filepath.Join("testdata", name+".eml")
	got := written(t, m, o)
	if *update {
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(got, "\r\n", "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := wire(string(want)); got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}
