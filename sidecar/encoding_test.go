package sidecar_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sidecar"
)

// A database in another encoding than UTF8 is refused at the start, in one line that says how to make one that is not.
func TestServeRefusesOtherEncodings(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			name := db.Name + "_" + strings.ToLower(encoding)
			db.Exec(t, "create database "+name+" encoding '"+encoding+"' lc_collate 'C' lc_ctype 'C' template template0")
			t.Cleanup(func() { db.Exec(t, "drop database "+name+" with (force)") })
			s, err := sidecar.New(sidecar.Config{DatabaseURL: strings.Replace(db.URL, db.Name, name, 1), Addr: "127.0.0.1:0"})
			require.NoError(t, err)
			err = s.Run(t.Context())
			require.ErrorIs(t, err, migrate.ErrEncoding)
			require.ErrorContains(t, err, encoding)
			require.ErrorContains(t, err, "encoding 'UTF8'")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}
