package wsfeed

// Config.InFlightBytes bounds the bytes that a socket holds, in two halves.
//
// In this process it is one read of Postgres: what a read may hold, and of it what is not sent yet, while the frame
// being written takes the place of the lines it was made of. A frame made of the ring is shared by all who are at the
// same place, and is no larger than that half either. Only what is larger by itself passes alone: a line, a snapshot, a
// list. (The ring belongs to the activity and has bounds of its own.)
//
// In the kernel it is the connection's send buffer. Without a bound it grows to megabytes, and a slow socket would
// have as much queued outside our sight.

// share is what a socket may hold in this process.
func (c *Config) share() int { return c.InFlightBytes / 2 }

// keep is what a subscription holds of a read: as much as a socket may, at least one line.
func (c *Config) keep(lines []Line) []Line {
	n := fitting(lines, c.share())
	clear(lines[n:])
	return lines[:n]
}
