package client

import (
	"context"
	"errors"
	"iter"

	"github.com/google/uuid"
)

// Logs returns the lines of an activity after afterSeq (0: all), in the order of Seq, to the last one there is when
// the iterator reaches it. It reads pages of bounded size, so a log of any length takes little memory, and holds no
// connection or snapshot between them. An error is the last thing it yields, with a zero Log.
//
// Inside a transaction (see WithTx) it sees what the transaction wrote. Yields ErrNotFound when there is no such
// activity, and ErrInvalid when afterSeq is negative.
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
			more = page.more
		}
	}
}

// The bounds of a page. Lines may be of any size up to a few MiB, so the number of lines on a page follows the size of
// the page before.
const (
	firstPageLines = 10
	maxPageLines   = 500
	pageBytes      = 1 << 20 // pages stay near this
)

// pager reads the log of one activity by seq.
type pager struct {
	c       *Client
	agentID uuid.UUID
	seq     int // the last line that was given out
	limit   int // lines of the next page
}

// page is what was there in one snapshot.
type page struct {
	*Detail
	more bool // the page is full
}

func newPager(c *Client, agentID uuid.UUID, afterSeq int) *pager {
	return &pager{c: c, agentID: agentID, seq: afterSeq, limit: firstPageLines}
}

// next reads the lines after p.seq.
func (p *pager) next(ctx context.Context) (page, error) {
	for {
		limit := p.limit
		data, err := p.c.DetailJSON(ctx, p.agentID, DetailParams{AfterSeq: p.seq, LogLimit: &limit})
		if sqlState(err) == "54000" && limit > 1 { // more than Postgres can put into one value
			p.limit = max(limit/16, 1)
			continue
		}
		if err != nil {
			return page{}, err
		}
		switch {
		case len(data) > 2*pageBytes:
			p.limit = max(limit/2, 1)
		case len(data) < pageBytes/2:
			p.limit = min(limit*2, maxPageLines)
		}
		detail, err := decodeDetail(data)
		if err != nil {
			return page{}, err
		}
		return page{detail, len(detail.Logs) == limit}, nil
	}
}

// errLeft means that the caller left the loop.
var errLeft = errors.New("left")

// each gives out the lines of a page, until the caller leaves the loop (errLeft) or ctx ends (its error).
func (p *pager) each(ctx context.Context, page page, yield func(Log, error) bool) error {
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
