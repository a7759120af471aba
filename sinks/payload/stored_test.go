package payload

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/postferry/postferry/blob"
	"github.com/postferry/postferry/internal/mailtest/s3d"
	"github.com/postferry/postferry/sinks/sinktest"
)

// blind is a store whose key may put and not look.
type blind struct{ blob.Store }

func (blind) Has(context.Context, string, int64) (bool, error) {
	return false, errors.New("403 AccessDenied")
}

func TestWhatAnAttemptHasStoredIsNotSentAgain(t *testing.T) {
	d := sinktest.Delivery(t, 1, two)
	first, second := d.Message.Attachments[0].SHA256, d.Message.Attachments[1].SHA256
	byContent := []string{first[:2] + "/" + first, second[:2] + "/" + second}
	for _, c := range []struct {
		name string
		key  string // "" is by content
		lost string // what the bucket has lost before the second attempt
		cut  string // what it has with another size then
		see  bool
		want []string // what is put in three attempts
	}{
		{name: "by content", see: true, want: byContent},
		{name: "a key with the sha256", key: "{{ attachment.sha256 }}-{{ attachment.name }}", see: true, want: []string{first + "-_._Invoice 7.PDF", second + "-logo.png"}},
		{name: "one that was lost", lost: byContent[1], see: true, want: append(slices.Clone(byContent), byContent[1])},
		{name: "one of another size", cut: byContent[0], see: true, want: append(slices.Clone(byContent), byContent[0])},
		{name: "a key that another mail may have", key: "{{ attachment.name }}", see: true, want: slices.Repeat([]string{"_._Invoice 7.PDF", "logo.png"}, 3)},
		{name: "a store that cannot tell", want: slices.Repeat(byContent, 3)},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := s3d.Start(t, "mail")
			bucket, err := blob.OpenBucket(blob.BucketOptions{Endpoint: server.URL, Region: s3d.Region, Bucket: "mail", AccessKey: s3d.AccessKey, SecretKey: s3d.SecretKey})
			if err != nil {
				t.Fatal(err)
			}
			defer bucket.Close()
			s := Stored{Store: bucket}
			if !c.see {
				s.Store = blind{bucket}
			}
			if c.key != "" {
				if s.Key, err = CompileKey(c.key); err != nil {
					t.Fatal(err)
				}
			}
			for attempt := range 3 {
				if attempt == 1 {
					server.Lose(c.lost)
					server.Cut(c.cut)
				}
				again := *d
				again.Attempt = attempt + 1
				if err := s.Put(t.Context(), &again); err != nil {
					t.Fatal(err)
				}
			}
			if got := server.Puts(); !slices.Equal(got, c.want) {
				t.Errorf("put\n%q, not\n%q", got, c.want)
			}
			for _, key := range c.want {
				if len(server.Objects()[key].Body) == 0 {
					t.Errorf("%s is not there", key)
				}
			}
		})
	}
}
