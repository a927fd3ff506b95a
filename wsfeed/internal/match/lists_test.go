package match

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

// stock makes filters, scopes and metadata that meet often.
type stock struct{ *rand.Rand }

func (r stock) pick(texts ...string) string { return texts[r.IntN(len(texts))] }

func (r stock) object() string {
	text := "{"
	for i := range r.IntN(4) {
		if i > 0 {
			text += ","
		}
		text += r.pick(`"org"`, `"team"`, `"org"`, `"n"`) + ":" +
			r.pick(`1`, `1.0`, `"1"`, `"x"`, `null`, `true`, `false`, `{}`, `{"a":1}`, `{"a":1,"b":[2]}`, `[]`, `[1]`, `[1,"x",{"a":1}]`, `"\u0078"`, `10e-1`)
	}
	return text + "}"
}

// metadata is what a filter asks for: an object, or an array of alternatives.
func (r stock) metadata() string {
	if r.IntN(3) > 0 {
		return r.object()
	}
	alternatives := []string{r.object()}
	for range r.IntN(4) {
		alternatives = append(alternatives, r.object())
	}
	return "[" + strings.Join(alternatives, ",") + "]"
}

func (r stock) filter(t *testing.T, ids []uuid.UUID) Filter {
	f := Filter{Limit: 1 + r.IntN(1000)}
	switch r.IntN(8) {
	case 0:
		f.ParentAgentID = ids[r.IntN(len(ids)/10)].String()
	case 1:
		f.RootAgentID = ids[r.IntN(len(ids)/10)].String()
	case 2:
		f.ParentAgentID, f.RootAgentID = ids[r.IntN(len(ids)/10)].String(), ids[r.IntN(len(ids)/10)].String()
	case 3:
		f.RootsOnly = true
	}
	if r.IntN(3) == 0 {
		f.AgentType = r.pick("research", "write", "it's")
	}
	if r.IntN(3) > 0 {
		f.Metadata = json.RawMessage(r.metadata())
	}
	require.NoError(t, f.Normalise())
	return f
}

func (r stock) scope(t *testing.T, ids []uuid.UUID) (s client.Scope) {
	if r.IntN(4) == 0 {
		s.AgentIDs = []uuid.UUID{}
		for range r.IntN(20) {
			s.AgentIDs = append(s.AgentIDs, ids[r.IntN(len(ids))])
		}
	}
	if r.IntN(4) == 0 {
		s.AgentTypes = []string{}
		for range r.IntN(3) {
			s.AgentTypes = append(s.AgentTypes, r.pick("research", "write", "it's"))
		}
	}
	if r.IntN(2) == 0 {
		var of client.Scope
		require.NoError(t, json.Unmarshal([]byte(`{"metadata":`+r.metadata()+`}`), &of))
		s.Metadata, s.MetadataAny = of.Metadata, of.MetadataAny
	}
	return s
}

func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// watched is a list.
type watched struct {
	filter Filter
	scope  string
}

// TestListsAreFoundAsInPostgres: the lists that the feed finds for an activity are those whose filter and scope match it
// in SQL. Lists come and go meanwhile.
func TestListsAreFoundAsInPostgres(t *testing.T) {
	t.Parallel()
	const activities, rounds, more = 200, 15, 60
	conn := pgtest.New(t).Conn(t)
	all := NewLists[*watched]()
	r := stock{rand.New(rand.NewPCG(3, 4))}
	var everyone []Activity
	var ids []uuid.UUID
	for range activities {
		var a Activity
		metadata := any(r.object())
		if r.IntN(10) == 0 {
			metadata = nil
		}
		a.AgentType = r.pick("research", "write", "it's")
		var parent *uuid.UUID
		if len(ids) > 0 && r.IntN(3) > 0 {
			parent = &ids[r.IntN(min(len(ids), activities/10))]
		}
		require.NoError(t, conn.QueryRow(t.Context(), "select agentexec.create_activity($1, metadata => $2::text::jsonb, parent_agent_id => $3)",
			a.AgentType, metadata, parent).Scan(&a.AgentID))
		var above, root uuid.NullUUID
		require.NoError(t, conn.QueryRow(t.Context(), "select a.id, a.parent_agent_id, a.root_agent_id from agentexec.activity a where a.agent_id = $1",
			a.AgentID).Scan(&a.ID, &above, &root))
		a.ParentAgentID, a.RootAgentID = above.UUID, root.UUID
		everyone, ids = append(everyone, a), append(ids, a.AgentID)
	}
	metadata := func(a Activity) json.RawMessage {
		var text *string
		require.NoError(t, conn.QueryRow(t.Context(), "select a.metadata::text from agentexec.activity a where a.id = $1", a.ID).Scan(&text))
		if text == nil {
			return nil
		}
		return json.RawMessage(*text)
	}

	matched := 0
	var lists []*watched
	for round := range rounds {
		for range more {
			l := &watched{r.filter(t, ids), r.scope(t, ids).String()}
			all.Add(l, &l.filter, l.scope)
			lists = append(lists, l)
		}
		var keys, types, filters, scopes []string
		var parents, roots []*string
		var rootsOnly []bool
		seen := make(map[string]bool)
		for _, l := range lists {
			c := all.of[l]
			if !seen[c.key] {
				seen[c.key] = true
				keys = append(keys, c.key)
				types = append(types, l.filter.AgentType)
				filters = append(filters, string(l.filter.Metadata))
				scopes = append(scopes, l.scope)
				parents, roots = append(parents, nullable(l.filter.ParentAgentID)), append(roots, nullable(l.filter.RootAgentID))
				rootsOnly = append(rootsOnly, l.filter.RootsOnly)
			}
		}
		rows, err := conn.Query(t.Context(), `
			select a.agent_id, w.ord::int
			from unnest($1::text[], $2::text[], $3::text[], $4::text[]::uuid[], $5::text[]::uuid[], $6::boolean[])
				with ordinality w(agent_type, filter, scope, parent, root, roots_only, ord)
			cross join lateral agentexec._scope_of(nullif(w.scope, '')) s
			join agentexec.activity a on (w.agent_type = '' or a.agent_type = w.agent_type)
				and (w.filter = '' or agentexec._matches(a.metadata, w.filter::jsonb))
			where agentexec._in_scope(s.agent_ids, s.agent_types, s.metadata, a.agent_id, a.agent_type, a.metadata)
				and (w.parent is null or a.parent_agent_id = w.parent) and (w.root is null or a.root_agent_id = w.root or a.agent_id = w.root)
				and (not w.roots_only or a.parent_agent_id is null or num_nonnulls(s.agent_ids, s.agent_types, s.metadata) > 0)`, types, filters, scopes, parents, roots, rootsOnly)
		require.NoError(t, err)
		want := make(map[uuid.UUID][]string)
		var id uuid.UUID
		var ord int
		_, err = pgx.ForEachRow(rows, []any{&id, &ord}, func() error {
			want[id] = append(want[id], keys[ord-1])
			matched++
			return nil
		})
		require.NoError(t, err)
		for _, a := range everyone {
			for range 2 { // the second time without a look at the metadata
				found, unknown := all.Find([]Activity{a})
				for range unknown {
					all.Learn(&a, metadata(a), found)
				}
				got := []string{}
				for l := range found {
					got = append(got, all.of[l].key)
				}
				slices.Sort(got)
				require.ElementsMatch(t, want[a.AgentID], slices.Compact(got), fmt.Sprint("round ", round))
				_, unknown = all.Find([]Activity{a})
				require.Empty(t, unknown)
			}
		}
		for range more / 2 {
			i := r.IntN(len(lists))
			all.Remove(lists[i])
			lists = slices.Delete(lists, i, i+1)
		}
	}
	require.Greater(t, matched, 10*rounds*more)
	for _, l := range lists {
		all.Remove(l)
	}
	require.Empty(t, all.of)
	require.Empty(t, all.index)
	require.Empty(t, all.conditions)
	require.Empty(t, all.known)
	require.Zero(t, all.metadata)
}
