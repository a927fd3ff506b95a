package pgurl

import (
	"slices"
	"strings"
)

const space = " \t\n\r\v\f"

// readKeywords reads libpq's NAME=VALUE NAME='VALUE' ...; a backslash makes the next character literal.
func readKeywords(text string) (*given, error) {
	g := &given{}
	secret := false
	for text != "" {
		name, rest, found := strings.Cut(text, "=")
		if name = strings.TrimSpace(name); !found || name == "" || strings.ContainsAny(name, space) {
			return nil, problem("a keyword in it has no value; put a value with spaces into single quotes")
		}
		value, rest, ok := cutValue(strings.TrimLeft(rest, space))
		if !ok {
			return nil, problem("a single quote in it is not closed")
		}
		secret = secret || isSecret(name)
		g.set(name, value)
		text = strings.TrimLeft(rest, space)
	}
	// Without one known keyword the whole text may be something else.
	g.nameable = !secret && slices.ContainsFunc(g.names, func(name string) bool { return slices.Contains(keywordNames, name) })
	return g, nil
}

// cutValue cuts one value off a text.
func cutValue(text string) (value, rest string, ok bool) {
	quoted := strings.HasPrefix(text, "'")
	if quoted {
		text = text[1:]
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\'':
			return b.String(), text[i+1:], true
		case !quoted && strings.IndexByte(space, c) >= 0:
			return b.String(), text[i:], true
		case c == '\\':
			if i++; i < len(text) {
				b.WriteByte(text[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", !quoted
}
