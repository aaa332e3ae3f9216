package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cavaliergopher/cpio"

	"mpproxy/test/kernels/job"
)

// An initrd is the file system that a guest begins with, and has until its end.
type initrd struct {
	w    *cpio.Writer
	dirs map[string]bool // that are written
}

// Directories of the guest: for binaries of tests, and for the packages' files.
const (
	guestTests   = "/tests"
	guestSources = "/src"
)

// writeInitrd writes the file system for one kernel.
func writeInitrd(to io.Writer, b *built, modules []module) error {
	fs := initrd{cpio.NewWriter(to), map[string]bool{"/": true}}
	var j job.Job
	for _, m := range modules {
		file := path.Join("/modules", m.name+".ko")
		j.Modules = append(j.Modules, file)
		if err := fs.file(file, m.file); err != nil {
			return err
		}
	}
	for _, c := range b.checks {
		added, err := fs.check(b, c)
		if err != nil {
			return err
		}
		j.Checks = append(j.Checks, added)
	}
	text, err := json.Marshal(j)
	return errors.Join(err, fs.file(job.Path, text), fs.base(b), fs.w.Close())
}

// base adds what all checks have in common. The kernel brings /dev/console along.
func (fs initrd) base(b *built) error {
	var errs []error
	for _, d := range []string{"/dev", "/proc", "/sys", "/run", "/tmp", "/var"} {
		errs = append(errs, fs.directory(d))
	}
	errs = append(errs,
		fs.copy(filepath.Join(b.dir, "guest"), "/init"),
		fs.link("/init", "/bin/sleep"), fs.link("/init", "/bin/true"),
		fs.file("/etc/hosts", []byte("127.0.0.1 localhost\n::1 localhost\n")),
		fs.file("/etc/resolv.conf", nil), fs.file("/etc/nsswitch.conf", nil),
		fs.file("/etc/passwd", []byte("root:x:0:0::/tmp:\nnobody:x:65534:65534::/:\n")))
	for _, program := range []string{"mpproxy-client", "mpproxy-server"} {
		errs = append(errs, fs.copy(filepath.Join(b.programs(), program), path.Join(job.Programs, program)))
	}
	return errors.Join(errs...)
}

// check adds a check's binary and the files of its package, which some tests read.
func (fs initrd) check(b *built, c check) (job.Check, error) {
	binary, dir := path.Join(guestTests, c.binary()), path.Join(guestSources, c.pkg)
	out := job.Check{Name: c.pkg, Dir: dir, Timeout: limit, Args: []string{binary, "-test.v", "-test.timeout=" + limit.String()}}
	if c.run != "" {
		out.Args = append(out.Args, "-test.run="+c.run)
	}
	if c.skip != "" {
		out.Args = append(out.Args, "-test.skip="+c.skip)
	}
	files, err := sources(filepath.Join(b.root, c.pkg))
	if err != nil {
		return out, err
	}
	errs := []error{fs.directory(dir), fs.copy(filepath.Join(b.dir, c.binary()), binary)}
	for _, f := range files {
		errs = append(errs, fs.copy(filepath.Join(b.root, c.pkg, f), path.Join(dir, f)))
	}
	return out, errors.Join(errs...)
}

// sources lists the files of a package, those below its testdata too.
func sources(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && !strings.HasPrefix(name, "testdata"):
			return filepath.SkipDir
		case d.Type().IsRegular():
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

// directory adds a directory, and those above it, unless they are there.
func (fs initrd) directory(name string) error {
	if fs.dirs[name] {
		return nil
	}
	fs.dirs[name] = true
	return errors.Join(fs.directory(path.Dir(name)), fs.add(name, cpio.TypeDir|0o755, nil))
}

func (fs initrd) file(name string, content []byte) error {
	return errors.Join(fs.directory(path.Dir(name)), fs.add(name, cpio.TypeReg|0o755, content))
}

func (fs initrd) link(to, name string) error {
	return errors.Join(fs.directory(path.Dir(name)), fs.add(name, cpio.TypeSymlink|0o777, []byte(to)))
}

func (fs initrd) copy(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return fs.file(to, content)
}

func (fs initrd) add(name string, mode cpio.FileMode, content []byte) error {
	h := &cpio.Header{Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: int64(len(content)), Links: 1}
	if err := fs.w.WriteHeader(h); err != nil {
		return err
	}
	_, err := fs.w.Write(content)
	return err
}
