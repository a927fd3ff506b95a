package feedsource

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentexec/agentexec/wsfeed"
)

// refused makes a *wsfeed.Refusal of an error that Postgres would return again: the answer is too large, or a value cannot be
// read. Every other error is returned as it is.
func refused(err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || len(pgErr.Code) != 5 {
		return err
	}
	switch code := pgErr.Code; {
	case code[:2] == "54", code == "XX000" && strings.Contains(pgErr.Message, "memory alloc request size"):
		return &wsfeed.Refusal{Code: "limit", Message: "the answer is larger than the database can make", Err: err}
	case code == "TA422":
		return &wsfeed.Refusal{Code: "invalid", Message: pgErr.Message, Err: err}
	case code[:2] == "22":
		return &wsfeed.Refusal{Code: "invalid", Message: "the database refuses to read this", Err: err}
	}
	return err
}
