package payload

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/postferry/postferry/parser"
)

// publishedSchema compiles a part of docs/payload.schema.json: "#" is the event,
// "#/$defs/message" what `postferry parse` prints.
func publishedSchema(t *testing.T, part string) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("../../docs/payload.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("payload.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("payload.json" + part)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(schema *jsonschema.Schema, octets []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(octets))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

// TestEveryMailOfTheCorpusIsValidAgainstThePublishedSchema renders them with their
// attachments inside.
func TestEveryMailOfTheCorpusIsValidAgainstThePublishedSchema(t *testing.T) {
	schema := publishedSchema(t, "#/$defs/message")
	n := 0
	err := filepath.WalkDir("../../parser/testdata/corpus", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "NOTICE.md" || strings.Contains(path, "LICENSES") {
			return err
		}
		octets, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		m, err := parser.Parse(bytes.NewReader(octets), int64(len(octets)), parser.Limits{})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		b, err := Message(m, Options{Attachments: Inline})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		defer b.Release()
		all, err := b.ReadAll()
		if err == nil {
			err = validate(schema, all)
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil || n < 700 {
		t.Errorf("%d mails, %v", n, err)
	}
}

func TestTheEventIsValidAgainstThePublishedSchema(t *testing.T) {
	schema := publishedSchema(t, "#")
	octets, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(schema, octets); err != nil {
		t.Error(err)
	}
	compact := bytes.ReplaceAll(octets, []byte(`": `), []byte(`":`))
	for what, wrong := range map[string][2]string{
		"a list that is null":        {`"headers":[`, `"headers":null,"x":[`},
		"a field of another name":    {`"subject":`, `"Subject":`},
		"a time that is none":        {`"timestamp":"2026-`, `"timestamp":"2026/`},
		"a kind that does not exist": {`"kind":`, `"kind":"x","was":`},
	} {
		broken := bytes.Replace(compact, []byte(wrong[0]), []byte(wrong[1]), 1)
		if bytes.Equal(broken, compact) {
			t.Fatalf("%s: nothing was broken", what)
		}
		if validate(schema, broken) == nil {
			t.Errorf("%s passes", what)
		}
	}
}

// TestTheDocumentationExplainsEveryFieldOfTheSchema looks for each name in code.
func TestTheDocumentationExplainsEveryFieldOfTheSchema(t *testing.T) {
	octets, err := os.ReadFile("../../docs/payload.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(octets, &schema); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/payload.md")
	if err != nil {
		t.Fatal(err)
	}
	inCode := map[string]bool{}
	for _, code := range regexp.MustCompile("`[^`\n]+`").FindAllString(string(text), -1) {
		for _, word := range regexp.MustCompile(`\w+`).FindAllString(code, -1) {
			inCode[word] = true
		}
	}
	names := map[string]bool{}
	propertiesOf(schema, names)
	if len(names) < 70 {
		t.Fatalf("the schema has only %d names", len(names))
	}
	for name := range names {
		if !inCode[name] {
			t.Errorf("docs/payload.md does not explain %s", name)
		}
	}
}

// propertiesOf collects the names of all properties in a schema.
func propertiesOf(schema any, names map[string]bool) {
	switch s := schema.(type) {
	case map[string]any:
		if properties, ok := s["properties"].(map[string]any); ok {
			for name := range properties {
				names[name] = true
			}
		}
		for _, below := range s {
			propertiesOf(below, names)
		}
	case []any:
		for _, below := range s {
			propertiesOf(below, names)
		}
	}
}
