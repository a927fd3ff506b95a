package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// logged runs work and returns the lines that it wrote.
func logged(t *testing.T, b *bundle, params client.RunParams, work func(ctx context.Context, run *client.Run) error) []client.Log {
	t.Helper()
	params.TaskName = "n"
	var id uuid.UUID
	require.NoError(t, b.c.Run(b.ctx, params, func(ctx context.Context, run *client.Run) error {
		id = run.AgentID()
		return work(ctx, run)
	}))
	lines := b.lines(t, id)
	return lines[2 : len(lines)-1]
}

// The handler keeps the rules of slog. The time is the server's and is always there.
func TestRunLoggerFollowsSlog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	runs := make(map[*testing.T]func() map[string]any)
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		handlers := make(chan slog.Handler)
		over, ended := make(chan struct{}), make(chan error)
		var id uuid.UUID
		go func() {
			ended <- b.c.Run(b.ctx, client.RunParams{TaskName: "n"}, func(_ context.Context, run *client.Run) error {
				id = run.AgentID()
				handlers <- run.Logger().Handler()
				<-over
				return nil
			})
		}()
		runs[t] = func() map[string]any {
			close(over)
			require.NoError(t, <-ended)
			line := b.lines(t, id)[2]
			record := object(t, line.Data)
			record[slog.MessageKey] = line.Message
			if !strings.HasSuffix(t.Name(), "zero-time") {
				record[slog.TimeKey] = line.CreatedAt
			}
			return record
		}
		return <-handlers
	}, func(t *testing.T) map[string]any { return runs[t]() })
}

type broken struct{}

func (broken) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

func TestRunLoggerValues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	big := strings.Repeat("x", 2<<20)
	lines := logged(t, b, client.RunParams{LogLevel: slog.LevelWarn}, func(_ context.Context, run *client.Run) error {
		log := run.Logger()
		log.Info("below the level")
		log.Error("values", "d", 1500*time.Millisecond, "t", at, "err", errors.New("no"), "nan", math.NaN(), "u", uint64(math.MaxUint64),
			"nil", nil, "any", map[string]int{"a": 1}, "func", func() {}, "broken", broken{}, "level", "mine", "raw", json.RawMessage(`[1.10]`))
		log.Warn("nul\x00 broken\xff", "nul\x00", "a\x00b\xff", "raw", json.RawMessage(`{"k":"\u0000 \ud800 \\u0000"}`))
		log.Warn(big, "k", 1)
		log.Warn("data", "big", big)
		log.Warn("number", "n", json.RawMessage(`1e200000`), "k", 1)
		log.Warn("deep", "n", json.RawMessage(strings.Repeat("[", 500)+strings.Repeat("]", 500)))
		log.Warn("exponent", "n", json.RawMessage(`1e2000`))
		log.Warn("fine", "k", 1)
		return nil
	})
	require.JSONEq(t, `{"level": "ERROR", "d": "1.5s", "t": "2026-01-02T03:04:05.000006Z", "err": "no", "nan": "NaN", "u": 18446744073709551615,
		"nil": null, "any": {"a": 1}, "func": "!ERROR: json: unsupported type: func()", "broken": "!PANIC: in MarshalJSON", "raw": [1.10]}`,
		string(lines[0].Data))
	require.Equal(t, "nul\ufffd broken\ufffd", lines[1].Message)
	require.JSONEq(t, `{"level": "WARN", "nul\ufffd": "a\ufffdb\ufffd", "raw": {"k": "\ufffd \ufffd \\u0000"}}`, string(lines[1].Data))
	require.Equal(t, big[:1<<20], lines[2].Message)
	require.Contains(t, object(t, lines[3].Data)["rejected"], "data of 2097")
	require.Len(t, lines, 8)
	for i, name := range []string{"number", "deep", "exponent"} {
		require.Equal(t, name, lines[4+i].Message)
		require.Contains(t, object(t, lines[4+i].Data), "rejected")
	}
	require.Equal(t, "fine", lines[7].Message, "what one line has in it does not keep others back")
}

func TestRunWriterText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const mib = 1 << 20
	long := strings.Repeat("x", mib)
	runes := "a" + strings.Repeat("é", mib) // the first piece would end within a rune
	nuls := strings.Repeat("\ufffd", mib/3)
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"Lines":       {"a\nb\n", []string{"a", "b"}},
		"CRLF":        {"a\r\nb\r\n\r\nc\rd", []string{"a", "b", "", "c\rd"}},
		"Empty":       {"\n\n", []string{"", ""}},
		"Unfinished":  {"a\nb", []string{"a", "b"}},
		"Unicode":     {"ünï\n漢字🙂", []string{"ünï", "漢字🙂"}},
		"Unsafe":      {"a\x00b\xff\n\xe6\xbc", []string{"a\ufffdb\ufffd", "\ufffd"}},
		"ExactlyLong": {long + "\nb", []string{long, "b"}},
		"LongCRLF":    {long + "\r\nb", []string{long, "b"}},
		"TooLong":     {long + long + "y\nb", []string{long, long, "y", "b"}},
		"LongRunes":   {runes + "\n", []string{runes[:mib-1], runes[mib-1 : 2*mib-1], runes[2*mib-1:]}},
		"LongUnsafe":  {strings.Repeat("\xff", mib) + "\nb", []string{"\ufffd", "b"}},
		"LongNUL":     {strings.Repeat("\x00", len(nuls)) + "\nb", []string{nuls, nuls, nuls, "b"}},
	} {
		for _, size := range []int{1, 1 << 16, 1 << 30} {
			if size < 1<<10 && len(test.text) > mib {
				continue
			}
			t.Run(fmt.Sprint(name, size), func(t *testing.T) {
				lines := logged(t, b, client.RunParams{}, func(_ context.Context, run *client.Run) error {
					text := []byte(test.text)
					for len(text) > 0 {
						n := min(size, len(text))
						wrote, err := run.Writer().Write(text[:n])
						require.NoError(t, err)
						require.Equal(t, n, wrote)
						text = text[n:]
					}
					return nil
				})
				got := messages(t, lines, 3)
				require.Len(t, got, len(test.want))
				for i := range got {
					if test.want[i] != got[i] { // too long to print
						t.Errorf("line %d: %.40q", i, got[i])
					}
				}
			})
		}
	}
}

// Lines of many goroutines, through each way to write, are all stored, and those of each goroutine in its order.
func TestRunLinesOfManyGoroutines(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const writers, each = 8, 400
	lines := logged(t, b, client.RunParams{}, func(ctx context.Context, run *client.Run) error {
		done := make(chan error, writers)
		for w := range writers {
			go func() {
				log := run.Logger()
				for i := range each {
					message := fmt.Sprintf("%d %d", w, i)
					switch w % 3 {
					case 0:
						log.Info(message)
					case 1:
						_, _ = io.WriteString(run.Writer(), message+"\n")
					default:
						_ = run.Log(ctx, message)
					}
					if i%100 == 50 {
						_ = run.Flush(ctx)
					}
				}
				done <- nil
			}()
		}
		var err error
		for range writers {
			err = errors.Join(err, <-done)
		}
		return err
	})
	next := make([]int, writers)
	for _, message := range messages(t, lines, 3) {
		var w, i int
		_, err := fmt.Sscanf(message, "%d %d", &w, &i)
		require.NoError(t, err)
		require.Equal(t, next[w], i)
		next[w]++
	}
	require.Len(t, lines, writers*each)
}
