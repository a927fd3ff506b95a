// Package pgurl is the one reader of connection strings. It accepts the forms of libpq, and those that other programs write
// for their drivers: a scheme with a driver's name, such as postgresql+asyncpg, and ssl in place of sslmode.
//
// No error of this package quotes a value. A password may be anywhere in an invalid string, so errors use only words of this
// package. They show a parameter's name only where it cannot be a part of a password.
//
// May import: nothing of this module.
package pgurl

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Parse reads a connection string: a URL (postgres:// or postgresql://) or libpq's keywords and values. Pool parameters, such
// as pool_max_conns, go into the pool's configuration and never to the server; single connections use only the ConnConfig.
//
// It refuses an unknown parameter by its name, another scheme, and a text in neither form. Without a host, the environment and
// the defaults of libpq decide.
func Parse(text string) (*pgxpool.Config, error) {
	given, err := read(text)
	if err != nil {
		return nil, err
	}
	settings, err := given.translate()
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(keywords(settings))
	if err != nil {
		return nil, whichValue(settings, err)
	}
	return config, nil
}

// Check checks a string that is used later, as Parse does.
func Check(text string) error {
	_, err := Parse(text)
	return err
}

// PoolSize returns the pool_max_conns of a connection string, 0 where it has none or cannot be read.
func PoolSize(text string) int {
	given, err := read(text)
	if err != nil || given.values["pool_max_conns"] == "" {
		return 0
	}
	config, err := Parse(text)
	if err != nil {
		return 0
	}
	return int(config.MaxConns)
}

// given holds the names and values of a connection string, not yet interpreted.
type given struct {
	values map[string]string
	names  []string // the keys of values, in order
	// nameable: the names cannot be parts of a password.
	nameable bool
}

func (g *given) set(name, value string) {
	if g.values == nil {
		g.values = make(map[string]string)
	}
	if _, known := g.values[name]; !known {
		g.names = append(g.names, name)
	}
	g.values[name] = value
}

const (
	example     = "write postgres://USER@HOST:5432/DATABASE"
	encodeHint  = "in a user name or password write @ as %40, / as %2F, ? as %3F, # as %23, : as %3A and % as %25"
	withoutText = "not a usable database URL"
)

func read(text string) (*given, error) {
	text = strings.TrimSpace(text)
	switch {
	case strings.ContainsRune(text, 0):
		return nil, problem("it holds a NUL character")
	case text == "":
		return &given{}, nil
	case isKeywords(text):
		return readKeywords(text)
	}
	return readURL(text)
}

// isKeywords reports whether a text begins as keyword=value. A text with a colon first is a URL.
func isKeywords(text string) bool {
	name, _, found := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	return found && name != "" && strings.IndexFunc(name, func(r rune) bool { return !isNameRune(r) }) < 0
}

func isNameRune(r rune) bool {
	return r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// keywords writes settings as libpq's keywords and values.
func keywords(settings map[string]string) string {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s='%s' ", name, quote.Replace(settings[name]))
	}
	return b.String()
}

// whichValue returns an error that names the invalid parameter: the one that pgx also refuses alone. It drops pgx's text,
// which quotes values.
func whichValue(settings map[string]string, err error) error {
	why := "its value cannot be used"
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		why = "its file cannot be read: " + file.Err.Error()
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name == "host" || name == "database" {
			continue
		}
		alone := map[string]string{"host": "localhost", "database": "d", name: settings[name]}
		if _, err := pgxpool.ParseConfig(keywords(alone)); err != nil {
			return problem(name + ": " + why)
		}
	}
	return problem("its parameters do not go together")
}

func problem(what string) error { return fmt.Errorf("%s (%s); %s", withoutText, what, example) }
