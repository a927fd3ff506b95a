package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/pkg/client"
)

const (
	// writerRate is the lines that a worker writes in a second, of writerBytes with their line break.
	writerRate, writerBytes = 20_000, 50
	// writerKills is how often its connections are killed.
	writerKills = 5
	// writerMemory is the most memory that the lines may take.
	writerMemory = 16 << 20
	// writerIdle is how long the worker waits before its first line, so that its memory can be read.
	writerIdle = 3 * time.Second
	// writerName is the application_name of its sessions.
	writerName = "bench worker"
)

// runWorker writes lines through the Writer of a Run; the argument is their number. It runs in its own process.
func runWorker(ctx context.Context, url, lines string, ready func(string)) error {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	config.ConnConfig.RuntimeParams["application_name"] = writerName
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	count, err := strconv.Atoi(lines)
	if err != nil {
		return err
	}
	return client.New(pool).Run(ctx, client.RunParams{TaskName: "bench"}, func(ctx context.Context, run *client.Run) error {
		ready(run.AgentID().String())
		time.Sleep(writerIdle)
		filler := strings.Repeat("x", writerBytes-11)
		began := time.Now()
		for n := range count {
			if _, err := fmt.Fprintf(run.Writer(), "%09d %s\n", n, filler); err != nil {
				return err
			}
			if n%20 == 19 {
				time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / writerRate)))
			}
		}
		wrote := time.Since(began)
		if err := run.Flush(ctx); err != nil {
			return err
		}
		return run.Log(ctx, "done", client.WithData(map[string]float64{"wrote": wrote.Seconds(), "stored": time.Since(began).Seconds()}))
	})
}

// measureRunWriter lets a worker write at a constant rate while its connections are killed, and looks for each line.
func measureRunWriter(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	count := int(max(time.Duration(o.rounds)*2*o.each, time.Second).Seconds() * writerRate)
	worker, err := startChild(ctx, "worker", url, strconv.Itoa(count))
	if err != nil {
		return nil, err
	}
	defer worker.stop()
	id, err := uuid.Parse(worker.feed)
	if err != nil {
		return nil, err
	}
	idle := worker.memory()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	peak, killed, err := killAndWatch(ctx, pool, worker, id, count)
	if err != nil {
		return nil, err
	}
	result, err := countLines(ctx, client.New(pool), id, count)
	if err != nil {
		return nil, err
	}
	memory := peak - idle
	rate := float64(count) / result.Wrote
	met := memory <= writerMemory && result.lost == 0 && result.repeated == 0 && killed >= writerKills && rate >= 0.95*writerRate
	return []table{{
		title: fmt.Sprintf("A worker writes %d lines/s of %d bytes", writerRate, writerBytes),
		note: "One process, one Run, through its Writer, into a Postgres on this machine. Its sessions are killed while it writes. Written: " +
			"lines a second that Write took. Stored: until the last line was flushed. Memory: resident, at the highest moment, beyond that of the " +
			"idle Run.",
		head: []string{"lines", "written", "stored", "kills", "sessions killed", "memory", "lost", "repeated", "reach"},
		rows: [][]string{{strconv.Itoa(count), fmt.Sprintf("%.0f/s", rate), fmt.Sprintf("%.0f/s", float64(count)/result.Stored),
			strconv.Itoa(writerKills), strconv.Itoa(killed), fmt.Sprintf("%.1f MiB", float64(memory)/(1<<20)),
			strconv.Itoa(result.lost), strconv.Itoa(result.repeated), verdict("<= 16 MiB, 0 lost, 0 repeated, >= 19000/s", met)}},
	}}, nil
}

// killAndWatch kills the worker's sessions at equal parts of its lines, and returns the highest memory of the worker.
func killAndWatch(ctx context.Context, pool *pgxpool.Pool, worker *child, id uuid.UUID, count int) (peak, killed int, err error) {
	c, kills := client.New(pool), 0
	for {
		peak = max(peak, worker.resident())
		d, err := c.Detail(ctx, id, client.DetailParams{LogLimit: new(0)})
		if err != nil {
			return 0, 0, err
		}
		if d.Status == client.StatusComplete {
			return peak, killed, nil
		}
		if d.Status.IsFinished() {
			return 0, 0, errors.New("the worker ended as " + d.Status.String())
		}
		if d.LastSeq > (kills+1)*count/(writerKills+1) && kills < writerKills {
			var n int
			err := pool.QueryRow(ctx, `select count(pg_terminate_backend(a.pid)) from pg_stat_activity a where a.application_name = $1`, writerName).Scan(&n)
			if err != nil {
				return 0, 0, err
			}
			kills++
			killed += n
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// written is the result of the worker's lines.
type written struct {
	lost, repeated int
	Wrote, Stored  float64 // seconds
}

func countLines(ctx context.Context, c *client.Client, id uuid.UUID, count int) (w written, err error) {
	next := 0
	for line, err := range c.Logs(ctx, id, 0) {
		if err != nil {
			return w, err
		}
		if line.Message == "done" {
			if err := json.Unmarshal(line.Data, &w); err != nil {
				return w, err
			}
			continue
		}
		number, _, _ := strings.Cut(line.Message, " ")
		n, err := strconv.Atoi(number)
		switch {
		case err != nil: // a line of the Run itself
		case n < next:
			w.repeated++
		default:
			w.lost += n - next
			next = n + 1
		}
	}
	w.lost += count - next
	return w, nil
}
