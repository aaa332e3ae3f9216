package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mount makes the private view of the file system, on the host's thread: mount
// events neither come in nor get out, some files of /etc are our own, /run is
// empty.
func (h *Host) mount(names []NameEntry) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	files := []struct{ name, content string }{
		{"hosts", hostsFile(names)},
		// A resolver that refuses at once: a name that /etc/hosts does not have
		// must fail quickly and without a packet.
		{"resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"},
		{"nsswitch.conf", "hosts: files dns\n"},
	}
	var inRun []func() error
	for _, f := range files {
		source := filepath.Join(h.dir, "etc", f.name)
		if err := os.WriteFile(source, []byte(f.content), 0o644); err != nil {
			return err
		}
		target, exists := resolve("/etc/" + f.name)
		switch {
		case isUnder(target, "/run"), isUnder(target, "/var/run"):
			// A symbolic link into /run, as systemd-resolved makes them.
			inRun = append(inRun, func() error { return provide(source, target) })
		case exists:
			if err := bind(source, target); err != nil {
				return err
			}
		}
	}
	if err := mountRun(); err != nil {
		return err
	}
	for _, f := range inRun {
		if err := f(); err != nil {
			return err
		}
	}
	if _, err := os.Stat(h.dir); err != nil {
		return fmt.Errorf("the directory of the host must not be in /run, which each host has for itself: %w", err)
	}
	return nil
}

// mountRun hides /run, so that sockets and state files of hosts never meet.
func mountRun() error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=64m"); err != nil {
		return fmt.Errorf("mount a private /run: %w", err)
	}
	if err := os.Mkdir(runtimeDir, 0o700); err != nil {
		return err
	}
	// Where /var/run is a directory of its own, hide it too.
	if info, err := os.Lstat("/var/run"); err == nil && info.IsDir() {
		return bind("/run", "/var/run")
	}
	return nil
}

func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s over %s: %w", source, target, err)
	}
	return nil
}

func provide(source, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(target, nil, 0o644); err != nil {
		return err
	}
	return bind(source, target)
}

// resolve follows symbolic links, a dangling last one included.
func resolve(path string) (target string, exists bool) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target, true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return path, false
	}
	link, err := os.Readlink(path)
	if err != nil {
		return path, false
	}
	if !filepath.IsAbs(link) {
		link = filepath.Join(filepath.Dir(path), link)
	}
	return link, false
}

func isUnder(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }

func hostsFile(names []NameEntry) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
	for _, n := range names {
		fmt.Fprintf(&b, "%s %s\n", n.Addr, n.Name)
	}
	return b.String()
}

// SetNames replaces the content of the host's /etc/hosts; processes that run see
// it with their next look-up.
func (h *Host) SetNames(names []NameEntry) error {
	// Written in place: the bind mount is of this very file.
	f, err := os.OpenFile(filepath.Join(h.dir, "etc", "hosts"), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return fmt.Errorf("netns: host %s: %w", h.name, err)
	}
	_, err = f.WriteString(hostsFile(names))
	return errors.Join(err, f.Close())
}
