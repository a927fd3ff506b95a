package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTreeCommands: create below a parent, list by parent, root and question, and cancel of a tree, from both sources.
func TestTreeCommands(t *testing.T) {
	t.Parallel()
	c := setup(t)
	_, url := c.serve(t, "--addr", "127.0.0.1:0")
	root := c.ok(t, "create", "plan", "--metadata", `{"org": 1}`)
	c.ok(t, "log", root, "Go", "--status", "RUNNING")
	child := c.ok(t, "create", "part", "--parent", root[:8])
	grandchild := c.ok(t, "create", "piece", "--parent", child)
	done := c.ok(t, "create", "part", "--parent", root)
	c.ok(t, "complete", done)
	require.Contains(t, c.refused(t, 1, "create", "part", "--parent", "01234567-89ab-cdef-0123-456789abcdef"), "01234567-89ab-cdef-0123-456789abcdef")
	require.Contains(t, c.refused(t, 1, "create", "part", "--parent", "0123"), "begins with 0123")
	c.ask(t, child, "k", "Go on?", "null")

	for _, from := range []*cli{c, bare(t).with("AGENTEXEC_URL=" + url)} {
		listed := func(args ...string) string { return from.ok(t, append([]string{"list"}, args...)...) }
		ids := func(args ...string) (found []string) {
			for _, row := range strings.Split(listed(args...), "\n")[1:] {
				for name, id := range map[string]string{"root": root, "child": child, "grandchild": grandchild, "done": done} {
					if strings.Contains(row, id) {
						found = append(found, name)
					}
				}
			}
			return found
		}
		require.Equal(t, []string{"child", "done"}, ids("--parent", root))
		require.Subset(t, ids("--root", root[:8]), []string{"grandchild", "child", "done"})
		require.Equal(t, []string{"root"}, ids("--roots"))
		require.Equal(t, []string{"child"}, ids("--waiting"))
		require.Equal(t, []string{"root", "grandchild", "done"}, ids("--waiting=false"))
		require.Regexp(t, `RUNNING +0%  plan \(1/2\)`, listed("--roots"))
		require.Regexp(t, `QUEUED,waiting +0%  part \(0/1\)`, listed("--waiting"))
		require.Contains(t, from.ok(t, "show", root), "\nchildren   2: 1 queued, 0 running, 1 complete, 0 error, 0 canceled  50%\n")
		require.Contains(t, from.ok(t, "show", grandchild), "\nparent     "+child+"\nroot       "+root+"\n")
		require.Contains(t, from.ok(t, "show", child), "\nwaiting    1 question waits for an answer: agentexec questions "+child+"\n")
	}

	w := c.start(t, "list", "--watch", "--parent", root[:8], "--status", "QUEUED")
	require.Contains(t, w.line(t), child)
	remote := bare(t).with("AGENTEXEC_URL=" + url)
	require.Regexp(t, `^requested \(line 3\): forced at `, remote.ok(t, "cancel", root, "--tree"))
	require.Contains(t, w.line(t), child)
	require.Equal(t, int64(2), query[int64](t, c, "select count(*) from agentexec.activity where status = 'CANCELED'"))
	c.ok(t, "complete", root)
	require.Contains(t, c.refused(t, 1, "cancel", root, "--tree"), "is COMPLETE and cannot become CANCELED")
	c.ok(t, "create", "part", "--parent", root)
	require.Equal(t, "canceled what is below it; it is COMPLETE itself", c.ok(t, "cancel", root, "--tree"))
}
