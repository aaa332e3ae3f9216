package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const passes = `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    a_test.go:7: needs root: no namespace\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a"}
`

const fails = `{"Action":"output","Package":"b","Test":"TestGood","Output":"    b_test.go:3: fine\n"}
{"Action":"pass","Package":"b","Test":"TestGood"}
{"Action":"output","Package":"b","Test":"TestBad","Output":"=== RUN   TestBad\n"}
{"Action":"output","Package":"b","Test":"TestBad","Output":"    b_test.go:9: wrong\n"}
{"Action":"fail","Package":"b","Test":"TestBad"}
{"Action":"output","Package":"b","Output":"FAIL\n"}
{"Action":"fail","Package":"b"}
`

func TestShow(t *testing.T) {
	const skipped = "left out, 1 tests of a: needs root: no namespace\n"
	for _, tt := range []struct {
		name, in, out string
		ok            bool
	}{
		{"nothing", "", "", false},
		{"the go command's own words", "go: no such module\n", "go: no such module\n", false},
		{"passes", passes, "ok  \ta\t0.1s\n" + skipped, true},
		{"one fails", passes + fails, "ok  \ta\t0.1s\n    b_test.go:9: wrong\nFAIL\n" + skipped, false},
		{"does not build", passes + `{"ImportPath":"c","Action":"build-output","Output":"c.go:1: no\n"}
{"ImportPath":"c","Action":"build-fail"}`, "ok  \ta\t0.1s\nc.go:1: no\n" + skipped, false},
		{"ends in the middle", passes + fails[:strings.Index(fails, "\n")+1], "ok  \ta\t0.1s\n" + skipped, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := show(strings.NewReader(tt.in), &out)
			if diff := cmp.Diff(tt.out, out.String()); diff != "" || ok != tt.ok || err != nil {
				t.Errorf("ok %t, %v, want %t; output (-want +got):\n%s", ok, err, tt.ok, diff)
			}
		})
	}
}
