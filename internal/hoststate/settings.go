package hoststate

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A Setting is a sysctl of the network namespace that mpproxy changes while it runs. The
// journal names it by its key. Where it is, and what may be written there, is said here
// and nowhere else: whoever can write to the journal can make the programs do no more.
type Setting struct {
	key   string
	what  string // what changing it is, for errors
	files []file // of different kernels; the first one that exists is meant
	// optional says that a kernel without it needs no change.
	optional bool
	// word says in a word what a value means, whichever way the kernel says it; nil: as
	// the kernel does.
	word func(value string) string
}

// A file is a setting as some kernels have it.
type file struct {
	path  string // below /proc/sys
	ours  string // what mpproxy sets; empty: it is put back only
	valid func(value string) bool
}

// procSys is where the sysctls are. Tests have them elsewhere.
var procSys = "/proc/sys/"

// PathManager makes user space the path manager of new connections. It is chosen by name
// since Linux 6.15, by number before.
var PathManager = &Setting{
	key: "mptcp.path_manager", what: "taking over the path manager", word: pathManagerName,
	files: []file{
		{"net/mptcp/path_manager", "userspace", isPathManager},
		{"net/mptcp/pm_type", "1", number(0, 1)},
	},
}

// Blackhole keeps the kernel from switching MPTCP off, and switches it on again where
// that has happened. Since Linux 6.12 the kernel does so for all programs of a network
// namespace, for an hour by default, when a few SYNs with MP_CAPABLE were lost and the
// first plain one got through (Documentation/networking/mptcp-sysctl.rst). Some seconds
// without any path look the same to it. We judge each path by itself and need no such
// protection.
var Blackhole = &Setting{
	key: "mptcp.blackhole_timeout", what: "keeping the kernel from switching MPTCP off", optional: true,
	files: []file{{"net/mptcp/blackhole_timeout", "0", number(0, math.MaxInt32)}},
}

// sendBuffers was changed by earlier versions, for all sockets of the namespace.
var sendBuffers = &Setting{
	key:   "tcp_wmem",
	files: []file{{"net/ipv4/tcp_wmem", "", threeNumbers}},
}

// settings are all that a journal may name. Their places in the list are those of their
// locks: new ones go to the end.
var settings = []*Setting{PathManager, Blackhole, sendBuffers}

// name is what sysctl(8) calls it.
func (f *file) name() string { return strings.ReplaceAll(f.path, "/", ".") }

// read returns the value, numbers separated by one space.
func (f *file) read() (string, error) {
	b, err := os.ReadFile(procSys + f.path)
	return strings.Join(strings.Fields(string(b)), " "), err
}

func (f *file) write(value string) error { return os.WriteFile(procSys+f.path, []byte(value), 0) }

// here returns the file of this kernel.
func (s *Setting) here() (*file, error) {
	var first error
	for i := range s.files {
		_, err := os.Stat(procSys + s.files[i].path)
		if err == nil {
			return &s.files[i], nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// String is the name of the sysctl on this kernel.
func (s *Setting) String() string {
	if f, err := s.here(); err == nil {
		return f.name()
	}
	return s.files[0].name()
}

// saved is a setting in the journal: what it was, and what it was set to. Earlier
// versions wrote a path beside it.
type saved struct {
	Path   string `json:",omitempty"`
	Before string
	Set    string
}

// check returns the file that an entry of the journal is about, and refuses what no
// version of ours has written.
func (s *Setting) check(e saved) (*file, error) {
	f, err := s.here()
	if err != nil {
		return nil, err
	}
	if e.Path != "" {
		i := slices.IndexFunc(s.files, func(f file) bool { return procSys+f.path == e.Path })
		if i < 0 {
			return nil, fmt.Errorf("the journal says that %s is at %s: %w", s.key, e.Path, errForged)
		}
		f = &s.files[i]
	}
	for _, v := range []string{e.Before, e.Set} {
		if !f.valid(v) {
			return nil, fmt.Errorf("the journal says that %s was %q: %w", f.name(), v, errForged)
		}
	}
	return f, nil
}

// errForged: an entry of the journal is not of ours. It is dropped.
var errForged = errors.New("mpproxy never writes that, and puts nothing back")

// pathManagerName is what Linux 6.15 and later call a path manager that older kernels
// number.
func pathManagerName(value string) string {
	switch value {
	case "0":
		return "kernel"
	case "1":
		return "userspace"
	}
	return value
}

// isPathManager accepts the kernel's path managers.
func isPathManager(v string) bool {
	known := []string{"kernel", "userspace"}
	if b, err := os.ReadFile(procSys + "net/mptcp/available_path_managers"); err == nil {
		known = append(known, strings.Fields(string(b))...)
	}
	return slices.Contains(known, v)
}

func number(least, most int) func(string) bool {
	return func(v string) bool {
		n, err := strconv.Atoi(v)
		return err == nil && least <= n && n <= most && v == strconv.Itoa(n)
	}
}

// threeNumbers accepts what tcp_wmem may be: the least, first and most bytes of a buffer.
func threeNumbers(v string) bool {
	fields := strings.Fields(v)
	return len(fields) == 3 && !slices.ContainsFunc(fields, func(n string) bool { return !number(4096, math.MaxInt32)(n) })
}

// UserSpace reports whether new connections of this network namespace belong to the
// path manager in user space. It looks at the calling thread's.
func UserSpace() (bool, error) {
	f, err := PathManager.here()
	if err != nil {
		return false, err
	}
	v, err := f.read()
	return v == f.ours, err
}

// missing reports whether the kernel lacks a setting that it may lack.
func (s *Setting) missing(err error) bool { return s.optional && errors.Is(err, fs.ErrNotExist) }
