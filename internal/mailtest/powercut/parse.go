package powercut

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

type kind int

const (
	created kind = iota
	folder
	written
	resized
	renamed
	removed
	syncing // an fsync began: it covers what was written so far
	synced  // and has returned
	told    // a line on standard output or standard error began to be written
	sent    // octets began to be written to a socket
)

// step is one entry of the record.
type step struct {
	kind   kind
	path   string // below the root, "." for itself
	to     string // of a rename
	data   []byte
	offset int64 // of a write, -1 for one at the end; the length of a resized file
	pair   int   // of synced: the index of its syncing
}

// Log is what a program did, in order.
type Log struct{ steps []step }

// Len is the number of moments at which it may be cut: 0 to Len.
func (l *Log) Len() int { return len(l.steps) }

// Told is what the program had said on standard output and standard error before
// a moment.
func (l *Log) Told(at int) string {
	var b strings.Builder
	for _, s := range l.steps[:at] {
		if s.kind == told {
			b.Write(s.data)
		}
	}
	return b.String()
}

// Send is a write to a socket: what it holds may be with the peer from the moment
// At on.
type Send struct {
	At   int
	Data []byte
}

// Sends are the writes to sockets, in order.
func (l *Log) Sends() []Send {
	var all []Send
	for i, s := range l.steps {
		if s.kind == sent {
			all = append(all, Send{At: i, Data: s.data})
		}
	}
	return all
}

// SyncedBy reports whether a sync returned with success in the last step before
// the moment at.
func (l *Log) SyncedBy(at int) bool { return at > 0 && l.steps[at-1].kind == synced }

var (
	line       = regexp.MustCompile(`^(\d+) +(.*)$`)
	unfinished = regexp.MustCompile(`^(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^<\.\.\. (\w+) resumed>(.*)$`)
	whole      = regexp.MustCompile(`^(\w+)\((.*)\) += (-?\d+)`)
)

type parser struct {
	root  string
	log   *Log
	begun map[string]begun // by thread
	known map[string]bool  // paths that exist
}

type begun struct {
	name, args string
	at         int // of its syncing
}

func parse(root string, r io.Reader) (*Log, error) {
	p := &parser{root: root, log: &Log{}, begun: map[string]begun{}, known: map[string]bool{".": true}}
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		text, err := in.ReadString('\n')
		if text == "" && err == io.EOF {
			return p.log, nil
		}
		if err != nil {
			return nil, err
		}
		if err := p.line(strings.TrimSuffix(text, "\n")); err != nil {
			return nil, err
		}
	}
}

func (p *parser) line(text string) error {
	m := line.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("strace wrote %.100q", text)
	}
	thread, text := m[1], m[2]
	if m := unfinished.FindStringSubmatch(text); m != nil {
		p.begun[thread] = begun{m[1], m[2], p.begin(m[1], m[2])}
		return nil
	}
	at := -1
	if m := resumed.FindStringSubmatch(text); m != nil {
		b := p.begun[thread]
		delete(p.begun, thread)
		text, at = b.name+"("+b.args+m[2], b.at
	}
	m = whole.FindStringSubmatch(text)
	if m == nil {
		return nil // the end of a process
	}
	if at < 0 {
		at = p.begin(m[1], m[2])
	}
	if strings.HasPrefix(m[3], "-") {
		return nil
	}
	return p.end(m[1], split(m[2]), at)
}

// begin notes what counts from the moment a call begins.
func (p *parser) begin(name, args string) int {
	a := split(args)
	switch name {
	case "fsync", "fdatasync":
		if path, ok := p.descriptor(a[0]); ok {
			p.add(step{kind: syncing, path: path})
		}
	case "write":
		switch {
		case len(a) < 2:
		case strings.HasPrefix(a[0], "1<"), strings.HasPrefix(a[0], "2<"):
			p.add(step{kind: told, data: octets(a[1])})
		case strings.HasPrefix(string(octets(a[0])), "socket:"):
			p.add(step{kind: sent, data: octets(a[1])})
		}
	}
	return len(p.log.steps) - 1
}

func (p *parser) add(s step) { p.log.steps = append(p.log.steps, s) }

// end notes a call that has returned.
func (p *parser) end(name string, a []string, at int) error {
	switch name {
	case "fsync", "fdatasync":
		if path, ok := p.descriptor(a[0]); ok {
			p.add(step{kind: synced, path: path, pair: at})
		}
	case "openat":
		return p.open(a[0], a[1], a[2])
	case "open":
		return p.open("", a[0], a[1])
	case "mkdirat", "mkdir":
		if path, ok := p.named(a, name == "mkdirat", 0); ok {
			p.known[path] = true
			p.add(step{kind: folder, path: path})
		}
	case "write", "pwrite64":
		path, ok := p.descriptor(a[0])
		if !ok {
			return nil
		}
		s := step{kind: written, path: path, data: octets(a[1]), offset: -1}
		if name == "pwrite64" {
			s.offset = number(a[3])
		}
		p.add(s)
	case "ftruncate":
		if path, ok := p.descriptor(a[0]); ok {
			p.add(step{kind: resized, path: path, offset: number(a[1])})
		}
	case "renameat", "renameat2", "rename":
		from, ok := p.named(a, name != "rename", 0)
		to, also := p.named(a, name != "rename", 1)
		if ok != also {
			return fmt.Errorf("a file was moved in or out of the folder")
		}
		if ok {
			delete(p.known, from)
			p.known[to] = true
			p.add(step{kind: renamed, path: from, to: to})
		}
	case "unlinkat", "unlink":
		if path, ok := p.named(a, name == "unlinkat", 0); ok {
			delete(p.known, path)
			p.add(step{kind: removed, path: path})
		}
	default:
		for i := range a {
			if _, ok := p.descriptor(a[i]); ok {
				return fmt.Errorf("%s is not understood", name)
			}
			if path, ok := p.below(string(octets(a[i]))); ok {
				return fmt.Errorf("%s of %s is not understood", name, path)
			}
		}
	}
	return nil
}

func (p *parser) open(at, name, flags string) error {
	path, ok := p.named([]string{at, name}, true, 0)
	if !ok {
		return nil
	}
	if strings.Contains(flags, "O_TRUNC") && p.known[path] {
		p.add(step{kind: resized, path: path})
	}
	if strings.Contains(flags, "O_CREAT") && !p.known[path] {
		p.known[path] = true
		p.add(step{kind: created, path: path})
	}
	return nil
}

// named is the n-th path of a call, each after the descriptor of a folder where
// the call has those.
func (p *parser) named(a []string, at bool, n int) (string, bool) {
	i := n
	if at {
		i = 2*n + 1
	}
	if i >= len(a) {
		return "", false
	}
	name := string(octets(a[i]))
	if at && !filepath.IsAbs(name) {
		dir := a[i-1]
		if open := strings.IndexByte(dir, '<'); open >= 0 {
			name = filepath.Join(string(octets(dir[open:])), name)
		}
	}
	return p.below(name)
}

// descriptor is the path of "5<\x2f…>".
func (p *parser) descriptor(arg string) (string, bool) {
	open := strings.IndexByte(arg, '<')
	if open < 0 || strings.Contains(arg, "(deleted)") {
		return "", false
	}
	return p.below(string(octets(arg[open:])))
}

func (p *parser) below(path string) (string, bool) {
	rel, err := filepath.Rel(p.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") || !filepath.IsAbs(path) {
		return "", false
	}
	return rel, !strings.HasSuffix(rel, "-shm") // shared memory, made anew after a cut
}

// split parts the arguments of a call; strings are hexadecimal and hold no comma.
func split(args string) []string { return strings.Split(args, ", ") }

// octets reads the \x… of an argument.
func octets(arg string) []byte {
	b := make([]byte, 0, len(arg)/4)
	for i := 0; i+3 < len(arg); {
		if arg[i] != '\\' || arg[i+1] != 'x' {
			i++
			continue
		}
		n, err := strconv.ParseUint(arg[i+2:i+4], 16, 8)
		if err != nil {
			return b
		}
		b = append(b, byte(n))
		i += 4
	}
	return b
}

func number(arg string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(arg), 10, 64) // strace writes decimal numbers
	return n
}
