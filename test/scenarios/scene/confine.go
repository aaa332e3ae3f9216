package scene

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/proxy"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// EnvHelper makes the test binary a small program of its own, for what has to
// run as a process in a host.
const EnvHelper = "MPPROXY_SCENARIO_HELPER"

// The helpers, each with its arguments.
const (
	// HelperConnect joins standard input and output to a destination through
	// the proxy, as ssh wants it of a ProxyCommand: HOST PORT.
	HelperConnect = "connect"
	// helperConfine becomes another program with fewer rights:
	// RESTRICTION… -- PROGRAM ARGUMENT…
	helperConfine = "confine"
	// HelperListen joins the group of MPTCP's events, as mptcpd does.
	HelperListen = "listen"
)

// Restrictions that Confined knows.
const (
	RestrictNetAdmin = "no-net-admin" // as in a container without --cap-add
	RestrictBPF      = "no-bpf"       // as setcap cap_net_admin+ep gives it
	RestrictUser     = "uid="         // an ordinary user
	RestrictFiles    = "nofile="      // descriptors
)

// beHelper never returns.
func beHelper(kind string, args []string) {
	var err error
	switch kind {
	case HelperConnect:
		err = connect(args[0], args[1])
	case helperConfine:
		err = confine(args)
	case HelperListen:
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

// Confined returns the command line that runs a program with restrictions.
func Confined(restrictions []string, program string, args ...string) (path string, argv []string, env []string, err error) {
	path, err = os.Executable()
	argv = append(append(append([]string{}, restrictions...), "--", program), args...)
	return path, argv, []string{EnvHelper + "=" + helperConfine}, err
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
	if err := os.Unsetenv(EnvHelper); err != nil {
		return err
	}
	return syscall.Exec(args[1], args[1:], os.Environ())
}

func restrict(how string) error {
	switch how {
	case RestrictNetAdmin:
		return drop(unix.CAP_NET_ADMIN)
	case RestrictBPF:
		return drop(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN) // which stands for both
	}
	name, value, _ := strings.Cut(how, "=")
	n, err := strconv.Atoi(value)
	if err != nil {
		return err
	}
	switch name + "=" {
	case RestrictUser:
		return errors.Join(syscall.Setgroups(nil), syscall.Setgid(n), syscall.Setuid(n))
	case RestrictFiles:
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

// OtherUser is an ordinary user id that all systems have: nobody's.
const OtherUser = "65534"

// HasOtherUsers is false in a user namespace where only root is mapped.
func HasOtherUsers(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/uid_map") // user_namespaces(7): inside, outside, length
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	return len(f) != 3 || f[2] != "1"
}

// RunConfined starts the client with fewer rights and with its own
// configuration and socket.
func RunConfined(t *testing.T, r *rig.Rig, restrictions []string) {
	t.Helper()
	if err := r.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The programs' directory and this one are in a directory that others may
	// enter; the host's own is not.
	dir, err := os.MkdirTemp("", "mpproxy-confined-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text, err := os.ReadFile(r.ClientConfig())
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "admin.sock")
	change := With(`admin.socket = "` + socket + `"`)
	config := filepath.Join(dir, "client.toml")
	for _, file := range []string{config, r.ClientConfig()} {
		if err := os.WriteFile(file, []byte(change(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if slices.Contains(restrictions, RestrictUser+OtherUser) {
		for _, file := range []string{dir, config} {
			if err := os.Chown(file, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	path, args, env, err := Confined(restrictions, r.ClientBinary(), "run", "--config", config)
	if err != nil {
		t.Fatal(err)
	}
	env = append(env, "XDG_RUNTIME_DIR="+dir)
	r.ClientDaemon, err = r.Client.Start(t.Context(), netns.Spec{Path: path, Args: args, Env: env, Name: "mpproxy-client"})
	if err != nil {
		t.Fatal(err)
	}
	Saw(t, r.ClientDaemon, "msg=ready")
}

// listenToEvents is the helper that stands for mptcpd: it joins the group of
// MPTCP's events, and does nothing.
func listenToEvents() error {
	events, err := mptcppm.DialEvents(nil)
	if err != nil {
		return err
	}
	defer events.Close()
	fmt.Println("listening")
	for _, err := range events.All(context.Background()) {
		if err != nil {
			return err
		}
	}
	return nil
}
