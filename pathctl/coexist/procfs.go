package coexist

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ownPrefix is how the names of our own programs begin.
const ownPrefix = "mpproxy-"

func (s *Scanner) proc(parts ...string) string {
	root := s.Proc
	if root == "" {
		root = "/proc"
	}
	return filepath.Join(append([]string{root}, parts...)...)
}

// userspace reads who the path manager is: by name since Linux 6.15, by number
// before. A kernel without either has only its own one.
func (s *Scanner) userspace() (bool, error) {
	b, err := os.ReadFile(s.proc("sys/net/mptcp/path_manager"))
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(s.proc("sys/net/mptcp/pm_type"))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the path manager: %w", err)
	}
	v := strings.TrimSpace(string(b))
	return v == "userspace" || v == "1", nil
}

// socket is a netlink socket: its port id, which programs mostly leave to the
// kernel, and that takes the process id for the first; and its inode.
type socket struct {
	port  uint32
	inode uint64
}

// netlinkGeneric is NETLINK_GENERIC (include/uapi/linux/netlink.h).
const netlinkGeneric = 16

// listeners returns the sockets that have joined the group of events.
func (s *Scanner) listeners() ([]socket, error) {
	if s.EventsGroup == 0 || s.EventsGroup > 32 {
		return nil, nil // the file shows the first 32 groups
	}
	file, err := os.Open(s.proc("net/netlink"))
	if err != nil {
		return nil, fmt.Errorf("reading the netlink sockets: %w", err)
	}
	defer file.Close()
	var found []socket
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if l, ok := parseSocket(lines.Text()); ok && l.protocol == netlinkGeneric && l.groups>>(s.EventsGroup-1)&1 == 1 {
			found = append(found, l.socket)
		}
	}
	slices.SortFunc(found, func(a, b socket) int { return int(a.inode) - int(b.inode) })
	return found, nil
}

type socketLine struct {
	socket
	protocol int
	groups   uint32
}

// parseSocket reads a line of /proc/net/netlink (netlink_native_seq_show,
// net/netlink/af_netlink.c).
func parseSocket(line string) (socketLine, bool) {
	const protocol, port, groups, inode = 1, 2, 3, 9
	f := strings.Fields(line)
	if len(f) <= inode {
		return socketLine{}, false
	}
	var l socketLine
	var err error
	if l.protocol, err = strconv.Atoi(f[protocol]); err != nil {
		return socketLine{}, false // the heading
	}
	p, err1 := strconv.ParseUint(f[port], 10, 32)
	g, err2 := strconv.ParseUint(f[groups], 16, 32)
	i, err3 := strconv.ParseUint(f[inode], 10, 64)
	l.port, l.groups, l.inode = uint32(p), uint32(g), i
	return l, errors.Join(err1, err2, err3) == nil
}

// owners names the programs that hold sockets, but for those of mpproxy. One
// whose owner cannot be found, for lack of privileges, is named as well as can
// be: the port id is often the process id.
func (s *Scanner) owners(sockets []socket) []Process {
	var out []Process
	if len(sockets) == 0 {
		return nil
	}
	held := s.holders(sockets)
	for _, k := range sockets {
		p, ok := held[k.inode]
		if !ok {
			if name := s.name(int(k.port)); name != "" {
				p = Process{int(k.port), name}
			}
		}
		if !strings.HasPrefix(p.Name, ownPrefix) {
			out = append(out, p)
		}
	}
	return out
}

// holders finds out which processes have the sockets open.
func (s *Scanner) holders(sockets []socket) map[uint64]Process {
	found := make(map[uint64]Process)
	links := make(map[string]uint64, len(sockets))
	for _, k := range sockets {
		links[fmt.Sprintf("socket:[%d]", k.inode)] = k.inode
	}
	for _, pid := range s.pids() {
		dir := s.proc(strconv.Itoa(pid), "fd")
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // gone, or not ours to look into
		}
		for _, fd := range fds {
			target, err := os.Readlink(filepath.Join(dir, fd.Name()))
			if inode, ok := links[target]; err == nil && ok {
				found[inode] = Process{pid, s.name(pid)}
			}
		}
		if len(found) == len(links) {
			break
		}
	}
	return found
}

// programs finds the running programs of these names that are in our network
// namespace, as far as that can be seen.
func (s *Scanner) programs(names ...string) []Process {
	own, _ := os.Readlink(s.proc("self/ns/net"))
	var out []Process
	for _, pid := range s.pids() {
		name := s.name(pid)
		if !slices.Contains(names, name) {
			continue
		}
		ns, err := os.Readlink(s.proc(strconv.Itoa(pid), "ns/net"))
		if err == nil && ns != own {
			continue
		}
		out = append(out, Process{pid, name})
	}
	return out
}

// pids lists the processes, in the order of their ids.
func (s *Scanner) pids() []int {
	entries, err := os.ReadDir(s.proc())
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// name is what a process calls itself, at most 15 bytes; empty when there is no
// such process.
func (s *Scanner) name(pid int) string {
	if pid <= 0 {
		return ""
	}
	b, err := os.ReadFile(s.proc(strconv.Itoa(pid), "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
