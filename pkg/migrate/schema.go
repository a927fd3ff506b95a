package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"

	"github.com/agentexec/agentexec/sql"
)

// DefaultSchema is the schema's name unless another is chosen.
const DefaultSchema = "agentexec"

var (
	validName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	// qualifier matches the name of the schema in the SQL files: before a dot, or after the word schema. Settings look the
	// same, but keep their name whatever the schema's name.
	qualifier = regexp.MustCompile(`\bagentexec\.(?:scope|skipped|direct)\b|\bagentexec\.|\bschema agentexec\b`)
)

// schema is the SQL of one installation, under the chosen name.
type schema struct {
	name, quoted        string
	migrations          []migration
	functions, triggers string
	rights              string // of PUBLIC to the functions: revokes and grants
	roles, rowSecurity  string // applied on request
	// signatures are our functions, in the form of regprocedure. open are those of them that PUBLIC may execute.
	signatures, open []string
}

type migration struct{ name, sql string }

// pinnedPath precedes all SQL that is applied. A name that is resolved once and for all, as in a default or in a body parsed
// at its creation, must not come from a schema that the database's or the user's settings put first.
const pinnedPath = "set local search_path = pg_catalog, pg_temp;\n"

// ValidName reports whether a schema may be called name.
func ValidName(name string) bool {
	return validName.MatchString(name) && !strings.HasPrefix(name, "pg_") && name != "information_schema"
}

// loaded has the schema of each name that was asked for. To find the signatures takes 8 ms.
var (
	loadedMu sync.Mutex
	loaded   = make(map[string]*schema)
)

// load returns the SQL for the chosen name. Callers share it and change nothing in it.
func load(opts *Options) (*schema, error) {
	name := DefaultSchema
	if opts != nil && opts.Schema != "" {
		name = opts.Schema
	}
	if !ValidName(name) {
		return nil, fmt.Errorf("schema name %q: use lower-case letters, digits and underscores, at most 63, not beginning with a digit or pg_", name)
	}
	loadedMu.Lock()
	defer loadedMu.Unlock()
	if s, ok := loaded[name]; ok {
		return s, nil
	}
	s, err := read(name)
	if err == nil {
		loaded[name] = s
	}
	return s, err
}

// read makes the SQL for a name.
func read(name string) (*schema, error) {
	s := &schema{name: name}
	s.quoted = pgx.Identifier{s.name}.Sanitize()
	s.functions, s.triggers = s.rename(sql.Functions), s.rename(sql.Triggers+"\n"+sql.Comments)
	s.roles, s.rowSecurity = s.rename(sql.Roles), s.rename(sql.RowSecurity)
	s.signatures = signatures(s.functions + s.triggers + s.recordCode(false))
	s.open = granted(s.rename(sql.Rights))
	s.rights = fmt.Sprintf("revoke execute on function\n  %s\nfrom public;\n\n%s\n", strings.Join(s.signatures, ",\n  "), s.rename(sql.Rights))

	files, err := fs.Sub(sql.Migrations, "migrations")
	if err != nil {
		return nil, err
	}
	names, err := migrate.FindMigrations(files)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		s.migrations = append(s.migrations, migration{name: name, sql: pinnedPath + s.rename(string(body))})
	}
	return s, nil
}

// rename replaces agentexec in the files by the chosen schema.
func (s *schema) rename(text string) string {
	if s.name == DefaultSchema {
		return text
	}
	return qualifier.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasSuffix(found, "scope") || strings.HasSuffix(found, "skipped") || strings.HasSuffix(found, "direct") {
			return found // a setting
		}
		return strings.Replace(found, DefaultSchema, s.quoted, 1)
	})
}

// code returns the SQL that every upgrade applies whole. roles says whether the roles have been granted their rights.
func (s *schema) code(roles bool) []string {
	return []string{s.functions, s.triggers, s.recordCode(roles), s.rights}
}

// options returns the SQL of the requested options. The row security comes after the roles, because it excepts one of them.
func (s *schema) options(opts *Options) (parts []string) {
	if opts != nil && opts.Roles {
		parts = append(parts, s.roles, s.recordCode(true))
	}
	if opts != nil && opts.RowSecurity {
		parts = append(parts, s.rowSecurity)
	}
	return parts
}

// fingerprint identifies a version of the code.
func (s *schema) fingerprint() string {
	sum := sha256.Sum256([]byte(s.functions + "\x00" + s.triggers + "\x00" + s.rename(sql.Rights)))
	return hex.EncodeToString(sum[:])
}

// createSchema fails where the schema exists: "if not exists" would install into one that another role created meanwhile.
func (s *schema) createSchema() string {
	return fmt.Sprintf("create schema %s;\n", s.quoted)
}

// recordCode returns the function that records the installed state. It is code and no row, so that a dump without data has
// it, and a restore of data alone leaves it as it is.
func (s *schema) recordCode(roles bool) string {
	return fmt.Sprintf(s.rename(`-- _installed tells what agentexec migrate has installed: the version of the tables, the release and the fingerprint of the
-- functions and triggers, the name of the schema at that time, and whether the roles of roles.sql have their rights.
create or replace function agentexec._installed(out version int, out release int, out code text, out schema text, out roles boolean)
  language sql
  immutable parallel safe
begin atomic
  select %d, %d, '%s', '%s', %t;
end;
`), len(s.migrations), sql.Release, s.fingerprint(), s.name, roles)
}

// Print writes the whole installation, with the options, as plain SQL, one transaction, for psql -f on a database without the
// schema. The result is the same as Up's, version table included, so a later Up continues from there.
func Print(w io.Writer, opts *Options) error {
	s, err := load(opts)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "-- agentexec, schema version %d. Apply to a database without it: psql -v ON_ERROR_STOP=1 -f FILE\n\nbegin;\n\n", len(s.migrations))
	b.WriteString(pinnedPath + s.createSchema())
	fmt.Fprintf(&b, "create table %s.schema_version (version int4 not null);\n", s.quoted)
	for _, m := range s.migrations {
		fmt.Fprintf(&b, "\n-- %s\n\n%s\n", m.name, m.sql)
	}
	fmt.Fprintf(&b, "insert into %s.schema_version (version) values (%d);\n\n", s.quoted, len(s.migrations))
	for _, part := range append(s.code(false), s.options(opts)...) {
		b.WriteString(part + "\n")
	}
	b.WriteString("commit;\n")
	_, err = io.WriteString(w, b.String())
	return err
}
