package migrate

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	// declaration is the head of a function in our SQL files, up to its arguments.
	declaration = regexp.MustCompile(`(?m)^create or replace function ((?:\w+|"\w+")\.\w+)\(`)
	// byDefault is the default of an argument.
	byDefault = regexp.MustCompile(`(?s)\s+default\s.*|\s*=.*`)
	comment   = regexp.MustCompile(`(?m)--.*$`)
	// grant is a grant in our SQL files: the right, the objects, the roles.
	grant = regexp.MustCompile(`(?ms)^grant (execute on function|select on|usage on schema)\s+([^;]*?)\s+to\s+([\w, ]+);`)
)

// signatures returns the functions that a text creates, each with the types of its arguments. They identify our functions, so
// that others in the schema are left alone.
func signatures(text string) (found []string) {
	for _, at := range declaration.FindAllStringSubmatchIndex(text, -1) {
		var types []string
		for _, argument := range split(comment.ReplaceAllString(inParentheses(text[at[1]:]), "")) {
			words := strings.Fields(byDefault.ReplaceAllString(argument, ""))
			if len(words) > 1 && words[0] == "inout" {
				words = words[1:]
			}
			if len(words) > 1 && words[0] != "out" {
				types = append(types, strings.Join(words[1:], " "))
			}
		}
		found = append(found, fmt.Sprintf("%s(%s)", text[at[2]:at[3]], strings.Join(types, ", ")))
	}
	return found
}

// inParentheses returns the text up to the parenthesis that closes it.
func inParentheses(text string) string {
	depth := 1
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return text[:i]
		}
	}
	return text
}

// split cuts a list at the commas that are outside of parentheses and of quotes.
func split(list string) (parts []string) {
	depth, quoted, from := 0, false, 0
	for i, c := range list {
		switch {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			parts, from = append(parts, strings.TrimSpace(list[from:i])), i+1
		}
	}
	return append(parts, strings.TrimSpace(list[from:]))
}

// granted returns the functions that a text grants to PUBLIC.
func granted(text string) (functions []string) {
	for _, g := range grant.FindAllStringSubmatch(text, -1) {
		functions = append(functions, split(g[2])...)
	}
	return functions
}

// wrongRights returns our functions that PUBLIC may execute but should not, and those that it should but may not.
func (s *schema) wrongRights(ctx context.Context, conn *pgx.Conn) (tooOpen, tooClosed []string, err error) {
	rows, err := conn.Query(ctx, `
		select f.signature, o.open
		from pg_catalog.unnest($1::text[]) f(signature)
		cross join pg_catalog.to_regprocedure(f.signature) p(oid)
		cross join lateral (
		  select coalesce(p.oid in (select pg_catalog.to_regprocedure(o.signature) from pg_catalog.unnest($2::text[]) o(signature)), false) as open) o
		where p.oid is not null and pg_catalog.has_function_privilege('public', p.oid, 'execute') <> o.open`,
		s.signatures, s.open)
	if err != nil {
		return nil, nil, err
	}
	var signature string
	var open bool
	_, err = pgx.ForEachRow(rows, []any{&signature, &open}, func() error {
		if open {
			tooClosed = append(tooClosed, signature)
		} else {
			tooOpen = append(tooOpen, signature)
		}
		return nil
	})
	return tooOpen, tooClosed, err
}

// lostRoles reports whether a role that exists lacks a right that roles.sql grants, and which roles do not exist.
func (s *schema) lostRoles(ctx context.Context, conn *pgx.Conn) (lost bool, missing []string, err error) {
	var kinds, objects, roles []string
	for _, g := range grant.FindAllStringSubmatch(s.roles, -1) {
		for _, object := range split(g[2]) {
			for _, role := range split(g[3]) {
				kinds, objects, roles = append(kinds, g[1]), append(objects, object), append(roles, role)
			}
		}
	}
	err = conn.QueryRow(ctx, `
		select coalesce(pg_catalog.bool_or(not case
		         when r.oid is null then true
		         when g.kind = 'usage on schema' then pg_catalog.has_schema_privilege(r.oid, $4, 'usage')
		         when g.kind = 'select on' then pg_catalog.has_table_privilege(r.oid, g.object, 'select')
		         else pg_catalog.has_function_privilege(r.oid, pg_catalog.to_regprocedure(g.object), 'execute')
		       end), false),
		       pg_catalog.array_agg(distinct g.role) filter (where r.oid is null)
		from unnest($1::text[], $2::text[], $3::text[]) g(kind, object, role)
		left join pg_catalog.pg_roles r on r.rolname = g.role`, kinds, objects, roles, s.name).Scan(&lost, &missing)
	return lost, missing, err
}
