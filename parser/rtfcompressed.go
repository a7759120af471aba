package parser

import (
	"encoding/binary"
	"hash/crc32"
)

// The kinds of compressed RTF (MS-OXRTFCP section 2.1.3.1.4).
const (
	rtfCompressed   = 0x75465A4C // "LZFu"
	rtfUncompressed = 0x414C454D // "MELA"
)

// rtfDictionary is what the dictionary holds in the beginning (MS-OXRTFCP section
// 2.1.2.1).
const rtfDictionary = `{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0` +
	"\r\n" + `\par \pard\plain\f0\fs20\b\i\u\tab\tx`

// decompressRTF decompresses the RTF of a mail (MS-OXRTFCP), at most limit octets of
// it. It returns what can be read, and false where that is not all of it, or the
// checksum is wrong.
func decompressRTF(b []byte, limit int) (rtf []byte, ok bool) {
	const header = 16
	if len(b) < header {
		return nil, false
	}
	size, kind, sum := int(binary.LittleEndian.Uint32(b[4:])), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	if end := int(binary.LittleEndian.Uint32(b)) + 4; end >= header && end < len(b) {
		b = b[:end] // what follows is padding
	}
	b = b[header:]
	switch kind {
	case rtfUncompressed:
		n := min(size, limit, len(b))
		return b[:n], n == size
	case rtfCompressed:
	default:
		return nil, false
	}
	// Section 2.1.3.2: the CRC of ISO 3309 without its inversions.
	whole := ^crc32.Update(^uint32(0), crc32.IEEETable, b) == sum
	var dictionary [4096]byte
	write := copy(dictionary[:], rtfDictionary)
	put := func(c byte) {
		rtf = append(rtf, c)
		dictionary[write] = c
		write = (write + 1) % len(dictionary)
	}
	for len(b) > 0 {
		control := b[0]
		b = b[1:]
		for bit := range 8 {
			if len(rtf) >= limit {
				return rtf[:limit], false
			}
			if control>>bit&1 == 0 { // a literal
				if len(b) == 0 {
					return rtf, false
				}
				put(b[0])
				b = b[1:]
				continue
			}
			if len(b) < 2 {
				return rtf, false
			}
			reference := int(b[0])<<8 | int(b[1])
			b = b[2:]
			from, n := reference>>4, reference&0xf+2
			if from == write { // section 2.2.1: the end
				return rtf, whole
			}
			for range n {
				put(dictionary[from])
				from = (from + 1) % len(dictionary)
			}
		}
	}
	return rtf, false
}
