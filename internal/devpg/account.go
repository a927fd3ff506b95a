package devpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the unprivileged user of initdb and postgres where this process is root, since they refuse to run as root. A nil
// account stands for the current user, and its methods then do nothing.
type account struct {
	name     string
	uid, gid int
}

// serverAccount returns nil for an ordinary user. For root, it returns the first existing user of those made for Postgres and
// the unprivileged one.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseInt(u.Uid, 10, 64)
		gid, err2 := strconv.ParseInt(u.Gid, 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &account{name: name, uid: int(uid), gid: int(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as: " +
		"start this as an ordinary user")
}

// apply makes cmd run as the account, with an environment that does not change the behaviour of Postgres.
func (a *account) apply(cmd *exec.Cmd) {
	cmd.Env = []string{"LC_ALL=C"} // untranslated messages; and on macOS postgres refuses to start without a locale
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LANG") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Dir = "/" // the current one may be closed to the account
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if a != nil {
		// The conversion wraps a negative id, which macOS gives the unprivileged user, to the number the kernel means.
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
}

// own gives one file or folder to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// reach returns an error if an existing folder on the path is closed to the account.
func (a *account) reach(path string) error {
	if a == nil {
		return nil
	}
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !a.mayEnter(info) {
			return fmt.Errorf("%s is closed to user %s, as whom PostgreSQL runs because it refuses root: choose another folder",
				dir, a.name)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a *account) mayEnter(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	bit := os.FileMode(0o001)
	switch {
	case int(int32(st.Uid)) == int(int32(a.uid)):
		bit = 0o100
	case int(int32(st.Gid)) == int(int32(a.gid)):
		bit = 0o010
	}
	return info.Mode().Perm()&bit != 0
}
