// Package settings reads the settings of the program. Each is a flag, or else an environment variable, and an error names the one
// that is wrong. Reader opens no connection.
//
// settings.go has the settings that all commands share, service.go those of serve: access.go has tokens and origins, network.go
// TLS and proxies, limits.go the limits.
//
// May import: sidecar, pkg/migrate, internal/pgurl, and internal/exit of this program.
package settings

import (
	"cmp"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sidecar"
)

// Reader reads the settings that all commands share, and those of the command whose flags it has.
type Reader struct {
	flags *pflag.FlagSet
	// OwnDatabase is the URL of a Postgres that this process has started, where no other was named.
	OwnDatabase string
}

// The variables that stand in for flags, where their names differ from the flag's. Their values are no defaults of the flags,
// because help would print them, passwords included.
var variables = map[string][]string{
	"database-url":     {"AGENTEXEC_DATABASE_URL", "DATABASE_URL"},
	"private-key-file": {"AGENTEXEC_JWT_PRIVATE_KEY_FILE"},
}

// New returns a Reader for a command with flags of its own. The flags of a command that runs include those of Register.
func New(flags *pflag.FlagSet) *Reader { return &Reader{flags: flags} }

// Register registers the flags that all commands share, and reads the settings from them.
func (s *Reader) Register(flags *pflag.FlagSet) {
	s.flags = flags
	flags.String("database-url", "", "Postgres to work with, a `URL` (AGENTEXEC_DATABASE_URL, else DATABASE_URL)")
	flags.String("listen-url", "", "direct connection for LISTEN where the other `URL` goes through a pooler (AGENTEXEC_LISTEN_URL)")
	flags.String("listen", "", "`on`, or off to read on a timer and never LISTEN (AGENTEXEC_LISTEN; default on)")
	flags.String("schema", "", "`NAME` of the tracker's schema (AGENTEXEC_SCHEMA; default agentexec)")
	flags.String("addr", "", "address of the sidecar, `HOST:PORT` (AGENTEXEC_ADDR; default "+sidecar.DefaultAddr+")")
	flags.String("log-level", "", "`LEVEL` to log from: debug, info, warn or error (AGENTEXEC_LOG_LEVEL; default info)")
}

// Check rejects invalid settings, even where a command does not use them: a user who gives one expects an effect.
func (s *Reader) Check() error {
	_, err1 := s.Schema()
	_, _, err2 := s.Addr()
	_, err3 := s.Logger(io.Discard, slog.LevelInfo)
	_, err4 := s.pollOnly()
	return cmp.Or(err1, err2, err3, err4)
}

// Get returns a setting and its source: the flag if it was given, else the first variable that is set. Both are empty where
// there is neither.
func (s *Reader) Get(name string) (value, source string) {
	if flag := s.flags.Lookup(name); flag != nil && flag.Changed { // not every command has all of them
		return flag.Value.String(), "--" + name
	}
	for _, variable := range variablesOf(name) {
		if value := os.Getenv(variable); value != "" {
			return value, variable
		}
	}
	return "", ""
}

// guard is Get for a setting that protects. An empty value, which elsewhere counts as not given, is rejected here: a variable
// of a script or a compose file that is unset by mistake would remove the protection silently.
func (s *Reader) guard(name, protection string) (value, source string, err error) {
	value, source = s.Get(name)
	if source == "" {
		for _, variable := range variablesOf(name) {
			if _, set := os.LookupEnv(variable); set {
				source = variable
			}
		}
	}
	if value == "" && source != "" {
		err = exit.UsageError(nil, "%s must not be empty: give it a value, or leave it out where no %s is wanted", source, protection)
	}
	return value, source, err
}

// variablesOf returns the variables that stand in for a flag, in order of precedence.
func variablesOf(flag string) []string {
	if names := variables[flag]; names != nil {
		return names
	}
	return []string{"AGENTEXEC_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
}

// DatabaseURL returns the URL of the database, "" where none was chosen.
func (s *Reader) DatabaseURL() string {
	if s.OwnDatabase != "" {
		return s.OwnDatabase
	}
	url, _ := s.Get("database-url")
	return url
}

// ListenURL returns the URL of the direct connection for LISTEN, "" where there is none.
func (s *Reader) ListenURL() string {
	url, _ := s.Get("listen-url")
	return url
}

// pollOnly reports whether LISTEN is turned off.
func (s *Reader) pollOnly() (bool, error) {
	switch listen, source := s.Get("listen"); listen {
	case "", "on":
		return false, nil
	case "off":
		return true, nil
	default:
		return false, exit.UsageError(nil, "%s: %q is neither on nor off", source, listen)
	}
}

// Schema returns the name of the schema.
func (s *Reader) Schema() (string, error) {
	schema, source := s.Get("schema")
	switch {
	case schema == "":
		return migrate.DefaultSchema, nil
	case !migrate.ValidName(schema):
		return "", exit.UsageError(nil, "%s: %q is no name for a schema: use lower-case letters, digits and underscores, "+
			"at most 63, not beginning with a digit or pg_", source, schema)
	}
	return schema, nil
}

// Advise adds the schema to a command in a message, where a flag has chosen the schema: without it, the command would install
// another.
func (s *Reader) Advise(message string) string {
	const command = "run: agentexec migrate"
	if schema, source := s.Get("schema"); source == "--schema" {
		return strings.ReplaceAll(message, command, command+" --schema "+schema)
	}
	return message
}

// Addr returns the address of the sidecar, and whether it was chosen.
func (s *Reader) Addr() (addr string, chosen bool, err error) {
	addr, source := s.Get("addr")
	if addr == "" {
		return sidecar.DefaultAddr, false, nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return "", true, exit.UsageError(nil, "%s: %q is no address: write host:port, such as %s", source, addr, sidecar.DefaultAddr)
	}
	return addr, true, nil
}

// Logger returns a logger that writes to w from the chosen level on, or from usual where none was chosen.
func (s *Reader) Logger(w io.Writer, usual slog.Level) (*slog.Logger, error) {
	level := usual
	if name, source := s.Get("log-level"); name != "" {
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return nil, exit.UsageError(nil, "%s: %q is no log level: use debug, info, warn or error", source, name)
		}
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: tellErrors})), nil
}

// tellErrors formats errors in a log as in other output: on one line, without passwords.
func tellErrors(_ []string, attr slog.Attr) slog.Attr {
	if err, ok := attr.Value.Any().(error); ok {
		attr.Value = slog.StringValue(exit.Describe(err))
	}
	return attr
}
