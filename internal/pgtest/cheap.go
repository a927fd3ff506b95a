package pgtest

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"syscall"

	"github.com/jackc/pgx/v5"
)

const (
	// memoryFolder is a file system in memory, on Linux.
	memoryFolder = "/dev/shm"
	// memoryNeeded is the free space, in bytes, from which on the data of the tests fit there.
	memoryNeeded = 8 << 30
)

// dataFolder returns a folder in memory that has room for the data of the tests, or "". A new database is 300 new files, and
// on a disk they are a tenth of the work of a test.
func dataFolder() string {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(memoryFolder, &stat); err != nil || stat.Bavail*uint64(stat.Bsize) < memoryNeeded {
		return ""
	}
	return memoryFolder
}

// cheapenPassword stores the password of conn's role so that signing in needs one round of SCRAM (RFC 5802) instead of 4,096.
// With the race detector a connection costs 15 ms of processor time otherwise, and tests open thousands.
func cheapenPassword(ctx context.Context, conn *pgx.Conn) error {
	config := conn.Config()
	verifier, err := scramVerifier(config.Password, 1)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("alter role %s password '%s'", pgx.Identifier{config.User}.Sanitize(), verifier))
	return err
}

// scramVerifier is a password as Postgres stores it: the rounds, the salt, and the two keys of RFC 5802, section 3.
func scramVerifier(password string, rounds int) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	clientKey := sha256.Sum256(sign(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, encode(salt), encode(clientKey[:]), encode(sign(salted, "Server Key"))), nil
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
