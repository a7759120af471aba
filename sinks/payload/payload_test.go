package payload

import (
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/sinktest"
)

func TestAFormatIsFoundByItsNameWithItsDefaults(t *testing.T) {
	for _, name := range Formats() {
		f, err := Lookup(name)
		if err != nil || f.Name() != name {
			t.Errorf("%s: %v, %v", name, f, err)
		}
		if Settings()[name] == nil {
			t.Errorf("%s has no settings", name)
		}
	}
	if f, _ := Lookup(""); f.Name() != "native" {
		t.Errorf("the default is %s", f.Name())
	}
	if f, _ := Lookup("cloudevents"); f.(*cloudEvents).Mode != structured {
		t.Errorf("the mode is %q", f.(*cloudEvents).Mode)
	}
	if _, err := Lookup("carrier-pigeon"); err == nil || !strings.Contains(err.Error(), "native, raw") {
		t.Errorf("another name: %v", err)
	}
}

// picky is a format that does not take attachments apart and that ends a delivery
// on 418.
type picky struct{ native }

func (picky) CheckOptions(o Options) error {
	if o.Attachments == None {
		return errors.New("attachments: this format has them always")
	}
	return nil
}

func (picky) Stops(status int) bool { return status == 418 }

func linkTo(*sinks.Delivery, *parser.Attachment) string { return "https://files.example.com/1" }

func TestAFormatSaysWhatItDoesNotGoWith(t *testing.T) {
	if err := (Renderer{Format: picky{}, Options: Options{Attachments: None}}).Validate(); err == nil {
		t.Error("None is taken")
	}
	if err := (Renderer{Format: picky{}}).Validate(); err != nil {
		t.Error(err)
	}
	for _, f := range []Format{&raw{}, &rails{}, &mailgun{MIME: true}, &sendGrid{Raw: true}} { // which are the whole mail
		for _, o := range []Options{{Attachments: Metadata}, {Attachments: None}, {Attachments: Store, Link: linkTo}, {Only: &Filter{Max: 1}}} {
			if err := (Renderer{Format: f, Options: o}).Validate(); err == nil || !strings.Contains(err.Error(), "the whole mail") {
				t.Errorf("%s with %+v: %v", f.Name(), o, err)
			}
		}
		for _, o := range []Options{{}, {Attachments: Auto}, {Attachments: Inline}} {
			if err := (Renderer{Format: f, Options: o}).Validate(); err != nil {
				t.Errorf("%s with %+v: %v", f.Name(), o, err)
			}
		}
	}
	if err := (Renderer{Options: Options{Attachments: "pigeon"}}).Validate(); err == nil || !strings.Contains(err.Error(), "inline") {
		t.Errorf("another mode: %v", err)
	}
}

func TestEveryFormatHasAPage(t *testing.T) {
	list, err := os.ReadFile("../../docs/formats/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Formats() {
		page := regexp.MustCompile("(?m)^\\| \\[`" + name + "`\\]\\(([a-z./]+)\\) \\|").FindSubmatch(list)
		if page == nil {
			t.Errorf("docs/formats/README.md leads to no page for %s", name)
			continue
		}
		if _, err := os.Stat("../../docs/formats/" + string(page[1])); err != nil {
			t.Error(err)
		}
	}
}

func TestAFormatSaysWhichStatusesEndADelivery(t *testing.T) {
	if r := (Renderer{Format: picky{}}); !r.Stops(418) || r.Stops(403) {
		t.Error("the format's word is not heeded")
	}
	if (Renderer{}).Stops(418) {
		t.Error("native ends a delivery")
	}
}

func TestAttachmentsArePlaced(t *testing.T) {
	raw := withAttachments(300_000, 900_000, 100)
	for _, c := range []struct {
		name  string
		o     Options
		part  string
		whole bool
		want  []string
	}{
		{"auto is inline while there is room", Options{}, "", false, []string{"2", "3 too large to be sent inline", "4"}},
		{"within the limit that was set", Options{InlineLimit: 50}, "", false, []string{"2 too large to be sent inline", "3 too large to be sent inline", "4 too large to be sent inline"}},
		{"auto of a format that has no place for the reason", Options{}, "", true, []string{"2", "3", "4"}},
		{"inline", Options{Attachments: Inline}, "", false, []string{"2", "3", "4"}},
		{"metadata", Options{Attachments: Metadata}, "", true, []string{"2 attachments are sent as metadata", "3 attachments are sent as metadata", "4 attachments are sent as metadata"}},
		{"none", Options{Attachments: None}, "", true, nil},
		{"one by itself", Options{}, "3", false, []string{"3"}},
	} {
		d := sinktest.Delivery(t, 1, raw)
		d.Part = c.part
		var got []string
		for a := range c.o.place(d, c.whole) {
			got = append(got, strings.TrimSpace(a.PartID+" "+a.omitted))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

func TestWhatIsPutIsInMemoryOnlyWhenItIsSmall(t *testing.T) {
	for _, n := range []int{0, 1, LazyFrom - 1, LazyFrom, LazyFrom + 1} {
		for _, size := range []int64{int64(n), -1} {
			b := newBody("text/plain")
			if err := b.put(size, func(w io.Writer) error { _, err := w.Write(make([]byte, n)); return err }); err != nil {
				t.Fatal(err)
			}
			if _, inMemory := b.Bytes(); inMemory != (n < LazyFrom) || b.Size() != int64(n) {
				t.Errorf("%d octets, given as %d: in memory %v, size %d", n, size, inMemory, b.Size())
			}
			b.Release()
		}
	}
	b := newBody("text/plain")
	defer b.Release()
	if err := b.put(-1, func(io.Writer) error { return io.ErrUnexpectedEOF }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a source that fails: %v", err)
	}
}
