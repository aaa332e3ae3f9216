package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// A kernel is what a Debian package has of it.
type kernel struct {
	image   string            // file with the bootable image
	packed  map[string][]byte // its modules by name, as the package has them
	builtin map[string]bool   // names of modules that are part of the image
}

// unpack reads a kernel out of packages; dir takes the image.
func unpack(ctx context.Context, debs []string, dir string) (*kernel, error) {
	k := &kernel{packed: map[string][]byte{}, builtin: map[string]bool{}}
	for _, deb := range debs {
		if err := k.unpackOne(ctx, deb, dir); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(deb), err)
		}
	}
	if k.image == "" {
		return nil, fmt.Errorf("no kernel in %s", strings.Join(debs, ", "))
	}
	return k, nil
}

func (k *kernel) unpackOne(ctx context.Context, deb, dir string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = k.readTar(tar.NewReader(pipe), dir)
	if err != nil {
		cancel()
	}
	return errors.Join(err, cmd.Wait())
}

func (k *kernel) readTar(files *tar.Reader, dir string) error {
	for {
		h, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		base := path.Base(h.Name)
		switch {
		case h.Typeflag != tar.TypeReg:
		case strings.HasPrefix(base, "vmlinuz-"):
			k.image = filepath.Join(dir, base)
			err = save(k.image, files)
		case base == "modules.builtin":
			err = k.readBuiltin(files)
		case moduleName(base) != "":
			k.packed[moduleName(base)], err = io.ReadAll(files)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func save(file string, from io.Reader) error {
	b, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

func (k *kernel) readBuiltin(from io.Reader) error {
	b, err := io.ReadAll(from)
	for name := range strings.FieldsSeq(string(b)) {
		k.builtin[moduleName(path.Base(name))] = true
	}
	return err
}

// modulesInOrder returns the wanted modules and what they depend on, in the order in
// which they are loaded.
func (k *kernel) modulesInOrder() ([]module, error) {
	return inOrder(wanted, k.module, k.builtin)
}

func (k *kernel) module(name string) (module, error) {
	packed, ok := k.packed[name]
	if !ok {
		return module{}, fmt.Errorf("the kernel has no module %s", name)
	}
	file, err := decompress(packed)
	if err != nil {
		return module{}, fmt.Errorf("module %s: %w", name, err)
	}
	needs, err := needsOf(file)
	if err != nil {
		return module{}, fmt.Errorf("module %s: %w", name, err)
	}
	return module{name, file, needs}, nil
}
