package output

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// onTerminal is a screen of 80 columns whose output can be read.
func onTerminal() (*Screen, *bytes.Buffer) {
	var b bytes.Buffer
	return &Screen{Writer: &b, Terminal: true}, &b
}

func TestTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	out, b := onTerminal()
	long := strings.Repeat("很长 and \x1b[31m ", 100)
	items := []client.ListItem{
		{Activity: client.Activity{Status: client.StatusRunning, AgentType: long, AgentID: uuid.New(), CreatedAt: time.Now().Add(-100 * time.Hour)}, LatestLog: &long},
		{Activity: client.Activity{Status: client.StatusComplete, AgentType: "x", CreatedAt: time.Now().Add(time.Hour)}},
	}
	require.NoError(t, out.Table(items))
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	require.Len(t, lines, 3)
	for _, line := range lines {
		require.LessOrEqual(t, terminal.Columns(line), 80)
		require.NotContains(t, line, "\x1b")
	}
	require.Contains(t, lines[1], " 4d ")
	require.Contains(t, lines[2], " 0s")

	b.Reset()
	out.colors = true
	require.NoError(t, out.Table(items))
	require.Contains(t, b.String(), "\x1b[36mRUNNING\x1b[0m  ")
}

func TestJSONOnATerminal(t *testing.T) {
	t.Parallel()
	out, b := onTerminal()
	answer, err := json.Marshal([]string{"\u009b\x7f\u202e\U000e0041 完成 ✓"})
	require.NoError(t, err)
	require.NoError(t, out.JSON(answer))
	require.Equal(t, `["\u009b\u007f\u202e\udb40\udc41 完成 ✓"]`+"\n", b.String())
	require.JSONEq(t, string(answer), b.String())
}

func TestView(t *testing.T) {
	t.Parallel()
	out, b := onTerminal()
	began := time.Now().Add(-90 * time.Second)
	v := NewView(out, io.Discard, client.Activity{Status: client.StatusQueued, CreatedAt: began, UpdatedAt: began, LastSeq: 1, Attempt: 1})
	shown := func() string {
		defer b.Reset()
		return b.String()
	}

	require.NoError(t, v.Line(client.Log{Seq: 1, Status: client.StatusQueued, Message: "Agent queued", CreatedAt: began}))
	require.Regexp(t, `^\r\x1b\[K +1  \d\d:\d\d:\d\d  QUEUED       -  Agent queued\n`+
		`\r\x1b\[KQUEUED    ░{19,20}    -  1m30s  Agent queued$`, shown())
	require.NoError(t, v.Close())
	require.Equal(t, eraseRow+"QUEUED  1m30s  1 line\n", shown())

	v.Activity.Status, v.Activity.StartedAt, v.Activity.LatestPercentage = client.StatusRunning, new(began.Add(time.Minute)), new(50)
	require.NoError(t, v.Line(client.Log{
		Seq: 2, Status: client.StatusRunning, Percentage: new(50), Message: strings.Repeat("\x1b[2J", 50), CreatedAt: began.Add(time.Minute),
	}))
	text := shown()
	require.Equal(t, 2, strings.Count(text, "\x1b")) // the two that erase the bar
	bar := text[strings.LastIndex(text, eraseRow)+len(eraseRow):]
	require.Regexp(t, `^RUNNING   █{9,10}░{10}  50%  30s  \\x1b`, bar)
	require.LessOrEqual(t, terminal.Columns(bar), 79)

	require.NoError(t, v.Redraw())
	require.Equal(t, eraseRow+bar, shown())

	require.NoError(t, v.Line(client.Log{
		Seq: 3, Status: client.StatusComplete, Percentage: new(100), Message: "Done", CreatedAt: began.Add(65 * time.Second),
	}))
	shown()
	v.Activity.Status, v.Activity.FinishedAt = client.StatusComplete, new(began.Add(65*time.Second))
	v.Activity.LatestPercentage, v.Activity.LastSeq = new(100), 3
	require.NoError(t, v.Close())
	require.Equal(t, eraseRow+"COMPLETE  100%  5s  3 lines\n", shown())
}
