package sql_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// detailPage is an answer of _detail_page.
type detailPage struct {
	AgentID uuid.UUID       `json:"agent_id"`
	LastSeq int             `json:"last_seq"`
	Status  string          `json:"status"`
	Meta    json.RawMessage `json:"metadata"`
	Logs    []struct {
		Seq     int             `json:"seq"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	} `json:"logs"`
	Next *int `json:"next_after_seq"`
}

const maxDetailBytes = 4 << 20

// readDetail reads an activity page by page, and checks that each page is in its bounds, or holds one line alone.
func readDetail(t *testing.T, q querier, agent uuid.UUID) (seqs []int, pages int) {
	t.Helper()
	for after := 0; ; pages++ {
		text := one[string](t, q, "select agentexec._detail_page($1, after_seq => $2)::text", agent, after)
		var p detailPage
		require.NoError(t, json.Unmarshal([]byte(text), &p))
		require.Equal(t, agent, p.AgentID)
		require.LessOrEqual(t, len(p.Logs), 1000)
		require.NotEmpty(t, p.Logs)
		if len(p.Logs) > 1 {
			require.LessOrEqual(t, len(text), maxDetailBytes+2000+10*len(p.Logs))
		}
		for _, line := range p.Logs {
			seqs = append(seqs, line.Seq)
		}
		if p.Next == nil {
			return seqs, pages + 1
		}
		require.Equal(t, seqs[len(seqs)-1], *p.Next)
		after = *p.Next
	}
}

func requireAllSeqs(t *testing.T, seqs []int, last int) {
	t.Helper()
	require.Len(t, seqs, last)
	for i, seq := range seqs {
		require.Equal(t, i+1, seq)
	}
}

func TestDetailPageHoldsAThousandLines(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := one[uuid.UUID](t, b.pool, `select agentexec.create_activity('research', metadata => '{"a": 1}')`)
	b.exec(`select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', $1::uuid, 'message', n::text, 'data', n))
		from generate_series(1, 2499) n))`, agent)
	seqs, pages := readDetail(t, b.pool, agent)
	requireAllSeqs(t, seqs, 2500)
	require.Equal(t, 3, pages)

	// A page holds what activity_detail holds.
	for _, arguments := range []string{"log_limit => 7", "after_seq => 2490", "log_limit => 0", "after_seq => 5000", `metadata_filter => '{"a": 1}'`,
		"log_limit => 9, include_metadata => true, after_seq => 3"} {
		if strings.HasPrefix(arguments, "metadata") {
			arguments += ", after_seq => 2000"
		}
		require.JSONEq(t, one[string](t, b.pool, "select agentexec.activity_detail($1, "+arguments+")::text", agent),
			one[string](t, b.pool, "select (agentexec._detail_page($1, "+arguments+")::jsonb - 'next_after_seq')::text", agent), arguments)
	}
	next := func(arguments string) *int {
		return one[*int](t, b.pool, "select (agentexec._detail_page($1, "+arguments+")->>'next_after_seq')::int", agent)
	}
	require.Equal(t, 7, *next("log_limit => 7"))
	require.Nil(t, next("log_limit => 0"))
	require.Nil(t, next("after_seq => 2500"))
	require.Nil(t, next("after_seq => 2400, log_limit => 100"))
	require.Equal(t, 2499, *next("after_seq => 2400, log_limit => 99"))

	require.Nil(t, one[*string](t, b.pool, "select agentexec._detail_page(gen_random_uuid())::text"))
	require.Nil(t, one[*string](t, b.pool, `select agentexec._detail_page($1, '{"a": 2}')::text`, agent))
	for _, arguments := range []string{"after_seq => -1", "after_seq => null", "log_limit => -1", "metadata_filter => '1'"} {
		_, err := b.pool.Exec(t.Context(), "select agentexec._detail_page($1, "+arguments+")", agent)
		requireRefused(t, err, "TA422")
	}
}

// A page ends at 4 MiB, whether messages or data make it long. A line that is longer is a page alone.
func TestDetailPageHoldsFourMebibytes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		last int // the number of lines
		line string
	}{
		"LongMessages":         {10, "select string_agg(md5(i::text), ''), null::jsonb from generate_series(1, 30000) i"},
		"CompressibleMessages": {10, "select repeat('x', 1000000), null::jsonb"},
		"EscapedMessages":      {4, "select repeat(e'\\x01', 1000000), null::jsonb"},
		"LongData":             {10, "select 'x', to_jsonb(string_agg(md5(i::text), '')) from generate_series(1, 30000) i"},
		"CompressibleData":     {10, "select 'x', to_jsonb(repeat('x', 1000000))"},
		// Stored in 12 bytes, written in 1,001.
		"WideNumbers": {10, "select 'x', jsonb_agg(1e1000::numeric) from generate_series(1, 900) i"},
		"HugeLines":   {4, "select 'x', to_jsonb(repeat('x', 6000000))"},
	} {
		agent := b.create("research")
		// As a restore writes them.
		b.exec(`insert into agentexec.activity_log (id, activity_id, seq, message, status, data, created_at)
			select nextval('agentexec.activity_log_id_seq'), a.id, n, l.message, 'QUEUED', l.data, a.created_at
			from agentexec.activity a, generate_series(2, $2) n, (`+c.line+`) l(message, data) where a.agent_id = $1`, agent, c.last)
		b.exec("update agentexec.activity set last_seq = $2 where agent_id = $1", agent, c.last)
		seqs, pages := readDetail(t, b.pool, agent)
		requireAllSeqs(t, seqs, c.last)
		require.GreaterOrEqual(t, pages, 3, name)
	}
}

// A page reads the lines that are on it from the TOAST table, and not those behind it.
func TestDetailPageReadsNoMoreThanItShows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.create("research")
	b.exec(`insert into agentexec.activity_log (id, activity_id, seq, message, status, data, created_at)
		select nextval('agentexec.activity_log_id_seq'), a.id, n, 'x', 'QUEUED', d.data, a.created_at
		from agentexec.activity a, generate_series(2, 100) n,
			(select to_jsonb(string_agg(md5(i::text), '')) as data from generate_series(1, 10000) i) d
		where a.agent_id = $1`, agent)
	b.exec("update agentexec.activity set last_seq = 100 where agent_id = $1", agent)
	conn := b.db.Conn(t)
	whole := fewestBlocks(t, conn, "select agentexec.activity_detail($1)", agent)
	page := fewestBlocks(t, conn, "select agentexec._detail_page($1)", agent)
	ten := fewestBlocks(t, conn, "select agentexec._lines_page((select id from agentexec.activity), 0, 500, 320000 * 10)")
	require.Less(t, page, whole/5)
	require.Less(t, ten, whole/7)
}
