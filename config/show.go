package config

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/postferry/postferry/internal/secret"
)

// Show writes the effective configuration as YAML: files, variables, flags and
// defaults in one, with a comment at each value that does not stand in the files at that place. It loads
// again, to the same effect, but for the secrets, of which only a mask is
// written; also for what may be one in a URL (withoutSecrets). File names are absolute. It is
// complete once every Section has been decoded by its kind.
func (c *Config) Show(w io.Writer) error {
	root := block()
	for _, f := range fieldsOf(topType) {
		if e := c.root.find(f.name); e != nil && !e.value.isNull() {
			add(root, f.name, shown(e.value))
		} else if e := findEntry(c.root.defaults, f.name); e != nil {
			add(root, f.name, shown(e.value))
		}
	}
	setScalar(root, "store", c.Store.String())
	mailboxes, sinks := block(), block()
	for _, m := range c.Mailboxes {
		add(mailboxes, m.Name, shown(m.Section.node))
	}
	for _, s := range c.Sinks {
		add(sinks, s.Name, shown(s.Section.node))
	}
	add(root, "mailboxes", mailboxes)
	add(root, "sinks", sinks)
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return encoder.Close()
}

func findEntry(entries []*entry, key string) *entry {
	for _, e := range entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

func block() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

func add(block *yaml.Node, key string, value *yaml.Node) {
	block.Content = append(block.Content, text(key), value)
}

func text(s string) *yaml.Node {
	y := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.ToValidUTF8(s, "\uFFFD")}
	if plainValue(s) != any(s) {
		y.Style = yaml.DoubleQuotedStyle
	}
	return y
}

// setScalar replaces the value of a key that is there.
func setScalar(block *yaml.Node, key, value string) {
	for i := 0; i+1 < len(block.Content); i += 2 {
		if block.Content[i].Value == key {
			block.Content[i+1].Value = escape(value)
		}
	}
}

// shown is n as it is written by Show.
func shown(n *node) *yaml.Node {
	var y *yaml.Node
	switch n.kind {
	case mapping:
		y = block()
		for _, e := range n.counting() {
			add(y, e.key, shown(e.value))
		}
		if len(y.Content) == 0 {
			y.Style = yaml.FlowStyle
		}
	case sequence:
		y = &yaml.Node{Kind: yaml.SequenceNode}
		flat := true
		for _, item := range n.items {
			y.Content = append(y.Content, shown(item))
			flat = flat && item.kind == scalar
		}
		if flat {
			y.Style = yaml.FlowStyle
		}
	default:
		y = shownScalar(n)
	}
	if n.source != "" {
		comment(y, n.source)
	}
	return y
}

// comment says at y, or at the first value within it, where the value is from.
func comment(y *yaml.Node, source string) {
	if y.Kind == yaml.MappingNode && y.Style != yaml.FlowStyle {
		for i := 1; i < len(y.Content); i += 2 {
			comment(y.Content[i], source)
		}
		return
	}
	if y.LineComment == "" {
		y.LineComment = strings.ReplaceAll(source, "\n", " ") // in a file's name
	}
}

func shownScalar(n *node) *yaml.Node {
	switch {
	case n.secret || !n.decoded:
		return text(secret.Masked)
	case n.typed, n.free:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: escape(n.value)}
	case n.raw:
		return text(n.value)
	}
	return text(escape(withoutSecrets(n)))
}

// withoutSecrets is a text that may be a URL without what may be a secret in it:
// its password; of http and https also the query, and all that stands behind the
// host where a variable gives it: the address of a chat room is one.
func withoutSecrets(n *node) string {
	s := withoutPassword.ReplaceAllString(n.value, "${1}"+secret.Masked+"${2}")
	host := webHost.FindString(s)
	path, query, found := strings.Cut(s, "?")
	switch {
	case host == "" || len(host) == len(s):
		return s
	case len(n.vars) > 0 || n.override:
		return host + secret.Masked
	case found && query != "":
		return path + "?" + secret.Masked
	}
	return s
}

var webHost = regexp.MustCompile(`^https?://[^/?#]*/?`)

// withoutPassword finds the password in the user part of a URL (RFC 3986,
// section 3.2.1), also where an @ in it was not encoded.
var withoutPassword = regexp.MustCompile(`(?s)^([A-Za-z][A-Za-z0-9+.-]*://[^/?#:@]*:)[^/?#]*(@)`)

// escape keeps what looks like a reference from being one.
func escape(s string) string { return strings.ReplaceAll(s, "${", "$${") }
