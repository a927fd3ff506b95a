package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"

	"github.com/agentexec/agentexec/internal/devpg"
)

const (
	// envURL names a server to use, with the URL of its superuser.
	envURL = "AGENTEXEC_TEST_DATABASE_URL"
	// envBin names the folder of the Postgres to start.
	envBin = "AGENTEXEC_TEST_PG_BIN"
	// image is the container to start where there are no binaries.
	image = "postgres:17"
	// downloadLimit bounds the start of a server, which may have to be downloaded.
	downloadLimit = 10 * time.Minute
)

// testSettings make a server fast, with room for many tests; fsync=off matters only after a crash of the whole machine.
var testSettings = map[string]string{
	"fsync":              "off",
	"full_page_writes":   "off",
	"synchronous_commit": "on",
	"max_connections":    "300",
}

// process is the server that the tests of this process share.
var process struct {
	mu      sync.Mutex
	asked   bool
	cluster *cluster
	err     error
}

// sharedCluster finds or starts the server on the first call, and returns the same result on later calls.
func sharedCluster() (*cluster, error) {
	process.mu.Lock()
	defer process.mu.Unlock()
	if !process.asked {
		process.asked = true
		ctx, cancel := context.WithTimeout(context.Background(), downloadLimit)
		defer cancel()
		process.cluster, process.err = findCluster(ctx)
	}
	return process.cluster, process.err
}

// closeShared ends the cluster of sharedCluster.
func closeShared() error {
	process.mu.Lock()
	defer process.mu.Unlock()
	c := process.cluster
	process.asked, process.cluster, process.err = false, nil, nil
	if c == nil {
		return nil
	}
	return c.close()
}

func findCluster(ctx context.Context) (*cluster, error) {
	if url := os.Getenv(envURL); url != "" {
		c, err := openTheirs(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", envURL, err)
		}
		return c, nil
	}
	local, err := startLocal(ctx, true, nil)
	if err == nil {
		return openOurs(ctx, local.URL(""), local.Remove)
	}
	if !errors.Is(err, devpg.ErrNoBinaries) {
		return nil, err
	}
	url, stop, containerErr := startContainer(ctx)
	if containerErr == nil {
		return openOurs(ctx, url, stop)
	}
	local, err = startLocal(ctx, false, nil)
	if err == nil {
		return openOurs(ctx, local.URL(""), local.Remove)
	}
	return nil, fmt.Errorf("set %s, or install PostgreSQL 15 or newer (%s names its folder of binaries), or start Docker, "+
		"or allow the download.\nBinaries: %w\nDocker: %w", envURL, envBin, err, containerErr)
}

// startLocal starts a private server from binaries.
func startLocal(ctx context.Context, noDownload bool, settings map[string]string) (*devpg.Server, error) {
	all := maps.Clone(testSettings)
	maps.Copy(all, settings)
	return devpg.Start(ctx, devpg.Options{
		BinDir: os.Getenv(envBin), NoDownload: noDownload, Temporary: true, TemporaryIn: dataFolder(), Settings: all,
	})
}

// startContainer starts Postgres in a container, which Testcontainers' reaper removes if this process is killed.
func startContainer(ctx context.Context) (url string, stop func() error, err error) {
	defer func() {
		if p := recover(); p != nil { // the library panics on some broken Docker configurations
			err = fmt.Errorf("%v", p)
		}
	}()
	var args []string
	for name, value := range testSettings {
		args = append(args, "-c", name+"="+value)
	}
	container, err := postgres.Run(ctx, image, postgres.BasicWaitStrategies(), testcontainers.WithCmdArgs(args...))
	stop = func() error { return testcontainers.TerminateContainer(container) }
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	if url, err = container.ConnectionString(ctx, "sslmode=disable"); err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return url, stop, nil
}
