package parser

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// TestTheDocumentationNamesEveryProblem reads the codes from the source, so that a
// new one cannot be forgotten, and the other way round.
func TestTheDocumentationNamesEveryProblem(t *testing.T) {
	page, err := os.ReadFile("../docs/payload.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Problem") {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		known[code] = true
		if !strings.Contains(string(page), "\n| `"+code+"` |") {
			t.Errorf("docs/payload.md does not explain %s", code)
		}
		return true
	})
	if len(known) < 30 {
		t.Fatalf("%d codes", len(known))
	}
	_, table, _ := strings.Cut(string(page), "\n## Problems\n")
	for line := range strings.Lines(table) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			if code, _, _ := strings.Cut(rest, "`"); !known[code] {
				t.Errorf("docs/payload.md explains %s, which is no code", code)
			}
		}
	}
}

// TestTheDocumentationNamesEveryField walks over the types of the message.
func TestTheDocumentationNamesEveryField(t *testing.T) {
	page, err := os.ReadFile("../docs/payload.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Message](), reflect.TypeFor[Attachment](), reflect.TypeFor[Automated](), reflect.TypeFor[Bounce](), reflect.TypeFor[BounceRecipient](), reflect.TypeFor[List](),
		reflect.TypeFor[Event](), reflect.TypeFor[Authentication](), reflect.TypeFor[Problem](), reflect.TypeFor[Header]()} {
		for i := range typ.NumField() {
			name := typ.Field(i).Tag.Get("json")
			if name != "" && !strings.Contains(string(page), "`"+name) && !strings.Contains(string(page), "."+name+"`") && !strings.Contains(string(page), `"`+name+`"`) {
				t.Errorf("docs/payload.md does not explain %s of %s", name, typ.Name())
			}
		}
	}
}
