package access

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/realclientip/realclientip-go"
)

// addresses determines the client address of a request, also behind proxies.
type addresses struct {
	trusted []net.IPNet
	behind  realclientip.Strategy // nil without trusted proxies
}

// newAddresses trusts the header of requests that come from these proxies. A client can put anything into the header, so it is
// read from the right, where the proxies append, up to the first address that is no proxy.
func newAddresses(proxies []string, header string) (*addresses, error) {
	a := &addresses{}
	if len(proxies) == 0 {
		return a, nil
	}
	var err error
	if a.trusted, err = realclientip.AddressesAndRangesToIPNets(proxies...); err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	if header == "" {
		header = "X-Forwarded-For"
	}
	if a.behind, err = realclientip.NewRightmostTrustedRangeStrategy(header, a.trusted); err != nil {
		return nil, fmt.Errorf("the header of trusted proxies: %w", err)
	}
	return a, nil
}

// ValidProxy reports whether a text is an address or a network.
func ValidProxy(text string) bool {
	_, err := realclientip.AddressesAndRangesToIPNets(text)
	return err == nil
}

// client returns the address a request comes from; it is not valid where there is none.
func (a *addresses) client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	if a.behind != nil && a.trusts(peer.Addr()) {
		if addr, err := netip.ParseAddr(a.behind.ClientIP(r.Header, r.RemoteAddr)); err == nil {
			return addr.WithZone("").Unmap()
		}
	}
	return peer.Addr().WithZone("").Unmap()
}

func (a *addresses) trusts(addr netip.Addr) bool {
	ip := net.IP(addr.Unmap().AsSlice())
	for i := range a.trusted {
		if a.trusted[i].Contains(ip) {
			return true
		}
	}
	return false
}

// trustsPeer reports whether a request's connection is from a trusted proxy.
func (a *addresses) trustsPeer(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && a.behind != nil && a.trusts(peer.Addr())
}

// counted returns the key under which a request is counted: its address, or for IPv6 the 64-bit network, which one customer
// has. It is "" for loopback.
func (a *addresses) counted(r *http.Request) string {
	addr := a.client(r)
	switch {
	case !addr.IsValid() || addr.IsLoopback():
		return ""
	case addr.Is6():
		return netip.PrefixFrom(addr, 64).Masked().String()
	}
	return addr.String()
}
