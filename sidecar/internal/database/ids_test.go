package database

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

func TestIDsGoToPostgres(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Conn(t)
	typed(conn)
	for _, ids := range []IDs{nil, {}, {uuid.New()}, {uuid.Nil, uuid.New(), uuid.New()}} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			rows, err := conn.Query(t.Context(), "select k.id from unnest($1::uuid[]) k(id)", mode, ids)
			require.NoError(t, err)
			back, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
			require.NoError(t, err)
			require.Len(t, back, len(ids), mode)
			require.Subset(t, back, ids, mode)
		}
	}
}

// BenchmarkIDsGoToPostgres encodes the parameter of a read that 5,000 activities are watched in.
func BenchmarkIDsGoToPostgres(b *testing.B) {
	m, ids := pgtype.NewMap(), make(IDs, 5000)
	var buf []byte
	for b.Loop() {
		var err error
		buf, err = m.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, ids, buf[:0])
		require.NoError(b, err)
	}
	b.ReportAllocs()
}
