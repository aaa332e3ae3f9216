package scenarios

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/net/proxy"
	"golang.org/x/sys/unix"

	"mpproxy/test/netns/rig"
)

// envHelper makes the test binary a small program of its own, for what has to
// run as a process in a host.
const envHelper = "MPPROXY_SCENARIO_HELPER"

// The helpers, each with its arguments.
const (
	// helperConnect joins standard input and output to a destination through
	// the proxy, as ssh wants it of a ProxyCommand: HOST PORT.
	helperConnect = "connect"
	// helperConfine becomes another program with fewer rights:
	// RESTRICTION… -- PROGRAM ARGUMENT…
	helperConfine = "confine"
	// helperListen joins the group of MPTCP's events, as mptcpd does.
	helperListen = "listen"
)

// Restrictions of helperConfine.
const (
	restrictNetAdmin = "no-net-admin" // as in a container without --cap-add
	restrictBPF      = "no-bpf"       // as setcap cap_net_admin+ep gives it
	restrictUser     = "uid="         // an ordinary user
	restrictFiles    = "nofile="      // descriptors
)

// beHelper never returns.
func beHelper(kind string, args []string) {
	var err error
	switch kind {
	case helperConnect:
		err = connect(args[0], args[1])
	case helperConfine:
		err = confine(args)
	case helperListen:
		err = listenToEvents()
	default:
		err = fmt.Errorf("no helper %q", kind)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func connect(host, port string) error {
	d, err := proxy.SOCKS5("tcp", rig.Socks, nil, proxy.Direct)
	if err != nil {
		return err
	}
	c, err := d.Dial("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go sendInput(c, sent)
	if _, err := io.Copy(os.Stdout, c); err != nil {
		return err
	}
	return c.Close() // ssh closes its end later than the server, or not at all
}

func sendInput(c net.Conn, done chan<- error) {
	_, err := io.Copy(c, os.Stdin)
	if half, ok := c.(interface{ CloseWrite() error }); ok && err == nil {
		err = half.CloseWrite()
	}
	done <- err
}

// confined returns the command line that runs a program with restrictions.
func confined(restrictions []string, program string, args ...string) (path string, argv []string, env []string, err error) {
	path, err = os.Executable()
	argv = append(append(append([]string{}, restrictions...), "--", program), args...)
	return path, argv, []string{envHelper + "=" + helperConfine}, err
}

func confine(args []string) error {
	for len(args) > 0 && args[0] != "--" {
		if err := restrict(args[0]); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		args = args[1:]
	}
	if len(args) < 2 {
		return errors.New("no program")
	}
	if err := os.Unsetenv(envHelper); err != nil {
		return err
	}
	return syscall.Exec(args[1], args[1:], os.Environ())
}

func restrict(how string) error {
	switch how {
	case restrictNetAdmin:
		return drop(unix.CAP_NET_ADMIN)
	case restrictBPF:
		return drop(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN) // which stands for both
	}
	name, value, _ := strings.Cut(how, "=")
	n, err := strconv.Atoi(value)
	if err != nil {
		return err
	}
	switch name + "=" {
	case restrictUser:
		return errors.Join(syscall.Setgroups(nil), syscall.Setgid(n), syscall.Setuid(n))
	case restrictFiles:
		return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(n), Max: uint64(n)})
	}
	return errors.New("unknown restriction")
}

// drop takes capabilities out of the bounding set, which limits what execve(2)
// gives to root. It is that of the calling thread, which is the one that calls
// execve: the program has not started goroutines.
func drop(capabilities ...uintptr) error {
	var errs []error
	for _, c := range capabilities {
		errs = append(errs, unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0))
	}
	return errors.Join(errs...)
}
