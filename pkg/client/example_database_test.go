package client_test

import (
	"context"
	"log"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

// exampleDatabase is a fresh database for an Example, which has no testing.T.
func exampleDatabase() (pool *pgxpool.Pool, done func()) {
	t := &exampleTB{}
	return pgtest.New(t).Pool(t), t.done
}

// exampleActivity is an activity that a worker takes to its end.
func exampleActivity(ctx context.Context, c *client.Client) uuid.UUID {
	id, err := c.Create(ctx, "research", "")
	if err == nil {
		_, err = c.Update(ctx, id, "Reading sources", client.WithStatus(client.StatusRunning))
	}
	if err == nil {
		_, err = c.Complete(ctx, id, "")
	}
	if err != nil {
		log.Fatal(err)
	}
	return id
}

// exampleTB is as much of a testing.TB as pgtest needs.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (t *exampleTB) Helper()                      {}
func (t *exampleTB) Name() string                 { return "Example" }
func (t *exampleTB) Cleanup(f func())             { t.cleanups = append(t.cleanups, f) }
func (t *exampleTB) Errorf(f string, args ...any) { log.Panicf(f, args...) }
func (t *exampleTB) Fatalf(f string, args ...any) { log.Panicf(f, args...) }

func (t *exampleTB) done() {
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		t.cleanups[last]()
		t.cleanups = t.cleanups[:last]
	}
}
