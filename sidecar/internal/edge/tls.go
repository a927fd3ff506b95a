package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// certificateCheck is the interval at which the files are checked. They are small, and read whole: that follows symbolic
// links, as Kubernetes and certbot make them, and a watch on a file would miss that.
const certificateCheck = 5 * time.Second

// Certificate is a certificate and its key, read again when their files change.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	cert, key         []byte // as last read, good or bad
}

// LoadCertificate reads the pair, which must be good.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	if _, err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// read reads the files, and uses a pair that is new and valid.
func (c *Certificate) read() (changed bool, err error) {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return false, fmt.Errorf("TLS certificate: %w", err)
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return false, fmt.Errorf("TLS key: %w", err)
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return false, nil
	}
	c.cert, c.key = cert, key
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("TLS certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		c.log.Warn("the TLS certificate has expired", "file", c.certFile, "expired", pair.Leaf.NotAfter)
	}
	c.current.Store(&pair)
	return true, nil
}

// Run reads the files again when they change, and at once on a signal, until ctx ends. A pair that does not match, for example
// while only one file is written, leaves the previous one in place.
func (c *Certificate) Run(ctx context.Context, again <-chan os.Signal) {
	check := time.NewTicker(certificateCheck)
	defer check.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
		case <-again:
			c.cert, said = nil, "" // also if nothing has changed
		}
		changed, err := c.read()
		switch {
		case err != nil && err.Error() != said:
			said = err.Error()
			c.log.Error("cannot use the new TLS certificate; going on with the one before", "error", err)
		case changed:
			said = ""
			c.log.Info("the TLS certificate was read again", "file", c.certFile, "expires", c.current.Load().Leaf.NotAfter)
		}
	}
}

// Expires returns the expiry time in Unix seconds; 0 without TLS.
func (c *Certificate) Expires() float64 {
	if c == nil {
		return 0
	}
	return float64(c.current.Load().Leaf.NotAfter.Unix())
}

// Config returns the server's TLS configuration. HTTP/1.1 only: a WebSocket needs that anyway.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
