// Package sql holds the SQL of agentexec: every rule of the product lives here.
//
// Migrations are history (tables, types, indexes); Functions, Triggers, Comments and Rights are code, re-applied whole; Roles
// and RowSecurity are options, re-applied whenever they are asked for. The files
// name their schema agentexec; pkg/migrate puts another name in its place where one is chosen. This package
// imports nothing of the module.
package sql

import (
	"embed"
	"strings"
)

// Migrations are the numbered files NNN_*.sql, without gaps.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Functions are the functions and views that are the API, and what they need: the files in the order in which they are applied, which
// the head of each file repeats.
var Functions = strings.Join([]string{functions, heartbeat, cancel, lists, detail, stats, retired, answerSchema, questions, retention}, "\n")

//go:embed functions.sql
var functions string

//go:embed heartbeat.sql
var heartbeat string

//go:embed cancel.sql
var cancel string

//go:embed lists.sql
var lists string

//go:embed detail.sql
var detail string

//go:embed stats.sql
var stats string

//go:embed retired.sql
var retired string

//go:embed answer_schema.sql
var answerSchema string

//go:embed questions.sql
var questions string

//go:embed retention.sql
var retention string

// Triggers is triggers.sql: the rules for direct inserts, and their wake-up.
//
//go:embed triggers.sql
var Triggers string

// Comments is comments.sql: what other tools say of the public objects. It is applied after Triggers.
//
//go:embed comments.sql
var Comments string

// Rights is rights.sql: what PUBLIC may execute.
//
//go:embed rights.sql
var Rights string

// Roles is roles.sql: roles for workers, readers and the sidecar, where they are wanted.
//
//go:embed roles.sql
var Roles string

// RowSecurity is row_security.sql: the scope on the tables and the view, where it is wanted.
//
//go:embed row_security.sql
var RowSecurity string

// Release numbers Functions, Triggers, Comments and Rights. It grows with every published change of them, so that an older program does not
// take newer functions for outdated ones and replace them.
const Release = 1
