package sidecar_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// hostileSettings are settings of a role or database that would break statements, results or writes, were they not set
// anew for every session of the sidecar.
var hostileSettings = map[string]string{
	"default_transaction_isolation":       "serializable",
	"default_transaction_deferrable":      "on",
	"statement_timeout":                   "1ms",
	"lock_timeout":                        "1ms",
	"idle_in_transaction_session_timeout": "1ms",
	"idle_session_timeout":                "1ms",
	"row_security":                        "off",
	"timezone":                            "Asia/Kathmandu",
	"datestyle":                           "German",
	"intervalstyle":                       "sql_standard",
	"extra_float_digits":                  "-15",
	"bytea_output":                        "escape",
	"standard_conforming_strings":         "off",
	"backslash_quote":                     "off",
	"client_encoding":                     "LATIN1",
	"transform_null_equals":               "on",
	"array_nulls":                         "off",
	"quote_all_identifiers":               "on",
	"gin_fuzzy_search_limit":              "1",
	"search_path":                         "public",
	"client_min_messages":                 "debug1",
	"check_function_bodies":               "off",
	"xmlbinary":                           "hex",
	"synchronize_seqscans":                "off",
	"enable_seqscan":                      "off",
	"jit":                                 "off",
	"plan_cache_mode":                     "force_generic_plan",
}

// TestSettingsOfTheDatabase runs service, feed and concurrent writes under each of them.
func TestSettingsOfTheDatabase(t *testing.T) {
	t.Parallel()
	for name, value := range hostileSettings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			db.Exec(t, fmt.Sprintf("alter database %s set %s = '%s'", db.Name, name, value))
			serviceHolds(t, db)
		})
	}
	t.Run("AllBehindPgBouncer", func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t)
		var all strings.Builder
		for name, value := range hostileSettings {
			if name != "idle_session_timeout" && name != "statement_timeout" { // they end what the pooler does by itself
				fmt.Fprintf(&all, "alter database %s set %s = '%s';", db.Name, name, value)
			}
		}
		db.Exec(t, all.String())
		pooled := pgtest.PgBouncer(t, db.URL)
		serviceHolds(t, db, func(cfg *sidecar.Config) { cfg.DatabaseURL = pooled })
	})
}

// TestTransactionTimeoutOfTheDatabase: a transaction_timeout of the database ends no read and no write that waits for a lock.
func TestTransactionTimeoutOfTheDatabase(t *testing.T) {
	t.Parallel()
	for _, pooled := range []bool{false, true} {
		t.Run(map[bool]string{false: "Direct", true: "BehindPgBouncer"}[pooled], func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			locker := db.Conn(t)
			var version int
			require.NoError(t, locker.QueryRow(t.Context(), "select current_setting('server_version_num')::int").Scan(&version))
			if version < 170000 {
				t.Skip("transaction_timeout is a setting of Postgres 17 and newer")
			}
			db.Exec(t, fmt.Sprintf("alter database %s set transaction_timeout = '500ms'", db.Name))
			s := start(t, db, func(cfg *sidecar.Config) {
				if pooled {
					cfg.DatabaseURL = pgtest.PgBouncer(t, db.URL)
				}
			})
			id := s.create(t)
			path := "/v1/activities/" + id.String()
			tx, err := locker.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), "lock table agentexec.activity in access exclusive mode")
			require.NoError(t, err)
			answers := make(chan string, 2)
			for method, body := range map[string]string{http.MethodGet: "", http.MethodPost: `{"message":"x"}`} {
				go func() {
					at := path
					if body != "" {
						at += "/logs"
					}
					status, text, err := s.tryCall(method, at, body)
					if err == nil && status < 300 {
						text = "ok"
					}
					answers <- fmt.Sprint(text, err)
				}()
			}
			db.AwaitLockWaits(t, 2)
			_, err = tx.Exec(t.Context(), "select pg_sleep(1)")
			require.NoError(t, err)
			require.NoError(t, tx.Rollback(t.Context()))
			require.Equal(t, "ok<nil>", <-answers)
			require.Equal(t, "ok<nil>", <-answers)
		})
	}
}

// serviceHolds writes from several clients at once, and reads it all back over HTTP and the feed.
func serviceHolds(t *testing.T, db *pgtest.Database, tweaks ...func(*sidecar.Config)) {
	t.Helper()
	s := start(t, db, tweaks...)
	created := s.call(t, http.MethodPost, "/v1/activities", `{"task_name":"research","metadata":{"org":"ü"}}`, 201)
	id := uuid.MustParse(created[len(`{"agent_id":"`):][:36])
	path := "/v1/activities/" + id.String()
	so := s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 1)

	const writers, each = 4, 10
	var wg sync.WaitGroup
	faults := make(chan string, writers*each)
	for range writers {
		wg.Go(func() {
			for i := range each {
				status, text, err := s.tryCall(http.MethodPost, path+"/logs", fmt.Sprintf(`{"message":"it's \\ %d","data":{"a":[null,1.5,"\\x"]}}`, i))
				if err != nil || status != http.StatusCreated {
					faults <- fmt.Sprint(err, status, text)
				}
			}
		})
	}
	wg.Wait()
	close(faults)
	require.Empty(t, <-faults)
	for _, l := range so.lines(t, 1, writers*each) {
		require.Contains(t, l.Message, `it's \ `)
		require.JSONEq(t, `{"a":[null,1.5,"\\x"]}`, string(l.Data))
	}
	require.Regexp(t, `"created_at": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"`, s.call(t, http.MethodGet, path, "", 200))
	list := s.call(t, http.MethodGet, "/v1/activities?metadata.org="+url.QueryEscape("ü"), "", 200)
	require.Equal(t, 1, strings.Count(list, `"agent_id"`), list)
	s.call(t, http.MethodGet, "/v1/stats", "", 200)
	s.call(t, http.MethodPost, "/v1/activities/cancel-pending", `{"agent_type":"other","idle_for":"1us"}`, 200)
	so.send(t, `{"type":"subscribe","sub":"l","list":{"agent_type":"research","metadata":{"org":"ü"}}}`)
	for m := so.next(t); m.Type != "snapshot" || m.Sub == nil || *m.Sub != "l"; m = so.next(t) {
		require.NotEqual(t, "error", m.Type, m.raw)
	}
}

// call sends a request that must be answered with the status, and returns the answer.
func (s *service) call(t testing.TB, method, path, body string, status int) string {
	t.Helper()
	got, text, err := s.tryCall(method, path, body)
	require.NoError(t, err)
	require.Equal(t, status, got, text)
	return text
}

// tryCall is call for goroutines that may not fail a test.
func (s *service) tryCall(method, path, body string) (status int, text string, err error) {
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return response.StatusCode, string(read), err
}
