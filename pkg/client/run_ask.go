package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agentexec/agentexec/internal/backoff"
)

// Answer is the answer of a person to a question.
type Answer struct {
	// Value is the JSON of the answer.
	Value json.RawMessage
	// By is the name of the person, "" where none was given.
	By string
	// At is when the question was answered.
	At time.Time
}

// Decode stores the answer in the value that into points to, as json.Unmarshal does.
func (a Answer) Decode(into any) error { return json.Unmarshal(a.Value, into) }

// Ask puts a question to a person and waits for the answer. The lines logged before it are stored first. After a restart, a worker
// that asks with the same key and prompt waits for the same question, or gets the answer that came meanwhile. A question that was withdrawn because an earlier attempt ended is
// asked anew.
//
// An answer arrives within moments, by the same connection as requests to cancel. Ask also reads the question again after a third of the
// promise, and after 10 s at the latest: with Config.PollOnly, or while LISTEN does not work, an answer is found only then.
//
// Returns ErrDeclined, ErrExpired or ErrWithdrawn when the question was closed without an answer, the cause of the context when ctx
// ends before, and otherwise the errors of Client.Ask. When the context of work ends, pass it as ctx so that Ask returns.
func (r *Run) Ask(ctx context.Context, question Question) (Answer, error) {
	if err := r.Flush(ctx); err != nil {
		return Answer{}, err
	}
	read := func() (AskedQuestion, error) { return r.c.Ask(ctx, r.id, question) }
	retry := backoff.Growing{Least: minRetry, Most: maxSendRetry}
	for {
		answered := r.answers.Next() // before the read, so that no answer is missed
		asked, err := read()
		wait := retry.Next()
		switch {
		case err != nil && ctx.Err() != nil:
			return Answer{}, context.Cause(ctx)
		case err != nil && !passing(err):
			return Answer{}, err
		case err == nil && asked.State != QuestionPending:
			return asked.answer()
		case err == nil:
			read = func() (AskedQuestion, error) { return r.c.Question(ctx, r.id, question.Key) }
			wait = min(r.every(), maxAnswerPoll)
			if asked.ExpiresAt != nil {
				wait = min(wait, max(time.Until(*asked.ExpiresAt), minRetry))
			}
			retry.Reset()
		}
		limited, cancel := context.WithTimeout(ctx, wait)
		select {
		case <-answered:
		case <-limited.Done():
		}
		cancel()
		if ctx.Err() != nil {
			return Answer{}, context.Cause(ctx)
		}
	}
}

// passing reports whether an error comes from the connection or the load of the server, so that the same call may succeed later.
func passing(err error) bool {
	if errors.Is(err, errDecode) {
		return false
	}
	state := sqlState(err)
	return state == "" || slices.ContainsFunc([]string{"08", "40", "53", "55P03", "57"}, func(class string) bool { return strings.HasPrefix(state, class) })
}

// maxAnswerPoll bounds the time between two reads of a question without a notification.
const maxAnswerPoll = 10 * time.Second

// answer returns the answer of a question that is closed.
func (q *AskedQuestion) answer() (Answer, error) {
	var kind error
	switch q.State {
	case QuestionAnswered:
		a := Answer{Value: q.Answer}
		if q.AnsweredBy != nil {
			a.By = *q.AnsweredBy
		}
		if q.ClosedAt != nil {
			a.At = *q.ClosedAt
		}
		return a, nil
	case QuestionDeclined:
		kind = ErrDeclined
	case QuestionExpired:
		kind = ErrExpired
	default:
		kind = ErrWithdrawn
	}
	return Answer{}, fmt.Errorf("%w: %s", kind, q.Key)
}
