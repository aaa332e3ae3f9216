// Command kernels runs the tests that depend on the kernel on Debian's kernels, each
// booted in QEMU, and prints a table of kernels and checks. Its status is 1 when
// something failed.
//
//	go run ./test/kernels                  # everything
//	go run ./test/kernels -short           # what CI runs
//	go run ./test/kernels -on 6.1 -check subopt
//
// It needs QEMU and a Debian whose apt can fetch packages, and root only for neither.
// Nothing is installed: packages are downloaded to the user's cache and unpacked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// series are the kernels that README names: Debian 12's, Debian 13's, and the one
// that this is developed on.
const series = "6.1,6.12,6.18"

// silence is how long a guest may say nothing: an emulated one runs a test for a while.
const silence = 4 * time.Minute

func main() {
	short := flag.Bool("short", false, "run the checks that CI runs")
	on := flag.String("on", series, "kernel `series`, separated by commas")
	match := flag.String("check", "", "run the packages that match this `expression`")
	run := flag.String("run", "", "run the tests that match this `expression`")
	logs := flag.String("logs", "", "keep what guests say in this `directory`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := kernels(ctx, os.Stdout, strings.Split(*on, ","), *short, *match, *run, *logs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func kernels(ctx context.Context, out io.Writer, on []string, short bool, match, run, logs string) (ok bool, err error) {
	expression, err := regexp.Compile(match)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "mpproxy-kernels-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if logs == "" {
		logs = dir
	} else if err := os.MkdirAll(logs, 0o755); err != nil {
		return false, err
	}
	b, err := build(ctx, ".", filepath.Join(dir, "built"), chosen(short, expression, run))
	if err != nil {
		return false, err
	}
	t := table{checks: b.checks}
	for _, series := range on {
		c := column{series: series}
		c.release, c.results, c.err = try(ctx, series, b, filepath.Join(dir, series), logs)
		c.sayFailures(out)
		t.columns = append(t.columns, c)
	}
	return t.print(out), nil
}

// try runs the checks on the kernel of one series.
func try(ctx context.Context, series string, b *built, dir, logs string) (release string, results []result, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, err
	}
	debs, err := packages(ctx, series)
	if err != nil {
		return "", nil, err
	}
	k, err := unpack(ctx, debs, dir)
	if err != nil {
		return "", nil, err
	}
	modules, err := k.modulesInOrder()
	if err != nil {
		return "", nil, err
	}
	initrd, err := os.Create(filepath.Join(dir, "initrd"))
	if err != nil {
		return "", nil, err
	}
	if err := errors.Join(writeInitrd(initrd, b, modules), initrd.Close()); err != nil {
		return "", nil, err
	}
	log, err := os.Create(filepath.Join(logs, series+".log"))
	if err != nil {
		return "", nil, err
	}
	defer log.Close()
	return boot(ctx, k.image, initrd.Name(), log, silence)
}

// packages returns the packages of a series from the user's cache, and downloads
// them first where it has none.
func packages(ctx context.Context, series string) ([]string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	cache = filepath.Join(cache, "mpproxy-kernels")
	dir := filepath.Join(cache, series)
	if debs, err := filepath.Glob(filepath.Join(dir, "*.deb")); err != nil || len(debs) > 0 {
		return debs, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	a, err := newAPT(ctx, filepath.Join(cache, "apt"))
	if err != nil {
		return nil, err
	}
	return a.fetch(ctx, series, dir)
}
