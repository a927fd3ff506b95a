package sidecar_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sidecar"
)

// A database that is not in UTF-8 is served like any other, and what a frame says is UTF-8.
func TestDatabaseInAnotherEncoding(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	name := db.Name + "_latin1"
	db.Exec(t, "create database "+name+" encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0")
	t.Cleanup(func() { db.Exec(t, "drop database "+name+" with (force)") })
	config, err := pgx.ParseConfig(strings.Replace(db.URL, db.Name, name, 1))
	require.NoError(t, err)
	config.RuntimeParams["client_encoding"] = "UTF8"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	require.NoError(t, migrate.Up(t.Context(), conn, nil))

	s := start(t, db, func(cfg *sidecar.Config) { cfg.DatabaseURL = strings.Replace(db.URL, db.Name, name, 1) })
	var id uuid.UUID
	require.NoError(t, conn.QueryRow(t.Context(), "select agentexec.create_activity('research', 'café')").Scan(&id))
	so := s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	require.Equal(t, "café", so.next(t).Logs[0].Message)
	_, err = conn.Exec(t.Context(), "select agentexec.append_log($1, 'déjà vu')", id)
	require.NoError(t, err)
	require.Equal(t, "déjà vu", so.next(t).Logs[0].Message)
}
