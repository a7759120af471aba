package sinks

// Splitter is a sink that may want each attachment of a mail as a delivery of
// its own, with Delivery.Part set. A mail without attachments is one delivery
// to it without Part, so that it counts as delivered.
type Splitter interface {
	SplitsAttachments() bool
}
