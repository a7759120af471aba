package main_test

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postferry/postferry/internal/mailtest"
)

// canaries are passwords that take every way of being sent: quoted, escaped, as
// a literal, in eight bits.
var canaries = []string{
	`plain-canary-7Q`,
	`qu"ote\d-canary '7Q'`,
	`kanäri-vögel-ß7Q`,
	`three words  canary`,
	`100%+/=&?canary#7Q`,
	`{7}canary~[7Q]`,
}

// forms are the ways in which a password would be seen in an output.
func forms(user, password string) []string {
	plain := "\x00" + user + "\x00" + password
	inJSON, _ := json.Marshal(password)
	all := []string{
		password, strings.Trim(strconv.Quote(password), `"`), strings.Trim(strconv.QuoteToASCII(password), `"`), strings.Trim(string(inJSON), `"`),
		url.QueryEscape(password), url.PathEscape(password), hex.EncodeToString([]byte(password)), strings.ToUpper(hex.EncodeToString([]byte(password))),
	}
	for _, text := range []string{password, plain, user + "\x00" + user + "\x00" + password, user + ":" + password} {
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			all = append(all, e.EncodeToString([]byte(text)))
		}
	}
	return all
}

// clean fails if a form of the password is in the output.
func clean(t *testing.T, output, user, password string) {
	t.Helper()
	for _, form := range forms(user, password) {
		if strings.Contains(output, form) {
			t.Errorf("%q is in the output:\n%s", form, output)
		}
	}
}

// transcribed runs check --transcript as text and as JSON.
func (w *world) transcribed(want int) (all string) {
	w.t.Helper()
	code, stdout, stderr := w.run("check", "--transcript", "box")
	if code != want {
		w.t.Errorf("exit code %d, want %d:\n%s%s", code, want, stdout, stderr)
	}
	for _, word := range []string{"s C: <hidden>\n", "s S: "} {
		if !strings.Contains(stderr, word) {
			w.t.Errorf("the transcript lacks %q:\n%s", word, stderr)
		}
	}
	if strings.Contains(stdout, "C: ") {
		w.t.Errorf("the transcript is on standard output:\n%s", stdout)
	}
	_, c, out := w.check("--transcript", "box")
	lines := 0
	for _, t := range c.Targets {
		for _, s := range t.Steps {
			lines += len(s.Transcript)
		}
	}
	if lines < 4 {
		w.t.Errorf("%d lines of transcript in the JSON:\n%s", lines, out)
	}
	return stdout + stderr + out
}

// one writes a configuration of one mailbox.
func (w *world) one(server, user, password, more string) {
	w.t.Helper()
	quoted, err := json.Marshal(password)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(fmt.Sprintf("mailboxes:\n  box: {server: \"%s\", username: %s, password: %s, deliver: [out], %s}\nsinks:\n  out: {type: file, path: \"-\"}\n",
		server, user, quoted, more))
}

func TestCheckTranscriptOfARealServerHoldsNoSecret(t *testing.T) {
	dovecot := mailtest.StartDovecot(t)
	users := make([]string, len(canaries))
	for i, password := range canaries {
		users[i] = fmt.Sprintf("user%d@example.com", i)
		dovecot.AddUser(t, users[i], password)
	}
	binary := mailtest.BuildBinary(t)
	for i, password := range canaries {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			w := &world{t: t, binary: binary, dir: t.TempDir()}
			w.config = filepath.Join(w.dir, "postferry.yaml")
			for _, scheme := range [][]string{{"imaps", "pop3"}, {"imap", "pop3s"}}[i%2] {
				more := "tls: {ca_file: " + dovecot.CAFile + "}"
				w.one(dovecot.URL(scheme), users[i], password, more)
				out := w.transcribed(0)
				clean(t, out, users[i], password)
				if !strings.Contains(out, "STLS") && !strings.Contains(out, "STARTTLS") && !strings.HasSuffix(scheme, "s") {
					t.Errorf("%s: the upgrade is not in the transcript", scheme)
				}
				wrong := password + "-wrong"
				w.one(dovecot.URL(scheme), users[i], wrong, more)
				clean(t, w.transcribed(77), users[i], wrong)
			}
		})
	}
}

// parrot is a server that repeats all it is sent, in every form it can think of,
// and ends the sign-in as it is told.
type parrot struct {
	t        *testing.T
	pop3     bool
	caps     string // of IMAP
	accepted bool   // the sign-in
}

// listen serves until the test ends.
func (p *parrot) listen() (address string) {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			if p.pop3 {
				p.speakPOP3(c)
			} else {
				p.speakIMAP(c)
			}
			c.Close()
		}
	}()
	p.t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// echoes are what the server makes of a line.
func echoes(line string) []string {
	all := []string{
		line, url.QueryEscape(line), url.PathEscape(line), hex.EncodeToString([]byte(line)), strconv.QuoteToASCII(line), strings.ToUpper(line),
		base64.StdEncoding.EncodeToString([]byte(line)), base64.StdEncoding.EncodeToString([]byte("x" + line)), base64.URLEncoding.EncodeToString([]byte("xx" + line)),
	}
	for _, word := range strings.Fields(line) {
		if plain, err := base64.StdEncoding.DecodeString(word); err == nil && len(word) > 8 {
			text := strings.ReplaceAll(string(plain), "\x00", " ")
			all = append(all, word, text, base64.StdEncoding.EncodeToString([]byte("y"+string(plain))))
		}
	}
	return all
}

// speakIMAP answers with untagged OKs that hold the line, and repeats it in the
// reply and in everything said later.
func (p *parrot) speakIMAP(c net.Conn) {
	r := bufio.NewReader(c)
	heard := []string{}
	say := func(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) }
	repeat := func() {
		for _, line := range heard {
			for _, e := range echoes(line) {
				say("* OK heard %s", e)
				say("* OK [ALERT] heard %s", e)
			}
		}
	}
	read := func() (string, bool) {
		line, err := r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		return line, err == nil
	}
	say("* OK ready")
	for {
		line, ok := read()
		if !ok {
			return
		}
		tag, command, _ := strings.Cut(line, " ")
		word, _, _ := strings.Cut(command, " ")
		whole := command
		for strings.HasSuffix(line, "}") { // a literal
			n, err := strconv.Atoi(strings.TrimSuffix(line[strings.LastIndexByte(line, '{')+1:], "}"))
			if err != nil {
				return
			}
			say("+ go on")
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			heard = append(heard, string(b))
			line, _ = read()
			whole += string(b) + line
		}
		switch word {
		case "LOGIN", "AUTHENTICATE":
			heard = append(heard, whole)
			for n := 0; word == "AUTHENTICATE" && n < 2 && !strings.Contains(strings.TrimPrefix(command, "AUTHENTICATE "), " "); n++ {
				say("+ %s", base64.StdEncoding.EncodeToString([]byte([]string{"", "Password:"}[n])))
				answer, ok := read()
				if !ok {
					return
				}
				heard = append(heard, answer)
				if strings.HasSuffix(command, "PLAIN") {
					break
				}
			}
			repeat()
			if p.accepted {
				say("%s OK welcome, %s", tag, heard[len(heard)-1])
			} else {
				say("%s NO [AUTHENTICATIONFAILED] not %s nor %s", tag, heard[len(heard)-1], base64.StdEncoding.EncodeToString([]byte(heard[len(heard)-1])))
			}
		case "CAPABILITY":
			repeat()
			say("* CAPABILITY %s", p.caps)
			say("%s OK done", tag)
		case "LOGOUT":
			repeat()
			say("* BYE %s", strings.Join(heard, " "))
			say("%s OK done", tag)
			return
		case "LIST":
			for _, line := range heard {
				say("* LIST () \"/\" {%d}\r\n%s", len(line), line)
			}
			say("%s OK done", tag)
		case "EXAMINE":
			repeat()
			say("%s NO [NONEXISTENT] no box %s", tag, strings.Join(heard, " "))
		default:
			say("%s BAD %s", tag, strings.Join(heard, " "))
		}
	}
}

// speakPOP3 repeats the line in the reply.
func (p *parrot) speakPOP3(c net.Conn) {
	r := bufio.NewReader(c)
	heard := ""
	fmt.Fprintf(c, "+OK ready\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		word, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		said := strings.Join(echoes(heard), " ")
		switch {
		case word == "PASS":
			heard = rest
			if said = strings.Join(echoes(heard), " "); p.accepted {
				fmt.Fprintf(c, "+OK %s\r\n", said)
			} else {
				fmt.Fprintf(c, "-ERR [AUTH] %s\r\n", said)
			}
		case word == "USER":
			fmt.Fprintf(c, "+OK\r\n")
		case word == "CAPA":
			fmt.Fprintf(c, "+OK %s\r\nUIDL\r\nIMPLEMENTATION %s\r\n.\r\n", said, said)
		case word == "QUIT":
			fmt.Fprintf(c, "+OK %s\r\n", said)
			return
		default:
			fmt.Fprintf(c, "-ERR [SYS/TEMP] %s\r\n", said)
		}
	}
}

func TestCheckHidesThePasswordThatAServerRepeats(t *testing.T) {
	binary := mailtest.BuildBinary(t)
	for _, c := range []struct {
		fact string
		parrot
	}{
		{"POP3", parrot{pop3: true}},
		{"AUTHENTICATE PLAIN with an initial response", parrot{caps: "IMAP4rev1 SASL-IR AUTH=PLAIN"}},
		{"AUTHENTICATE PLAIN after a continuation", parrot{caps: "IMAP4rev1 AUTH=PLAIN"}},
		{"AUTHENTICATE LOGIN", parrot{caps: "IMAP4rev1 AUTH=LOGIN"}},
		{"LOGIN", parrot{caps: "IMAP4rev1"}},
	} {
		for i, password := range canaries {
			for _, accepted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", c.fact, i, accepted), func(t *testing.T) {
					p := c.parrot
					p.t, p.accepted = t, accepted
					w := &world{t: t, binary: binary, dir: t.TempDir()}
					w.config = filepath.Join(w.dir, "postferry.yaml")
					scheme, code := "imap", 77
					if p.pop3 {
						scheme = "pop3"
					}
					if accepted {
						code = 75
					}
					w.one(scheme+"://"+p.listen(), "ada", password, "insecure: true")
					out := w.transcribed(code)
					clean(t, out, "ada", password)
					if !strings.Contains(out, "S: <hidden>") {
						t.Errorf("the server repeated nothing:\n%s", out)
					}
				})
			}
		}
	}
}

func TestCheckWithAPasswordOfOneLetterStillShowsWhatTheServerSays(t *testing.T) {
	dovecot := mailtest.StartDovecot(t)
	dovecot.AddUser(t, "ada@example.com", "a")
	w := &world{t: t, binary: mailtest.BuildBinary(t), dir: t.TempDir()}
	w.config = filepath.Join(w.dir, "postferry.yaml")
	for _, scheme := range []string{"imap", "pop3s"} {
		w.one(dovecot.URL(scheme), "ada@example.com", "a", "tls: {ca_file: "+dovecot.CAFile+"}")
		out := w.transcribed(0)
		for _, words := range []string{"Dovecot (Debian) ready.", "certificate for localhost", "PLAIN"} {
			if !strings.Contains(out, words) {
				t.Errorf("%s: %q is hidden:\n%s", scheme, words, out)
			}
		}
		clean(t, out, "ada@example.com", "\x00a") // the password by itself is in every word
	}
}

func TestCheckDoesNotMaskItsOwnWords(t *testing.T) {
	dovecot := mailtest.StartDovecot(t)
	w := &world{t: t, binary: mailtest.BuildBinary(t), dir: t.TempDir()}
	w.config = filepath.Join(w.dir, "postferry.yaml")
	w.one(dovecot.URL("imaps"), "ada@example.com", "password", "tls: {ca_file: "+dovecot.CAFile+"}")
	if _, out, _ := w.run("check", "box"); !strings.Contains(out, "check username and password") || strings.Contains(out, "********") {
		t.Errorf("a mask tells what the password is:\n%s", out)
	}
}
