package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
)

// Logs returns the lines of an activity after afterSeq (0: all), in the order of Seq, up to the last one that exists when the
// iterator reaches it. It reads pages of bounded size, so a log of any length takes little memory. Between pages it holds no
// connection or snapshot. An error is the last thing it yields, with a zero Log.
//
// Inside a transaction (see WithTx) it sees the transaction's writes. Yields ErrNotFound when there is no such activity,
// ErrReset when it is deleted and created again between two pages, and ErrInvalid when afterSeq is negative.
func (c *Client) Logs(ctx context.Context, agentID uuid.UUID, afterSeq int) iter.Seq2[Log, error] {
	return func(yield func(Log, error) bool) {
		p := newPager(c, agentID, afterSeq)
		for more := true; more; {
			page, err := p.next(ctx)
			if err != nil {
				yield(Log{}, err)
				return
			}
			if err := p.each(ctx, page, yield); err != nil {
				if !errors.Is(err, errLeft) {
					yield(Log{}, err)
				}
				return
			}
			more = page.NextAfterSeq != nil
		}
	}
}

// maxPageLines bounds the lines of a page. SQL bounds its bytes.
const maxPageLines = 1000

// pager reads the log of one activity by seq.
type pager struct {
	c       *Client
	agentID uuid.UUID
	seq     int       // of the last line yielded
	limit   int       // lines of the next page; less than maxPageLines after a read that took too long
	created time.Time // the activity's created_at, once it was read
}

func newPager(c *Client, agentID uuid.UUID, afterSeq int) *pager {
	return &pager{c: c, agentID: agentID, seq: afterSeq, limit: maxPageLines}
}

// next reads the lines after p.seq, in one snapshot.
func (p *pager) next(ctx context.Context) (*Detail, error) {
	page, err := p.c.DetailPage(ctx, p.agentID, DetailParams{AfterSeq: p.seq, LogLimit: &p.limit})
	if err == nil && !p.created.IsZero() && !page.CreatedAt.Equal(p.created) {
		return nil, fmt.Errorf("%w: it was deleted and made again at %s", ErrReset, page.CreatedAt.Format(time.RFC3339Nano))
	}
	if err == nil {
		p.created = page.CreatedAt
		p.limit = min(2*p.limit, maxPageLines)
	}
	return page, err
}

// errLeft means that the caller left the loop.
var errLeft = errors.New("left")

// each yields the lines of a page, until the caller leaves the loop (errLeft) or ctx ends (its error).
func (p *pager) each(ctx context.Context, page *Detail, yield func(Log, error) bool) error {
	for _, line := range page.Logs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.seq = line.Seq
		if !yield(line, nil) {
			return errLeft
		}
	}
	return nil
}
