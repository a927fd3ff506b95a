package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// The exit codes, see the README. codeCanceled and codeInterrupted are those of watch.
const (
	codeDone        = 0
	codeFailed      = 1
	codeUsage       = 2
	codeCanceled    = 3
	codeInterrupted = 130 // the code of shells for SIGINT
)

// exitError is an error with an exit code of its own. Without an err nothing is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError is an error in how the command was called. cmd may be nil.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if cmd != nil {
		err = fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())
	}
	return &exitError{code: codeUsage, err: err}
}

func exitCode(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return codeDone
	case errors.As(err, &exit):
		return exit.code
	case errors.Is(err, client.ErrInvalid):
		return codeUsage
	default:
		return codeFailed
	}
}

// describe returns an error as one line without passwords, or nothing where there is nothing to print.
func describe(err error) string {
	if err == nil {
		return ""
	}
	return terminal.Printable(redact(lineBreaks.ReplaceAllString(strings.TrimSpace(explain(err)), " | ")))
}

// explain returns a better text for errors whose own text is unclear.
func explain(err error) string {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return fmt.Sprintf("cannot connect to database %s: %s", place(connect.Config), reason(connect.Unwrap()))
	}
	var sidecar *source.ConnectError
	if errors.As(err, &sidecar) {
		return fmt.Sprintf("cannot connect to %s: %s", sidecar.URL, reason(sidecar.Unwrap()))
	}
	code, message, ok := said(err)
	if !ok {
		return strings.TrimPrefix(err.Error(), "agentexec: ") // run adds it again
	}
	switch code {
	case "3F000", "42883", "42P01", "42704": // no such schema, function, table, type
		return fmt.Sprintf("the schema is missing or older than this program (%s); run: agentexec migrate", message)
	case "TA404", "TA409", "TA422":
		return message
	case "23505":
		if !errors.Is(err, client.ErrExists) {
			return fmt.Sprintf("the database says: %s (SQLSTATE %s)", message, code) // another key, such as that of the log's lines
		}
		return "there is an activity with that agent_id already"
	case "42501":
		return "the database does not allow it: " + message
	case "2BP01": // a view or a function of the user depends on a function of an older version
		return fmt.Sprintf("%s; drop what depends on it, run agentexec migrate again, and create it anew: %s", message, detail(err))
	default:
		return fmt.Sprintf("the database says: %s (SQLSTATE %s)", message, code)
	}
}

// said returns the error code and message of Postgres, if there are any.
func said(err error) (code, message string, ok bool) {
	var (
		db *client.DBError
		pg *pgconn.PgError
	)
	switch {
	case errors.As(err, &db):
		return db.Code, db.Message, true
	case errors.As(err, &pg):
		return pg.Code, pg.Message, true
	}
	return "", "", false
}

// detail returns what Postgres says beside its message.
func detail(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Detail
	}
	return ""
}

// place returns where a database is.
func place(config *pgconn.Config) string {
	where := net.JoinHostPort(config.Host, fmt.Sprint(config.Port))
	if strings.HasPrefix(config.Host, "/") {
		where = config.Host
	}
	return fmt.Sprintf("%q at %s as user %q", config.Database, where, config.User)
}

// reason returns why a connection failed, to Postgres or another server.
func reason(err error) string {
	var (
		pg  *pgconn.PgError
		dns *net.DNSError
		sys syscall.Errno
	)
	switch {
	case errors.As(err, &pg):
		return pg.Message
	case errors.As(err, &dns):
		return "no such host"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &sys):
		return sys.Error()
	default:
		return err.Error()
	}
}

// inUse reports whether err says that another program listens on the address.
func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

var (
	lineBreaks  = regexp.MustCompile(`\s*[\r\n]\s*`)
	urlPassword = regexp.MustCompile(`(postgres(?:ql)?://[^\s:@/]*:)\S*@`)
	keyPassword = regexp.MustCompile(`(?i)((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)`)
)

// redact removes passwords from a text. It is a second safeguard: errors should not hold any.
func redact(text string) string {
	text = urlPassword.ReplaceAllString(text, "${1}xxxxx@")
	return keyPassword.ReplaceAllString(text, "${1}xxxxx")
}

// flagError returns what is wrong with a flag, in fewer words than pflag, and the name that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	var (
		invalid *pflag.InvalidValueError
		unknown *pflag.NotExistError
	)
	switch {
	case errors.As(err, &invalid):
		return usageError(cmd, "--%s: %s", invalid.GetFlag().Name, reasonFor(invalid))
	case errors.As(err, &unknown) && strings.Trim(unknown.GetSpecifiedShortnames(), "0123456789.") == "" && unknown.GetSpecifiedShortnames() != "":
		return usageError(cmd, "-%s is no flag: put -- before a negative number", unknown.GetSpecifiedShortnames())
	case errors.As(err, &unknown):
		if meant := nearFlag(cmd, unknown.GetSpecifiedName()); meant != "" {
			return usageError(cmd, "%s, did you mean --%s?", err, meant)
		}
	}
	return usageError(cmd, "%s", err)
}

// reasonFor returns the reason that a flag gave, after the value where the reason does not begin with a quoted value.
func reasonFor(invalid *pflag.InvalidValueError) string {
	reason := invalid.Unwrap().Error()
	if strings.HasPrefix(reason, `"`) {
		return reason
	}
	return fmt.Sprintf("%.100q %s", invalid.GetValue(), reason)
}

// nearFlag returns the flag of a command whose name begins with this one, or differs by a letter or two; "" for none.
func nearFlag(cmd *cobra.Command, name string) (near string) {
	const most = 2
	least := most + 1
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		d := distance(name, flag.Name)
		if len(name) > 2 && strings.HasPrefix(flag.Name, name) {
			d = 0
		}
		if d < least && d < len(name)-1 {
			near, least = flag.Name, d
		}
	})
	return near
}

// distance returns how many letters must be added, removed or changed to turn one word into the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
