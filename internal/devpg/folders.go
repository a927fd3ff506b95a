package devpg

import (
	"fmt"
	"os"
	"path/filepath"
)

// rootCache is where root keeps data and downloads, since root's own cache folder is closed to the server's user. Only root
// can make it, so no other user can put a folder of that name there first. Unlike /var/tmp, it is never cleaned up.
const rootCache = "/var/cache/agentexec"

// dataDir returns the data folder for a major version. It returns an error if there is no cache folder for it.
func (o Options) dataDir(as *account, major int) (string, error) {
	if o.DataDir != "" {
		return filepath.Abs(o.DataDir)
	}
	cache, err := o.cacheDir(as)
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, fmt.Sprintf("pg%d", major)), nil
}

// cacheDir returns the folder for downloads and data. It is rootCache where root's own is closed to the user of Postgres.
func (o Options) cacheDir(as *account) (string, error) {
	if o.CacheDir != "" {
		return filepath.Abs(o.CacheDir)
	}
	dir, err := os.UserCacheDir()
	dir = filepath.Join(dir, "agentexec")
	if err == nil && as.reach(dir) == nil {
		return dir, nil
	}
	if as != nil {
		return rootCache, nil
	}
	return "", fmt.Errorf("no cache folder for the data: %w", err)
}

// makeTemporary makes a folder for the data of a temporary server, in the first temporary folder open to the account. It tries
// the preferred one first; "" means none.
func makeTemporary(preferred string, as *account) (string, error) {
	var why error
	for _, base := range []string{preferred, os.TempDir(), "/tmp", "/var/tmp"} {
		if base == "" {
			continue
		}
		if err := as.reach(base); err != nil {
			why = err
			continue
		}
		dir, err := os.MkdirTemp(base, "agentexec-pg-")
		if err != nil {
			why = err
			continue
		}
		if err := as.own(dir); err != nil {
			_ = os.Remove(dir)
			return "", err
		}
		return dir, nil
	}
	return "", fmt.Errorf("no temporary folder for the data: %w", why)
}
