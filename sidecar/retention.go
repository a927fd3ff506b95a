package sidecar

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentexec/agentexec/internal/pgurl"
)

const (
	// storageMaxAge is how old a reading of the storage may be when it is scraped.
	storageMaxAge = 15 * time.Second
	// storageTimeout bounds one read. It is less than a scraper usually waits.
	storageTimeout = 3 * time.Second
)

// storage reads how large the two tables are and what retention leaves in them: at the start for the log, and for scrapes.
type storage struct {
	db    pgurl.DB
	sql   string
	ready func() bool // whether the schema was found
	descs []*prometheus.Desc

	mu   sync.Mutex
	at   time.Time // of the last try
	last usage
}

// usage is one reading of the storage. Before the first one all its numbers are -1.
type usage struct {
	activityBytes, logBytes int64 // with indexes and TOAST
	activityRows, logRows   int64 // the estimate of the planner, -1 where the table was never analyzed
	oldest                  float64
	rules                   int64
}

var unknownUsage = usage{-1, -1, -1, -1, -1, -1}

// storageSQL reads the catalog, and one entry of activity_finished_idx for each final status.
const storageSQL = `
	select pg_catalog.pg_total_relation_size(a.oid), pg_catalog.pg_total_relation_size(l.oid), a.reltuples::pg_catalog.int8, l.reltuples::pg_catalog.int8,
	       coalesce(extract(epoch from now() - (
	         select min(o.finished_at)
	         from (values ('COMPLETE'), ('ERROR'), ('CANCELED')) s(status)
	         cross join lateral (
	           select f.finished_at from $schema.activity f
	           where f.finished_at is not null and f.status = s.status::$schema.status
	           order by f.finished_at limit 1) o)), 0)::pg_catalog.float8,
	       (select pg_catalog.count(*) from $schema.retention)
	from pg_catalog.pg_class a
	cross join pg_catalog.pg_class l
	where a.oid = '$schema.activity'::pg_catalog.regclass and l.oid = '$schema.activity_log'::pg_catalog.regclass`

func newStorage(db pgurl.DB, schema string, ready func() bool, registry prometheus.Registerer) *storage {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	s := &storage{
		db: db, sql: strings.ReplaceAll(storageSQL, "$schema", pgx.Identifier{schema}.Sanitize()), ready: ready, last: unknownUsage,
		descs: []*prometheus.Desc{
			desc("agentexec_table_bytes", "Bytes of the tables, with indexes and TOAST; -1 before the first read.", "table"),
			desc("agentexec_table_rows", "Rows of the tables, as the planner estimates; -1 where that is not known.", "table"),
			desc("agentexec_oldest_finished_seconds", "How long ago the oldest finished activity ended; 0 where there is none, -1 before the first read."),
			desc("agentexec_retention_rules", "Retention rules; 0 means that nothing is ever deleted, -1 is before the first read."),
		},
	}
	registry.MustRegister(s)
	return s
}

// warn logs that there is no retention rule, and how large the tables are.
func (s *storage) warn(ctx context.Context, log *slog.Logger) {
	u, err := s.read(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Warn("cannot read whether there is a retention rule", "error", err)
	case u.rules == 0:
		log.Info("there is no retention rule, so nothing is ever deleted; set one with: agentexec retention set 30d",
			"activity_bytes", u.activityBytes, "activity_log_bytes", u.logBytes)
	}
}

func (s *storage) read(ctx context.Context) (usage, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	u := unknownUsage
	err := s.db.QueryRow(ctx, s.sql).Scan(&u.activityBytes, &u.logBytes, &u.activityRows, &u.logRows, &u.oldest, &u.rules)
	if err != nil {
		return unknownUsage, err
	}
	return u, nil
}

// usage returns a reading that is not too old. Where Postgres does not answer, it is the last one.
func (s *storage) usage() usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready() && time.Since(s.at) >= storageMaxAge {
		if u, err := s.read(context.Background()); err == nil {
			s.last = u
		}
		s.at = time.Now() // scrapes do not wait for an outage one after another
	}
	return s.last
}

// Describe implements prometheus.Collector.
func (s *storage) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (s *storage) Collect(out chan<- prometheus.Metric) {
	u := s.usage()
	send := func(i int, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(s.descs[i], prometheus.GaugeValue, value, labels...)
	}
	send(0, float64(u.activityBytes), "activity")
	send(0, float64(u.logBytes), "activity_log")
	send(1, float64(u.activityRows), "activity")
	send(1, float64(u.logRows), "activity_log")
	send(2, u.oldest)
	send(3, float64(u.rules))
}
