package main

import (
	"github.com/spf13/cobra"

	"github.com/postferry/postferry/admin"
)

func (c *cli) replayCommand() *cobra.Command {
	return c.changeCommand("replay ID...", "Deliver mails again, with the ids they had",
		`Replay makes delivered deliveries due again: all of a mail (its number), or one
(msg_…). A mail that is unrouted or quarantined is routed again. Receivers see
the webhook-id they saw before. What was done to the mail on its server is not
done twice.`, "are due again", "", admin.Operator.Replay)
}
