package config

import (
	"errors"

	"github.com/postferry/postferry/internal/secret"
)

// Bucket is a bucket of an S3-compatible store and who asks for it.
type Bucket struct {
	Bucket    string        `config:"bucket" doc:"name of the bucket"`
	Endpoint  string        `config:"endpoint" doc:"https://host of an S3-compatible store; AWS unless set"`
	Region    string        `config:"region" doc:"the bucket's region, such as eu-central-1; us-east-1, or what the store says, unless set"`
	AccessKey string        `config:"access_key" doc:"who asks; without it AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment"`
	SecretKey secret.Secret `config:"secret_key" doc:"the secret of access_key"`
	Insecure  bool          `config:"insecure" doc:"true: speak clear text to an http:// endpoint on another machine. To this machine itself it is always allowed"`
	TLS       TLS           `config:"tls" doc:"whom to trust"`
}

// Validate refuses a bucket without a name, and half a key.
func (b *Bucket) Validate() error {
	switch {
	case b.Bucket == "":
		return At("bucket", errors.New("the key is required: name of the bucket"))
	case b.AccessKey == "" && !b.SecretKey.IsZero():
		return At("access_key", errors.New("secret_key is set: set both, or none"))
	}
	return nil
}
