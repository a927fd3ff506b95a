package demo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
)

// reading is one attempt at the files of a part, with its results so far.
type reading struct {
	run  *client.Run
	tree *tree
	pace *pace

	every time.Duration // the least time between two lines
	told  time.Time     // when the last line was written

	planned int   // files
	total   int64 // their bytes when they were found

	files   int   // read so far
	bytes   int64 // read so far
	lines   int64
	settled int64 // bytes of the finished files, as they were found: progress never decreases
	last    string
}

func newReading(config Config, run *client.Run, t *tree, files []file) *reading {
	r := &reading{run: run, tree: t, planned: len(files), every: config.LineEvery}
	for _, f := range files {
		r.total += f.size
	}
	r.pace = newPace(r.total+int64(len(files))*fileCost, config.Duration)
	return r
}

// read reads one file and reports it, if a line is due.
func (r *reading) read(ctx context.Context, f file) error {
	var done int64
	d, err := r.tree.hash(ctx, f.path, func(n int) error {
		done += int64(n)
		if r.due() && f.size > chunk {
			message := fmt.Sprintf("%s: %s of %s", r.tree.show(f.path), bytesOf(done), bytesOf(f.size))
			if err := r.tell(ctx, message, min(done, f.size), nil); err != nil {
				return err
			}
		}
		return r.pace.spend(ctx, int64(n))
	})
	var refused cannotRead
	switch {
	case errors.Is(err, errGone):
		r.settled += f.size
		return nil
	case errors.As(err, &refused):
		r.settled += f.size
		return err
	case err != nil:
		return err
	}
	r.files++
	r.bytes += d.bytes
	r.lines += d.lines
	r.settled += f.size
	r.last = d.sha256
	if err := r.pace.spend(ctx, fileCost); err != nil {
		return err
	}
	if !r.due() {
		return nil
	}
	message := fmt.Sprintf("%s: %s, %s (%d of %s)", r.tree.show(f.path), count(int(d.lines), "line"), bytesOf(d.bytes),
		r.files, count(r.planned, "file"))
	data := r.totals()
	data["path"] = r.tree.show(f.path)
	return r.tell(ctx, message, 0, data)
}

// tell writes a line with the progress, in percent of the bytes; ahead is the number of bytes read of the current file.
func (r *reading) tell(ctx context.Context, message string, ahead int64, data map[string]any) error {
	percentage := 100 * int64(r.files) / int64(max(r.planned, 1))
	if r.total > 0 {
		percentage = 100 * (r.settled + ahead) / r.total
	}
	opts := []client.UpdateOption{client.WithPercentage(int(min(percentage, 99)))} // 100 is for the end
	if data != nil {
		opts = append(opts, client.WithData(data))
	}
	r.told = time.Now()
	return r.run.Log(ctx, message, opts...)
}

// due reports whether a line may be written now.
func (r *reading) due() bool { return time.Since(r.told) >= r.every }

func (r *reading) totals() map[string]any {
	totals := map[string]any{"files": r.files, "bytes": r.bytes, "lines": r.lines}
	if r.last != "" {
		totals["sha256"] = r.last // of the file read last
	}
	return totals
}

// size returns an amount in words: 12 files, 48.1 kB.
func size(files int, bytes int64) string { return count(files, "file") + ", " + bytesOf(bytes) }

// count returns a number with its noun: 1 line, 1,227 lines.
func count(n int, noun string) string {
	digits := strconv.Itoa(n)
	var groups []string
	for ; len(digits) > 3; digits = digits[:len(digits)-3] {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
	}
	if n != 1 {
		noun += "s"
	}
	return strings.Join(append([]string{digits}, groups...), ",") + " " + noun
}

// bytesOf returns a number of bytes in words: 812 B, 48.1 kB, 1.2 GB.
func bytesOf(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.95 && unit < 3 {
		value, unit = value/1000, unit+1
	}
	return fmt.Sprintf("%.1f %s", value, []string{"kB", "MB", "GB", "TB"}[unit])
}
