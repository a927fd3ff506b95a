package wsfeed

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// TestProtocolDocument holds docs/protocol.md to the code: the tables name the close codes, the types of frames and
// the codes of errors that the code uses, each once and no others.
func TestProtocolDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/protocol.md")
	require.NoError(t, err)
	column := func(pattern string) (all []string) {
		for _, m := range regexp.MustCompile("(?m)^"+pattern).FindAllSubmatch(text, -1) {
			all = append(all, string(m[1]))
		}
		return all
	}
	code := readSource(t)

	// The WebSocket library sends 1002 by itself; 1008 is unused yet.
	require.ElementsMatch(t, append(code.closeCodes(t), "1002", "1008"), column(`\| ([0-9]{4}) \|`))
	tables := column("\\| `([a-z_]+)` \\|")
	require.ElementsMatch(t, append(code.frames, "not_found", "invalid", "limit", "forbidden"), tables)
	for _, name := range []string{"not_found", "invalid", "limit", "forbidden"} {
		require.Contains(t, code.texts, name)
	}
}

// source is what the package's code says.
type source struct {
	frames []string // the types of frames that are made
	names  []string // the close codes used, as websocket.CloseX
	own    []string // the close codes of ours
	texts  map[string]bool
}

// readSource looks through the files of the package and of wire: head, wire.Plain and wire.List make frames and are called with
// their types.
func readSource(t *testing.T) source {
	t.Helper()
	s := source{texts: make(map[string]bool)}
	frames, names := make(map[string]bool), make(map[string]bool)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	encoders, err := filepath.Glob("internal/wire/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, encoders)
	for _, name := range append(files, encoders...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					s.texts[text] = true
				}
			case *ast.CallExpr:
				if makesFrame(n.Fun) {
					if kind, ok := n.Args[0].(*ast.BasicLit); ok {
						text, _ := strconv.Unquote(kind.Value)
						frames[text] = true
					}
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "websocket" && strings.HasPrefix(n.Sel.Name, "Close") {
					names[n.Sel.Name] = true
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if strings.HasPrefix(name.Name, "Close") && i < len(n.Values) {
						if v, ok := n.Values[i].(*ast.BasicLit); ok {
							s.own = append(s.own, v.Value)
						}
					}
				}
			}
			return true
		})
	}
	frames["changes"] = s.texts["changes"] // wire.List takes it from a subscription
	s.frames, s.names = slices.Collect(maps.Keys(frames)), slices.Collect(maps.Keys(names))
	return s
}

// makesFrame reports whether a function makes a frame of the type that is its first argument.
func makesFrame(function ast.Expr) bool {
	switch f := function.(type) {
	case *ast.Ident:
		return f.Name == "head"
	case *ast.SelectorExpr:
		x, ok := f.X.(*ast.Ident)
		return ok && x.Name == "wire" && f.Sel.Name == "Plain"
	}
	return false
}

// closeCodes are the numbers of the close codes used.
func (s source) closeCodes(t *testing.T) (codes []string) {
	t.Helper()
	numbers := map[string]int{
		"CloseNormalClosure": websocket.CloseNormalClosure, "CloseGoingAway": websocket.CloseGoingAway,
		"CloseUnsupportedData": websocket.CloseUnsupportedData, "CloseMessageTooBig": websocket.CloseMessageTooBig,
		"CloseInvalidFramePayloadData": websocket.CloseInvalidFramePayloadData,
		"ClosePolicyViolation":         websocket.ClosePolicyViolation,
		"CloseInternalServerErr":       websocket.CloseInternalServerErr,
		"CloseTryAgainLater":           websocket.CloseTryAgainLater,
	}
	for _, name := range s.names {
		if name == "CloseMessage" || name == "CloseError" {
			continue // a kind of frame, and a type
		}
		require.Contains(t, numbers, name, "a close code that this test does not know")
		codes = append(codes, strconv.Itoa(numbers[name]))
	}
	require.NotEmpty(t, s.own)
	return append(codes, s.own...)
}
