package pgurl

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// keywordNames are the keywords of libpq and of pgx that pgx supports.
var keywordNames = strings.Fields(`
	host port database user password passfile connect_timeout service servicefile target_session_attrs
	sslmode sslkey sslcert sslcertmode sslrootcert sslnegotiation sslpassword sslsni krbspn krbsrvname
	min_protocol_version max_protocol_version channel_binding require_auth options
	default_query_exec_mode statement_cache_capacity description_cache_capacity
	pool_max_conns pool_min_conns pool_min_idle_conns pool_max_conn_lifetime pool_max_conn_idle_time
	pool_health_check_period pool_max_conn_lifetime_jitter pool_ping_timeout`)

//go:embed parameters.txt
var parameterList string

// parameterNames are the run-time parameters of the supported versions of Postgres that a session may set.
var parameterNames = strings.Fields(parameterList)

// ignored are keywords of libpq that do not change the data read or written: their effect is pgx's default, or an
// optimisation.
var ignored = map[string]func(value string) bool{
	"keepalives":               always,
	"keepalives_idle":          always,
	"keepalives_interval":      always,
	"keepalives_count":         always,
	"tcp_user_timeout":         always,
	"gsslib":                   always,
	"sslcompression":           always,
	"client_encoding":          always, // UTF8 is always set
	"gssencmode":               oneOf("", "disable", "prefer"),
	"gssdelegation":            oneOf("", "0"),
	"load_balance_hosts":       oneOf("", "disable"),
	"ssl_min_protocol_version": oneOf("", "TLSv1", "TLSv1.1", "TLSv1.2"), // Go's own minimum is 1.2
	"ssl_max_protocol_version": oneOf("", "TLSv1.3"),
	"replication":              oneOf("", "false", "off", "no", "0"),
}

func always(string) bool { return true }

func oneOf(values ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(values, value) }
}

// advice names, for parameters of other programs and drivers, what to use here. Each of these names may be shown.
var advice = map[string]string{
	"schema":                    "choose the schema with --schema or AGENTEXEC_SCHEMA",
	"currentschema":             "choose the schema with --schema or AGENTEXEC_SCHEMA",
	"connection_limit":          "write pool_max_conns",
	"pool_size":                 "write pool_max_conns",
	"max_overflow":              "write pool_max_conns",
	"max_connections":           "write pool_max_conns",
	"pool_max":                  "write pool_max_conns",
	"pgbouncer":                 "leave it out: a pooler is recognised",
	"pool_timeout":              "leave it out",
	"socket_timeout":            "leave it out",
	"pool_mode":                 "leave it out",
	"statement_cache_size":      "leave it out, or write statement_cache_capacity",
	"preparethreshold":          "leave it out",
	"sslaccept":                 "write sslmode",
	"sslidentity":               "write sslcert and sslkey",
	"sslfactory":                "write sslmode",
	"sslca":                     "write sslrootcert",
	"sslrootca":                 "write sslrootcert",
	"uselibpqcompat":            "leave it out",
	"applicationname":           "write application_name",
	"timezone_name":             "write timezone",
	"timeout":                   "write connect_timeout",
	"connecttimeout":            "write connect_timeout",
	"command_timeout":           "write statement_timeout",
	"charset":                   "leave it out",
	"encoding":                  "leave it out",
	"hostaddr":                  "write host",
	"requirepeer":               "write require_auth",
	"sslcrl":                    "this program checks no revocation lists",
	"sslcrldir":                 "this program checks no revocation lists",
	"gssencmode":                "this program has no encryption by GSSAPI",
	"gssdelegation":             "this program delegates no GSSAPI credentials",
	"load_balance_hosts":        "write one host",
	"ssl_min_protocol_version":  "TLS 1.2 is the minimum here",
	"ssl_max_protocol_version":  "TLS 1.3 is the maximum here",
	"replication":               "leave it out",
	"fallback_application_name": "write application_name",
	"agentexec_database_url":    "write what follows it, without the variable's name",
	"database_url":              "write what follows it, without the variable's name",
	"agentexec_listen_url":      "write what follows it, without the variable's name",
}

func isSecret(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "pass") || strings.Contains(name, "pwd") || strings.Contains(name, "secret")
}

// translate returns the settings for pgx, or an error that names the unknown parameter and what to do about it.
func (g *given) translate() (map[string]string, error) {
	settings := make(map[string]string, len(g.values))
	for _, name := range g.names {
		value := g.values[name]
		switch {
		case name == "dbname":
			settings["database"] = value
		case name == "ssl":
			mode, err := g.sslmode(value)
			if err != nil {
				return nil, err
			}
			settings["sslmode"] = mode
		case name == "sslmode" && value == "no-verify":
			settings["sslmode"] = "require"
		case name == "sslmode" && g.values["ssl"] != "": // checked with ssl
		case ignored[name] != nil && ignored[name](value):
		case name == "fallback_application_name":
			if g.values["application_name"] == "" {
				settings["application_name"] = value
			}
		case slices.Contains(keywordNames, name):
			settings[name] = value
		case isParameter(name):
			settings[strings.ToLower(name)] = value
		default:
			return nil, g.unknown(name)
		}
	}
	return settings, nil
}

// isParameter reports whether a name is a run-time parameter of Postgres, or one of an extension, whose name has a dot.
func isParameter(name string) bool {
	before, after, dotted := strings.Cut(name, ".")
	return slices.Contains(parameterNames, strings.ToLower(name)) || dotted && before != "" && after != ""
}

// sslmode returns the sslmode for a driver's ssl.
func (g *given) sslmode(ssl string) (string, error) {
	var mode string
	switch strings.ToLower(ssl) {
	case "true", "1", "yes", "on", "t", "require", "no-verify":
		mode = "require"
	case "false", "0", "no", "off", "f", "disable":
		mode = "disable"
	case "prefer", "allow", "verify-ca", "verify-full":
		mode = strings.ToLower(ssl)
	default:
		return "", problem("ssl: its value cannot be used; write sslmode=require or another sslmode")
	}
	if other := g.values["sslmode"]; other != "" && other != mode {
		return "", problem("ssl and sslmode say different things; leave ssl out")
	}
	return mode, nil
}

// unknown refuses a parameter. It shows the name where this package knows it, or where it cannot be a part of a password.
func (g *given) unknown(name string) error {
	lower := strings.ToLower(name)
	if what, ok := advice[lower]; ok {
		return problem("the parameter " + lower + " is not known here: " + what)
	}
	what := "a parameter in it is not known"
	if g.nameable && isPlain(name) {
		what = "the parameter " + name + " is not known"
	}
	if near := nearest(lower); near != "" {
		return problem(what + "; is it " + near + " that is meant?")
	}
	return problem(what + ": leave it out, or write a setting of the server as options=-c%20NAME=VALUE")
}

// isPlain reports whether a name looks like a parameter's name.
func isPlain(name string) bool {
	return len(name) <= 40 && strings.IndexFunc(name, func(r rune) bool { return !isNameRune(r) }) < 0
}

// nearest returns the known name that is at most two typing errors away, "" where there is none.
func nearest(name string) string {
	best, most := "", 3
	if len(name) < 5 {
		most = 2
	}
	for _, known := range slices.Concat(keywordNames, parameterNames) {
		if d := levenshtein.ComputeDistance(name, known); d < most {
			best, most = known, d
		}
	}
	return best
}
