//go:build !race

package parser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hostileSize is the largest mail the house promises to read within two seconds and
// 3 x its size + 64 MB.
const hostileSize = 30 << 20

// hungriest are the hostile mails that take most; the others are measured where
// POSTFERRY_SOAK is set.
var hungriest = []string{"HTML of entities that break off", "HTML of angle brackets", "HTML of content ids", "UTF-7 of plus signs", "octets above 127 in no charset"}

// peakFile names the environment variable with the mail that a process of its own
// reads.
const peakFile = "POSTFERRY_TEST_PEAK_FILE"

// TestReadingHostileMailStaysWithinItsMemory reads mails of 30 MB in a process of
// its own each, and measures the most memory the runtime holds of the system at
// once: heap, stacks and its own, garbage included.
func TestReadingHostileMailStaysWithinItsMemory(t *testing.T) {
	if path := os.Getenv(peakFile); path != "" {
		reportPeak(t, path)
		return
	}
	all := os.Getenv("POSTFERRY_SOAK") != ""
	n := 0
	for _, c := range hostileMails {
		if !all && !slices.Contains(hungriest, c.name) {
			continue
		}
		n++
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mail")
			mail := c.make(hostileSize)
			if err := os.WriteFile(path, mail, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestReadingHostileMailStaysWithinItsMemory$", "-test.v")
			cmd.Env = append(os.Environ(), peakFile+"="+path)
			out, err := cmd.CombinedOutput()
			_, figure, ok := strings.Cut(string(out), "peak=")
			figure, _, _ = strings.Cut(figure, " ")
			peak, perr := strconv.ParseInt(figure, 10, 64)
			if err != nil || !ok || perr != nil {
				t.Fatalf("%v %v\n%s", err, perr, out)
			}
			t.Logf("%d MB for %d MB", peak>>20, len(mail)>>20)
			if limit := int64(3*len(mail) + 64<<20); peak > limit {
				t.Errorf("%d MB for a mail of %d MB, the promise is %d MB", peak>>20, len(mail)>>20, limit>>20)
			}
		})
	}
	if n < len(hungriest) {
		t.Errorf("%d mails of %d", n, len(hungriest))
	}
}

// reportPeak parses a mail and prints the most memory held meanwhile.
func reportPeak(t *testing.T, path string) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		most := uint64(0)
		for {
			most = max(most, held())
			select {
			case <-done:
				peak <- max(most, held())
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	m, err := Parse(f, size.Size(), Limits{})
	close(done)
	fmt.Printf("peak=%d problems=%d\n", <-peak, len(m.Problems))
	if err != nil {
		t.Fatal(err)
	}
}

// held is what the runtime holds of the system's memory and has not given back.
func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
