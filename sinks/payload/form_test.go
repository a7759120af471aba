package payload

import (
	"bytes"
	"mime"
	"mime/multipart"
	"regexp"
	"strings"
	"testing"

	"github.com/postferry/postferry/parser"
	"github.com/postferry/postferry/sinks/sinktest"
)

// RFC 7578, section 4.
func TestAFormOctetByOctet(t *testing.T) {
	d := letter(t)
	f := newForm(d, multipartForm)
	f.field("a", "one\r\n--x")
	f.file("file", &d.Message.Attachments[1])
	b, err := f.end()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	all, _ := b.ReadAll()
	x := boundaryOf(d)
	want := "--" + x + "\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--x\r\n" +
		"--" + x + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"Grüße.txt\"\r\nContent-Type: text/plain\r\n\r\nGrüße\r\n--" + x + "--\r\n"
	if string(all) != want || b.ContentType != "multipart/form-data; boundary="+x {
		t.Errorf("%s\n%s, not\n%s", b.ContentType, all, want)
	}
}

func TestAFormIsURLEncodedAsBrowsersDo(t *testing.T) {
	f := newForm(letter(t), urlencodedForm)
	f.field("a b", "*-._~ azAZ09")
	f.field("c", "é\r\n\xff")
	f.field("d", "")
	b, err := f.end()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	// URL Standard, sections 5.2 and 1.3.
	if all, _ := b.ReadAll(); string(all) != "a+b=*-._%7E+azAZ09&c=%C3%A9%0D%0A%EF%BF%BD&d=" {
		t.Errorf("%s", all)
	}
}

// RFC 2046, section 5.1.1: 1 to 70 characters, and none of the mail's making: it
// follows from the octets of the mail, which would have to hold it.
func TestAMailCannotHoldItsOwnBoundary(t *testing.T) {
	d := sinktest.Delivery(t, 1, sinktest.Mail)
	x := boundaryOf(d)
	if !regexp.MustCompile(`^[0-9A-Za-z-]{1,70}$`).MatchString(x) {
		t.Errorf("the boundary is %s", x)
	}
	guess := strings.Replace(sinktest.Mail, "Still nothing here.", "--"+x+"\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nforged\r\n--"+x+"--", 1)
	forger := sinktest.Delivery(t, 1, guess)
	if boundaryOf(forger) == x {
		t.Fatal("the boundary does not follow from the mail")
	}
	b, err := (&sendGrid{}).Render(forger, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if got := value(t, b, "text"); !strings.Contains(got, "forged") {
		t.Errorf("the text is %q", got)
	}
	if got := value(t, b, "attachments"); got != "1" {
		t.Errorf("there are %s attachments", got)
	}
	if other := sinktest.Delivery(t, 2, sinktest.Mail); boundaryOf(other) == x {
		t.Error("another delivery of the mail has the same boundary")
	}
}

func TestNamesOfFilesAreReadableByAnybody(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt":            "a.txt",
		"Grüße 🚢.pdf":      "Grüße 🚢.pdf",
		`"; name="x`:       "_; name=_x",
		"a\r\nX: y\x00":    "a__X: y_",
		`..\..\etc/passwd`: ".._.._etc_passwd",
		"caf\xe9":          "caf\uFFFD",
		"x\u2028":          "x_",
		" ":                "part-2.bin",
		"":                 "part-2.bin",
	} {
		a := &parser.Attachment{Name: &name, SafeName: "part-2.bin", Type: "application/octet-stream"}
		got := fileName(a)
		if got != want {
			t.Errorf("%q is %q, not %q", name, got, want)
		}
		_, params, err := mime.ParseMediaType(`form-data; name="f"; filename="` + got + `"`)
		if err != nil || params["filename"] != got || len(params) != 2 {
			t.Errorf("%q is read as %v, %v", name, params, err)
		}
	}
	long := strings.Repeat("é", 2000) + ".pdf"
	if got := fileName(&parser.Attachment{Name: &long}); len(got) > maxParameter+3 || !strings.HasSuffix(got, "é.pdf") {
		t.Errorf("a long name has %d octets: …%s", len(got), got[len(got)-20:])
	}
}

func TestATypeThatIsNoneIsOctets(t *testing.T) {
	for in, want := range map[string]string{
		"text/plain": "text/plain", "image/svg+xml": "image/svg+xml", "": "application/octet-stream", "text": "application/octet-stream",
		"text/a b": "application/octet-stream", "a/b\r\nX: y": "application/octet-stream", "a/b; x=y": "application/octet-stream",
	} {
		if got := mediaType(&parser.Attachment{Type: in}); got != want {
			t.Errorf("%q is %s, not %s", in, got, want)
		}
	}
}

func FuzzAFormIsReadAsItWasWritten(f *testing.F) {
	f.Add("name", "value", "file.txt", "text/plain")
	f.Add("a\"b\r\n", "--x\r\n\xff", "\"; filename*=utf-8''x", "a/b\r\n")
	f.Fuzz(func(t *testing.T, name, text, file, typ string) {
		d := letter(t)
		a := d.Message.Attachments[1]
		a.Name, a.Type = &file, typ
		w := newForm(d, multipartForm)
		w.field(name, text)
		w.file("file", &a)
		b, err := w.end()
		if err != nil {
			t.Fatal(err)
		}
		defer b.Release()
		all, _ := b.ReadAll()
		form, err := multipart.NewReader(bytes.NewReader(all), boundaryOf(d)).ReadForm(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if len(form.File["file"]) != 1 || form.File["file"][0].Size != a.Size {
			t.Errorf("the files are %v", form.File)
		}
		if name = parameter(name); name != "" {
			if got := form.Value[name]; len(got) != 1 || got[0] != strings.ToValidUTF8(text, "\uFFFD") {
				t.Errorf("%q is %q", name, got)
			}
		}
	})
}
