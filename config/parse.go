package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of one file. They are far above any sensible configuration and far
// below what hurts: ten thousand mailboxes take 3 MiB and 250,000 nodes.
const (
	maxFileOctets = 4 << 20
	maxNodes      = 500_000
	maxDepth      = 64
)

// readFile reads a configuration file of at most maxFileOctets.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileOctets+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileOctets {
		return nil, fmt.Errorf("larger than %d MiB; split it into several files and give the folder with -c", maxFileOctets>>20)
	}
	return data, nil
}

// parse reads one YAML document into nodes.
func parse(file string, data []byte) (*node, Errors) {
	b := &builder{file: file}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, Errors{{File: file, Err: errors.New("the file is empty; `postferry init` writes one to start from")}}
		}
		return nil, Errors{syntaxError(file, err)}
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, Errors{syntaxError(file, err)}
		}
		return nil, Errors{{File: file, Line: second.Line, Err: errors.New("a second document begins here; a configuration file is one document: remove the `---`")}}
	}
	root := b.build(doc.Content[0], "", 0)
	if root != nil && root.kind != mapping && len(b.errs) == 0 {
		b.fail(&doc, "", "the file is %s; it must be a block of keys such as `version: 1`", root.kind)
	}
	if len(b.errs) > 0 {
		return nil, b.errs
	}
	return root, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// syntaxError puts the parser's complaint into the form of all others.
func syntaxError(file string, err error) *Error {
	text := err.Error()
	match := yamlLine.FindStringSubmatch(text)
	line, _ := strconv.Atoi(match[1])
	text = "not YAML: " + strings.TrimPrefix(text, match[0])
	if strings.Contains(text, "cannot start any token") {
		text += "; is the line indented with a tab? YAML wants spaces"
	}
	return &Error{File: file, Line: line, Err: errors.New(text)}
}

// builder turns YAML nodes into ours: it resolves aliases and merge keys, and
// refuses what would grow without bound or mean two things.
type builder struct {
	file  string
	nodes int
	open  map[*yaml.Node]bool // anchors being expanded, to find one within itself
	errs  Errors
	full  bool
}

func (b *builder) fail(y *yaml.Node, path, format string, args ...any) {
	b.errs = append(b.errs, &Error{File: b.file, Line: y.Line, Path: path, Err: fmt.Errorf(format, args...)})
}

// build gives nil after a failure that leaves nothing to look at.
func (b *builder) build(y *yaml.Node, path string, depth int) *node {
	if b.nodes++; b.nodes > maxNodes || depth > maxDepth {
		if !b.full {
			b.fail(y, path, "too much here: more than %d values or %d levels, counting each use of an anchor", maxNodes, maxDepth)
		}
		b.full = true
		return nil
	}
	switch y.Kind {
	case yaml.AliasNode:
		return b.alias(y, path, depth)
	case yaml.MappingNode:
		return b.mapping(y, path, depth)
	case yaml.SequenceNode:
		return b.sequence(y, path, depth)
	}
	return b.scalar(y, path)
}

func (b *builder) alias(y *yaml.Node, path string, depth int) *node {
	if b.open[y.Alias] {
		b.fail(y, path, "the anchor &%s contains itself", y.Value)
		return nil
	}
	if b.open == nil {
		b.open = map[*yaml.Node]bool{}
	}
	b.open[y.Alias] = true
	defer delete(b.open, y.Alias)
	return b.build(y.Alias, path, depth+1)
}

func (b *builder) scalar(y *yaml.Node, path string) *node {
	n := &node{kind: scalar, pos: position{b.file, y.Line}, text: y.Value, plain: y.Style&^yaml.TaggedStyle == 0}
	if y.Style&yaml.TaggedStyle == 0 {
		return n
	}
	switch y.ShortTag() {
	case "!!str":
		n.plain = false
	case "!!int", "!!bool", "!!float", "!!null":
		n.plain = true
	default:
		b.fail(y, path, "the tag %s means nothing here; write the value without it", y.ShortTag())
	}
	return n
}

// container refuses tags on blocks and lists.
func (b *builder) container(y *yaml.Node, path string) {
	if tag := y.ShortTag(); y.Style&yaml.TaggedStyle != 0 && tag != "!!map" && tag != "!!seq" {
		b.fail(y, path, "the tag %s means nothing here; write the value without it", tag)
	}
}

func (b *builder) sequence(y *yaml.Node, path string, depth int) *node {
	n := &node{kind: sequence, pos: position{b.file, y.Line}}
	b.container(y, path)
	for i, item := range y.Content {
		if b.full {
			return nil
		}
		if built := b.build(item, fmt.Sprintf("%s[%d]", path, i), depth+1); built != nil {
			n.items = append(n.items, built)
		}
	}
	return n
}

func (b *builder) mapping(y *yaml.Node, path string, depth int) *node {
	n := &node{kind: mapping, pos: position{b.file, y.Line}}
	b.container(y, path)
	var merges *yaml.Node
	at := make(map[string]int, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content) && !b.full; i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null" {
			b.fail(key, path, "a key must be a word")
			continue
		}
		if key.ShortTag() == "!!merge" {
			if merges != nil {
				b.fail(key, path, "`<<` is given twice; write one, with a list: <<: [*a, *b]")
			}
			merges = value
			continue
		}
		if first, twice := at[key.Value]; twice {
			b.fail(key, join(path, key.Value), "the key is given twice, first on line %d", first)
			continue
		}
		at[key.Value] = key.Line
		if built := b.build(value, join(path, key.Value), depth+1); built != nil {
			if built.kind == mapping {
				built.pos.line = key.Line
			}
			n.entries = append(n.entries, &entry{key: key.Value, pos: position{b.file, key.Line}, value: built})
		}
	}
	if merges != nil && !b.full {
		b.merge(n, merges, path, depth)
	}
	return n
}

// merge adds the keys of the mapping, alias or list of aliases that stands after
// `<<`; a key that is there already wins (yaml.org/type/merge.html).
func (b *builder) merge(n *node, y *yaml.Node, path string, depth int) {
	from := b.build(y, path, depth+1)
	if from == nil {
		return
	}
	sources := []*node{from}
	if from.kind == sequence {
		sources = from.items
	}
	have := make(map[string]bool, len(n.entries))
	for _, e := range n.entries {
		have[e.key] = true
	}
	for _, source := range sources {
		if source.kind != mapping {
			b.fail(y, path, "`<<` takes a block of keys or a list of them, not %s", source.kind)
			return
		}
		for _, e := range source.entries {
			if !have[e.key] {
				have[e.key] = true
				n.entries = append(n.entries, e)
			}
		}
	}
}
