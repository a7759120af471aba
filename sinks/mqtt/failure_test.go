package mqtt

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

// scripted is a broker that greets and answers as it is told.
type scripted struct {
	connack func(*packets.Connack)
	puback  byte
	ends    byte // DISCONNECT with this reason in place of a PUBACK, unless 0
}

func (s scripted) start(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() { ln.Close(); work.Wait() })
	work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() { defer c.Close(); s.serve(c) })
		}
	})
	return ln.Addr().String()
}

func (s scripted) serve(c net.Conn) {
	for {
		p, err := packets.ReadPacket(c)
		if err != nil {
			return
		}
		answer := (*packets.ControlPacket)(nil)
		switch m := p.Content.(type) {
		case *packets.Connect:
			answer = packets.NewControlPacket(packets.CONNACK)
			if s.connack != nil {
				s.connack(answer.Content.(*packets.Connack))
			}
		case *packets.Publish:
			if s.ends != 0 {
				answer = packets.NewControlPacket(packets.DISCONNECT)
				answer.Content.(*packets.Disconnect).ReasonCode = s.ends
				break
			}
			answer = packets.NewControlPacket(packets.PUBACK)
			answer.Content.(*packets.Puback).PacketID = m.PacketID
			answer.Content.(*packets.Puback).ReasonCode = s.puback
		default:
			continue
		}
		if _, err := answer.WriteTo(c); err != nil {
			return
		}
	}
}

func faultOf(err error) string {
	switch {
	case err == nil:
		return "none"
	case sinks.IsPermanent(err):
		return "dead"
	case sinks.IsSinkFault(err):
		return "sink"
	case sinks.IsMailFault(err):
		return "mail"
	}
	return "nobody"
}

func TestWhoseFaultAPubackIs(t *testing.T) {
	for _, c := range []struct {
		code        byte
		fixed, made string // fault under a topic of the sink's, and under one of the mail's
		says        string
	}{
		// MQTT 5, section 3.4.2.1.
		{0x00, "none", "none", ""},
		{0x10, "sink", "nobody", "0x10 no matching subscribers"},
		{0x80, "nobody", "nobody", "0x80 unspecified error"},
		{0x83, "nobody", "nobody", "0x83 implementation specific"},
		{0x87, "sink", "nobody", "0x87 not authorized"},
		{0x90, "sink", "mail", "0x90 topic name invalid"},
		{0x91, "nobody", "nobody", "0x91 packet identifier in use"},
		{0x95, "mail", "mail", "0x95 packet too large"},
		{0x97, "sink", "sink", "0x97 quota exceeded"},
		{0x99, "mail", "mail", "0x99 payload format invalid"},
		{0xFF, "nobody", "nobody", "0xFF"},
	} {
		addr := scripted{puback: c.code}.start(t)
		for topic, want := range map[string]string{"mail": c.fixed, "mail/{{ mailbox.name }}": c.made} {
			err := deliver(t, makeSink(t, options(addr, topic)), 1)
			if got := faultOf(err); got != want || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("0x%02X under %s: fault of %s, %v", c.code, topic, got, err)
			}
		}
	}
}

func TestWhatABrokerDoesNotAllowIsTheSinksFault(t *testing.T) {
	for what, c := range map[string]struct {
		connack func(*packets.Connack)
		says    string
	}{
		"bad password":          {func(c *packets.Connack) { c.ReasonCode = 0x86 }, "check username and password"},
		"another server":        {func(c *packets.Connack) { c.ReasonCode = 0x9D }, "name in url"},
		"a client id it bans":   {func(c *packets.Connack) { c.ReasonCode = 0x85 }, "change client_id"},
		"an older protocol":     {func(c *packets.Connack) { c.ReasonCode = 0x84 }, "does not speak MQTT 5"},
		"QoS 0 alone":           {func(c *packets.Connack) { c.Properties.MaximumQOS = new(byte) }, "acknowledges nothing"},
		"no retained messages":  {func(c *packets.Connack) { c.Properties.RetainAvailable = new(byte) }, "take retain out"},
		"a reason of its own":   {func(c *packets.Connack) { c.ReasonCode, c.Properties.ReasonString = 0x88, "at night" }, "server unavailable, at night"},
		"a reason in no table":  {func(c *packets.Connack) { c.ReasonCode = 0xF0 }, "0xF0"},
		"a connection too many": {func(c *packets.Connack) { c.ReasonCode = 0x9F }, "connection rate exceeded"},
	} {
		o := options(scripted{connack: c.connack}.start(t), "mail")
		o.Retain = true
		s := makeSink(t, o)
		if err := deliver(t, s, 1); faultOf(err) != "sink" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
		f := s.Check(t.Context())
		if last := f[len(f)-1]; last.OK || last.Fix == "" {
			t.Errorf("%s: a check finds %+v", what, f)
		}
	}
}

func TestAFarewellInPlaceOfAPubackIsNoAcknowledgement(t *testing.T) {
	err := deliver(t, makeSink(t, options(scripted{ends: 0x8E}.start(t), "mail")), 1)
	if faultOf(err) != "nobody" {
		t.Errorf("the error is %v", err)
	}
}

func TestPacketsAreAsLargeAsTheBrokerTakesThem(t *testing.T) {
	const most = 20_000
	addr := scripted{connack: func(c *packets.Connack) { n := uint32(most); c.Properties.MaximumPacketSize = &n }}.start(t)
	s := makeSink(t, options(addr, "mail"))
	fits, dead := 0, 0
	for size := 1000; size < 25_000; size += 1000 {
		mail := "Subject: s\r\n\r\n" + strings.Repeat("x", size)
		d := sinktest.Delivery(t, 1, mail)
		_, err := s.Deliver(t.Context(), d)
		c, useErr := s.link.Use(t.Context())
		if useErr != nil {
			t.Fatal(useErr)
		}
		m, makeErr := s.maker.Make(d, 0)
		if makeErr != nil {
			t.Fatal(makeErr)
		}
		var whole strings.Builder
		packet := s.message("mail", m).Packet()
		packet.PacketID = 1
		if _, err := packet.WriteTo(&whole); err != nil {
			t.Fatal(err)
		}
		m.Release()
		switch {
		case err == nil && whole.Len() > most:
			t.Errorf("a packet of %d octets was sent, and the limit is %d", whole.Len(), c.limit("mail"))
		case err == nil:
			fits++
		case sinks.IsPermanent(err) && whole.Len() > most-1000:
			dead++
		default:
			t.Errorf("%d octets: %v", whole.Len(), err)
		}
	}
	if fits == 0 || dead == 0 {
		t.Errorf("%d fit and %d do not", fits, dead)
	}
}

func TestABrokerThatNeverAnswersIsGivenUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := packets.ReadPacket(c); err != nil {
			return
		}
		packets.NewControlPacket(packets.CONNACK).WriteTo(c)
		for {
			if _, err := packets.ReadPacket(c); err != nil {
				return
			}
		}
	}()
	o := options(ln.Addr().String(), "mail")
	o.Timeout = 50 * time.Millisecond
	if err := deliver(t, makeSink(t, o), 1); faultOf(err) != "nobody" || !strings.Contains(err.Error(), "no PUBACK within the timeout") {
		t.Errorf("the error is %v", err)
	}
}
