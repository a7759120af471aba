package main

import (
	"github.com/spf13/cobra"

	"github.com/postferry/postferry/config"
)

func (c *cli) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration in force, or its JSON Schema",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	show := &cobra.Command{
		Use:   "show",
		Short: "Print the effective configuration, secrets masked",
		Long: `Show prints what is in force once files, environment and defaults are put
together. Secrets are masked, and password commands are not run. Warnings go to
standard error.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := c.logger()
			if err != nil {
				return err
			}
			s, err := c.load(cmd.Flags(), true)
			if err != nil {
				return err
			}
			s.say(log)
			return s.Show(c.out)
		},
	}
	storeFlags(show.Flags())
	schema := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of configuration files, for editors",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := c.out.Write(config.Schema(kinds()))
			return err
		},
	}
	cmd.AddCommand(show, schema)
	return cmd
}
