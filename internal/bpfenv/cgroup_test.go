package bpfenv

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOwnCgroup(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"unified", "0::/user.slice/x.scope\n", "/user.slice/x.scope"},
		{"hybrid", "2:cpu:/x\n1:name=systemd:/y\n0::/z\n", "/z"},
		{"with a colon", "0::/a:b\n", "/a:b"},
	} {
		if got, err := parseOwnCgroup(strings.NewReader(tt.file)); err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	if got, err := parseOwnCgroup(strings.NewReader("1:cpu:/x\n")); !errors.Is(err, ErrNoCgroup2) {
		t.Errorf("version 1 only: got %q, %v", got, err)
	}
}

func TestParseCgroup2Mounts(t *testing.T) {
	const file = `23 1 0:22 / / rw - ext4 /dev/root rw
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,nosuid shared:11 master:3 - cgroup2 cgroup2 rw,nsdelegate
42 31 0:38 /a\040b /mnt/with\040blank\134 ro - cgroup2 none ro
broken line
`
	want := []cgroup2Mount{
		{root: "/", point: "/sys/fs/cgroup/unified"},
		{root: "/a b", point: `/mnt/with blank\`},
	}
	got, err := parseCgroup2Mounts(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(cgroup2Mount{})); diff != "" {
		t.Error(diff)
	}
}

func TestMountDirectory(t *testing.T) {
	for _, tt := range []struct {
		root, cgroup, want string // want "" if it is not shown
	}{
		{"/", "/", "/cg"},
		{"/", "/system.slice/x.service", "/cg/system.slice/x.service"},
		{"/system.slice", "/system.slice/x.service", "/cg/x.service"},
		{"/system.slice", "/system.slice", "/cg"},
		{"/system.slice", "/system.slicer", ""},
		{"/system.slice", "/user.slice", ""},
		{"/", "/../outside", ""},
		{"/a", "/..a", ""},
	} {
		got, ok := cgroup2Mount{root: tt.root, point: "/cg"}.directory(tt.cgroup)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%q mounted: cgroup %q is %q, %v, want %q", tt.root, tt.cgroup, got, ok, tt.want)
		}
	}
}

func FuzzParseCgroup2Mounts(f *testing.F) {
	f.Add(`41 31 0:38 / /sys/fs/cgroup rw shared:1 - cgroup2 cgroup2 rw`)
	f.Add(`4 3 0:3 \1 \13\134 rw - cgroup2 x`)
	f.Fuzz(func(t *testing.T, file string) {
		mounts, _ := parseCgroup2Mounts(strings.NewReader(file))
		for _, m := range mounts {
			if m.root == "" || m.point == "" {
				t.Errorf("got %+v", m)
			}
		}
	})
}
