package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// suites are the Debian releases that have the kernels: 6.1, 6.12, later ones.
var suites = []string{"bookworm", "trixie", "trixie-backports"}

// keyring has the keys of all of them; it is part of Debian's apt.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// apt runs apt with lists of its own, so that the machine's stay as they are.
type apt struct{ dir string }

// newAPT writes the sources: the releases above, from where this machine has Debian
// from.
func newAPT(ctx context.Context, dir string) (*apt, error) {
	mirror, err := debianMirror(ctx)
	if err != nil {
		return nil, err
	}
	a := &apt{dir: dir}
	var sources strings.Builder
	for _, s := range suites {
		fmt.Fprintf(&sources, "deb [signed-by=%s] %s %s main\n", keyring, mirror, s)
	}
	err = errors.Join(
		os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755),
		os.MkdirAll(filepath.Join(dir, "cache", "archives", "partial"), 0o755))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(a.sources(), []byte(sources.String()), 0o644); err != nil {
		return nil, err
	}
	return a, a.update(ctx)
}

func (a *apt) sources() string { return filepath.Join(a.dir, "sources.list") }

// debianMirror finds out where the machine has Debian from.
func debianMirror(ctx context.Context) (string, error) {
	out, err := output(ctx, "", "apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages")
	if err != nil {
		return "", fmt.Errorf("apt says where packages come from: %w", err)
	}
	debian := regexp.MustCompile(`^(bookworm|trixie|forky|sid|stable|testing|unstable) (\S+)$`)
	for line := range strings.Lines(out) {
		if m := debian.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			return m[2], nil
		}
	}
	return "", errors.New("no source of Debian's packages in /etc/apt: name kernels with -deb")
}

func (a *apt) update(ctx context.Context) error {
	_, err := a.run(ctx, "", "apt-get", "update", "-qq")
	return err
}

// run runs an apt command in a directory on the lists of our own.
func (a *apt) run(ctx context.Context, dir, command string, args ...string) (string, error) {
	return output(ctx, dir, command, append([]string{
		"-o", "Dir::Etc::SourceList=" + a.sources(), "-o", "Dir::Etc::SourceParts=-",
		"-o", "Dir::State::Lists=" + filepath.Join(a.dir, "lists"), "-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root",
	}, args...)...)
}

// fetch downloads the newest kernel of a series, as "6.12", into dir, and returns the
// packages' files. The cloud variant has all that networks need, and no drivers.
func (a *apt) fetch(ctx context.Context, series, dir string) ([]string, error) {
	names, err := a.run(ctx, "", "apt-cache", "pkgnames", "linux-image-"+series+".")
	if err != nil {
		return nil, err
	}
	image := regexp.MustCompile(`^linux-image-(\d\S*-cloud-amd64)$`)
	var releases []string
	for name := range strings.FieldsSeq(names) {
		if m := image.FindStringSubmatch(name); m != nil {
			releases = append(releases, m[1])
		}
	}
	if len(releases) == 0 {
		return nil, fmt.Errorf("no package linux-image-%s.*-cloud-amd64 in %s", series, strings.Join(suites, ", "))
	}
	release := slices.MaxFunc(releases, compareReleases)
	// From 7.x on the image is split.
	packages := []string{"linux-image-" + release}
	parts, err := a.run(ctx, "", "apt-cache", "pkgnames", "linux-")
	if err != nil {
		return nil, err
	}
	for _, part := range []string{"linux-binary-" + release, "linux-modules-" + release} {
		if slices.Contains(strings.Fields(parts), part) {
			packages = append(packages, part)
		}
	}
	if _, err := a.run(ctx, dir, "apt-get", append([]string{"download", "-qq"}, packages...)...); err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(dir, "*.deb"))
}

// compareReleases orders by the numbers in a release: 6.12.9 is before 6.12.10.
func compareReleases(a, b string) int {
	return slices.Compare(numbersIn(a), numbersIn(b))
}

func numbersIn(release string) []int {
	var all []int
	for _, digits := range regexp.MustCompile(`\d+`).FindAllString(release, -1) {
		n, _ := strconv.Atoi(digits) // of digits alone
		all = append(all, n)
	}
	return all
}

// output runs a command, and returns what it writes.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[len(args)-1], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}
