package mailtest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"iter"
	"math/rand/v2"
	"mime/quotedprintable"
	"regexp"
	"strings"
	"time"
)

// Mix makes n mails of the kind and proportion that benchmarks are run on: of
// every twenty, sixteen are text of 4 KB, three are multipart/alternative of
// 40 KB, one has an attachment and 500 KB. Each has its own Message-ID and its
// own token (see Token). The same n and seed give the same octets.
func Mix(n int, seed uint64) [][]byte {
	mails := make([][]byte, 0, n)
	for raw := range MixSeq(n, seed) {
		mails = append(mails, raw)
	}
	return mails
}

// MixSeq is Mix one mail at a time, for more mails than memory should hold.
func MixSeq(n int, seed uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range n {
			if !yield(mixMail(i, seed)) {
				return
			}
		}
	}
}

var tokenForm = regexp.MustCompile(`mix-[0-9]{20}-[0-9]{8}`)

// Token is the token of a mail made by Mix, found in its octets or in any text
// that holds its subject or body; "" if there is none.
func Token(text []byte) string { return string(tokenForm.Find(text)) }

var words = strings.Fields(`the order was sent on Monday and should have reached you by now please let us know if the
parcel has not come so that we can ask the carrier a copy of the invoice is attached with kind regards from all of us
Größe Straße naïve café 订单 発送 заказ — “quoted” it's 20 % off €35.00 tracking number reference account`)

func mixMail(i int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	token := fmt.Sprintf("mix-%020d-%08d", seed, i)
	b := new(bytes.Buffer)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute)
	fmt.Fprintf(b, "Return-Path: <sender%d@customer.example>\r\n", i%997)
	fmt.Fprintf(b, "Received: from mx.customer.example (mx.customer.example [192.0.2.%d])\r\n\tby mail.example.com with ESMTPS id %s;\r\n\t%s\r\n", i%250+1, token, at.Format(time.RFC1123Z))
	fmt.Fprintf(b, "Date: %s\r\nFrom: Sender %d <sender%d@customer.example>\r\nTo: <inbox@example.com>\r\n", at.Format(time.RFC1123Z), i%997, i%997)
	fmt.Fprintf(b, "Message-ID: <%s@customer.example>\r\nSubject: Order %d %s\r\nMIME-Version: 1.0\r\n", token, i, token)
	switch i % 20 {
	case 3, 9, 15:
		alternative(b, rng, token)
	case 19:
		attached(b, rng, token)
	default:
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
		prose(b, rng, token, 4000-b.Len())
	}
	return b.Bytes()
}

// alternative writes a text and an HTML of about 40 KB together.
func alternative(b *bytes.Buffer, rng *rand.Rand, token string) {
	fmt.Fprintf(b, "Content-Type: multipart/alternative; boundary=\"=_%s\"\r\n\r\n", token)
	fmt.Fprintf(b, "--=_%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", token)
	prose(b, rng, token, 9000)
	fmt.Fprintf(b, "--=_%s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", token)
	html := new(bytes.Buffer)
	fmt.Fprintf(html, "<html><head><style>p { color: #222; margin: 0 0 1em }</style></head><body><h1>%s</h1>\r\n", token)
	for html.Len() < 23000 {
		html.WriteString("<p style=\"font-family: sans-serif\">")
		prose(html, rng, token, 700)
		html.WriteString("<a href=\"https://shop.example/order?id=1\">order</a></p>\r\n")
	}
	html.WriteString("</body></html>\r\n")
	q := quotedprintable.NewWriter(b)
	q.Write(html.Bytes())
	q.Close()
	fmt.Fprintf(b, "--=_%s--\r\n", token)
}

// attached writes a short text and an attachment that does not compress.
func attached(b *bytes.Buffer, rng *rand.Rand, token string) {
	fmt.Fprintf(b, "Content-Type: multipart/mixed; boundary=\"=_%s\"\r\n\r\n", token)
	fmt.Fprintf(b, "--=_%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", token)
	prose(b, rng, token, 1500)
	fmt.Fprintf(b, "--=_%s\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"%s.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", token, token)
	data := make([]byte, 0, 363_000)
	data = append(data, "%PDF-1.4\n"...)
	for len(data) < 363_000 {
		r := rng.Uint64()
		data = append(data, byte(r), byte(r>>8), byte(r>>16), byte(r>>24), byte(r>>32), byte(r>>40), byte(r>>48), byte(r>>56))
	}
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 76 {
		b.WriteString(text[:76])
		b.WriteString("\r\n")
		text = text[76:]
	}
	fmt.Fprintf(b, "%s\r\n--=_%s--\r\n", text, token)
}

// prose writes lines of words, the token first, of about size octets in all.
func prose(b *bytes.Buffer, rng *rand.Rand, token string, size int) {
	end := b.Len() + size
	b.WriteString(token)
	line := len(token)
	for b.Len() < end {
		w := words[rng.IntN(len(words))]
		if line+1+len(w) > 74 {
			b.WriteString("\r\n")
			line = -1
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(w)
		line += 1 + len(w)
	}
	b.WriteString("\r\n")
}
