package sql_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

const operations = 400

// TestRandomOperations does the same random things to the database and to the model, and compares after each.
func TestRandomOperations(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, rand.Uint64()} {
		t.Run(fmt.Sprintf("Seed%d", seed), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			w := &world{b: b, Rand: rand.New(rand.NewPCG(seed, 0)), model: model{}, conn: b.db.Conn(t)}
			for range 6 {
				w.create()
			}
			for i := range operations {
				w.operation()
				w.requireSameActivities()
				if i%40 == 39 {
					w.requireSameLines()
				}
			}
		})
	}
}

// world is the model and the database it is compared with.
type world struct {
	*rand.Rand
	b      *bundle
	conn   *pgx.Conn
	model  model
	agents []uuid.UUID
	count  int
	last   string // the last operation, for the message of a failure
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (w *world) operation() {
	switch w.IntN(12) {
	case 0:
		w.create()
	case 1, 2, 3:
		l := w.line()
		w.requireOutcome(fmt.Sprint("append_log ", l), w.model.write(l), doors[0].write(w.ctx(), w.conn, l))
	case 4, 5, 6:
		w.batch()
	case 7, 8:
		w.insert()
	case 9:
		name, to := "complete", "COMPLETE"
		l := w.line()
		if w.IntN(2) == 0 {
			name, to = "error", "ERROR"
		}
		l.percentage, l.data, l.status = nil, nil, &to
		call := "select agentexec.error($1, $2)"
		if name == "complete" {
			l.percentage = ptr(100)
			call = "select agentexec.complete($1, $2)"
		}
		_, err := w.conn.Exec(w.ctx(), call, l.agent, l.message)
		w.requireOutcome(name, w.model.write(l), err)
	case 10:
		w.cancel()
	case 11:
		agentType, org := pick(w.Rand, nil, ptr("a"), ptr("b")), pick(w.Rand, nil, ptr("1"), ptr("2"))
		var filter []byte
		if org != nil {
			filter = fmt.Appendf(nil, `{"org": %q}`, *org)
		}
		var n int
		w.last = "cancel_pending"
		require.NoError(w.b, w.conn.QueryRow(w.ctx(), "select agentexec.cancel_pending($1, $2, message => 'bye')",
			agentType, filter).Scan(&n))
		require.Equal(w.b, w.model.cancelPending(agentType, org, "bye"), n)
	}
}

// cancel cancels an activity, or makes every grace period end and sweeps.
func (w *world) cancel() {
	if w.IntN(4) == 0 {
		_, err := w.conn.Exec(w.ctx(), "update agentexec.activity set cancel_force_at = clock_timestamp() - interval '1 s' where cancel_force_at is not null")
		require.NoError(w.b, err)
		w.last = "sweep"
		require.Equal(w.b, w.model.sweep(), one[int](w.b.T, w.conn, "select (agentexec.sweep() ->> 'forced')::int"))
		return
	}
	l := w.line()
	grace := pick(w.Rand, nil, nil, ptr("1 hour"), ptr("2 hours"), ptr("0"))
	_, err := w.conn.Exec(w.ctx(), "select agentexec.cancel($1, $2, $3::text::interval)", l.agent, l.message, grace)
	w.requireOutcome(fmt.Sprint("cancel ", grace), w.model.cancel(l.agent, l.message, grace != nil, grace != nil && *grace == "0"), err)
}

func (w *world) ctx() context.Context { return w.b.Context() }

func (w *world) requireOutcome(what, want string, err error) {
	w.b.Helper()
	w.last = what
	if err != nil {
		require.NotEmpty(w.b, code(err), err)
	}
	require.Equal(w.b, want, code(err), "%s: %v", what, err)
}

// create makes an activity, sometimes with a taken agent_id or a type out of bounds.
func (w *world) create() {
	agent := uuid.New()
	if w.IntN(6) == 0 && len(w.agents) > 0 {
		agent = w.agents[w.IntN(len(w.agents))]
	}
	agentType, org := pick(w.Rand, "a", "b", "c"), pick(w.Rand, "1", "2")
	if w.IntN(10) == 0 {
		agentType = strings.Repeat("x", pick(w.Rand, 0, 256))
	}
	_, err := w.conn.Exec(w.ctx(), "select agentexec.create_activity($1, $2, $3, $4)",
		agentType, "hello", agent, fmt.Appendf(nil, `{"org": %q}`, org))
	want := w.model.create(agent, agentType, "hello", org)
	w.requireOutcome("create_activity", want, err)
	if want == "" {
		w.agents = append(w.agents, agent)
	}
}

// line is a random line, now and then one to refuse.
func (w *world) line() line {
	w.count++
	l := line{agent: w.agents[w.IntN(len(w.agents))], message: fmt.Sprint(w.Uint32(), " line ", w.count)}
	if w.IntN(40) == 0 {
		l.agent = uuid.New()
	}
	if w.IntN(2) == 0 {
		l.percentage = ptr(w.IntN(101))
	} else if w.IntN(40) == 0 {
		l.percentage = pick(w.Rand, ptr(-1), ptr(101))
	}
	// Mostly steps that keep an activity alive: what is final stays so, and there would soon be nothing else.
	l.status = pick(w.Rand, nil, nil, nil, ptr("RUNNING"), ptr("RUNNING"), ptr("QUEUED"), ptr("ERROR"), ptr("ERROR"))
	if w.IntN(25) == 0 {
		l.status = pick(w.Rand, ptr("COMPLETE"), ptr("CANCELED"))
	}
	if w.IntN(3) == 0 {
		l.data = []byte(pick(w.Rand, `{"a": 1}`, `[]`, `0`, `"x"`, `false`))
	}
	return l
}

func (w *world) lines() []line {
	lines := make([]line, w.IntN(9))
	for i := range lines {
		lines[i] = w.line()
		if i > 0 && w.IntN(2) == 0 {
			lines[i].agent = lines[0].agent
		}
	}
	return lines
}

func (w *world) batch() {
	lines := w.lines()
	entries := make([]entry, len(lines))
	for i, l := range lines {
		entries[i] = l.entry()
	}
	_, err := w.conn.Exec(w.ctx(), "select agentexec.append_logs($1)", entries)
	w.requireOutcome(fmt.Sprint("append_logs ", entries), w.model.writeBatch(lines...), err)
}

// insert writes several rows in one statement.
func (w *world) insert() {
	lines := w.lines()
	if len(lines) == 0 {
		return
	}
	var rows []string
	var args []any
	for _, l := range lines {
		n := len(args)
		rows = append(rows, fmt.Sprintf(`(coalesce((select a.id from agentexec.activity a where a.agent_id = $%d), $%d),
			$%d, $%d::int, $%d::text::agentexec.status, $%d::jsonb)`, n+1, n+1, n+2, n+3, n+4, n+5))
		args = append(args, l.agent, l.message, l.percentage, l.status, l.data)
	}
	_, err := w.conn.Exec(w.ctx(), `insert into agentexec.activity_log (activity_id, message, percentage, status, data)
		values `+strings.Join(rows, ", "), args...)
	w.requireOutcome(fmt.Sprint("insert ", lines), w.model.write(lines...), err)
}

func (w *world) requireSameActivities() {
	w.b.Helper()
	type row struct {
		Agent         uuid.UUID
		Status        string
		Latest        *int
		Seq           int
		Attempt       int
		Started       *int
		Finished      *int
		UpdatedByLast bool
	}
	rows, err := w.conn.Query(w.ctx(), `select a.agent_id as agent, a.status::text as status, a.latest_percentage as latest,
			a.last_seq as seq, a.attempt,
			(select min(l.seq) from agentexec.activity_log l where l.activity_id = a.id and l.status = 'RUNNING'
				and l.created_at = a.started_at) as started,
			(select max(l.seq) from agentexec.activity_log l where l.activity_id = a.id and l.status = a.status
				and l.created_at = a.finished_at) as finished,
			a.updated_at = (select l.created_at from agentexec.activity_log l
				where l.activity_id = a.id and l.seq = a.last_seq) as updated_by_last
		from agentexec.activity a`)
	require.NoError(w.b, err)
	got, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	require.NoError(w.b, err)
	require.Len(w.b, got, len(w.model))
	for _, r := range got {
		a := w.model[r.Agent]
		require.NotNil(w.b, a)
		want := row{r.Agent, a.status, a.latest, len(a.lines), a.attempt, nil, r.Finished, true}
		if a.startedSeq > 0 {
			want.Started = &a.startedSeq
		}
		require.Equal(w.b, a.finishedSeq > 0, r.Finished != nil, w.last)
		if r.Finished != nil {
			require.GreaterOrEqual(w.b, *r.Finished, a.finishedSeq, w.last) // lines of one call share their time
		}
		require.Equal(w.b, want, r, w.last)
	}
}

func (w *world) requireSameLines() {
	w.b.Helper()
	for _, agent := range w.agents {
		rows, err := w.conn.Query(w.ctx(), `select l.message, l.status::text as status, l.percentage, l.data::text as data, l.attempt, l.cancel_requested as requested
			from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id
			where a.agent_id = $1 order by l.seq`, agent)
		require.NoError(w.b, err)
		got, err := pgx.CollectRows(rows, pgx.RowToStructByName[modelLine])
		require.NoError(w.b, err)
		require.Equal(w.b, w.model[agent].lines, got)
	}
}
