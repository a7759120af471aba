package compose

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

func TestDovecotPutsAnswersInTheThreadOfTheMail(t *testing.T) {
	server := mailtest.StartDovecot(t)
	server.AddUser(t, "ada", "secret")
	earlier := wire("Message-ID: <t1042@example.com>\nFrom: support@example.com\nTo: ada@customer.example\nSubject: Order 1042\nDate: Fri, 20 Nov 2026 09:00:00 +0100\n\nIt was sent on Friday.\n")
	other := wire("Message-ID: <other@example.com>\nFrom: support@example.com\nTo: ada@customer.example\nSubject: Order 1042 is late\nDate: Mon, 23 Nov 2026 12:59:40 +0100\n\nAnother thread.\n")
	mails := []string{earlier, wire(question), other}
	for _, change := range []func(*Options){
		func(o *Options) { o.Action, o.Text = Reply, "It is on its way." },
		func(o *Options) { o.Action, o.HTML = ReplyAll, "<p>It is on its way.</p>" },
		func(o *Options) { o.Action = Acknowledge },
	} {
		mails = append(mails, written(t, composed(t, composer(t, change), delivery(t, wire(question))), Offers{}))
	}
	// A forwarded mail and a note of a new one begin threads of their own.
	for _, action := range []string{Forward, Notify} {
		c := composer(t, func(o *Options) {
			o.Action, o.To, o.Subject = action, []string{"team@example.com"}, "Something else: "+action
		})
		mails = append(mails, strings.Replace(written(t, composed(t, c, delivery(t, wire(question))), Offers{}), "msg_2h9kQ4x1", "msg_"+action, 1))
	}
	for _, m := range mails {
		server.Append(t, "ada", "INBOX", []byte(m))
	}
	// The reply and the reply to all have one Message-ID here, being of one delivery;
	// what makes them members of the thread is what they refer to.
	got := threads(t, server.IMAPAddr())
	if want := "(1 2 (4)(5)(6))(3)(7)(8)"; got != want {
		t.Errorf("the threads are %s, not %s", got, want)
	}
}

// threads asks for THREAD=REFERENCES of ada's INBOX (RFC 5256).
func threads(t *testing.T, address string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	found := ""
	for i, command := range []string{"LOGIN ada secret", "SELECT INBOX", "THREAD REFERENCES UTF-8 ALL"} {
		fmt.Fprintf(conn, "a%d %s\r\n", i, command)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if rest, ok := strings.CutPrefix(line, "* THREAD "); ok {
				found = strings.TrimSpace(rest)
			}
			if rest, ok := strings.CutPrefix(line, fmt.Sprintf("a%d ", i)); ok {
				if !strings.HasPrefix(rest, "OK") {
					t.Fatalf("%s: %s", command, rest)
				}
				break
			}
		}
	}
	return found
}
