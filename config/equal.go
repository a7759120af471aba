package config

// Equal reports whether both are the same mailbox with the same configuration,
// what its protocol adds and secrets included, however it is written. A reload
// leaves such a mailbox alone. Both must have been decoded by their kind. The
// sinks it names are not looked at, nor the certificates in files.
func (m *Mailbox) Equal(o *Mailbox) bool {
	return m != nil && o != nil && m.Name == o.Name && m.Section.Equal(o.Section)
}

// Equal reports whether both are the same sink with the same configuration, as
// (*Mailbox).Equal does.
func (s *Sink) Equal(o *Sink) bool {
	return s != nil && o != nil && s.Name == o.Name && s.Section.Equal(o.Section)
}
