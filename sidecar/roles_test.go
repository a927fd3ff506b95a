package sidecar_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sidecar"
)

// A sidecar that logs in as a member of agentexec_sidecar, and nothing else, does all that one of the owner does, with row
// security on, too.
func TestSidecarOfARole(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	require.NoError(t, migrate.Up(t.Context(), db.Conn(t), &migrate.Options{Roles: true, RowSecurity: true}))
	name := fmt.Sprintf("agentexec_test_%016x", rand.Uint64())
	db.Exec(t, "create role "+name+" login password 'x' in role agentexec_sidecar")
	t.Cleanup(func() { db.Exec(t, "drop role "+name) })
	as, err := url.Parse(db.URL)
	require.NoError(t, err)
	as.User = url.UserPassword(name, "x")
	s := start(t, db, withScopes, func(c *sidecar.Config) { c.DatabaseURL = as.String() })
	t.Cleanup(s.stop) // before the role is dropped

	require.Eventually(t, func() bool {
		resp, err := http.Get(s.url + "/readyz")
		require.NoError(t, err)
		defer resp.Body.Close()
		var is struct{ Listen string }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&is))
		return resp.StatusCode == http.StatusOK && is.Listen == "hearing"
	}, patience, 5*time.Millisecond)

	resp, err := http.Post(s.url+"/v1/activities", "application/json", strings.NewReader(`{"task_name": "research", "metadata": {"org": "1"}}`))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	var made struct {
		AgentID uuid.UUID `json:"agent_id"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&made))
	foreign := s.createFor(t, "2")

	l := s.list(t, `{"metadata":{"org":"1"}}`)
	require.Len(t, l.items, 1)
	all, one := s.open(t), s.dialIn(t, inOrg("1"), "/v1/feed")
	require.Equal(t, "welcome", one.next(t).Type)
	for _, so := range []*socket{all, one} {
		so.subscribe(t, made.AgentID, 0)
		so.expect(t, "snapshot", made.AgentID.String())
		so.lines(t, 0, 1)
	}
	one.subscribe(t, foreign, 0)
	require.Equal(t, "not_found", one.expect(t, "error", foreign.String()).Code)
	s.append(t, made.AgentID, "live")
	all.lines(t, 1, 1)
	one.lines(t, 1, 1)
	require.Equal(t, "changes", l.next(t).Type)

	for path, body := range map[string]string{"/logs": `{"message": "x"}`, "/complete": ""} {
		resp, err := http.Post(s.url+"/v1/activities/"+made.AgentID.String()+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Less(t, resp.StatusCode, 300, path)
	}
	for _, path := range []string{"/v1/activities", "/v1/activities/" + made.AgentID.String(), "/v1/stats"} {
		resp, err := http.Get(s.url + path)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
	}
}
