package trace

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// file is a trace on disk: the newest part, and the one before it.
type file struct {
	cfg  Config
	f    *os.File
	w    *bufio.Writer
	size int64
}

func create(cfg Config) (*file, error) {
	f := &file{cfg: cfg}
	return f, f.open(false)
}

// open begins a file that only its owner may read.
func (f *file) open(continued bool) error {
	to, err := os.OpenFile(f.cfg.Path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := to.Chmod(0o600); err != nil && !errors.Is(err, os.ErrPermission) { // one that was there
		return errors.Join(err, to.Close())
	}
	f.f, f.w, f.size = to, bufio.NewWriterSize(to, 64<<10), 0
	err = f.add(line{Trace: &header{Format: format, Program: f.cfg.Program, Began: time.Now(), Continued: continued}})
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		err = errors.Join(err, to.Close())
	}
	return err
}

// add writes a line. A value that has no JSON form (a float that is no number)
// is an error.
func (f *file) add(l line) error {
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("writing a line: %w", err)
	}
	n, err := f.w.Write(append(b, '\n'))
	f.size += int64(n)
	return err
}

func (f *file) flush() error { return f.w.Flush() }

// full reports whether the half of the limit is written that one part may have.
func (f *file) full() bool { return f.size >= f.cfg.Limit/2 }

// older names the part before the newest.
func (f *file) older() string { return f.cfg.Path + ".1" }

// rotate keeps what was written as the older part and begins the newest.
func (f *file) rotate() error {
	err := f.close()
	if err == nil {
		err = os.Rename(f.cfg.Path, f.older())
	}
	if err == nil {
		err = f.open(true)
	}
	return err
}

func (f *file) close() error { return errors.Join(f.w.Flush(), f.f.Close()) }
