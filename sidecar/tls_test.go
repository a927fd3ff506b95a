package sidecar_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar"
)

// pair is the files of a certificate and its key.
type pair struct{ cert, key string }

// newPair writes a certificate of its own making for loopback.
func newPair(t *testing.T) pair {
	t.Helper()
	dir := t.TempDir()
	p := pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	p.renew(t, 1)
	return p
}

// renew writes another one, told apart by its number.
func (p pair) renew(t *testing.T, number int64) {
	t.Helper()
	cert, key := made(t, number)
	require.NoError(t, os.WriteFile(p.cert, cert, 0o600))
	require.NoError(t, os.WriteFile(p.key, key, 0o600))
}

func made(t *testing.T, number int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "agentexec"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// trusting is the client's side, which trusts what is in the file now.
func (p pair) trusting(t *testing.T) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(p.cert)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(text))
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// served is the number of the certificate that is served.
func (s *service) served(t *testing.T) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestTLS: the API, the page and the feed, live and to the end of the service.
func TestTLS(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	s := setup(t, func(c *sidecar.Config) { c.TLSCert, c.TLSKey = p.cert, p.key })
	require.True(t, strings.HasPrefix(s.url, "https://"), s.url)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: p.trusting(t), ForceAttemptHTTP2: true}}
	defer web.CloseIdleConnections()
	for path, status := range map[string]int{"/": 200, "/v1/stats": 200, "/v1/nothing": 404, "/healthz": 200} {
		response, err := web.Get(s.url + path)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, status, response.StatusCode, path)
		require.Equal(t, 1, response.ProtoMajor)
		require.Equal(t, "max-age=31536000", response.Header.Get("Strict-Transport-Security"), path)
	}
	id := s.create(t)
	d := websocket.Dialer{TLSClientConfig: p.trusting(t), Subprotocols: []string{"agentexec.v1"}}
	ws, response, err := d.Dial("wss"+strings.TrimPrefix(s.url, "https")+"/v1/feed", http.Header{"Origin": {s.url}})
	require.NoError(t, err)
	_ = response.Body.Close()
	defer ws.Close()
	so := &socket{ws}
	require.Equal(t, "welcome", so.next(t).Type)
	so.sub(t, "a", id, 0)
	so.lines(t, 0, 1)
	s.append(t, id, "live")
	so.lines(t, 1, 1)
	n := s.bulk(t, id, 4<<20)
	so.skim(t, 2, n)
	so.alive(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.stop()
	}()
	require.Equal(t, websocket.CloseGoingAway, so.closed(t))
	<-ended
}

// TestTLSVersions: nothing older than 1.2, and what is no TLS is told so.
func TestTLSVersions(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	s := setup(t, func(c *sidecar.Config) { c.TLSCert, c.TLSKey = p.cert, p.key })
	addr := strings.TrimPrefix(s.url, "https://")
	for version, taken := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		config := p.trusting(t)
		config.MinVersion, config.MaxVersion = version, version
		conn, err := tls.Dial("tcp", addr, config)
		require.Equal(t, taken, err == nil, "%x: %v", version, err)
		if err == nil {
			_ = conn.Close()
		}
	}
	response, err := http.Get("http://" + addr)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "HTTPS server")
}

// TestTLSReload: a new pair is taken, one that does not fit leaves the one before in place, and open sockets stay.
func TestTLSReload(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	reload := make(chan os.Signal)
	s := setup(t, func(c *sidecar.Config) { c.TLSCert, c.TLSKey, c.Reload = p.cert, p.key, reload })
	require.Equal(t, int64(1), s.served(t))
	d := websocket.Dialer{TLSClientConfig: p.trusting(t)}
	ws, response, err := d.Dial("wss"+strings.TrimPrefix(s.url, "https")+"/v1/feed", nil)
	require.NoError(t, err)
	_ = response.Body.Close()
	defer ws.Close()
	so := &socket{ws}
	require.Equal(t, "welcome", so.next(t).Type)

	p.renew(t, 2)
	reload <- syscall.SIGHUP
	require.Eventually(t, func() bool { return s.served(t) == 2 }, patience, 5*time.Millisecond)

	cert, key := made(t, 3)
	_, foreign := made(t, 4)
	for _, broken := range []pair{{string(cert), string(foreign)}, {"", ""}, {"no PEM", string(key)}, {string(cert), "no PEM"}} {
		require.NoError(t, os.WriteFile(p.cert, []byte(broken.cert), 0o600))
		require.NoError(t, os.WriteFile(p.key, []byte(broken.key), 0o600))
		reload <- syscall.SIGHUP
		reload <- syscall.SIGHUP // is taken when the first has been dealt with
		require.Equal(t, int64(2), s.served(t))
	}
	require.NoError(t, os.Remove(p.cert))
	reload <- syscall.SIGHUP
	reload <- syscall.SIGHUP
	require.Equal(t, int64(2), s.served(t))

	p.renew(t, 5) // without a reload signal
	require.Eventually(t, func() bool { return s.served(t) == 5 }, patience, 50*time.Millisecond)
	so.alive(t)
}

func TestTLSRefusesToStart(t *testing.T) {
	t.Parallel()
	p, other := newPair(t), newPair(t)
	for _, wrong := range []pair{{p.cert, other.key}, {p.cert, "nowhere.pem"}, {p.key, p.cert}, {p.cert, ""}, {"", p.key}} {
		_, err := sidecar.New(sidecar.Config{DatabaseURL: "postgres://127.0.0.1:1/x", TLSCert: wrong.cert, TLSKey: wrong.key})
		require.ErrorContains(t, err, "TLS")
	}
}
