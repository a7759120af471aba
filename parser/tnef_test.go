package parser

import (
	"encoding/binary"
)

// tnefAttr makes an attribute (MS-OXTNEF section 2.1.3).
func tnefAttr(id uint32, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{1}, id)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, data...)
	sum := uint16(0)
	for _, c := range data {
		sum += uint16(c)
	}
	return binary.LittleEndian.AppendUint16(b, sum)
}

// tnefStream makes a winmail.dat of attributes.
func tnefStream(attributes ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, tnefSignature)
	b = append(b, 1, 0) // the key
	for _, a := range attributes {
		b = append(b, a...)
	}
	return b
}
