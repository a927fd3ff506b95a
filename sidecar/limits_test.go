package sidecar_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/sidecar"
)

// page is an answer, read whole.
type page struct {
	status int
	header http.Header
	text   string
}

// from asks for a page through a proxy on loopback that says where the request comes from.
func (s *service) from(t *testing.T, address, path string) page {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	require.NoError(t, err)
	request.Header.Set("X-Forwarded-For", "203.0.113.99, "+address) // the first is what a client claims
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return page{response.StatusCode, response.Header, string(text)}
}

func over(limit string) string { return `agentexec_over_limit_total{limit="` + limit + `"}` }

// TestRequestsPerSecond: each address has its own rate, a proxy's header counts only where it is trusted, and
// /healthz and the dashboard always answer.
func TestRequestsPerSecond(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) {
		c.Limits.RequestsPerSecond, c.TrustedProxies = 1, []string{"127.0.0.0/8"}
	})
	flood := func(address string) (last page) {
		for range 100 {
			if last = s.from(t, address, "/v1/stats"); last.status != http.StatusOK {
				break
			}
		}
		return last
	}
	for _, address := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
		r := flood(address)
		require.Equal(t, http.StatusTooManyRequests, r.status)
		require.Equal(t, "application/problem+json", r.header.Get("Content-Type"))
		require.Equal(t, "1", r.header.Get("Retry-After"))
		require.Contains(t, r.text, `"code":"over_limit"`)
		require.Contains(t, r.text, "more than 1 requests a second from your address: wait")
	}
	require.Equal(t, http.StatusTooManyRequests, s.from(t, "2001:db8::abcd", "/v1/feed").status, "the same network of 64 bits")
	require.Equal(t, http.StatusOK, s.from(t, "2001:db8:0:1::1", "/v1/stats").status, "another one")
	for _, path := range []string{"/healthz", "/"} {
		require.Equal(t, http.StatusOK, s.from(t, "192.0.2.1", path).status, path)
	}
	require.Equal(t, http.StatusOK, flood("::1").status, "loopback is not counted")
	require.Equal(t, 4.0, s.metric(t, over("requests_per_second"))) //nolint:testifylint // a count

	distrustful := start(t, s.db, func(c *sidecar.Config) { c.Limits.RequestsPerSecond = 1 })
	for range 10 {
		require.Equal(t, http.StatusOK, distrustful.from(t, "192.0.2.1", "/v1/stats").status, "any client can send that header")
	}
}

// TestSocketsPerAddress: behind a proxy, too.
func TestSocketsPerAddress(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) {
		c.Limits.SocketsPerAddress, c.TrustedProxies, c.ProxyHeader = 2, []string{"127.0.0.1"}, "Forwarded"
	})
	dial := func(address string) int {
		header := http.Header{"Forwarded": {`for=203.0.113.99, for="` + address + `"`}, "X-Forwarded-For": {"198.51.100.7"}}
		ws, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/v1/feed", header)
		require.NotNil(t, response, "%v", err)
		_ = response.Body.Close()
		if err == nil {
			t.Cleanup(func() { _ = ws.Close() })
		}
		return response.StatusCode
	}
	require.Equal(t, 101, dial("192.0.2.1"))
	require.Equal(t, 101, dial("192.0.2.1:4711"))
	require.Equal(t, 429, dial("192.0.2.1"))
	require.Equal(t, 101, dial("192.0.2.2"))
	for range 5 {
		require.Equal(t, 101, dial("[::1]"), "loopback is not counted")
	}
	s.await(t, over("sockets_per_address"), 1)
}

// TestConnections: the one too many is told so at once, and one that leaves makes room. Sockets count, too.
func TestConnections(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Limits.Connections, c.Limits.Sockets = 4, -1 })
	addr := strings.TrimPrefix(s.url, "http://")
	ask := func() int {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		r := bufio.NewReader(conn)
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			return 0 // closed without an answer, because the one before is still being rejected
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		if response.StatusCode == http.StatusTooManyRequests {
			require.Equal(t, "5", response.Header.Get("Retry-After"))
			require.Contains(t, string(text), "come back later")
		} else {
			_, err = r.ReadByte() // its place is free when the connection ends
			require.ErrorIs(t, err, io.EOF)
		}
		return response.StatusCode
	}
	become := func(status int) {
		require.Eventually(t, func() bool { return ask() == status }, patience, 5*time.Millisecond)
	}
	socket := s.open(t)
	silent := make([]net.Conn, 3)
	for i := range silent {
		var err error
		silent[i], err = net.Dial("tcp", addr)
		require.NoError(t, err)
	}
	become(http.StatusTooManyRequests)
	require.NoError(t, silent[0].Close())
	become(http.StatusOK)
	require.GreaterOrEqual(t, s.metric(t, over("connections")), 1.0)
	socket.alive(t)
	require.NoError(t, socket.ws.Close())
	refill, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer refill.Close()
	become(http.StatusOK)
	for _, c := range silent[1:] {
		require.NoError(t, c.Close())
	}
	require.NoError(t, refill.Close())
	http.DefaultClient.CloseIdleConnections()
	s.await(t, "agentexec_connections", 1) // ours, which asks
}

// TestSlowloris: headers and bodies that trickle in are ended, however steadily they trickle, and counted.
func TestSlowloris(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Limits.HeaderTimeout, c.Limits.BodyTimeout = time.Second, time.Second })
	calm := s.bystander(t)
	trickle := func(first string) string {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, first)
		require.NoError(t, err)
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			pace := time.NewTicker(50 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
					if _, err := io.WriteString(conn, "x"); err != nil {
						return
					}
				}
			}
		}()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		answer, err := io.ReadAll(conn)
		network := net.Error(nil)
		require.False(t, errors.As(err, &network) && network.Timeout(), "it hangs")
		return string(answer)
	}
	require.Empty(t, trickle("GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nX-Long: "))
	require.Contains(t, trickle(""), "400 Bad Request", "what came is no request")
	s.await(t, over("header_timeout"), 2)
	again := trickle("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nX-Long: ")
	require.Equal(t, 1, strings.Count(again, "200 OK"))
	s.await(t, over("header_timeout"), 3)

	// A client that was idle for long, and then gives up in the middle of a header, is not counted as slow.
	idle, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(idle, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(idle), nil)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	require.NoError(t, response.Body.Close())
	began := time.Now()
	require.Eventually(t, func() bool { return time.Since(began) > 1100*time.Millisecond }, patience, 10*time.Millisecond)
	_, err = io.WriteString(idle, "GET /healthz HT")
	require.NoError(t, err)
	require.NoError(t, idle.Close())
	for _, path := range []string{"/v1/activities", "/v1/activities/cancel-pending"} {
		answer := trickle("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		require.Contains(t, answer, "408 Request Timeout")
		require.Contains(t, answer, `"code":"timeout"`)
	}
	s.await(t, over("body_timeout"), 2)
	s.await(t, over("header_timeout"), 3)
	calm()
}

// TestHeaderAndBodyBytes are as large as they may be, and larger.
func TestHeaderAndBodyBytes(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Limits.HeaderBytes, c.Limits.BodyBytes = 2000, 100 })
	post := func(size int) int {
		body := `{"task_name":"x"` + strings.Repeat(" ", size-17) + `}`
		response, err := http.Post(s.url+"/v1/activities", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		_ = response.Body.Close()
		return response.StatusCode
	}
	require.Equal(t, 201, post(100))
	require.Equal(t, 413, post(101))
	s.await(t, over("body_bytes"), 1)
	get := func(size int) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/stats", nil)
		require.NoError(t, err)
		request.Header.Set("X-Long", strings.Repeat("x", size))
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		_ = response.Body.Close()
		return response.StatusCode
	}
	require.Equal(t, 200, get(1500))
	require.Equal(t, 431, get(8000))
}

// TestASlowReaderOfAnAnswer: who takes an answer slowly gets it whole, who takes nothing is dropped, and keeps nothing.
func TestASlowReaderOfAnAnswer(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.WriteTimeout = time.Second })
	id := s.create(t)
	s.bulk(t, id, 16<<20)
	ask := func() net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		if tcp, ok := conn.(*net.TCPConn); ok {
			require.NoError(t, tcp.SetReadBuffer(64<<10))
		}
		_, err = fmt.Fprintf(conn, "GET /v1/activities/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", id)
		require.NoError(t, err)
		return conn
	}
	dead, slow := ask(), ask()
	pace := time.NewTicker(30 * time.Millisecond) // more than a second for the 48 reads of 3 MiB
	defer pace.Stop()
	began, got := time.Now(), 0
	for buf := make([]byte, 64<<10); ; {
		<-pace.C
		n, err := slow.Read(buf)
		got += n
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	require.Greater(t, got, 3<<20)
	require.Greater(t, time.Since(began), time.Second, "it was not slow")
	http.DefaultClient.CloseIdleConnections()
	s.await(t, "agentexec_connections", 1)
	_ = dead.SetReadDeadline(time.Now().Add(patience))
	n, err := io.Copy(io.Discard, dead)
	t.Log(strconv.Itoa(int(n))+" bytes reached the dead one", err)
	require.Less(t, n, int64(3<<20))
}

// TestLimitsOfSubjects: with tokens it is their subject that is counted, wherever they come from and whichever token it is;
// what brings none that holds counts for its address.
func TestLimitsOfSubjects(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens, func(c *sidecar.Config) {
		c.Limits.RequestsPerSecond, c.Limits.SocketsPerSubject, c.TrustedProxies = 1, 1, []string{"127.0.0.1"}
	})
	flood := func(subject, address, path string) (status int) {
		for range 50 {
			bearer := "Bearer " + token(t, auth.Grant{Subject: subject, Read: true})
			var header http.Header
			status, header, _ = s.ask(t, "GET", path, "Authorization", bearer, "X-Forwarded-For", address)
			if status == 429 {
				require.NotEmpty(t, header.Get("Retry-After"))
				break
			}
		}
		return status
	}
	require.Equal(t, 429, flood("ada", "192.0.2.1", "/v1/stats"))
	require.Equal(t, 429, flood("ada", "192.0.2.2", "/v1/feed"))
	require.Equal(t, 429, flood("bob", "192.0.2.1", "/v1/feed"))
	exhaust := func() {
		t.Helper()
		for {
			status, _, _ := s.ask(t, "GET", "/v1/feed", "Authorization", "Bearer nonsense", "X-Forwarded-For", "192.0.2.3")
			if status == 429 {
				return
			}
			require.Equal(t, 401, status)
		}
	}
	exhaust()
	status, _, _ := s.ask(t, "GET", "/v1/stats", "X-Forwarded-For", "192.0.2.3")
	require.Equal(t, 429, status, "of the address, without a token too")
	cyd := "Bearer " + token(t, auth.Grant{Subject: "cyd", Read: true})
	exhaust()
	status, _, _ = s.ask(t, "GET", "/v1/stats", "Authorization", cyd, "X-Forwarded-For", "192.0.2.3")
	require.Equal(t, 429, status, "a token that was never seen is not verified for an address that asks too much")
	status, _, _ = s.ask(t, "GET", "/v1/stats", "Authorization", cyd, "X-Forwarded-For", "192.0.2.4")
	require.Equal(t, 200, status)
	s.ask(t, "GET", "/v1/stats", "Authorization", cyd, "X-Forwarded-For", "192.0.2.4")
	require.Eventually(t, func() bool {
		status, _, _ := s.ask(t, "GET", "/v1/stats", "Authorization", cyd, "X-Forwarded-For", "192.0.2.3")
		return status == 200
	}, patience, 50*time.Millisecond, "one that is known counts for its subject alone, whose address it shares")

	open := s.dialWith(t, "/v1/feed", token(t, auth.Grant{Subject: "dan", Read: true}))
	_, resp, err := dial(s.url, "/v1/feed", http.Header{"Authorization": {"Bearer " + token(t, auth.Grant{Subject: "dan", Read: true})}})
	require.Error(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	_ = resp.Body.Close()
	require.Equal(t, 429, resp.StatusCode)
	require.Contains(t, string(text), "this token's subject has 1 sockets open")
	s.dialWith(t, "/v1/feed", token(t, auth.Grant{Subject: "eve", Read: true}))
	require.Equal(t, "welcome", open.next(t).Type)
	open.alive(t)
}

// TestUnknownTokensOverTheLimit: over the limit of an address, or of a socket, a token that was not seen before is not
// verified, whichever door it comes to: a signature costs more than all else of a request. Each token that is verified
// and does not hold is counted; those that are not verified are not.
func TestUnknownTokensOverTheLimit(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens, func(c *sidecar.Config) {
		c.Limits.RequestsPerSecond, c.TrustedProxies = 1, []string{"127.0.0.0/8"}
	})
	good := token(t, auth.Grant{Subject: "ada", Read: true})
	so := s.dialWith(t, "/v1/feed", good) // from loopback, which is not counted by address
	require.Equal(t, "welcome", so.next(t).Type)
	bad := func(n int) string { return good[:len(good)-8] + fmt.Sprintf("%08d", n) }
	began, sent := time.Now(), 0
	for n := range 40 {
		for _, path := range []string{"/v1/stats", "/v1/feed", "/metrics", "/v1/activities"} {
			status, _, _ := s.ask(t, "GET", path, "Authorization", "Bearer "+bad(n), "X-Forwarded-For", "192.0.2.9")
			require.Contains(t, []int{401, 429}, status)
			sent++
		}
	}
	limited := 0
	for n := range 200 {
		so.send(t, `{"type":"auth","token":"`+bad(n)+`"}`)
		if m := so.next(t); m.Code == "limit" {
			limited++
		}
	}
	so.alive(t)
	seconds := int(time.Since(began).Seconds()) + 1
	require.Greater(t, limited, 150)
	_, _, metrics := s.ask(t, "GET", "/metrics", "Authorization", "Bearer "+token(t, auth.Grant{Subject: "bob", Read: true}))
	m := regexp.MustCompile(`(?m)^agentexec_refused_tokens_total\{reason="signature"\} (\d+)$`).FindStringSubmatch(metrics)
	require.NotNil(t, m, metrics)
	verified, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	require.LessOrEqual(t, verified, 2*(2+seconds), "of %d requests and 200 messages: those of the burst, and then one a second", sent)
	require.Positive(t, verified)
}
