package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/postferry/postferry/internal/secret"
)

// The header fields of Standard Webhooks 1.0.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// howToMake ends the errors about secrets.
const howToMake = "make one with: echo whsec_$(openssl rand -base64 32)"

// parseSecret reads "whsec_" and the base64 of the key. Standard Webhooks asks
// for 24 to 64 octets. The prefix may be missing, as its libraries allow.
func parseSecret(s secret.Secret) ([]byte, error) {
	text := strings.TrimSpace(s.Reveal())
	if strings.HasPrefix(text, "whsk_") || strings.HasPrefix(text, "whpk_") {
		return nil, fmt.Errorf("secret is an ed25519 key; a shared secret begins with whsec_; %s", howToMake)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("secret is not whsec_ and base64 with padding; %s", howToMake)
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, fmt.Errorf("secret holds %d octets; 24 to 64 are wanted; %s", len(key), howToMake)
	}
	return key, nil
}

// signer signs with every key of a sink.
type signer struct{ keys [][]byte }

func newSigner(secrets []secret.Secret) (signer, error) {
	var s signer
	for _, text := range secrets {
		if text.IsZero() {
			continue
		}
		key, err := parseSecret(text)
		if err != nil {
			return signer{}, err
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// sign makes the values of webhook-timestamp and webhook-signature; the latter
// is a space-separated list, "" without keys. What is signed is
// id.timestamp.body.
func (s signer) sign(id string, now time.Time, body content) (timestamp, signature string, err error) {
	timestamp = strconv.FormatInt(now.Unix(), 10)
	if len(s.keys) == 0 {
		return timestamp, "", nil
	}
	macs, writers := make([]hash.Hash, len(s.keys)), make([]io.Writer, len(s.keys))
	for i, key := range s.keys {
		macs[i] = hmac.New(sha256.New, key)
		writers[i] = macs[i]
	}
	w := writers[0]
	if len(writers) > 1 {
		w = io.MultiWriter(writers...)
	}
	io.WriteString(w, id+"."+timestamp+".") // a hash never fails
	if _, err := body.WriteTo(w); err != nil {
		return "", "", err
	}
	var list []byte
	for i, mac := range macs {
		if i > 0 {
			list = append(list, ' ')
		}
		list = append(list, "v1,"...)
		list = base64.StdEncoding.AppendEncode(list, mac.Sum(nil))
	}
	return timestamp, string(list), nil
}
