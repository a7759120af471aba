package config

import (
	"errors"
	"net/url"
)

// AttachmentStore is where a sink's attachments are kept with attachments: store.
type AttachmentStore struct {
	Dir     string  `config:"dir,path" doc:"directory, made if it is missing"`
	S3      *Bucket `config:"s3" doc:"bucket of an S3-compatible store"`
	Key     string  `config:"key,raw" doc:"path of each, with holes: {{ attachment.sha256 }}-{{ attachment.safeName }}. By content unless set: what is the same is kept once"`
	BaseURL string  `config:"base_url" doc:"what the path stands behind in url, as in https://files.example.com/mail; file:// or s3:// unless set"`
}

// Validate wants one place, and an address that a path can stand behind.
func (a *AttachmentStore) Validate() error {
	if (a.Dir == "") == (a.S3 == nil) {
		return errors.New("set dir or s3, one of them")
	}
	if a.BaseURL == "" {
		return nil
	}
	if u, err := url.Parse(a.BaseURL); err != nil || u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return At("base_url", errors.New("wants scheme, host and path alone, as in https://files.example.com/mail"))
	}
	return nil
}

// AttachmentsOnly says which attachments a sink wants.
type AttachmentsOnly struct {
	Types   []string `config:"types" doc:"media types of what the octets are, however labelled: application/pdf, image/*"`
	Names   []string `config:"names" doc:"patterns of names: *.pdf"`
	MinSize Size     `config:"min_size" doc:"octets, decoded, at least: pictures of signatures are small"`
	MaxSize Size     `config:"max_size" doc:"octets, decoded, at most"`
}
