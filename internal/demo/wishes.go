package demo

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
)

// roundParts is the number of parts of a round, unless an answer says another. maxRoundParts bounds it.
const (
	roundParts    = 12
	maxRoundParts = 20
)

// askEvery says that one of so many coordinators asks a question, and the first.
const askEvery = 2

// question is what a coordinator asks. Its answer is a wish about the rounds to come.
type question struct {
	key    string
	prompt func(dir string) string
	schema map[string]any
	grant  func(w *wishes, answer client.Answer) (string, error)
}

// The questions are asked in turn: one for each kind of form, a switch, a choice and fields.
var questions = []*question{
	{
		key:    "largest-first",
		prompt: func(string) string { return "Read the largest files of each part first?" },
		schema: map[string]any{"type": "boolean"},
		grant: func(w *wishes, answer client.Answer) (string, error) {
			if err := answer.Decode(&w.largest); err != nil {
				return "", err
			}
			if w.largest {
				return "reads the largest files first from now on", nil
			}
			return "reads the files by name from now on", nil
		},
	},
	{
		key:    "speed",
		prompt: func(dir string) string { return "How fast may the agents read " + dir + "?" },
		schema: map[string]any{"type": "string", "enum": []string{"slow", "usual", "fast"}},
		grant: func(w *wishes, answer client.Answer) (string, error) {
			var speed string
			if err := answer.Decode(&speed); err != nil {
				return "", err
			}
			w.slower = map[string]float64{"slow": 2, "fast": 0.5}[speed]
			return "reads at the speed " + speed + " from now on", nil
		},
	},
	{
		key:    "next-round",
		prompt: func(dir string) string { return "Into how many parts is the next round of " + dir + " divided?" },
		schema: map[string]any{
			"type": "object", "required": []string{"parts"},
			"properties": map[string]any{
				"parts": map[string]any{"type": "integer", "minimum": 1, "maximum": maxRoundParts, "title": "Parts"},
				"note":  map[string]any{"type": "string", "maxLength": 200, "title": "Note", "description": "Is written into the log."},
			},
		},
		grant: func(w *wishes, answer client.Answer) (string, error) {
			var wish struct {
				Parts int    `json:"parts"`
				Note  string `json:"note"`
			}
			if err := answer.Decode(&wish); err != nil {
				return "", err
			}
			w.parts = min(max(wish.Parts, 1), maxRoundParts)
			text := "plans " + count(w.parts, "part") + " for the next round"
			if wish.Note != "" {
				text += ": " + wish.Note
			}
			return text, nil
		},
	},
}

// wishes are what persons have answered, and whose turn it is to ask. All agents share them.
type wishes struct {
	mu      sync.Mutex
	parts   int     // of the next rounds, 0 for the usual number
	slower  float64 // factor of the duration, 0 for 1
	largest bool    // the largest files come first

	rounds, asked int
	open          bool // a question waits: there is one at a time
}

func (w *wishes) partsOfRound() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return cmp.Or(w.parts, roundParts)
}

// next returns the question that a new coordinator asks, nil for none. Call closed when it is closed.
func (w *wishes) next() *question {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rounds++
	if w.open || w.rounds%askEvery != 1 {
		return nil
	}
	w.open = true
	w.asked++
	return questions[(w.asked-1)%len(questions)]
}

func (w *wishes) closed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = false
}

// grant takes an answer, and returns the line about it.
func (w *wishes) grant(q *question, answer client.Answer) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	effect, err := q.grant(w, answer)
	if err != nil { // the schema does not allow such an answer
		return fmt.Sprintf("The answer %s is not understood: it goes on as before", answer.Value)
	}
	return "It " + effect
}

// apply returns the files in the order that is wished, and the time to take for them.
func (w *wishes) apply(files []file, usual time.Duration) ([]file, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.largest {
		slices.SortStableFunc(files, func(a, b file) int { return cmp.Compare(b.size, a.size) })
	}
	if w.slower != 0 {
		usual = time.Duration(float64(usual) * w.slower)
	}
	return files, usual
}
