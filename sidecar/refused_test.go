package sidecar_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/sidecar"
)

// TestSubscriptionsThatPostgresRefuses: a read whose answer is larger than Postgres can make ends the subscription with an
// error frame, on both transports, and other activities go on. Such an answer takes a gigabyte; the error is made up here.
func TestSubscriptionsThatPostgresRefuses(t *testing.T) {
	t.Parallel()
	log := new(logtest.Buffer)
	s := setup(t, func(c *sidecar.Config) { c.Logger = log.Logger() })
	good, bad := s.create(t, "good"), s.create(t, "bad")
	s.db.Exec(t, `create or replace function agentexec._log_json(line agentexec.activity_log) returns jsonb language plpgsql stable as $$
		begin
			if line.message = 'bad' then
				raise exception using errcode = '54000', message = 'total size of jsonb array elements exceeds the maximum';
			end if;
			return jsonb_build_object('id', line.id, 'seq', line.seq, 'message', line.message, 'status', line.status,
				'percentage', line.percentage, 'created_at', agentexec._time(line.created_at), 'data', line.data);
		end $$`)
	so := s.open(t)
	so.sub(t, "bad", bad, 0)
	m := so.expect(t, "error", "bad")
	require.Equal(t, "limit", m.Code)
	require.Equal(t, "the answer is larger than the database can make", m.Message)
	so.send(t, `{"type":"subscribe","sub":"good","agent_id":"`+good.String()+`"}`)
	so.expect(t, "snapshot", "good")
	so.expect(t, "logs", "good")
	require.Equal(t, 1, strings.Count(log.String(), "cannot be served"), log.String())

	status, _, body := s.ask(t, "GET", "/v1/feed/"+bad.String(), "Accept", "text/event-stream")
	require.Equal(t, 200, status)
	require.Contains(t, body, "event: error\n")
	require.Contains(t, body, `"code":"limit"`)
}
