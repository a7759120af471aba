package parser

// Limits bound what one mail may cost. What lies beyond a limit is left out of
// the Message, and a problem with the limit's code says so; the mail itself
// still arrives. A zero field means the default.
type Limits struct {
	// Depth is how many multiparts may lie within each other; a deeper one
	// stays closed, as an attachment. Default 50. Code "limit-depth".
	Depth int
	// Parts is how many body parts are read, multiparts included; the rest of
	// the body is left out. Default 1,000. Code "limit-parts".
	Parts int
	// HeaderFields is how many header fields one header may have. Default
	// 1,000. Code "limit-header-fields".
	HeaderFields int
	// HeaderBytes is how many octets of one header are read. Default 256 KiB.
	// Code "limit-header-size".
	HeaderBytes int
	// TotalHeaderBytes is how many octets the headers of all parts may have
	// together. Default 4 MiB. Code "limit-header-size".
	TotalHeaderBytes int
	// Addresses is how many addresses one address list may have. Default
	// 10,000. Code "limit-addresses".
	Addresses int
	// Params is how many parameters one field may have, the pieces of RFC 2231
	// counted each. Default 500. Code "limit-params".
	Params int
	// Text is how many octets of plain text, and how many of HTML, are kept
	// after decoding; half as much of the HTML is sanitised. Default 8 MiB. Code
	// "limit-text".
	Text int
	// Nested is how many octets of a part that is read in full (a delivery
	// report, a calendar, a winmail.dat) are held at once. Default 32 MiB.
	// Code "limit-nested".
	Nested int
	// Problems is how many problems are listed. Default 100. Code
	// "limit-problems".
	Problems int

	// AuthservIDs are the authentication service identifiers whose
	// Authentication-Results fields are believed (RFC 8601 section 5). None by
	// default: then nothing in the mail is believed.
	AuthservIDs []string
}

// DefaultLimits returns the limits that hold where the caller sets none.
func DefaultLimits() Limits {
	return Limits{
		Depth:            50,
		Parts:            1000,
		HeaderFields:     1000,
		HeaderBytes:      256 << 10,
		TotalHeaderBytes: 4 << 20,
		Addresses:        10000,
		Params:           500,
		Text:             8 << 20,
		Nested:           32 << 20,
		Problems:         100,
	}
}

// withDefaults fills the fields the caller left zero, or set below zero.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill := func(p *int, def int) {
		if *p <= 0 {
			*p = def
		}
	}
	fill(&l.Depth, d.Depth)
	fill(&l.Parts, d.Parts)
	fill(&l.HeaderFields, d.HeaderFields)
	fill(&l.HeaderBytes, d.HeaderBytes)
	fill(&l.TotalHeaderBytes, d.TotalHeaderBytes)
	fill(&l.Addresses, d.Addresses)
	fill(&l.Params, d.Params)
	fill(&l.Text, d.Text)
	fill(&l.Nested, d.Nested)
	fill(&l.Problems, d.Problems)
	return l
}
