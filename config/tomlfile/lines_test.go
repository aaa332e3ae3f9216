package tomlfile

import (
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func TestIndexLines(t *testing.T) {
	const text = `# a = 1
a = "x # no comment, [no.table]" # b = 2
 'b.c' = 'it is'
"d\te" . f = 1979-05-27 07:32:00
g = [ # comment ]
  "one", 'two',

  { h = 1,
    i = [3] },
]
j = """
[k]
k = \"""1
"""""
l = '''
m = 1
''' # end
[ n . "o p" ]
q = 1
[[r]]
[[r]]
s = 1
 [[r.t]]
 u = 1
 [r.v]
 w = 1
[x.y]
[x]
z = 1
`
	got, err := indexLines(text)
	if err != nil {
		t.Fatal(err)
	}
	want := lineIndex{
		"a": 2, `"b.c"`: 3, `"d\te"`: 4, `"d\te".f`: 4,
		"g": 5, "g[0]": 6, "g[1]": 6, "g[2]": 8, "g[2].h": 8, "g[2].i": 9, "g[2].i[0]": 9,
		"j": 11, "l": 15, "n": 18, `n."o p"`: 18, `n."o p".q`: 19,
		"r": 20, "r[0]": 20, "r[1]": 21, "r[1].s": 22, "r[1].t": 23, "r[1].t[0]": 23, "r[1].t[0].u": 24, "r[1].v": 25, "r[1].v.w": 26,
		"x": 27, "x.y": 27, "x.z": 29,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNesting(t *testing.T) {
	const long = 256 << 10
	if _, err := indexLines("x = " + strings.Repeat("[", long)); err == nil {
		t.Error("deep arrays were accepted")
	}
	if _, err := indexLines("x = " + strings.Repeat("{a=", long/3)); err == nil {
		t.Error("deep inline tables were accepted")
	}
	if _, err := indexLines(strings.Repeat("a.", long/2) + "a = 1"); err == nil {
		t.Error("a deep key was accepted")
	}
	if _, err := indexLines("[" + strings.Repeat("a", maxKey+1) + "]"); err == nil {
		t.Error("a long key was accepted")
	}
}

func TestNearest(t *testing.T) {
	words := []string{"listen", "limits", "link", "log", "mode", "path", "path_manager", "handshake_timeout"}
	for word, want := range map[string]string{
		"listne": "listen", "lisen": "listen", "Link": "link", "limts": "limits", "lgo": "log", "pathmanager": "path_manager",
		"handshake_time": "handshake_timeout", "zebra": "", "x": "", "": "",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"abc", "xabc", 1}, {"abc", "xyz", 3}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b, 99); got != tt.want {
			t.Errorf("%s, %s: %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := distance(tt.b, tt.a, 99); got != tt.want {
			t.Errorf("%s, %s: %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[string]Size{
		"0": 0, "1": 1, "512": 512, "1B": 1, "1kB": 1000, "1KB": 1000, "64KiB": 65536, "8MiB": 8 << 20, "8 MiB": 8 << 20, "2GB": 2e9, "1GiB": 1 << 30,
		"": -1, "MiB": -1, "-1MiB": -1, "1.5MiB": -1, "1TiB": -1, "1KiMi": -1, "99999999999999999999": -1, "9000000000000GiB": -1,
	} {
		got, err := ParseSize(in)
		if (err != nil) != (want == -1) || err == nil && got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%q: %v printed and parsed again is %v, %v", in, got, again, err)
		}
	}
}

// Every key that the toml module finds has its line.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"link = 'x'\n[socks]\nlisten = [\"a\",\n\"b\"] # c\n[[path]]\nrank = 1\n", "a.b = [{c = 1}]\n[[d]]\n[[d.e]]\nf = \"\"\"\n\"\"\"", "'a' = 1\r\n\"\\u0041\" = 2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := indexLines(text)
		if err != nil {
			return
		}
		tree := map[string]any{}
		if _, err := toml.Decode(text, &tree); err == nil {
			haveLines(t, lines, tree, "", strings.Count(text, "\n")+1)
		}
	})
}

func haveLines(t *testing.T, lines lineIndex, v any, path string, last int) {
	if n := lines[path]; path != "" && (n < 1 || n > last) {
		t.Fatalf("%s has the line %d of %d", path, n, last)
	}
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			haveLines(t, lines, sub, JoinKey(path, k), last)
		}
	case []map[string]any:
		for i, sub := range v {
			haveLines(t, lines, sub, elementKey(path, i), last)
		}
	case []any:
		for i, sub := range v {
			haveLines(t, lines, sub, elementKey(path, i), last)
		}
	}
}
