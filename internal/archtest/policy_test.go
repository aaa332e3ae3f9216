package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// impurePackages touch the kernel or the clock, or give another answer each
// time: a decision that uses them could neither be tested with tables nor
// replayed. Those below one count too, but for net/netip.
var impurePackages = []string{
	"os", "net", "syscall", "runtime", "unsafe", "plugin", "log", "io", "crypto/rand", "math/rand", "sync", "embed", "testing",
}

var pureExceptions = []string{"net/netip", "math/rand/v2"}

// impureNames are what must not be used of packages that are pure otherwise.
var impureNames = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "LoadLocation", "Local"},
	"math/rand/v2": {
		"ExpFloat64", "Float32", "Float64", "Int", "Int32", "Int32N", "Int64", "Int64N", "IntN", "N", "NormFloat64",
		"Perm", "Shuffle", "Uint", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN",
	},
}

// purePackages are those of decisions and values, with those below them.
var purePackages = []string{"pathctl/policy", "pathctl/pathstate", "proxy/rules"}

func TestDecisionsArePure(t *testing.T) {
	checked := map[string]int{}
	for _, p := range loadPackages(t) {
		for _, pure := range purePackages {
			if !within(p.name(), pure) {
				continue
			}
			for _, f := range p.GoFiles {
				checked[pure]++
				for _, found := range impurities(t, filepath.Join(p.Dir, f), nil) {
					t.Errorf("%s/%s %s", p.name(), f, found)
				}
			}
		}
	}
	for _, pure := range purePackages {
		if checked[pure] == 0 {
			t.Errorf("%s has no files", pure)
		}
	}
}

func TestImpuritiesAreFound(t *testing.T) {
	const source = `package p
import (
	"context"
	clock "time"
	"net"
	"net/netip"
	"os/exec"
	"math/rand/v2"
)
type T struct { at clock.Time; a netip.Addr; r *rand.Rand }
func f(_ context.Context) { _ = clock.Now(); _ = rand.IntN(3); _ = rand.New(rand.NewPCG(1, 2)); _ = clock.Second; _, _ = net.Dial, exec.Command; go f(nil) }
`
	want := []string{"imports net", "imports os/exec", "uses time.Now", "uses rand.IntN", "starts a goroutine"}
	if diff := cmp.Diff(want, impurities(t, "p.go", source)); diff != "" {
		t.Errorf("impurities (-want +got):\n%s", diff)
	}
}

// impurities says what one file does that a pure function must not. source, if
// not nil, is its text.
func impurities(t *testing.T, file string, source any) (found []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{} // local name → import path
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if impure(imp) {
			found = append(found, "imports "+imp)
		}
		names[localName(spec, imp)] = imp
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "starts a goroutine")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(impureNames[names[x.Name]], n.Sel.Name) {
				found = append(found, fmt.Sprintf("uses %s.%s", localName(&ast.ImportSpec{}, names[x.Name]), n.Sel.Name))
			}
		}
		return true
	})
	return found
}

func impure(imp string) bool {
	return !slices.Contains(pureExceptions, imp) &&
		slices.ContainsFunc(impurePackages, func(p string) bool { return within(imp, p) })
}

// localName is what a file calls a package; that of math/rand/v2 is rand.
func localName(spec *ast.ImportSpec, imp string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	if base := path.Base(imp); base != "v2" {
		return base
	}
	return path.Base(path.Dir(imp))
}
