package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// TestProblemOfEachState: only what can never succeed is 4xx; what may go away by itself is 503 with Retry-After.
func TestProblemOfEachState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pg     pgconn.PgError
		status int
		code   string
	}{
		{pgconn.PgError{Code: "TA404"}, 404, "TA404"},
		{pgconn.PgError{Code: "TA409"}, 409, "TA409"},
		{pgconn.PgError{Code: "TA422"}, 422, "TA422"},
		{pgconn.PgError{Code: "23505", ConstraintName: "activity_agent_id_key"}, 409, "23505"},
		{pgconn.PgError{Code: "23505", ConstraintName: "activity_log_pkey"}, 500, "internal"},
		{pgconn.PgError{Code: "23505", ConstraintName: "activity_log_activity_id_seq_key"}, 500, "internal"},
		{pgconn.PgError{Code: "22P02"}, 422, "TA422"},
		{pgconn.PgError{Code: "22003"}, 422, "TA422"},
		{pgconn.PgError{Code: "54001", File: "postgres.c"}, 422, "TA422"},
		{pgconn.PgError{Code: "54000", File: "jsonb_util.c"}, 422, "TA422"},
		{pgconn.PgError{Code: "54000", File: "async.c"}, 503, "unavailable"},
		{pgconn.PgError{Code: "55P03"}, 503, "55P03"},
		{pgconn.PgError{Code: "55006"}, 503, "unavailable"},
		{pgconn.PgError{Code: "40001"}, 503, "unavailable"},
		{pgconn.PgError{Code: "40P01"}, 503, "unavailable"},
		{pgconn.PgError{Code: "53100"}, 503, "unavailable"},
		{pgconn.PgError{Code: "53200"}, 503, "unavailable"},
		{pgconn.PgError{Code: "53300"}, 503, "unavailable"},
		{pgconn.PgError{Code: "53400"}, 503, "unavailable"},
		{pgconn.PgError{Code: "57014"}, 503, "unavailable"},
		{pgconn.PgError{Code: "57P01"}, 503, "unavailable"},
		{pgconn.PgError{Code: "57P04"}, 503, "unavailable"},
		{pgconn.PgError{Code: "57P05"}, 503, "unavailable"},
		{pgconn.PgError{Code: "25006"}, 503, "unavailable"},
		{pgconn.PgError{Code: "25P03"}, 503, "unavailable"},
		{pgconn.PgError{Code: "25P04"}, 503, "unavailable"},
		{pgconn.PgError{Code: "26000"}, 503, "unavailable"},
		{pgconn.PgError{Code: "08P01"}, 503, "unavailable"},
		{pgconn.PgError{Code: "58030"}, 503, "unavailable"},
		{pgconn.PgError{Code: "42883"}, 500, "internal"},
		{pgconn.PgError{Code: "42501"}, 500, "internal"},
		{pgconn.PgError{Code: "XX000"}, 500, "internal"},
		{pgconn.PgError{Code: "P0001"}, 500, "internal"},
	} {
		c.pg.Message = "what Postgres said"
		_, err := client.New(failing{err: fmt.Errorf("wrapped: %w", &c.pg)}).PendingIDs(t.Context())
		require.Error(t, err)
		p := OfDatabase(err)
		if p.Status >= 500 {
			require.NotContains(t, p.Detail, "what Postgres said")
		}
		require.Equal(t, c.status, p.Status, "%+v", c.pg)
		require.Equal(t, c.code, p.Code, "%+v", c.pg)
		require.Equal(t, c.status == http.StatusServiceUnavailable, p.GetHeaders().Get("Retry-After") != "", "%+v", c.pg)
	}
	require.Equal(t, 503, OfDatabase(context.DeadlineExceeded).Status)
	require.Equal(t, 500, OfDatabase(errors.New("x")).Status)
}

// TestWriteProblem: a status has its usual code and headers, and headers of the caller stay.
func TestWriteProblem(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{
		400: "malformed", 401: "unauthorized", 403: "forbidden", 404: "no_route", 409: "TA409", 422: "TA422",
		426: "upgrade_required", 500: "internal", 503: "unavailable",
	} {
		w := httptest.NewRecorder()
		Write(w, status, "", "why")
		require.Equal(t, status, w.Code)
		require.Equal(t, ContentType, w.Header().Get("Content-Type"))
		require.JSONEq(t, fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":"why","code":%q}`, http.StatusText(status), status, code), w.Body.String())
		require.Equal(t, status == 503, w.Header().Get("Retry-After") != "")
	}
	w := httptest.NewRecorder()
	w.Header().Set("Retry-After", "1")
	Write(w, 503, "full", "<why>")
	require.Contains(t, w.Body.String(), `"detail":"<why>","code":"full"`, "HTML is not escaped")
	require.Equal(t, []string{"1"}, w.Header()["Retry-After"])
}

// failing is a database that answers everything with an error.
type failing struct {
	client.DB
	err error
}

func (f failing) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, f.err }
