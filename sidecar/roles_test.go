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

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
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
	s := start(t, db, withTokens, func(c *sidecar.Config) { c.DatabaseURL = as.String() })
	t.Cleanup(s.stop) // before the role is dropped

	require.Eventually(t, func() bool {
		_, _, body := s.ask(t, "GET", "/readyz")
		return strings.Contains(body, `"ready":true`) && strings.Contains(body, `"listen":"healthy"`)
	}, patience, 5*time.Millisecond)

	everything := token(t, auth.Everything())
	tenant := token(t, auth.Grant{Read: true, Scope: client.Scope{Metadata: map[string]any{"org": "1"}}})
	post := func(path, body string) (answer struct {
		AgentID uuid.UUID `json:"agent_id"`
	}) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+everything)
		resp, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Less(t, resp.StatusCode, 300, path)
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		return answer
	}
	ours := post("/v1/activities", `{"task_name": "research", "metadata": {"org": "1"}}`).AgentID
	theirs := post("/v1/activities", `{"task_name": "research", "metadata": {"org": "2"}}`).AgentID

	all, one := s.dialWith(t, "/v1/feed", everything), s.dialWith(t, "/v1/feed", tenant)
	for _, so := range []*socket{all, one} {
		require.Equal(t, "welcome", so.next(t).Type)
		so.subscribe(t, ours, 0)
		so.expect(t, "snapshot", ours.String())
		so.lines(t, 0, 1)
	}
	one.subscribe(t, theirs, 0)
	require.Equal(t, "not_found", one.expect(t, "error", theirs.String()).Code)
	s.append(t, ours, "live")
	all.lines(t, 1, 1)
	one.lines(t, 1, 1)
	list := s.dialWith(t, "/v1/feed", tenant)
	require.Equal(t, "welcome", list.next(t).Type)
	list.send(t, `{"type":"subscribe","sub":"l","list":{}}`)
	require.Len(t, list.expect(t, "snapshot", "l").Items, 1)
	s.append(t, ours, "more")
	require.Len(t, list.expect(t, "changes", "l").Items, 1)

	post("/v1/activities/"+ours.String()+"/logs", `{"message": "x"}`)
	post("/v1/activities/"+ours.String()+"/complete", "")
	for _, path := range []string{"/v1/activities", "/v1/activities/" + ours.String(), "/v1/stats"} {
		status, _, body := s.ask(t, "GET", path, "Authorization", "Bearer "+tenant)
		require.Equal(t, http.StatusOK, status, body)
	}
}
