package exit

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

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// Describe returns an error as one line without passwords, or nothing where there is nothing to print.
func Describe(err error) string {
	if err == nil {
		return ""
	}
	return terminal.Printable(Redact(lineBreaks.ReplaceAllString(strings.TrimSpace(Explain(err)), " | ")))
}

// Explain returns a better text for errors whose own text is unclear.
func Explain(err error) string {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return fmt.Sprintf("cannot connect to database %s: %s", place(connect.Config), Reason(connect.Unwrap()))
	}
	var sidecar *source.ConnectError
	if errors.As(err, &sidecar) {
		return fmt.Sprintf("cannot connect to %s: %s", sidecar.URL, Reason(sidecar.Unwrap()))
	}
	code, message, ok := said(err)
	if !ok {
		return strings.TrimPrefix(err.Error(), "agentexec: ") // main adds the prefix again
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

// Reason returns why a connection failed, to Postgres or another server.
func Reason(err error) string {
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

var (
	lineBreaks  = regexp.MustCompile(`\s*[\r\n]\s*`)
	urlPassword = regexp.MustCompile(`(postgres(?:ql)?://[^\s:@/]*:)\S*@`)
	keyPassword = regexp.MustCompile(`(?i)((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)`)
)

// Redact removes passwords from a text. It is a second safeguard: errors should not hold any.
func Redact(text string) string {
	text = urlPassword.ReplaceAllString(text, "${1}xxxxx@")
	return keyPassword.ReplaceAllString(text, "${1}xxxxx")
}
