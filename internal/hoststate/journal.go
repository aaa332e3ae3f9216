package hoststate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	dir  *os.Root
	name string // of the file, in dir
	path string // for people
	data contents
}

// maxJournal is the size, in bytes, of the longest journal that is read.
const maxJournal = 1 << 20

type contents struct {
	Boot    string                     `json:"boot"`
	Entries map[string]json.RawMessage `json:"entries"`
}

// OpenJournal reads the journal of a daemon called name in the calling thread's
// network namespace, creating dir (mode 0700) if needed. Entries of an earlier
// boot are dropped. A file that cannot be understood is an error: something
// may be left to put back, and only the user can say what.
func OpenJournal(dir, name string) (*Journal, error) {
	return openJournal(dir, name+"-%d.journal")
}

// openJournal reads the file whose name pattern makes of the network namespace.
func openJournal(dir, pattern string) (*Journal, error) {
	root, err := openDir(dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	ns, err := networkNamespace()
	boot, berr := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err = errors.Join(err, berr); err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), root.Close())
	}
	j := &Journal{dir: root, name: fmt.Sprintf(pattern, ns)}
	j.path = filepath.Join(dir, j.name)
	j.data = contents{Boot: strings.TrimSpace(string(boot)), Entries: map[string]json.RawMessage{}}
	if err := j.load(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return j, nil
}

func (j *Journal) load() error {
	b, err := j.read()
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

// read returns the file's content. It follows no link, and believes no file that somebody
// else has written or could write to.
func (j *Journal) read() ([]byte, error) {
	f, err := j.dir.OpenFile(j.name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, fmt.Errorf("%s is no ordinary file: remove it", j.path)
	case !trusted(st.Uid):
		return nil, fmt.Errorf("%s belongs to user id %d: remove it", j.path, st.Uid)
	}
	if err := checkMode(j.path, st.Mode); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxJournal))
}

// Close lets go of the directory. The journal cannot be used any more.
func (j *Journal) Close() error { return j.dir.Close() }

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
		if err := j.dir.Remove(j.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("journal: %w", err)
		}
		return nil
	}
	b, err := json.Marshal(j.data)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	tmp := j.name + ".new"
	if err := writeSynced(j.dir, tmp, b); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.dir.Rename(tmp, j.name); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func writeSynced(dir *os.Root, name string, b []byte) error {
	// What a crash left in its place is removed, and not written through: it
	// could be a link that another user made.
	if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, werr := f.Write(b)
	return errors.Join(werr, f.Sync(), f.Close())
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
