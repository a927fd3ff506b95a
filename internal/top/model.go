package top

import (
	"context"
	"slices"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// view is a choice of activities, by the keys 1 to 4.
type view struct {
	name      string
	statuses  []client.Status
	attention bool // activities that need a person, in place of the statuses
}

// running reports whether a view has what is RUNNING.
func (v view) running() bool {
	return len(v.statuses) == 0 || slices.Contains(v.statuses, client.StatusRunning)
}

var views = [...]view{
	{name: "Active", statuses: []client.Status{client.StatusRunning, client.StatusQueued}},
	{name: "Needs me", attention: true},
	{name: "Failed", statuses: []client.Status{client.StatusError}},
	{name: "All"},
}

// order is an order of the activities within a group.
type order struct {
	by        int // an index of orders
	ascending bool
}

// orders are the orders: what the key s calls them, and their name in ListParams.
var orders = [...]struct {
	name  string
	param client.Sort
}{{"started", client.SortCreated}, {"duration", client.SortDuration}, {"last line", client.SortActivity}}

// page is which part of the screen takes the keys.
type page int

const (
	tablePage page = iota
	detailPage
	helpPage
	answerPage
)

// model is the state of the screen.
type model struct {
	ctx    context.Context //nolint:containedctx // Bubble Tea calls the model without one
	config Config
	look   palette
	width  int
	height int
	now    time.Time // of this machine, at the last message

	page    page
	help    page // the page to go back to from the help and from an answer
	view    int
	order   order
	input   textinput.Model
	typing  bool
	filter  Filter
	message string // an answer to the user, until the next key
	wrong   bool   // message is about a failure
	asking  *question
	form    *form // of the question that is being answered, nil for none

	reads     reads
	items     []client.ListItem // what was read, in the order of the table
	list      []client.ListItem // the rows of the table
	places    []place           // of these
	trees     trees
	prompts   map[uuid.UUID]client.AskedQuestion // the first open question of each activity
	total     int                                // activities that match, also outside of the page
	partial   bool                               // there are more than the page has
	stats     *client.Stats                      // of the last hour, nil before they were read
	rates     rates
	skew      time.Duration // the clock of the database less that of this machine
	selected  uuid.UUID
	selection int // the place of selected in list, kept where it leaves the list
	offset    int // of the first line shown

	detail detail
}

func newModel(ctx context.Context, config Config) (*model, error) {
	filter, err := ParseFilter(config.Filter)
	if err != nil {
		return nil, err
	}
	if config.Interval == 0 {
		config.Interval = time.Second
	}
	config.Interval = max(config.Interval, MinInterval)
	input := textinput.New()
	input.Prompt = ""
	input.Placeholder = "type:research org=1 status:error since:1h text"
	input.SetValue(config.Filter)
	m := &model{ctx: ctx, config: config, look: unknownBackground, now: time.Now(), input: input, filter: filter}
	m.trees.unfolded = map[uuid.UUID]bool{}
	m.reads.metadata = true
	return m, nil
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd {
	return tea.Batch(tea.RequestBackgroundColor, m.read(), second())
}

// secondMsg comes once a second: ages and countdowns change.
type secondMsg struct{}

func second() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return secondMsg{} })
}

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = time.Now()
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.input.SetWidth(max(10, m.width-24))
	case tea.BackgroundColorMsg:
		m.look = paletteFor(msg.IsDark())
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tea.PasteMsg:
		return m, m.edit(msg)
	case secondMsg:
		return m, second()
	case wakeMsg:
		if msg.generation == m.reads.generation {
			return m, m.read()
		}
	case readMsg:
		return m, m.take(msg)
	case questionsMsg:
		return m, m.openForm(msg)
	case answeredMsg:
		return m, m.answered(msg)
	case canceledMsg:
		m.taken(msg)
		return m, m.readSoon()
	default: // the cursor blinks
		return m, m.edit(msg)
	}
	return m, nil
}

// edit hands a message to the field that is being typed in, if there is one.
func (m *model) edit(msg tea.Msg) (cmd tea.Cmd) {
	switch {
	case m.form != nil:
		m.form.input, cmd = m.form.input.Update(msg)
	case m.typing:
		m.input, cmd = m.input.Update(msg)
	}
	return cmd
}

// key handles a key.
func (m *model) key(msg tea.KeyPressMsg) tea.Cmd {
	m.message, m.wrong = "", false
	name := msg.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case m.asking != nil:
		return m.confirm(name)
	case m.form != nil:
		return m.formKey(msg)
	case m.typing:
		return m.typed(msg)
	case m.page == helpPage:
		m.page = m.help
		return nil
	}
	switch name {
	case "q":
		return tea.Quit
	case "?":
		m.help, m.page = m.page, helpPage
	case "c":
		m.askCancel()
	case "a":
		return m.readQuestions()
	case "y":
		if a := m.current(); a != nil {
			m.message = "Copied " + a.AgentID.String()
			return tea.SetClipboard(a.AgentID.String())
		}
	case "r":
		return m.readSoon()
	default:
		if m.page == detailPage {
			return m.detailKey(name)
		}
		return m.tableKey(name)
	}
	return nil
}

// tableKey handles a key of the table.
func (m *model) tableKey(name string) tea.Cmd {
	page := max(1, m.tableHeight()-1)
	switch name {
	case "/":
		m.typing = true
		return m.input.Focus()
	case "esc":
		if m.input.Value() != "" {
			m.input.SetValue("")
			return m.refilter()
		}
	case "j", "down":
		m.move(1)
	case "k", "up":
		m.move(-1)
	case "pgdown", "space", "ctrl+f", "ctrl+d":
		m.move(page)
	case "pgup", "ctrl+b", "ctrl+u":
		m.move(-page)
	case "g", "home":
		m.move(-len(m.list))
	case "G", "end":
		m.move(len(m.list))
	case "enter":
		return m.openDetail()
	case "right", "l":
		if m.unfold() {
			return m.readSoon()
		}
	case "left", "h":
		m.fold()
	case "s":
		m.order.by = (m.order.by + 1) % len(orders)
		return m.readSoon()
	case "S":
		m.order.ascending = !m.order.ascending
		return m.readSoon()
	case "1", "2", "3", "4":
		m.view = int(name[0] - '1')
		return m.readSoon()
	}
	return nil
}

// typed handles a key of the search field.
func (m *model) typed(msg tea.KeyPressMsg) tea.Cmd {
	switch msg.String() {
	case "enter":
		return m.refilter()
	case "esc":
		m.typing = false
		m.input.Blur()
		return nil
	}
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(msg)
	return cmd
}

// refilter takes the text of the search field.
func (m *model) refilter() tea.Cmd {
	filter, err := ParseFilter(m.input.Value())
	if err != nil {
		m.message, m.wrong = m.config.Describe(err), true
		return nil
	}
	m.typing = false
	m.input.Blur()
	m.filter = filter
	return m.readSoon()
}

// move moves the selection by so many rows.
func (m *model) move(by int) {
	if len(m.list) == 0 {
		return
	}
	m.selection = min(max(m.selection+by, 0), len(m.list)-1)
	m.selected = m.list[m.selection].AgentID
}

// current returns the selected activity, nil where there is none.
func (m *model) current() *client.Activity {
	if m.page == detailPage || m.page == answerPage && m.help == detailPage {
		return m.detail.activity
	}
	if m.selection >= len(m.list) {
		return nil
	}
	return &m.list[m.selection].Activity
}

// show makes a read the shown list: grouped, with the selection on the same activity where that is still there.
func (m *model) show(items []client.ListItem) {
	items = slices.DeleteFunc(items, func(item client.ListItem) bool { return !m.filter.matches(item) })
	slices.SortStableFunc(items, func(a, b client.ListItem) int {
		return int(groupOf(a)) - int(groupOf(b))
	})
	m.items = items
	m.arrange(items)
	at := slices.IndexFunc(m.list, func(item client.ListItem) bool { return item.AgentID == m.selected })
	if at >= 0 {
		m.selection = at
	}
	m.move(0)
}

// clock returns the time of the database.
func (m *model) clock() time.Time { return m.now.Add(m.skew) }
