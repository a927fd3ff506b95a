package tail

import (
	"fmt"
	"strconv"
	"strings"
)

// position is a place in the history of the whole database: a pg_snapshot. Rows that are visible now but not in it come from
// transactions that had not begun (xid >= xmax) or were still running (xid in xip) then. Ids from a sequence become visible
// out of order, so an id cannot be such a place.
//
// It is valid for one session only: after a crash, transaction ids that were never flushed are handed out again.
type position struct {
	xmin, xmax uint64
	xip        []string
	// foreign is the id of a line that came with a dump from another cluster, as read when the position was taken; 0 where
	// there was none. A different id later means that more such lines have come.
	foreign int64
}

// parsePosition reads the text of a pg_snapshot, xmin:xmax:xip,xip,...
func parsePosition(text string) (*position, error) {
	bad := func(err error) (*position, error) { return nil, fmt.Errorf("not a pg_snapshot: %q: %w", text, err) }
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return bad(strconv.ErrSyntax)
	}
	p := &position{xip: []string{}}
	var err error
	if p.xmin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return bad(err)
	}
	if p.xmax, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return bad(err)
	}
	if parts[2] == "" {
		return p, nil
	}
	p.xip = strings.Split(parts[2], ",")
	for _, xid := range p.xip {
		if _, err := strconv.ParseUint(xid, 10, 64); err != nil {
			return bad(err)
		}
	}
	return p, nil
}

func (p *position) xmaxText() string { return strconv.FormatUint(p.xmax, 10) }
