package powercut

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// inode is a file or a folder: what is surely on the disk, and what may be.
type inode struct {
	dir     bool
	content []byte // synced
	pending []change
	size    int64 // as the program sees it

	names  map[string]*inode // of a folder, synced
	moving []move            // not synced
}

// change is a write or, with data nil, a length.
type change struct {
	data   []byte
	offset int64
}

// move is a change of a folder's names: the first goes, the second comes.
type move struct {
	gone, came string
	what       *inode
}

// disk is a folder as it becomes.
type disk struct {
	live    map[string]*inode // by path, as the program sees it
	root    *inode
	covered map[int]covers // by the index of a syncing
}

type covers struct {
	what           *inode
	writes, moving int
}

func newDisk() *disk {
	root := &inode{dir: true, names: map[string]*inode{}}
	return &disk{live: map[string]*inode{".": root}, root: root, covered: map[int]covers{}}
}

// apply carries out a step as the program saw it.
func (d *disk) apply(i int, s step) error {
	switch s.kind {
	case created, folder:
		n := &inode{dir: s.kind == folder, names: map[string]*inode{}}
		d.live[s.path] = n
		d.rename("", s.path, n)
	case renamed:
		n := d.live[s.path]
		delete(d.live, s.path)
		d.live[s.to] = n
		if filepath.Dir(s.path) != filepath.Dir(s.to) {
			return fmt.Errorf("%s was moved to another folder", s.path)
		}
		d.rename(s.path, s.to, n)
	case removed:
		delete(d.live, s.path)
		d.rename(s.path, "", nil)
	case written, resized, syncing:
		n := d.live[s.path]
		if n == nil {
			return fmt.Errorf("%s was changed and is not there", s.path)
		}
		n.apply(i, s, d)
	case synced:
		d.sync(s.pair)
	}
	return nil
}

func (n *inode) apply(i int, s step, d *disk) {
	switch s.kind {
	case written:
		c := change{s.data, s.offset}
		if c.offset < 0 {
			c.offset = n.size
		}
		n.pending = append(n.pending, c)
		n.size = max(n.size, c.offset+int64(len(c.data)))
	case resized:
		n.pending = append(n.pending, change{nil, s.offset})
		n.size = s.offset
	case syncing:
		d.covered[i] = covers{n, len(n.pending), len(n.moving)}
	}
}

func (d *disk) rename(from, to string, n *inode) {
	dir := d.live[filepath.Dir(from+to)]
	if from != "" {
		dir = d.live[filepath.Dir(from)]
		from = filepath.Base(from)
	}
	if to != "" {
		to = filepath.Base(to)
	}
	dir.moving = append(dir.moving, move{from, to, n})
}

// sync makes durable what the fsync that began at step i covers. Another fsync
// may have made a part of it durable meanwhile; then less is left to do.
func (d *disk) sync(i int) {
	c, ok := d.covered[i]
	if !ok {
		return
	}
	delete(d.covered, i)
	for _, w := range c.what.pending[:c.writes] {
		c.what.content = w.put(c.what.content, func() bool { return true })
	}
	for _, m := range c.what.moving[:c.moving] {
		m.put(c.what.names)
	}
	c.what.pending, c.what.moving = c.what.pending[c.writes:], c.what.moving[c.moving:]
	for j, other := range d.covered {
		if other.what == c.what {
			d.covered[j] = covers{c.what, max(other.writes-c.writes, 0), max(other.moving-c.moving, 0)}
		}
	}
}

// put carries out the sectors of a change that are kept.
func (c change) put(content []byte, keep func() bool) []byte {
	if c.data == nil {
		if !keep() {
			return content
		}
		return grow(content, c.offset)[:c.offset]
	}
	for at := 0; at < len(c.data); {
		n := min(sector-int((c.offset+int64(at))%sector), len(c.data)-at)
		if keep() {
			from := c.offset + int64(at)
			content = grow(content, from+int64(n))
			copy(content[from:], c.data[at:at+n])
		}
		at += n
	}
	return content
}

func grow(b []byte, size int64) []byte {
	if more := size - int64(len(b)); more > 0 {
		b = append(b, make([]byte, more)...)
	}
	return b
}

func (m move) put(names map[string]*inode) {
	if m.gone != "" {
		delete(names, m.gone)
	}
	if m.came != "" {
		names[m.came] = m.what
	}
}

// Cut makes, in the empty folder into, the image of a disk whose power was cut at
// the moment at. The same seed loses the same.
func (l *Log) Cut(at int, seed uint64, into string) error {
	d, err := l.disk(at)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, uint64(at)))
	// Some disks lose nearly all that is not synced, some nearly nothing.
	likely := []float64{0, 0.05, 0.5, 0.95, 1}[rng.IntN(5)]
	return d.root.write(into, func() bool { return rng.Float64() < likely })
}

// Durable makes, in the empty folder into, the image of a disk that has at the
// moment at what was synced before, and nothing else.
func (l *Log) Durable(at int, into string) error {
	d, err := l.disk(at)
	if err != nil {
		return err
	}
	return d.root.write(into, func() bool { return false })
}

func (l *Log) disk(at int) (*disk, error) {
	d := newDisk()
	for i, s := range l.steps[:at] {
		if err := d.apply(i, s); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (n *inode) write(path string, keep func() bool) error {
	if !n.dir {
		content := append([]byte(nil), n.content...)
		for _, c := range n.pending {
			content = c.put(content, keep)
		}
		return os.WriteFile(path, content, 0o600)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	names := map[string]*inode{}
	for name, what := range n.names {
		names[name] = what
	}
	for _, m := range n.moving {
		if keep() {
			m.put(names)
		}
	}
	for name, what := range names {
		if err := what.write(filepath.Join(path, name), keep); err != nil {
			return err
		}
	}
	return nil
}
