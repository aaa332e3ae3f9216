package tomlfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ReadFile reads a regular file of at most limit bytes.
func ReadFile(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, explain(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, explain(path, err)
	}
	if info.IsDir() {
		return nil, nil, fmt.Errorf("%s is a directory: give the file inside it", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, nil, explain(path, err)
	}
	if int64(len(data)) > limit {
		return nil, nil, fmt.Errorf("%s is larger than %v: this is not the file that was meant", path, Size(limit))
	}
	return data, info, nil
}

// Probe finds out whether path could be read.
func Probe(path string) (fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, explain(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: give the file inside it", path)
	}
	return info, err
}

// explain says what to do about a file that cannot be read; it wraps err.
func explain(path string, err error) error {
	cause := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		cause = pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot read %s: %w: check the path, or write the file first", path, cause)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("cannot read %s: %w for user id %d: change the file's owner or run as its owner", path, cause, os.Geteuid())
	}
	return fmt.Errorf("cannot read %s: %w", path, cause)
}

// ExposedWarning returns a warning when group or others may read the file.
func ExposedWarning(path string, info fs.FileInfo) string {
	if info.Mode().Perm()&0o044 == 0 {
		return ""
	}
	return fmt.Sprintf("%s holds secrets and can be read by other users (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
}

// WritePrivate writes data to path, which only the owner may read (mode 0600).
// It fails with an error for which errors.Is finds fs.ErrExist when the file
// exists: a configuration is never overwritten. The directory is made with mode
// 0700 when it is missing. A file is there whole or not at all.
func WritePrivate(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if _, err := os.Lstat(path); err == nil {
		return existsError(path)
	}
	temp, err := writeTemp(dir, filepath.Base(path), data, -1, -1)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer os.Remove(temp)
	if err := os.Link(temp, path); errors.Is(err, fs.ErrExist) { // unlike rename, link does not overwrite
		return existsError(path)
	} else if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return syncDir(dir)
}

func existsError(path string) error {
	return fmt.Errorf("%s: %w and is not overwritten: remove it first if it is not needed any more", path, fs.ErrExist)
}

// ReplacePrivate writes data over path with mode 0600, keeping the owner of a
// file that is there. Readers see the old or the new text, never a part.
func ReplacePrivate(path string, data []byte) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // a rename would replace the symbolic link
	}
	uid, gid := -1, -1
	if info, err := os.Stat(path); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	dir := filepath.Dir(path)
	temp, err := writeTemp(dir, filepath.Base(path), data, uid, gid)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return syncDir(dir)
}

// writeTemp writes and syncs a file beside its later place. os.CreateTemp makes
// it with mode 0600. uid and gid of -1 leave the owner as it is.
func writeTemp(dir, base string, data []byte, uid, gid int) (name string, err error) {
	f, err := os.CreateTemp(dir, "."+base+".*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if uid != -1 && (uid != os.Geteuid() || gid != os.Getegid()) {
		if err := f.Chown(uid, gid); err != nil {
			return "", fmt.Errorf("keeping its owner: %w", err)
		}
	}
	if _, err := f.Write(data); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// syncDir makes a new directory entry survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
