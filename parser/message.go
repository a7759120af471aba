package parser

import "time"

// Message is what a mail says, under the names JMAP's Email object gives it
// (RFC 8621 section 4), with a few additions under names JMAP does not use.
// Address lists and the id lists are nil where the header field is absent;
// every other list is empty, never nil.
type Message struct {
	MessageID  []string `json:"messageId"`  // without <>; nil when absent
	InReplyTo  []string `json:"inReplyTo"`  // nil when absent
	References []string `json:"references"` // nil when absent

	From    []Address `json:"from"`
	Sender  []Address `json:"sender"`
	ReplyTo []Address `json:"replyTo"`
	To      []Address `json:"to"`
	CC      []Address `json:"cc"`
	BCC     []Address `json:"bcc"`

	Subject       *string    `json:"subject"`    // decoded, nil when absent
	SentAt        *Time      `json:"sentAt"`     // the Date field with its own zone; nil when absent or unreadable
	ReceivedAt    *time.Time `json:"receivedAt"` // not from the octets: set by the caller, in UTC
	Size          int64      `json:"size"`       // of the whole mail, in octets
	HasAttachment bool       `json:"hasAttachment"`
	Preview       string     `json:"preview"` // plain text, at most 256 characters

	Text     *string `json:"text"`     // nil when the mail has no text to show
	HTML     *string `json:"html"`     // as the mail has it; hostile
	HTMLSafe *string `json:"htmlSafe"` // sanitised

	Attachments []Attachment `json:"attachments"`
	Headers     []Header     `json:"headers"` // in order, values decoded and trimmed

	Reply         *Reply         `json:"reply"`
	Thread        Thread         `json:"thread"`
	DeliveredTo   []string       `json:"deliveredTo"`
	RecipientTags []string       `json:"recipientTags"`
	Automated     Automated      `json:"automated"`
	Bounce        *Bounce        `json:"bounce"`
	List          *List          `json:"list"`
	Calendar      []Event        `json:"calendar"`
	Auth          Authentication `json:"authentication"`
	Problems      []Problem      `json:"problems"`
}

// Address is one mailbox of an address list. Name is nil when the mail gives
// none. In a list where an element is beyond reading, Email holds its text as
// it stands and Message.Problems names it.
type Address struct {
	Name  *string `json:"name"`
	Email string  `json:"email"`
}

// Header is one header field: its name as written, its value unfolded, decoded
// and trimmed.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Attachment is a body part that is not the text of the mail. Its octets stay
// in the source given to Parse; Open reads them.
type Attachment struct {
	PartID      string  `json:"partId"`      // as in JMAP and IMAP: "2", "1.3"
	Name        *string `json:"name"`        // decoded; data, never a path
	SafeName    string  `json:"safeName"`    // usable as a file name anywhere
	Type        string  `json:"type"`        // media type, lower case
	Charset     *string `json:"charset"`     //
	Size        int64   `json:"size"`        // decoded octets
	Disposition *string `json:"disposition"` // "attachment", "inline" or nil
	CID         *string `json:"cid"`         // Content-ID without <>
	SHA256      string  `json:"sha256"`      // of the decoded octets, hexadecimal

	part rawPart
}

// Reply is the new text of a reply, and the rest it quoted.
type Reply struct {
	Text   string `json:"text"`
	Quoted string `json:"quoted"`
}

// Thread groups mails of one conversation.
type Thread struct {
	Key string `json:"key"` // the first of References, else In-Reply-To, else the mail's own Message-ID; never empty
}

// Automated tells mail nobody typed (RFC 3834).
type Automated struct {
	Is     bool    `json:"is"`
	Kind   *string `json:"kind"` // auto-reply auto-generated list bulk bounce disposition report
	Reason *string `json:"reason"`
}

// Bounce is a delivery status notification (RFC 3464).
type Bounce struct {
	Recipients []BounceRecipient `json:"recipients"`
	Original   BounceOriginal    `json:"original"`
}

// BounceRecipient is one recipient's fate.
type BounceRecipient struct {
	Email      string  `json:"email"`
	Action     *string `json:"action"`     // failed delayed delivered relayed expanded
	Status     *string `json:"status"`     // "5.1.1"
	Diagnostic *string `json:"diagnostic"` // the remote server's words
}

// BounceOriginal is what is known of the returned mail.
type BounceOriginal struct {
	MessageID *string `json:"messageId"`
	Subject   *string `json:"subject"`
}

// List is a mailing list's description of itself (RFC 2369, 2919, 8058).
type List struct {
	ID          *string  `json:"id"`
	Unsubscribe []string `json:"unsubscribe"`
	Post        *string  `json:"post"`
}

// Event is one calendar event of a text/calendar part (RFC 5545, 5546).
type Event struct {
	Method    *string  `json:"method"` // upper case: REQUEST, CANCEL, REPLY
	UID       string   `json:"uid"`
	Summary   *string  `json:"summary"`
	Start     *string  `json:"start"`    // 2026-11-24T12:00:00Z in UTC, without the Z in TimeZone, 2026-11-24 for a whole day
	End       *string  `json:"end"`      // like Start
	TimeZone  *string  `json:"timeZone"` // the calendar's name for the zone of Start; nil in UTC
	Organizer *string  `json:"organizer"`
	Attendees []string `json:"attendees"`
}

// Authentication holds results from a trusted Authentication-Results field
// (RFC 8601); nil and Trusted false otherwise.
type Authentication struct {
	SPF     *string `json:"spf"`
	DKIM    *string `json:"dkim"`
	DMARC   *string `json:"dmarc"`
	Trusted bool    `json:"trusted"`
}

// Problem is one repair or loss: what was wrong (a stable code), where, and the
// detail for a human.
type Problem struct {
	Code   string `json:"code"`
	Where  string `json:"where"`
	Detail string `json:"detail"`
}
