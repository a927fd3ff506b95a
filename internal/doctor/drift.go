package doctor

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/pkg/migrate"
)

var (
	functionHead = regexp.MustCompile(`(?m)^create or replace function "?\w+"?\.(\w+)\(`)
	triggerHead  = regexp.MustCompile(`(?m)^create or replace trigger (\w+)`)
	indexHead    = regexp.MustCompile(`(?m)^create (?:unique )?index (\w+) on`)
)

// checkDrift compares the objects of the schema with those that this program installs: functions that are missing or have another
// body, indexes that are missing or invalid, triggers that are missing or disabled.
func checkDrift(ctx context.Context, e *examination) error {
	var installs bytes.Buffer
	if err := migrate.Print(&installs, &migrate.Options{Schema: e.schema}); err != nil {
		return err
	}
	var faults []string
	for _, check := range []func(context.Context, *examination, string) ([]string, error){driftOfFunctions, driftOfIndexes, driftOfTriggers} {
		found, err := check(ctx, e, installs.String())
		if err != nil {
			return err
		}
		faults = append(faults, found...)
	}
	if len(faults) == 0 {
		e.add(OK, "all functions, indexes and triggers are those of this program", "")
		return nil
	}
	const most = 10
	more := ""
	if len(faults) > most {
		faults, more = faults[:most], fmt.Sprintf(", and %d more", len(faults)-most)
	}
	e.add(Problem, strings.Join(faults, ", ")+more, "a change by hand did that; agentexec migrate --print shows the definitions: apply those of these objects again")
	return nil
}

// bodies returns the names of the functions that a script makes, with the body of each that has one as text.
func bodies(script string) map[string]string {
	all := map[string]string{}
	heads := functionHead.FindAllStringSubmatchIndex(script, -1)
	for i, at := range heads {
		end := len(script)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		_, body, found := strings.Cut(script[at[0]:end], "\nas $$")
		body, _, closed := strings.Cut(body, "$$;")
		if !found || !closed {
			body = ""
		}
		all[script[at[2]:at[3]]] = body
	}
	return all
}

func driftOfFunctions(ctx context.Context, e *examination, installs string) ([]string, error) {
	wanted := bodies(installs)
	found, err := pairs(ctx, e, `select p.proname, p.prosrc from pg_catalog.pg_proc p where p.pronamespace = $1::pg_catalog.regnamespace`)
	if err != nil {
		return nil, err
	}
	var faults []string
	for _, name := range sorted(wanted) {
		body, exists := found[name]
		switch {
		case !exists:
			faults = append(faults, "function "+name+" is missing")
		case wanted[name] != "" && body != wanted[name]:
			faults = append(faults, "function "+name+" has another body")
		}
	}
	return faults, nil
}

func driftOfIndexes(ctx context.Context, e *examination, installs string) ([]string, error) {
	found, err := pairs(ctx, e, `select c.relname, case when i.indisvalid then '' else 'is invalid' end
		from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid where c.relnamespace = $1::pg_catalog.regnamespace`)
	if err != nil {
		return nil, err
	}
	return missing("index", indexHead, installs, found), nil
}

func driftOfTriggers(ctx context.Context, e *examination, installs string) ([]string, error) {
	found, err := pairs(ctx, e, `select t.tgname, case when t.tgenabled = 'D' then 'is disabled' else '' end
		from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid where c.relnamespace = $1::pg_catalog.regnamespace`)
	if err != nil {
		return nil, err
	}
	return missing("trigger", triggerHead, installs, found), nil
}

// missing returns the faults of the objects that a script makes: found has the fault of each that exists, "" for none.
func missing(kind string, head *regexp.Regexp, script string, found map[string]string) (faults []string) {
	wanted := map[string]string{}
	for _, m := range head.FindAllStringSubmatch(script, -1) {
		wanted[m[1]] = ""
	}
	for _, name := range sorted(wanted) {
		if fault, exists := found[name]; !exists {
			faults = append(faults, kind+" "+name+" is missing")
		} else if fault != "" {
			faults = append(faults, kind+" "+name+" "+fault)
		}
	}
	return faults
}

func sorted(names map[string]string) []string {
	all := make([]string, 0, len(names))
	for name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// pairs reads rows of two texts of the schema.
func pairs(ctx context.Context, e *examination, sql string) (map[string]string, error) {
	rows, err := e.conn.Query(ctx, sql, pgx.QueryExecModeExec, pgx.Identifier{e.schema}.Sanitize())
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		all[name] = value
		return nil
	})
	return all, err
}
