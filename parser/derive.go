package parser

// derive makes the fields that mail has no name for.
func (p *parse) derive(h header, root *part) {
	m := p.msg
	m.DeliveredTo = p.deliveredTo(h)
	m.RecipientTags = p.recipientTags()
	m.List = p.list(h)
	m.Automated = p.automated(h, root)
	m.Auth = p.authentication(h)
	if m.Text != nil {
		m.Reply = splitReply(*m.Text)
	}
}
