// Package config reads postferry's configuration: YAML files, the environment
// and flags, in, and one checked Config out.
//
// It knows what every mailbox and every sink has (a server, a schedule, routes;
// a type, a format, a rate) and no kind of either. What a kind adds stays in a
// Section, an undecoded block that remembers file and line; the kind decodes
// its own keys from it:
//
//	cfg, err := config.Load(nil, config.Options{})
//	for _, m := range cfg.Mailboxes {
//		var own imap.Config
//		errs = append(errs, m.Section.Decode(&own))
//	}
//	err = config.Join(append(errs, cfg.Finish())...)
//
// # From file to value
//
// A file is parsed into YAML nodes once and never leaves that form: anchors and
// merge keys are resolved within bounds, files are merged, `defaults:` are laid
// under each mailbox, and viper decides for each scalar between file,
// environment and flag. Only then are values decoded, straight from the nodes
// into Go structs, so that letter case and dots in keys survive and every error
// names file, line, key path and, where a word was misspelt, the nearest right
// one. All errors of a load are reported together.
//
// # Struct tags
//
//	config:"name"           the key; fields without the tag are not configuration
//	config:"name,required"  the key must be there
//	config:"name,raw"       ${VAR} is not expanded in it (expressions, templates, commands)
//	config:"name,path"      a file name, relative to the file it stands in
//	config:"name,words"     a block; a list of the names of its fields that are true or false will do
//	enum:"a,b"              the values allowed
//	doc:"…"                 what the reference and the JSON Schema say of it
//
// A field of type secret.Secret called name is also read from name_file and
// name_command; at most one of the three may be given. A struct may have the
// methods SetDefaults(), called before it is decoded, and Validate() error,
// called after; see At. A struct that is also an encoding.TextUnmarshaler may
// be written as a text or as a block.
//
// # Text in values
//
// ${VAR} is the variable's value and an error if it is not set; ${VAR:-text}
// falls back to text and ${VAR:?text} fails with it, when VAR is unset or empty;
// $${ stands for ${; any other $ is itself. An absent key and an empty one (null)
// both mean the built-in default. Numbers and booleans are YAML 1.2's: 010 and
// yes are errors, not 8 and true.
package config
