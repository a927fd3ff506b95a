package source

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// Database is the Source of a client of pkg/client. It may be used from as many goroutines as the DB of that client.
type Database struct {
	*client.Client
	release func()
}

// NewDatabase returns the Source of c. Close calls release.
func NewDatabase(c *client.Client, release func()) *Database {
	return &Database{Client: c, release: release}
}

// PageJSON implements Source.
func (d *Database) PageJSON(ctx context.Context, id uuid.UUID, params client.DetailParams) (json.RawMessage, error) {
	return d.DetailPageJSON(ctx, id, params)
}

// Cancel implements Source.
func (d *Database) Cancel(ctx context.Context, id uuid.UUID, cancel Cancel) (client.Log, error) {
	opts := []client.CancelOption{client.WithRequestedBy(cancel.RequestedBy)}
	switch {
	case cancel.Never:
		opts = append(opts, client.WithoutForce())
	case cancel.Grace != nil:
		opts = append(opts, client.WithGrace(*cancel.Grace))
	}
	if cancel.Tree {
		opts = append(opts, client.WithTree())
	}
	return d.Client.Cancel(ctx, id, cancel.Message, opts...)
}

// Close implements Source.
func (d *Database) Close() { d.release() }

// Watch implements Source.
func (d *Database) Watch(ctx context.Context, id uuid.UUID, afterSeq int) iter.Seq2[client.Log, error] {
	return d.Client.Watch(ctx, id, afterSeq)
}
