package pgtest

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

const (
	// namePrefix is followed by the run, 16 hexadecimal digits, and a number or a word.
	namePrefix = "agentexec_test_"
	// sweepLock is the advisory lock under which one process at a time looks for databases of killed ones.
	sweepLock = 0x61_67_65_78_74_73_74
)

// guardAndSweep takes the advisory lock of this run, which other processes see while this one lives. Then it drops the
// databases of runs whose lock is free: those processes were killed.
func (c *cluster) guardAndSweep(ctx context.Context) error {
	if _, err := c.guard.Exec(ctx, "select pg_advisory_lock($1)", runKey(c.run)); err != nil {
		return err
	}
	if _, err := c.guard.Exec(ctx, "select pg_advisory_lock($1)", sweepLock); err != nil {
		return err
	}
	names, err := c.names(ctx, namePrefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		run, _, ok := strings.Cut(strings.TrimPrefix(name, namePrefix), "_")
		if !ok || len(run) != len(c.run) || run == c.run {
			continue
		}
		var unused bool
		if err := c.guard.QueryRow(ctx, "select pg_try_advisory_lock($1)", runKey(run)).Scan(&unused); err != nil {
			return err
		}
		if !unused {
			continue
		}
		if err := c.drop(name); err != nil {
			return err
		}
		if _, err := c.guard.Exec(ctx, "select pg_advisory_unlock($1)", runKey(run)); err != nil {
			return err
		}
	}
	_, err = c.guard.Exec(ctx, "select pg_advisory_unlock($1)", sweepLock)
	return err
}

// names returns the server's databases whose names begin with prefix.
func (c *cluster) names(ctx context.Context, prefix string) ([]string, error) {
	rows, err := c.guard.Query(ctx, "select datname from pg_database where starts_with(datname, $1)", prefix)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// dropRun drops all databases of this run, the template among them.
func (c *cluster) dropRun(ctx context.Context) error {
	names, err := c.names(ctx, c.name(""))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.drop(name); err != nil {
			return err
		}
	}
	return nil
}

func runKey(run string) int64 {
	key, _ := strconv.ParseUint(run, 16, 64) // a name of no run shares key 0, and is dropped all the same
	return int64(key)
}

// connsPerTest divides the server's connections by the number of parallel tests in so many processes.
func connsPerTest(ctx context.Context, conn *pgx.Conn, processes int) (int32, error) {
	var setting string
	if err := conn.QueryRow(ctx, "show max_connections").Scan(&setting); err != nil {
		return 0, err
	}
	limit, err := strconv.Atoi(setting)
	if err != nil {
		return 0, fmt.Errorf("max_connections: %w", err)
	}
	limit -= adminConns + 16 // single connections of tests, and those the server reserves
	tests := runtime.GOMAXPROCS(0)
	if f := flag.Lookup("test.parallel"); f != nil {
		if n, err := strconv.Atoi(f.Value.String()); err == nil {
			tests = n
		}
	}
	return int32(max(2, limit/(tests*processes))), nil
}
