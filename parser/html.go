package parser

// SafeHTML makes of HTML what may be shown to people: without scripts, styles,
// forms, frames, handlers, and links to anything but the web, mail, telephones
// and parts of the mail. No more than limit octets are made; what is beyond is
// left out, and then elements may be open at the end.
func SafeHTML(s string, limit int) string { return safeHTML(s, limit) }

// HTMLText makes plain text of HTML, as Message.Text has it where a mail has no
// other text: at most limit octets.
func HTMLText(s string, limit int) string { return htmlText(s, true, limit) }
