package hoststate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Journal is one file that says what has to be put back. Who changes something knows
// how to put it back; the journal only keeps values. It is bound to the boot and the
// network namespace that it was written in: after a reboot the kernel has its
// defaults again, and the entries mean nothing. It is not safe for concurrent use:
// one goroutine owns it.
type Journal struct {
	path string
	data contents
}

type contents struct {
	Boot    string                     `json:"boot"`
	Entries map[string]json.RawMessage `json:"entries"`
}

// OpenJournal reads the journal of a daemon called name in the calling thread's
// network namespace, creating dir (mode 0700) if needed. Entries of an earlier
// boot are dropped. A file that cannot be understood is an error: something
// may be left to put back, and only the user can say what.
func OpenJournal(dir, name string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := checkOwner(dir); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	ns, err := networkNamespace()
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{path: filepath.Join(dir, fmt.Sprintf("%s-%d.journal", name, ns))}
	j.data = contents{Boot: strings.TrimSpace(string(boot)), Entries: map[string]json.RawMessage{}}
	return j, j.load()
}

func (j *Journal) load() error {
	b, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	var old contents
	if err := json.Unmarshal(b, &old); err != nil {
		return fmt.Errorf("journal %s cannot be read (%w): it says what an earlier run changed on this host; see what is left, then delete it", j.path, err)
	}
	if old.Boot == j.data.Boot && old.Entries != nil {
		j.data.Entries = old.Entries
	}
	return nil
}

// Pending returns the value recorded under key into v, and whether there is
// one.
func (j *Journal) Pending(key string, v any) (bool, error) {
	raw, ok := j.data.Entries[key]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("journal %s, entry %s: %w", j.path, key, err)
	}
	return true, nil
}

// Record keeps v under key, in place of what was there, on disk before it
// returns.
func (j *Journal) Record(key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	before, was := j.data.Entries[key]
	j.data.Entries[key] = raw
	if err := j.save(); err != nil {
		j.put(key, before, was)
		return err
	}
	return nil
}

// Done forgets key. The last one removes the file.
func (j *Journal) Done(key string) error {
	before, was := j.data.Entries[key]
	delete(j.data.Entries, key)
	if err := j.save(); err != nil {
		j.put(key, before, was)
		return err
	}
	return nil
}

// put makes memory say again what the file says.
func (j *Journal) put(key string, v json.RawMessage, was bool) {
	if was {
		j.data.Entries[key] = v
	} else {
		delete(j.data.Entries, key)
	}
}

func (j *Journal) save() error {
	if len(j.data.Entries) == 0 {
		if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("journal: %w", err)
		}
		return nil
	}
	b, err := json.Marshal(j.data)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	tmp := j.path + ".new"
	if err := writeSynced(tmp, b); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := os.Rename(tmp, j.path); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func writeSynced(path string, b []byte) error {
	// What a crash left in its place is removed, and not written through: it
	// could be a link that another user made.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, werr := f.Write(b)
	return errors.Join(werr, f.Sync(), f.Close())
}

// checkOwner refuses a directory in which others could have written the
// journal: what it says is done, with the rights of the daemon. Where there is
// no runtime directory it is below /tmp, where anybody may make it first.
func checkOwner(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if st.Mode&0o002 != 0 {
		return fmt.Errorf("everybody may write to %s: chmod o-w %s", dir, dir)
	}
	if uid := os.Geteuid(); uid != 0 && int(st.Uid) != uid && st.Uid != 0 {
		return fmt.Errorf("%s belongs to user id %d: remove it, or set XDG_RUNTIME_DIR to a directory of your own", dir, st.Uid)
	}
	return nil
}

// networkNamespace returns the inode that identifies the calling thread's
// network namespace.
func networkNamespace() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0, fmt.Errorf("/proc/thread-self/ns/net: %w", err)
	}
	return st.Ino, nil
}
