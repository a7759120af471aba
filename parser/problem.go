package parser

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// The codes of Problem. They are stable: a receiver may act on them.
const (
	ProblemLimitDepth        = "limit-depth"         // a multipart too deep was left closed
	ProblemLimitParts        = "limit-parts"         // the parts beyond the limit were left out
	ProblemLimitHeaderFields = "limit-header-fields" // the header fields beyond the limit were left out
	ProblemLimitHeaderSize   = "limit-header-size"   // a header was cut
	ProblemLimitAddresses    = "limit-addresses"     // an address list was cut
	ProblemLimitParams       = "limit-params"        // the parameters beyond the limit were left out
	ProblemLimitText         = "limit-text"          // a text was cut
	ProblemLimitNested       = "limit-nested"        // a part was too large to be read as what it is
	ProblemLimitProblems     = "limit-problems"      // more problems than are listed

	ProblemNoHeader        = "no-header"        // the mail has no header; all of it is body
	ProblemMboxLine        = "mbox-line"        // a "From " line stood before the header
	ProblemBadHeaderLine   = "bad-header-line"  // a line of the header was no header field
	ProblemNoBlankLine     = "no-blank-line"    // nothing parted the header from the body
	ProblemBareCR          = "bare-cr"          // lines ended in a lone CR
	ProblemNUL             = "nul"              // NUL octets were left out
	ProblemDuplicateField  = "duplicate-field"  // a field that may stand once stands twice
	ProblemRaw8Bit         = "raw-8bit"         // octets above 127 without a charset; one was guessed
	ProblemBadEncodedWord  = "bad-encoded-word" // an encoded-word was mended or left as it stands
	ProblemBadDate         = "bad-date"         // the Date field could not be read
	ProblemBadAddress      = "bad-address"      // an element of an address list was mended or could not be read
	ProblemBadParameter    = "bad-parameter"    // a parameter was mended
	ProblemBadContentType  = "bad-content-type" // the media type could not be read; text/plain was assumed
	ProblemBadMessageID    = "bad-message-id"   // an id was mended
	ProblemNoBoundary      = "no-boundary"      // a multipart without a boundary of its own
	ProblemWrongBoundary   = "wrong-boundary"   // the boundary named never came; another was found
	ProblemUnclosed        = "unclosed"         // a multipart without its closing boundary
	ProblemAfterClose      = "part-after-close" // parts stood after the closing boundary
	ProblemNoParts         = "no-parts"         // a multipart without parts; read as text
	ProblemBadEncoding     = "unknown-encoding" // a transfer encoding nobody knows; taken as it stands
	ProblemBadBase64       = "bad-base64"       // base64 with octets that do not belong there
	ProblemBadQP           = "bad-qp"           // quoted-printable with a broken escape
	ProblemBadUUencode     = "bad-uuencode"     // uuencoded data that breaks off
	ProblemUnknownCharset  = "unknown-charset"  // a charset nobody knows; one was guessed
	ProblemWrongCharset    = "wrong-charset"    // the octets are not in the charset named
	ProblemBadTNEF         = "bad-tnef"         // a winmail.dat that could not be read to its end
	ProblemBadCalendar     = "bad-calendar"     // a calendar that could not be read to its end
	ProblemFault           = "parser-fault"     // a defect of the parser itself; the mail's octets are whole
	ProblemForgedAuthserv  = "auth-not-trusted" // an Authentication-Results field that names no trusted authserv-id
	ProblemAmbiguousLength = "size-mismatch"    // the source ended before the size it was given with
)

// problem notes one repair or loss, unless the list is full.
func (p *parse) problem(code, where, detail string) {
	n := len(p.msg.Problems)
	switch {
	case n < p.lim.Problems:
		p.msg.Problems = append(p.msg.Problems, Problem{code, clip(validUTF8(where), 200), clip(validUTF8(detail), 200)})
	case n == p.lim.Problems:
		p.msg.Problems = append(p.msg.Problems, Problem{ProblemLimitProblems, "", "more problems than are listed"})
		fallthrough
	default: // what was cut is always said, each limit once
		if strings.HasPrefix(code, "limit-") && !p.named(code) {
			p.msg.Problems = append(p.msg.Problems, Problem{code, clip(validUTF8(where), 200), clip(validUTF8(detail), 200)})
		}
	}
}

func (p *parse) named(code string) bool {
	return slices.ContainsFunc(p.msg.Problems, func(q Problem) bool { return q.Code == code })
}

// problemOnce notes a problem whose code and place were not noted before.
func (p *parse) problemOnce(code, where, detail string) {
	for _, q := range p.msg.Problems {
		if q.Code == code && q.Where == where {
			return
		}
	}
	p.problem(code, where, detail)
}

// clip cuts s to at most n octets without cutting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// validUTF8 makes s fit for JSON.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
