package hoststate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openDir opens a directory of state, which it creates (mode 0700) if needed. It refuses
// one in which others could have written what the programs believe, or of which others
// could change the way to it, as sshd's StrictModes does. What is below is opened in the
// directory that was checked, whatever its name leads to by then.
func openDir(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, err
	}
	if err := checkOwner(real, dir); err != nil {
		return nil, err
	}
	for above := filepath.Dir(real); ; above = filepath.Dir(above) {
		if err := checkAbove(above); err != nil {
			return nil, err
		}
		if above == "/" {
			break
		}
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, err
	}
	if err := sameDir(root, real); err != nil {
		_ = root.Close()
		return nil, err
	}
	return root, nil
}

// checkOwner refuses a directory that others may write to. What the journal says is done
// with the rights of the daemon; where there is no runtime directory it is below /tmp,
// where anybody may make it first.
func checkOwner(dir, asked string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if err := checkMode(dir, st.Mode); err != nil {
		return err
	}
	if !trusted(st.Uid) {
		return fmt.Errorf("%s belongs to user id %d: remove it, or set XDG_RUNTIME_DIR to a directory of your own", asked, st.Uid)
	}
	return nil
}

// checkAbove refuses a directory whose entries others may rename. In a sticky one, as /tmp
// is, only the owner of an entry may do that.
func checkAbove(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if !trusted(st.Uid) {
		return fmt.Errorf("%s belongs to user id %d, who could put another directory in the place of mpproxy's", dir, st.Uid)
	}
	if st.Mode&unix.S_ISVTX != 0 {
		return nil
	}
	return checkMode(dir, st.Mode)
}

func checkMode(dir string, mode uint32) error {
	switch {
	case mode&0o002 != 0:
		return fmt.Errorf("everybody may write to %s: chmod o-w %s", dir, dir)
	case mode&0o020 != 0:
		return fmt.Errorf("a group may write to %s: chmod g-w %s", dir, dir)
	}
	return nil
}

// trusted says whose directories are: root's and our own. In a user namespace root is
// another one inside; the host's root, and whoever else is not mapped, has the overflow
// id there.
func trusted(uid uint32) bool {
	return uid == 0 || int(uid) == os.Geteuid() || uid == overflowUID && inUserNamespace()
}

// overflowUID is /proc/sys/kernel/overflowuid, which nobody changes.
const overflowUID = 65534

// inUserNamespace reports whether not all user ids are mapped.
func inUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295"
}

// sameDir refuses a directory that was exchanged after it was checked.
func sameDir(root *os.Root, checked string) error {
	opened, err := root.Stat(".")
	if err != nil {
		return err
	}
	now, err := os.Lstat(checked)
	if err != nil {
		return err
	}
	if !os.SameFile(opened, now) {
		return fmt.Errorf("%s was exchanged while it was opened", checked)
	}
	return nil
}
