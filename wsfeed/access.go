package wsfeed

import (
	"time"

	"github.com/agentexec/agentexec/pkg/client"
)

// Access is who is on the other side of a connection, and what they may see. The zero value is anybody, everything,
// forever: authentication is off.
type Access struct {
	// Subject names who it is, for limits and logs.
	Subject string
	// Expires is when the access ends. Zero: never.
	Expires time.Time
	// Scope is what there is for them; everything else does not exist.
	Scope client.Scope
}
