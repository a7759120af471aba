package parser

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"
)

// tnef is what is read of a winmail.dat, in which Outlook hides the attachments
// of a mail (the Transport Neutral Encapsulation Format, MS-OXTNEF). Offsets are
// within the octets it was read from.
type tnef struct {
	octets []byte
	files  []tnefFile
	text   string // the mail's own text, "" where it is not here
	html   string
	rtf    []byte // compressed
	ok     bool   // read to its end

	charset string
	file    *tnefFile // the one being read
	toUTF8  func(octets []byte, charset string) string
}

type tnefFile struct {
	off, n    int
	data      bool // off and n are known; n may be zero
	name      string
	mediaType string
	cid       string
}

const (
	tnefSignature = 0x223E9F78

	// MS-OXTNEF section 2.1.3.2: attributes, type and name in one.
	attBody           = 0x0002800C
	attAttachTitle    = 0x00018010
	attAttachData     = 0x0006800F
	attAttachRendData = 0x00069002
	attMsgProps       = 0x00069003
	attAttachment     = 0x00069005
	attOemCodepage    = 0x00069007

	// MS-OXPROPS.
	propBody        = 0x1000
	propRTF         = 0x1009
	propHTML        = 0x1013
	propAttachData  = 0x3701
	propDisplayName = 0x3001
	propFileName    = 0x3704
	propLongName    = 0x3707
	propMediaType   = 0x370E
	propContentID   = 0x3712
)

// maxTNEFFiles and maxTNEFDepth bound what one winmail.dat may hold; mails within
// mails are read into it.
const (
	maxTNEFFiles = 500
	maxTNEFDepth = 4
)

// readTNEF reads a winmail.dat.
func readTNEF(octets []byte, toUTF8 func([]byte, string) string) *tnef {
	t := &tnef{octets: octets, charset: "windows-1252", toUTF8: toUTF8}
	t.ok = t.attributes(0, len(octets), 0)
	return t
}

// attributes reads a stream of attributes: level, name and type, length, data,
// checksum (MS-OXTNEF section 2.1.3).
func (t *tnef) attributes(at, end, depth int) bool {
	if end-at < 6 || binary.LittleEndian.Uint32(t.octets[at:]) != tnefSignature {
		return false
	}
	defer t.endFile()
	for at += 6; at < end; {
		if end-at < 11 {
			return false
		}
		id := binary.LittleEndian.Uint32(t.octets[at+1:])
		n := int(binary.LittleEndian.Uint32(t.octets[at+5:]))
		at += 9
		if n > end-at-2 || n < 0 {
			return false
		}
		if !t.attribute(id, at, n, depth) {
			return false
		}
		at += n + 2
	}
	return true
}

func (t *tnef) attribute(id uint32, at, n, depth int) bool {
	data := t.octets[at : at+n]
	switch id {
	case attOemCodepage:
		if n >= 4 {
			if page := binary.LittleEndian.Uint32(data); page != 0 && page < 100000 {
				t.charset = codepage(page)
			}
		}
	case attBody:
		if depth == 0 && t.text == "" {
			t.text = t.string8(data)
		}
	case attAttachRendData:
		t.endFile()
		t.file = &tnefFile{}
	case attAttachTitle:
		if t.file != nil && t.file.name == "" {
			t.file.name = t.string8(data)
		}
	case attAttachData:
		if t.file != nil {
			t.file.off, t.file.n, t.file.data = at, n, true
		}
	case attAttachment, attMsgProps:
		return t.properties(at, at+n, id == attAttachment, depth)
	}
	return true
}

// endFile keeps the file that was read.
func (t *tnef) endFile() {
	if t.file != nil && t.file.data && len(t.files) < maxTNEFFiles {
		t.files = append(t.files, *t.file)
	}
	t.file = nil
}

// codepage names the charset of a Windows codepage.
func codepage(page uint32) string {
	switch page {
	case 65001:
		return "utf-8"
	case 20127:
		return "us-ascii"
	case 28591:
		return "iso-8859-1"
	case 932:
		return "shift_jis"
	case 949:
		return "euc-kr"
	case 950:
		return "big5"
	case 10000:
		return "macintosh"
	}
	return "cp" + strconv.Itoa(int(page))
}

func (t *tnef) string8(data []byte) string {
	if i := strings.IndexByte(string(data), 0); i >= 0 {
		data = data[:i]
	}
	return t.toUTF8(data, t.charset)
}

// properties reads a list of MAPI properties (MS-OXTNEF section 2.1.3.4).
func (t *tnef) properties(at, end int, ofFile bool, depth int) bool {
	r := tnefReader{octets: t.octets[:end], at: at}
	for count := r.u32(); count > 0 && r.ok(); count-- {
		kind, id := r.u16(), r.u16()
		if id >= 0x8000 { // a named property
			r.skip(16)
			if r.u32() == 0 {
				r.skip(4)
			} else {
				r.skip(padded(r.u32()))
			}
		}
		r.values(kind, func(off, n int) {
			if ofFile {
				t.fileProperty(id, kind, off, n, depth)
			} else if depth == 0 {
				t.messageProperty(id, kind, off, n)
			}
		})
	}
	return r.ok()
}

func (t *tnef) messageProperty(id, kind uint16, off, n int) {
	switch id {
	case propBody:
		t.text = t.property(kind, off, n)
	case propHTML:
		t.html = t.property(kind, off, n)
	case propRTF:
		t.rtf = t.octets[off : off+n]
	}
}

// readRTF takes the text, or the HTML, of the mail from its RTF where it stands
// nowhere else; false where the RTF cannot be read to its end.
func (t *tnef) readRTF(limit int) bool {
	if len(t.rtf) == 0 || t.text != "" && t.html != "" {
		return true
	}
	octets, ok := decompressRTF(t.rtf, limit)
	r := readRTF(octets, limit, t.toUTF8)
	if t.html == "" {
		t.html = r.html
	}
	if t.text == "" {
		t.text = r.text
	}
	return ok
}

func (t *tnef) fileProperty(id, kind uint16, off, n, depth int) {
	if t.file == nil {
		return
	}
	switch id {
	case propLongName:
		t.file.name = t.property(kind, off, n)
	case propFileName, propDisplayName:
		if t.file.name == "" {
			t.file.name = t.property(kind, off, n)
		}
	case propMediaType:
		t.file.mediaType = strings.ToLower(t.property(kind, off, n))
	case propContentID:
		t.file.cid = strings.Trim(t.property(kind, off, n), "<>")
	case propAttachData:
		if kind == kindObject && n > 16 {
			off, n = off+16, n-16 // the id of its interface
			if n > 6 && binary.LittleEndian.Uint32(t.octets[off:]) == tnefSignature && depth < maxTNEFDepth {
				outer := t.file
				t.file = nil
				t.attributes(off, off+n, depth+1)
				t.file = outer
				return
			}
		}
		if !t.file.data {
			t.file.off, t.file.n, t.file.data = off, n, true
		}
	}
}

// property is the text of a property.
func (t *tnef) property(kind uint16, off, n int) string {
	data := t.octets[off : off+n]
	if kind != kindUnicode {
		return t.string8(data)
	}
	units := make([]uint16, 0, n/2)
	for i := 0; i+1 < n; i += 2 {
		u := binary.LittleEndian.Uint16(data[i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// The types of properties that have a length of their own.
const (
	kindObject  = 0x000D
	kindString8 = 0x001E
	kindUnicode = 0x001F
	kindBinary  = 0x0102
	kindMany    = 0x1000 // added to another type: several values
)

// tnefReader reads little-endian numbers until there are no more octets.
type tnefReader struct {
	octets []byte
	at     int
	bad    bool
}

func (r *tnefReader) ok() bool { return !r.bad }

// skip passes over n octets and returns where they begin.
func (r *tnefReader) skip(n int) int {
	if n < 0 || n > len(r.octets)-r.at {
		r.bad = true
		n = len(r.octets) - r.at
	}
	r.at += n
	return r.at - n
}

func (r *tnefReader) u16() uint16 {
	if at := r.skip(2); !r.bad {
		return binary.LittleEndian.Uint16(r.octets[at:])
	}
	return 0
}

func (r *tnefReader) u32() int {
	if at := r.skip(4); !r.bad {
		return int(binary.LittleEndian.Uint32(r.octets[at:]))
	}
	return 0
}

// values reads the values of a property; f gets those that have a length.
func (r *tnefReader) values(kind uint16, f func(off, n int)) {
	many := kind&kindMany != 0
	kind &^= kindMany
	count, size := 1, 4
	switch kind {
	case kindObject, kindString8, kindUnicode, kindBinary:
		for count = r.u32(); count > 0 && r.ok(); count-- {
			n := r.u32()
			if off := r.skip(padded(n)); r.ok() {
				f(off, n)
			}
		}
		return
	case 0x0005, 0x0006, 0x0007, 0x0014, 0x0040:
		size = 8
	case 0x0048:
		size = 16
	}
	if many {
		count = r.u32()
	}
	if count > len(r.octets) {
		r.bad = true
		return
	}
	r.skip(count * size)
}

// padded is n up to the next multiple of four.
func padded(n int) int { return (n + 3) &^ 3 }
