package receivers

import (
	"testing"

	"github.com/postferry/postferry/sinks/sinktest"
)

// form is what a reader of forms made of one.
type form struct {
	Error  string
	Fields [][2]string
	Files  [][4]string
}

func (f form) value(name string) string {
	for _, field := range f.Fields {
		if field[0] == name {
			return field[1]
		}
	}
	return "(none)"
}

func TestReadersOfFormsReadThem(t *testing.T) {
	for _, reader := range [][]string{{"node", "receive_forms.js"}, {python, "receive_forms.py"}} {
		r := start(t, reader[0], reader[1])
		for _, c := range []struct{ settings, text, files string }{
			{"format: mailgun", "body-plain", "attachment-1"},
			{"format: sendgrid", "text", "attachment1"},
			{"format: cloudmailin, multipart: true", "plain", "attachments[0]"},
		} {
			t.Run(reader[1]+", "+c.settings, func(t *testing.T) {
				s := sink(t, "http://"+r.address+"/", c.settings)
				deliver(t, s, letter(t))
				var f form
				r.read(t, &f)
				if f.Error != "" || f.value(c.text) != letterText {
					t.Errorf("%s the text is %q", f.Error, f.value(c.text))
				}
				want := [][3]string{{"logo.png", "image/png", "iVBORw0KGgo="}, {"Grüße.txt", "text/plain", "R3LDvMOfZQ=="}, {"part-3.pdf", "application/pdf", "JVBERi0="}}
				if len(f.Files) != len(want) || f.Files[0][0] != c.files {
					t.Fatalf("the files are %q", f.Files)
				}
				for i, w := range want {
					if got := f.Files[i]; got != [4]string{got[0], w[0], w[1], w[2]} {
						t.Errorf("file %d is %q, not %q", i, got, w)
					}
				}
				for i, raw := range hostile() {
					if deliver(t, s, sinktest.Delivery(t, i, raw)) {
						r.read(t, &form{})
					}
				}
			})
		}
		deliver(t, sink(t, "http://"+r.address+"/", "format: mailgun, mime: true"), letter(t))
		var f form
		if r.read(t, &f); f.value("body-mime") != raw(t, letter(t)) {
			t.Errorf("%s: the mail is another one", reader[1])
		}
	}
}
