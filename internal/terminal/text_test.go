package terminal

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "",
		"plain":                     "plain",
		"完成 ✓ 👩‍💻 naïve\u00a0x":     "完成 ✓ 👩‍💻 naïve\u00a0x",
		"a\tb":                      "a b",
		"two\r\nlines":              `two\r\nlines`,
		"\x1b]0;title\a":            `\x1b]0;title\x07`,
		"\u009b2J":                  `\x9b2J`,
		"\x7f":                      `\x7f`,
		"\u202eevil\u2066\u200b":    `\u202eevil\u2066\u200b`,
		"\u2028":                    `\u2028`,
		"broken \xff\xfe UTF-8\x1b": "broken \uFFFD\uFFFD UTF-8\\x1b",
		"broken \xff":               "broken \uFFFD",
	} {
		require.Equal(t, want, Printable(text), "%q", text)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b[2J\u009b\r\n\u202e", 10)
	f.Add("完成", 3)
	f.Add("\xff", 0)
	f.Fuzz(func(t *testing.T, text string, to int) {
		clean := Printable(text)
		require.True(t, utf8.ValidString(clean))
		require.Equal(t, -1, strings.IndexFunc(clean, unicode.IsControl))
		require.Equal(t, clean, Printable(clean))
		if to >= 0 {
			require.LessOrEqual(t, Columns(Clip(clean, to)), to)
			require.GreaterOrEqual(t, Columns(Pad(clean, to%1000)), to%1000)
		}
	})
}

func TestClip(t *testing.T) {
	t.Parallel()
	require.Equal(t, "abc", Clip("abc", 3))
	require.Equal(t, "ab…", Clip("abcd", 3))
	require.Equal(t, "完…", Clip("完成了", 4))
	require.Equal(t, "完成", Clip("完成", 4))
	require.Equal(t, "…", Clip("完成", 1))
	require.Empty(t, Clip("x", 0))
}
