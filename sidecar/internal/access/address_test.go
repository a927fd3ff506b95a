package access

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAddress is who a request counts for.
func TestAddress(t *testing.T) {
	t.Parallel()
	direct, err := newAddresses(nil, "")
	require.NoError(t, err)
	behind, err := newAddresses([]string{"10.0.0.0/8", "127.0.0.1", "2001:db8:ffff::/48"}, "")
	require.NoError(t, err)
	forwarded, err := newAddresses([]string{"10.0.0.0/8"}, "forwarded")
	require.NoError(t, err)
	for _, tc := range []struct {
		of     *addresses
		remote string
		header []string // of X-Forwarded-For
		want   string
	}{
		{direct, "192.0.2.1:5", nil, "192.0.2.1"},
		{direct, "192.0.2.1:5", []string{"203.0.113.9"}, "192.0.2.1"},
		{direct, "127.0.0.1:5", []string{"203.0.113.9"}, ""},
		{direct, "[::1]:5", nil, ""},
		{direct, "[::ffff:192.0.2.1]:5", nil, "192.0.2.1"},
		{direct, "[::ffff:127.0.0.1]:5", nil, ""},
		{direct, "[2001:db8:1:2:3:4:5:6]:5", nil, "2001:db8:1:2::/64"},
		{direct, "[fe80::1%eth0]:5", nil, "fe80::/64"},
		{direct, "@", nil, ""},
		{behind, "192.0.2.1:5", []string{"203.0.113.9"}, "192.0.2.1"},
		{behind, "127.0.0.1:5", []string{"203.0.113.9"}, "203.0.113.9"},
		{behind, "[::ffff:10.1.1.1]:5", []string{"203.0.113.9"}, "203.0.113.9"},
		{behind, "10.1.1.1:5", []string{"1.2.3.4, 203.0.113.9, 10.2.2.2"}, "203.0.113.9"},
		{behind, "10.1.1.1:5", []string{"1.2.3.4", "203.0.113.9", "10.2.2.2"}, "203.0.113.9"},
		{behind, "[2001:db8:ffff::1]:5", []string{"1.2.3.4, 2001:db8::7"}, "2001:db8::/64"},
		{behind, "10.1.1.1:5", []string{"127.0.0.2"}, ""},
		{behind, "10.1.1.1:5", nil, "10.1.1.1"},
		{behind, "10.1.1.1:5", []string{"10.3.3.3"}, "10.1.1.1"},
		{behind, "10.1.1.1:5", []string{"203.0.113.9, nonsense"}, "10.1.1.1"}, // the proxy's own word is none
		{forwarded, "10.1.1.1:5", []string{"203.0.113.9"}, "198.51.100.7"},
	} {
		r := &http.Request{RemoteAddr: tc.remote, Header: http.Header{"Forwarded": {`for=1.2.3.4, For="198.51.100.7:80";proto=https`}}}
		if tc.header != nil {
			r.Header["X-Forwarded-For"] = tc.header
		}
		require.Equal(t, tc.want, tc.of.counted(r), "%s %v", tc.remote, tc.header)
	}
	for _, wrong := range []string{"proxy", "10.0.0.0/33", "fe80::1%eth0", ""} {
		_, err := newAddresses([]string{wrong}, "")
		require.Error(t, err, wrong)
		require.False(t, ValidProxy(wrong))
	}
	_, err = newAddresses([]string{"10.0.0.1"}, "X-Real-IP")
	require.Error(t, err)
}

// FuzzAddress: whatever a header says, the address is one, of the client's or of the proxy, and never one that we trust
// in place of the proxy that told it.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		"203.0.113.9", "1.2.3.4, 203.0.113.9, 10.2.2.2", "2001:db8::7", "[2001:db8::7]:80", "::ffff:10.0.0.1", "10.0.0.1",
		`for="[2001:db8::7]:80"`, "for=unknown", "for=_hidden", "fe80::1%eth0", ",,,", "", "\x00", "999.1.1.1", `for="1.2.3.4`,
	} {
		f.Add(seed)
	}
	var all []*addresses
	for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
		a, err := newAddresses([]string{"10.0.0.0/8"}, header)
		require.NoError(f, err)
		all = append(all, a)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, a := range all {
			r := &http.Request{RemoteAddr: "10.9.9.9:1", Header: http.Header{"X-Forwarded-For": {header}, "Forwarded": {header}}}
			addr := a.client(r)
			require.True(t, addr.IsValid())
			require.Empty(t, addr.Zone())
			require.False(t, addr.Is4In6())
			require.True(t, addr.String() == "10.9.9.9" || !a.trusts(addr), addr)
			require.LessOrEqual(t, len(a.counted(r)), 50)
		}
	})
}
