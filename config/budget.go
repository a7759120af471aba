package config

// Budget bounds what an account may cost its server. What is left out is what is
// known of the provider.
type Budget struct {
	Connections int  `config:"connections" doc:"to the account at a time, of all mailboxes that share it; 0: what is known of the provider, else 8"`
	Octets      Size `config:"octets" doc:"of mail retrieved from the account in 24 hours, as in 2GB; 0: what is known of the provider, else no limit"`
}
