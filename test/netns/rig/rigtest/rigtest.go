// Package rigtest is what the tests of packages that use rigs have in common:
//
//	var programs string
//
//	func TestMain(m *testing.M) { rigtest.Main(m, &programs) }
//
// It is apart from package rig to keep goleak, which only tests use, out of programs.
package rigtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"go.uber.org/goleak"

	"mpproxy/test/netns/rig"
)

// buildTimeout bounds the building of both programs, of all their modules too.
const buildTimeout = 5 * time.Minute

// Main is a TestMain. It builds packages, both programs if none is named, tells
// the tests the directory, runs them in a user namespace where that is needed,
// and fails when they leave a goroutine behind. It never returns.
//
// Parallel tests run two on each CPU, unless -parallel says otherwise: in
// namespaces of their own, over links that are slow, they wait more than they
// compute.
func Main(m interface{ Run() int }, programs *string, packages ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	dir, remove, err := rig.Enter(ctx, packages...)
	cancel()
	if dir == "" {
		exit(1, err)
	}
	*programs = dir // an error of entering is repeated, and explained, by netns.Require
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		exit(1, errors.Join(err, remove()))
	}
	code := m.Run() // which reads the flags
	err = remove()
	if code == 0 {
		err = errors.Join(err, goleak.Find())
	}
	exit(code, err)
}

// exit says an error, if there is one, and ends with a code that is not 0 then.
func exit(code int, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
