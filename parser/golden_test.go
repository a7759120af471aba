package parser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// golden is what a mail of the corpus is known to say, written by hand from the
// mail. Only what it states is compared.
type golden struct {
	Mail string         `json:"mail"`
	Want map[string]any `json:"want"`
}

func TestCorpusMailsSayWhatTheyAreKnownToSay(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.json")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d goldens, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			var g golden
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &g); err != nil || len(g.Want) == 0 {
				t.Fatal(err)
			}
			mail, err := os.ReadFile("testdata/corpus/" + g.Mail)
			if err != nil {
				t.Fatal(err)
			}
			out, err := json.Marshal(parseOctets(t, mail, Limits{}))
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			for _, d := range differences("", g.Want, got) {
				t.Error(d)
			}
		})
	}
}

// differences compares what want states with got. Objects are compared field by
// field of want, lists element by element, the rest exactly.
func differences(path string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: no object", path)}
		}
		var out []string
		for key, w := range want {
			g, ok := got[key]
			if !ok {
				out = append(out, fmt.Sprintf("%s.%s: no such field", path, key))
				continue
			}
			out = append(out, differences(path+"."+key, w, g)...)
		}
		slices.Sort(out)
		return out
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return []string{fmt.Sprintf("%s: got %v, want %v", path, got, want)}
		}
		var out []string
		for i := range want {
			out = append(out, differences(fmt.Sprintf("%s[%d]", path, i), want[i], got[i])...)
		}
		return out
	}
	if want != got {
		return []string{fmt.Sprintf("%s:\n got %#v\nwant %#v", path, got, want)}
	}
	return nil
}
