package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"

	"mpproxy/test/kernels/job"
)

func TestInOrder(t *testing.T) {
	needs := map[string][]string{"mptcp_diag": {"inet_diag"}, "inet_diag": nil, "tcp_diag": {"inet_diag", "core"}, "odd": {"none"}}
	find := func(name string) (module, error) {
		n, ok := needs[name]
		if !ok {
			return module{}, errors.New("no such module")
		}
		return module{name: name, needs: n}, nil
	}
	all, err := inOrder([]string{"tcp_diag", "mptcp_diag"}, find, map[string]bool{"core": true})
	var got []string
	for _, m := range all {
		got = append(got, m.name)
	}
	if diff := cmp.Diff([]string{"inet_diag", "tcp_diag", "mptcp_diag"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := inOrder([]string{"odd"}, find, nil); err == nil || !strings.Contains(err.Error(), "for odd") {
		t.Errorf("a module that needs one that is not there: %v", err)
	}
}

func TestModuleName(t *testing.T) {
	for file, want := range map[string]string{"sch_netem.ko": "sch_netem", "nft-x.ko.xz": "nft_x", "modules.dep": "", "vmlinuz-6.1": ""} {
		if got := moduleName(file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func TestCompareReleases(t *testing.T) {
	for _, tt := range [][2]string{
		{"6.1.0-9-cloud-amd64", "6.1.0-50-cloud-amd64"},
		{"6.12.9+deb12-cloud-amd64", "6.12.117+deb12-cloud-amd64"},
		{"6.18.5+deb13-cloud-amd64", "6.18.15+deb13-cloud-amd64"},
	} {
		if compareReleases(tt[0], tt[1]) >= 0 {
			t.Errorf("%s is not before %s", tt[0], tt[1])
		}
	}
}

// TestTranscript: a check that the guest does not end has failed.
func TestTranscript(t *testing.T) {
	var said bytes.Buffer
	mark := func(m job.Mark) {
		if err := job.Write(&said, m); err != nil {
			t.Fatal(err)
		}
	}
	mark(job.Mark{Kind: job.Ready, Text: "6.1.0"})
	mark(job.Mark{Kind: job.Begin, Text: "good"})
	said.WriteString("--- PASS: TestA (0.00s)\n    --- SKIP: TestA/b (0.00s)\n        KERNEL a says\n--- PASS: TestC (0.00s)\nPASS")
	mark(job.Mark{Kind: job.End, Text: "good"})
	mark(job.Mark{Kind: job.Begin, Text: "bad"})
	said.WriteString("--- FAIL: TestD (0.00s)\n")
	mark(job.Mark{Kind: job.End, Text: "bad", Failed: true})
	mark(job.Mark{Kind: job.Begin, Text: "cut off"})
	said.WriteString("--- PASS: TestE (0.00s)\n")
	var g transcript
	for line := range strings.Lines(said.String()) {
		g.add(strings.TrimSuffix(line, "\n"))
	}
	if g.release != "6.1.0" || g.done || len(g.results) != 3 {
		t.Fatalf("%+v", g)
	}
	for i, want := range []string{"2 ok, 1 skipped", "1 FAILED, 0 ok", "FAILED, 1 ok"} {
		if got := g.results[i]; got.String() != want || got.ok() != (i == 0) {
			t.Errorf("%s: %v, ok %t, want %s", got.check, got, got.ok(), want)
		}
	}
	if got := (result{}); got.ok() {
		t.Error("a check that ran nothing is said to be well")
	}
	if diff := cmp.Diff([]string{"a says"}, g.results[0].said); diff != "" {
		t.Error(diff)
	}
}

func TestInitrd(t *testing.T) {
	var out bytes.Buffer
	fs := initrd{cpio.NewWriter(&out), map[string]bool{"/": true}}
	err := errors.Join(fs.file("/a/b/c", []byte("text")), fs.link("/a/b/c", "/a/d"), fs.w.Close())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := cpio.NewReader(&out); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(content) + h.Linkname
	}
	if diff := cmp.Diff(map[string]string{"a": "", "a/b": "", "a/b/c": "text", "a/d": "/a/b/c"}, got); diff != "" {
		t.Error(diff)
	}
}
