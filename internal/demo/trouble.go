package demo

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

const (
	// ArchiveName is the agent_type of the activities that fail.
	ArchiveName = "check-archive"
	// UploadName is the agent_type of the activities whose worker falls silent.
	UploadName = "upload-archive"
	// silentAfter is the promise of a worker that falls silent: its activity is stale soon.
	silentAfter = 2 * time.Second
)

// troubled is an agent that shows failures on purpose: one activity ends with ERROR, the next is stale for a time.
type troubled struct {
	agent
	archive []byte // a third of it is missing
}

func newTroubled(config Config) *troubled {
	var archive bytes.Buffer
	w := gzip.NewWriter(&archive)
	for n := range 10_000 {
		_, _ = fmt.Fprintf(w, "record %d\n", n) // a buffer takes all
	}
	_ = w.Close()
	return &troubled{agent{config: config}, archive.Bytes()[:archive.Len()*2/3]}
}

func (t *troubled) run(ctx context.Context) {
	for pause := t.config.TroubleEvery / 6; wait(ctx, pause) == nil; pause = t.config.TroubleEvery {
		for _, goWrong := range []func(context.Context, uuid.UUID){t.fail, t.fallSilent} {
			id := uuid.New()
			goWrong(ctx, id)
			if ctx.Err() != nil {
				t.cancel(ctx, id)
				return
			}
		}
	}
}

// fail reads the archive in two attempts. Both find that its end is missing, and there is no third one.
func (t *troubled) fail(ctx context.Context, id uuid.UUID) {
	params := client.RunParams{
		TaskName: ArchiveName, AgentID: id, Metadata: Metadata(), Message: "Checking an archive", ExpectEvery: expectEvery, EndTimeout: endTimeout,
	}
	if err := t.runs(ctx, params, t.checkArchive); hasEnded(err) || wait(ctx, t.config.Pause) != nil {
		return
	}
	params.Message = "Checking the archive again"
	_ = t.runs(ctx, params, t.checkArchive)
}

func (t *troubled) checkArchive(ctx context.Context, run *client.Run) error {
	archive, err := gzip.NewReader(bytes.NewReader(t.archive))
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(archive, 1<<20))
	if logged := run.Log(ctx, "Read "+bytesOf(n), client.WithPercentage(66)); logged != nil {
		return logged
	}
	if err != nil {
		return fmt.Errorf("the archive is damaged after %s: %w", bytesOf(n), err)
	}
	return nil
}

// fallSilent promises a sign of life and gives none for a time, as a worker that hangs. Then it goes on, unless it was canceled.
func (t *troubled) fallSilent(ctx context.Context, id uuid.UUID) {
	c := t.config.Client
	if err := t.create(ctx, id, UploadName, "Upload an archive"); err != nil {
		return
	}
	for _, step := range []func() error{
		func() error {
			_, err := c.Heartbeat(ctx, id, silentAfter)
			return err
		},
		func() error {
			_, err := c.Update(ctx, id, "Sent half of it; the server does not answer", client.WithStatus(client.StatusRunning), client.WithPercentage(50))
			return err
		},
		func() error { return wait(ctx, t.config.SilentFor) },
		func() error {
			life, err := c.Heartbeat(ctx, id, 0)
			if err == nil && life.CancelRequested {
				_, err = c.Update(ctx, id, "Stopped as requested", client.WithStatus(client.StatusCanceled))
			}
			return err
		},
		func() error {
			_, err := c.Complete(ctx, id, "The server answered again: all of it is sent")
			return err
		},
	} {
		if t.persist(ctx, step) != nil {
			return // it is finished, or the agent is stopped
		}
	}
}
