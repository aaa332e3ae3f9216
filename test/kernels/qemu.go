package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mpproxy/test/kernels/job"
)

// memory of a guest, in MiB. Its file system is in it.
const memory = "2048"

// boot runs a guest to its end and returns what its checks said. log gets all of
// their output. silence bounds how long nothing may be said.
func boot(ctx context.Context, image, initrd string, log io.Writer, silence time.Duration) (release string, results []result, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	console := filepath.Join(filepath.Dir(initrd), "console.log")
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "kvm", "-accel", "tcg", // the first that works
		"-cpu", "max", "-smp", "1", "-m", memory, "-nodefaults", "-no-reboot", "-display", "none",
		"-kernel", image, "-initrd", initrd, "-append", "console=ttyS0 panic=-1 quiet",
		"-serial", "file:"+console, "-serial", "stdio")
	var stderr bytes.Buffer
	qemu.Stderr = &stderr
	out, err := qemu.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := qemu.Start(); err != nil {
		return "", nil, err
	}
	watchdog := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the guest said nothing for %v", silence)) })
	defer watchdog.Stop()
	var g transcript
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		watchdog.Reset(silence)
		line := strings.TrimRight(lines.Text(), "\r")
		fmt.Fprintln(log, line)
		g.add(line)
	}
	err = errors.Join(lines.Err(), qemu.Wait())
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err == nil && !g.done {
		err = errors.New("the guest ended before its time")
	}
	if err == nil {
		err = g.broken
	}
	if err != nil {
		said, _ := os.ReadFile(console)
		err = fmt.Errorf("%w\n%s%s", err, stderr.Bytes(), lastLines(string(said), 15))
	}
	return g.release, g.results, err
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// A transcript sorts what a guest says.
type transcript struct {
	release string
	results []result
	running bool // the last of them
	done    bool
	broken  error
}

func (g *transcript) add(line string) {
	before, m, isMark := job.Parse(line)
	if g.running && before != "" {
		g.results[len(g.results)-1].add(before)
	}
	if !isMark {
		return
	}
	switch m.Kind {
	case job.Ready:
		g.release = m.Text
	case job.Begin:
		g.results = append(g.results, result{check: m.Text, failed: true, begun: time.Now()})
		g.running = true
	case job.End:
		r := &g.results[len(g.results)-1]
		r.failed, r.took = m.Failed, time.Since(r.begun)
		g.running = false
	case job.Broken:
		g.broken = errors.New(m.Text)
	case job.Done:
		g.done = true
	}
}
