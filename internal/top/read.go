package top

import (
	"context"
	"errors"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

const (
	// pageSize is how many activities a read returns at most.
	pageSize = 200
	// readTimeout bounds a read, so that a connection that died silently is noticed.
	readTimeout = 10 * time.Second
	// statsEvery is the time between two reads of the stats, which look at more than a page.
	statsEvery = 5 * time.Second
	// maxPause bounds the time to the next read after failures.
	maxPause = 5 * time.Second
)

// reads is the state of the reading. One read runs at a time. A new generation begins when other activities are wanted: the answer
// of an older one is dropped.
type reads struct {
	generation int
	startedAt  time.Time
	statsAt    time.Time // the last read of the stats
	metadata   bool      // the source gives metadata
	readAt     time.Time // the last success
	lostAt     time.Time // the first failure since, zero for none
	failures   int
	err        error
}

// wakeMsg says that a read is due.
type wakeMsg struct{ generation int }

// readMsg is the answer to a read.
type readMsg struct {
	generation int
	list       *client.List
	counted    bool
	stats      *client.Stats // nil where they were not read, or could not be
	metadata   bool
	children   map[uuid.UUID]children // of what is unfolded
	questions  *client.QuestionList   // nil where none was read
	detail     *client.Detail         // nil where none is open
	id         uuid.UUID              // of the open detail
	err        error
}

// readSoon begins a new generation with a read, at the earliest MinInterval after the last one.
func (m *model) readSoon() tea.Cmd {
	m.reads.generation++
	generation := m.reads.generation
	return tea.Tick(max(0, MinInterval-time.Since(m.reads.startedAt)), func(time.Time) tea.Msg { return wakeMsg{generation} })
}

// read reads the page of the list, and the lines of the open activity.
func (m *model) read() tea.Cmd {
	now := time.Now()
	m.reads.startedAt = now
	query, unfolded := m.filter.query(views[m.view], m.order), m.wantedChildren()
	msg := readMsg{generation: m.reads.generation, metadata: m.reads.metadata}
	counting := now.Sub(m.reads.statsAt) >= statsEvery
	src, ctx := m.config.Source, m.ctx
	var lines *client.DetailParams
	if m.page == detailPage || m.page != tablePage && m.help == detailPage {
		msg.id, lines = m.detail.id, m.detail.params(msg.metadata)
	}
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		msg.list, msg.err = query.read(ctx, src, msg.metadata)
		if msg.metadata && source.NotAllowed(msg.err) { // the token shows no metadata
			msg.metadata = false
			msg.list, msg.err = query.read(ctx, src, false)
		}
		if msg.err == nil {
			msg.children, msg.err = readChildren(ctx, src, unfolded, msg.metadata)
		}
		if msg.err == nil && msg.waits() { // without them, the rows show their latest lines
			msg.questions, _ = source.Questions(ctx, src, client.QuestionListParams{PageSize: pageSize})
		}
		if msg.err == nil && counting { // without stats, the table has less at its edges and is still useful
			msg.counted = true
			msg.stats, _ = src.Stats(ctx, client.StatsParams{})
		}
		if msg.err == nil && lines != nil {
			lines.IncludeMetadata = msg.metadata
			msg.detail, msg.err = source.Detail(ctx, src, msg.id, *lines)
		}
		return msg
	}
}

// waits reports whether an activity that was read waits for the answer of a person.
func (msg *readMsg) waits() bool {
	asks := func(item client.ListItem) bool { return item.OpenQuestions > 0 }
	for _, below := range msg.children {
		if slices.ContainsFunc(below.items, asks) {
			return true
		}
	}
	return slices.ContainsFunc(msg.list.Items, asks)
}

// take takes the answer to a read, and lets the next one follow.
func (m *model) take(msg readMsg) tea.Cmd {
	if msg.generation != m.reads.generation {
		return nil
	}
	r := &m.reads
	pause := m.config.Interval
	if msg.list != nil && msg.err == nil || msg.list != nil && msg.children != nil {
		m.takeList(msg)
	}
	if msg.id == m.detail.id && (msg.detail != nil || errors.Is(msg.err, client.ErrNotFound)) {
		m.detail.take(msg)
		if errors.Is(msg.err, client.ErrNotFound) {
			msg.err = nil
		}
	}
	if msg.err != nil {
		if r.lostAt.IsZero() {
			r.lostAt = m.now
		}
		r.err = msg.err
		pause = min(max(pause, MinInterval<<min(r.failures, 5)), maxPause)
		r.failures++
	} else {
		r.lostAt, r.err, r.failures, r.readAt = time.Time{}, nil, 0, m.now
	}
	generation := r.generation
	return tea.Tick(pause, func(time.Time) tea.Msg { return wakeMsg{generation} })
}

func (m *model) takeList(msg readMsg) {
	list := msg.list
	m.reads.metadata = msg.metadata
	if msg.counted {
		m.reads.statsAt = m.now
	}
	if msg.stats != nil {
		m.stats = msg.stats
		m.skew = msg.stats.Until.Sub(m.now)
	}
	m.partial = list.Next != nil
	m.total = len(list.Items)
	if list.Total != nil {
		m.total = *list.Total
	}
	seen := list.Items
	for _, below := range msg.children {
		seen = append(seen[:len(seen):len(seen)], below.items...)
	}
	m.rates = m.rates.add(seen, m.now)
	m.trees.children = msg.children
	m.prompts = map[uuid.UUID]client.AskedQuestion{}
	if msg.questions != nil {
		for _, q := range msg.questions.Items {
			if _, ok := m.prompts[q.AgentID]; !ok { // the oldest first
				m.prompts[q.AgentID] = q
			}
		}
	}
	m.show(list.Items)
}
