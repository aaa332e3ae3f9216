package netns

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"mpproxy/test/netns/link"
)

const envVictim = "MPPROXY_NETNS_TEST_VICTIM"

// A program that is killed leaves no process behind, the one that it started in
// a host included. (Namespaces and interfaces go with the last process.)
func TestNothingSurvivesAKill(t *testing.T) {
	Require(t)
	ctx := testContext(t)
	victim := exec.CommandContext(ctx, "/proc/self/exe")
	victim.Env = append(os.Environ(), envVictim+"="+t.TempDir())
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, text, ok := strings.Cut(lines.Text(), "started "); ok {
			pid = atoi(t, text)
			break
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // killed
	if pid == 0 {
		t.Fatal("the victim started nothing")
	}
	waitGone(t, ctx, pid)
}

// playVictim is the program of TestNothingSurvivesAKill; TestMain calls it.
func playVictim(dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	topo, err := New(ctx, Config{Dir: dir, Links: []LinkConfig{{Name: "dsl0", Params: link.Params{Rate: link.Mbit}}}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	p, err := topo.Client.Start(ctx, Spec{Path: "sleep", Args: []string{"1000"}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("started", p.Pid())
	<-ctx.Done()
	os.Exit(1)
}

func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	alive, err := NewTempDir(tempPrefix)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := NewTempDir(tempPrefix)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(dead.lock) // as the end of its program would
	third, err := NewTempDir(tempPrefix)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(alive.Path); err != nil {
		t.Errorf("the directory of a living program: %v", err)
	}
	if _, err := os.Stat(dead.Path); !os.IsNotExist(err) {
		t.Errorf("the directory of a dead program: %v", err)
	}
	for _, d := range []*TempDir{alive, third} {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(d.Path); !os.IsNotExist(err) {
			t.Errorf("after remove: %v", err)
		}
	}
}

// TestTempDirsAtOnce: programs that start at the same time do not sweep each other's
// directories away.
func TestTempDirsAtOnce(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var g errgroup.Group
	for range 32 {
		g.Go(func() error {
			for range 100 {
				d, err := NewTempDir(tempPrefix)
				if err != nil {
					return err
				}
				if _, err := os.Stat(d.Path); err != nil {
					return err
				}
				if err := d.Remove(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
