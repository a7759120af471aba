package main

import (
	"net/url"
	"testing"
	"time"

	"github.com/postferry/postferry/sinks/sinktest"
)

func TestALinkIsGoodUntilItExpiresAndForItsAttachmentAlone(t *testing.T) {
	l := &linker{base: "https://mail.example.com", key: []byte("0123456789abcdef"), last: 7 * 24 * time.Hour}
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	a := &d.Message.Attachments[0]
	u, err := url.Parse(l.link(d, a))
	if err != nil || u.String() != l.link(d, a) || u.Path != "/attachments/"+d.ID+"/"+a.PartID {
		t.Fatalf("%s, %v", u, err)
	}
	q, end := u.Query(), d.Timestamp.Add(7*24*time.Hour)
	other := &linker{key: []byte("another key, which"), last: l.last}
	for _, c := range []struct {
		name           string
		l              *linker
		delivery, part string
		at             time.Time
		signed, fresh  bool
	}{
		{"its own", l, d.ID, a.PartID, end.Add(-time.Second), true, true},
		{"expired", l, d.ID, a.PartID, end, true, false},
		{"another part", l, d.ID, a.PartID + "1", d.Timestamp, false, false},
		{"another delivery", l, d.ID + "1", a.PartID, d.Timestamp, false, false},
		{"the same letters parted elsewhere", l, d.ID + a.PartID[:1], a.PartID[1:], d.Timestamp, false, false},
		{"another secret", other, d.ID, a.PartID, d.Timestamp, false, false},
	} {
		if signed, fresh := c.l.valid(c.delivery, c.part, q, c.at); signed != c.signed || fresh != c.fresh {
			t.Errorf("%s: %v, %v", c.name, signed, fresh)
		}
	}
}
