package sql_test

import (
	"slices"

	"github.com/google/uuid"
)

// model is the contract's rules once more, in Go, one line at a time: what TestRandomOperations compares with.
type model map[uuid.UUID]*modelActivity

type modelActivity struct {
	agentType   string
	org         string // its metadata, {"org": ...}
	status      string
	latest      *int
	attempt     int
	startedSeq  int  // the line that started it; 0 = none
	finishedSeq int  // the line that ended it
	cancelSeq   int  // the line that requested the cancel; 0 = none
	graced      bool // whether the request has a grace period
	lines       []modelLine
}

type modelLine struct {
	Message    string
	Status     string
	Percentage *int
	Data       *string
	Attempt    int
	Requested  bool
}

func (m model) create(agent uuid.UUID, agentType, message, org string) string {
	switch {
	case agentType == "" || len(agentType) > 255:
		return "TA422"
	case m[agent] != nil:
		return "23505"
	}
	m[agent] = &modelActivity{agentType: agentType, org: org, status: "QUEUED", latest: ptr(0), attempt: 1,
		lines: []modelLine{{message, "QUEUED", ptr(0), nil, 1, false}}}
	return ""
}

// write adds the lines, all or none, one after the other. It returns the SQLSTATE of the refusal, or "".
func (m model) write(lines ...line) string {
	changed := model{}
	for _, l := range lines {
		if refusal := changed.writeOne(m, l); refusal != "" {
			return refusal
		}
	}
	for agent, a := range changed {
		m[agent] = a
	}
	return ""
}

// writeBatch is write as append_logs does it: every argument is looked at before any activity, and every activity
// before any step.
func (m model) writeBatch(lines ...line) string {
	for _, l := range lines {
		if outOfBounds(l) {
			return "TA422"
		}
	}
	for _, l := range lines {
		if m[l.agent] == nil {
			return "TA404"
		}
	}
	return m.write(lines...)
}

func outOfBounds(l line) bool {
	return l.percentage != nil && (*l.percentage < 0 || *l.percentage > 100)
}

// writeOne adds a line to this model's copy of an activity of base.
func (m model) writeOne(base model, l line) string {
	if outOfBounds(l) {
		return "TA422"
	}
	a := m[l.agent]
	if a == nil {
		if base[l.agent] == nil {
			return "TA404"
		}
		a = ptr(*base[l.agent])
		a.lines = slices.Clone(a.lines)
		m[l.agent] = a
	}
	to := a.status
	if l.status != nil {
		to = *l.status
	}
	if l.percentage != nil && (to != a.status || !isFinal(to)) { // a trailing line moves none
		a.latest = l.percentage
	}
	if to != a.status {
		switch {
		case a.status == "COMPLETE" || a.status == "CANCELED" || a.status == "ERROR" && to == "COMPLETE":
			return "TA409"
		case a.status == "ERROR" && to != "CANCELED":
			if a.cancelSeq > 0 {
				return "TA409"
			}
			a.attempt++
		}
		a.status, a.finishedSeq = to, 0
		if isFinal(to) {
			a.finishedSeq = len(a.lines) + 1
		}
		if to == "RUNNING" && a.startedSeq == 0 {
			a.startedSeq = len(a.lines) + 1
		}
	}
	var data *string
	if l.data != nil {
		data = ptr(string(l.data))
	}
	a.lines = append(a.lines, modelLine{l.message, a.status, l.percentage, data, a.attempt, a.cancelSeq > 0})
	return ""
}

// requestCancel makes the next line of an activity the request, unless there is one.
func (m model) requestCancel(agent uuid.UUID) {
	if a := m[agent]; a.cancelSeq == 0 {
		a.cancelSeq = len(a.lines) + 1
	}
}

// cancel models the function cancel. graced tells that the grace period is not null, force that it is 0.
func (m model) cancel(agent uuid.UUID, message string, graced, force bool) string {
	a := m[agent]
	if a == nil {
		return "TA404"
	}
	l := line{agent: agent, message: message, status: ptr("CANCELED")}
	switch {
	case a.status == "RUNNING" && !force:
		a.graced = a.graced || graced
		if a.cancelSeq > 0 {
			return ""
		}
		l.status = nil
	case a.status == "RUNNING":
		l.data = []byte(`{"forced": true}`)
	case a.status == "COMPLETE":
		return "TA409"
	case a.status == "CANCELED":
		return m.write(l)
	default:
		a.graced = false
	}
	m.requestCancel(agent)
	return m.write(l)
}

// sweep forces every cancel that has a grace period, as if each grace period were over.
func (m model) sweep() (forced int) {
	for agent, a := range m {
		if a.graced && !isFinal(a.status) {
			m.write(line{agent: agent, message: "Canceled: the worker did not end within the grace period", status: ptr("CANCELED"), data: []byte(`{"forced": true}`)})
			forced++
		}
	}
	return forced
}

func (m model) cancelPending(agentType, org *string, message string) int {
	n := 0
	for agent, a := range m {
		if isFinal(a.status) || agentType != nil && a.agentType != *agentType || org != nil && a.org != *org {
			continue
		}
		m.requestCancel(agent)
		m.write(line{agent: agent, message: message, status: ptr("CANCELED")})
		n++
	}
	return n
}
