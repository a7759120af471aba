//go:build !race

// Processes of their own are killed, cut or recorded here: the race detector would
// see nothing of them, and slow what watches them.

package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postferry/postferry/internal/mailtest"
	"github.com/postferry/postferry/internal/mailtest/powercut"
	"github.com/postferry/postferry/spool"
	"github.com/postferry/postferry/spool/sqlite"
)

// TestPowerCutUnderTheProgramLosesNothingItToldOf records what the built program
// writes and syncs while it drains a mailbox, makes images of the disk at random
// moments, and holds each to what the program had logged before that moment:
// mails taken, deliveries made. Package sqlite does the same with every operation
// of the spool, and shows that less than synchronous=FULL fails.
func TestPowerCutUnderTheProgramLosesNothingItToldOf(t *testing.T) {
	cuts := 25
	if text := os.Getenv("POSTFERRY_CUTS"); text != "" {
		var err error
		if cuts, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, scheme := range []string{"pop3", "imap"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			w.fill(mailtest.Mix(60, 51))
			disk := t.TempDir()
			w.write("store: sqlite:" + filepath.Join(disk, "postferry.db") + "\nmailboxes:\n" +
				w.box("inbox", scheme, ada, "after: delete", "insecure: true") + "\nsinks:\n" + w.sink("app", w.receiver.URL))

			l, err := powercut.Record(t.Context(), disk, nil, w.binary, "run", "--once", "--log-level", "debug", "--log-format", "json", "-c", w.config)
			if err != nil {
				t.Fatal(err)
			}
			w.exactlyOnce(60)
			rng := rand.New(rand.NewPCG(5, 6))
			facts := 0
			for i := range cuts {
				at, seed := rng.IntN(l.Len()+1), rng.Uint64()
				image := t.TempDir()
				if err := l.Cut(at, seed, image); err != nil {
					t.Fatal(err)
				}
				held, err := toldOf(t.Context(), image, l.Told(at))
				if err != nil {
					t.Fatalf("cut %d, at %d of %d, seed %d: %v", i, at, l.Len(), seed, err)
				}
				facts += held
				os.RemoveAll(image)
			}
			t.Logf("%d cuts of a record with %d steps; %d facts the program had told of held", cuts, l.Len(), facts)
			if facts < cuts {
				t.Errorf("only %d facts were looked at", facts)
			}
		})
	}
}

// toldOf opens an image as the next process does, and compares it with the log.
func toldOf(ctx context.Context, dir, log string) (facts int, err error) {
	store, err := sqlite.Open(ctx, filepath.Join(dir, "postferry.db"))
	if err != nil {
		return 0, err
	}
	sp, err := spool.Open(ctx, store, spool.Options{})
	if err != nil {
		return 0, errors.Join(err, store.Close())
	}
	defer func() { err = errors.Join(err, sp.Close()) }()
	for line := range strings.Lines(log) {
		var said struct {
			Msg, Delivery string
			Item          spool.ID
		}
		if json.Unmarshal([]byte(line), &said) != nil || said.Msg != "message taken" && said.Msg != "message delivered" {
			continue
		}
		m, err := sp.Show(ctx, spool.Target{Item: said.Item})
		if err != nil {
			return facts, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
		if said.Msg == "message delivered" && (len(m.Deliveries) != 1 || m.Deliveries[0].ID != said.Delivery || m.Deliveries[0].State != spool.Delivered) {
			return facts, fmt.Errorf("%s: the store says %+v", strings.TrimSpace(line), m.Deliveries)
		}
		facts++
	}
	return facts, nil
}
