package access

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadOrigins(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"https://app.example.com", "http://localhost:3000", "https://[::1]:8443", "http://192.0.2.1", "https://xn--bcher-kva.example",
		"tauri://localhost", "capacitor://localhost", "ionic://localhost", "app://obsidian.md", "app://-", "chrome-extension://abcdefghijklmnop",
		"moz-extension://8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11", "vscode-webview://1k2abc", "vscode-file://vscode-app", "com.example.app://x:8080",
	} {
		o, err := readOrigins([]string{text}, false)
		require.NoError(t, err, text)
		require.True(t, o.names(text))
		require.True(t, o.names(strings.ToUpper(text)))
		for _, other := range []string{
			"", "null", text + ".evil.com", "https://evil.com", "tauri://evil", strings.Replace(text, "://", "://x.", 1), text + ":1", "x" + text,
			strings.Replace(text, "://", "s://", 1), text + "/", text + "/x", text + "@evil.com",
		} {
			require.False(t, o.names(other), "%s %s", text, other)
		}
	}
	for text, sent := range map[string]string{ // as browsers write it
		"https://app.example.com:443": "https://app.example.com", "http://app.example.com:80": "http://app.example.com",
		"https://[0:0:0:0:0:0:0:1]:8443": "https://[::1]:8443", "HTTPS://App.Example.Com": "https://app.example.com",
	} {
		o, err := readOrigins([]string{text}, false)
		require.NoError(t, err, text)
		require.True(t, o.names(sent), text)
	}
	for _, text := range []string{
		"", "null", "app.example.com", "https://app.example.com/", "https://app.example.com/x", "https://*.example.com ", "ftp://x", "https://",
		"https://u:p@x", "https://x?y", "https://x#y", "*", "https://b\u00fccher.example", "wss://app.example.com", "file://", "file:///x", "data://x",
		"https://x:0", "https://x:65536", "https://x:", "https://x:08", "https://[x]", "https://[::1", "https://a..b", "1x://y", "https:/x", "tauri://",
	} {
		_, err := readOrigins([]string{text}, false)
		require.Error(t, err, text)
	}
	o, err := readOrigins([]string{"*"}, true)
	require.NoError(t, err)
	require.True(t, o.names("https://anything"))
}

// TestOriginWildcards: a * is the first label of a host and nothing else.
func TestOriginWildcards(t *testing.T) {
	t.Parallel()
	for text, matches := range map[string][]string{
		"https://*.example.com":      {"https://a.example.com", "https://A-1.Example.com"},
		"https://*.example.com:8443": {"https://a.example.com:8443"},
		"https://*.example.com:443":  {"https://a.example.com"},
		"http://*.localhost:3000":    {"http://app.localhost:3000"},
		"vscode-webview://*":         {"vscode-webview://1k2abc", "vscode-webview://8d0e1c9a"},
		"app://*.local":              {"app://a.local"},
	} {
		o, err := readOrigins([]string{text}, false)
		require.NoError(t, err, text)
		for _, origin := range matches {
			require.True(t, o.names(origin), "%s %s", text, origin)
		}
		for _, origin := range []string{
			"https://example.com", "https://a.b.example.com", "https://.example.com", "https://example.com.evil", "https://aexample.com", "http://a.example.com",
			"https://a.example.com:1", "https://evil/.example.com", "https://a@.example.com", "http://localhost:3000", "vscode-webview://a.b", "vscode-webview://a:1",
			"vscode-webview://", "app://local", "https://*.example.com", "", "null",
		} {
			require.False(t, o.names(origin), "%s %s", text, origin)
		}
	}
	for _, text := range []string{
		"https://*", "https://*:8443", "https://*example.com", "https://a.*.com", "https://*.*.com", "https://ex*mple.com", "https://a.example.*",
		"https://*.com", "https://*.0.0.1", "https://*.[::1]", "https://**.example.com", "*.example.com", "*://example.com", "https://*.", "https://example.com:*",
		"*://*", "tauri://*x", "wss://*.example.com", "https://*.example.com/",
	} {
		for _, authenticated := range []bool{false, true} {
			_, err := readOrigins([]string{text}, authenticated)
			require.Error(t, err, text)
			require.Contains(t, err.Error(), "allowed origin")
		}
	}
	_, err := readOrigins([]string{"https://a.*.com"}, true)
	require.ErrorContains(t, err, "first label")
}

// TestLocalOrigins are those of web servers on this machine, whatever their port.
func TestLocalOrigins(t *testing.T) {
	t.Parallel()
	o := &origins{local: true}
	for _, origin := range []string{"http://localhost:3000", "https://localhost", "http://127.0.0.1:5173", "http://[::1]:8080"} {
		require.True(t, o.names(origin), origin)
	}
	for _, origin := range []string{"", "null", "http://localhost.evil.com", "http://evil.com", "http://192.0.2.1", "tauri://localhost", "http://0.0.0.0:1"} {
		require.False(t, o.names(origin), origin)
	}
}
