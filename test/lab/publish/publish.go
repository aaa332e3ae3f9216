// Package publish writes what experiments have found: samples as CSV, figures as
// SVG, and the table of docs/lab.md, in which an experiment's fresh rows replace
// its old ones.
package publish

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Between these lines of docs/lab.md stands the table. The rest of the file is
// written by people.
const (
	tableBegin = "<!-- table: written by make lab -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// WriteSamples writes the samples of an experiment as CSV files of a directory.
func WriteSamples(dir, name string, sheets []Sheet) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, s := range sheets {
		var b bytes.Buffer
		if err := s.write(&b); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fileName(name, s.Name)+".csv"), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Documents writes an experiment's figures and rows below a directory; order names
// all experiments, in the order in which they are run.
func Documents(out, name string, order []string, rows []Row, figures []Figure) error {
	dir := filepath.Join(out, "lab")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range figures {
		if err := f.save(filepath.Join(dir, fileName(name, f.Name)+".svg")); err != nil {
			return fmt.Errorf("figure %s: %w", f.Name, err)
		}
	}
	return publishRows(out, name, order, rows)
}

func fileName(experiment, part string) string {
	if part == "" {
		return experiment
	}
	return experiment + "-" + part
}

// publishRows puts the rows of an experiment in the place of its old ones, in
// summary.csv and in the table of lab.md.
func publishRows(out, name string, order []string, fresh []Row) error {
	summary := filepath.Join(out, "lab", "summary.csv")
	rows, err := readSummaryFile(summary)
	if err != nil {
		return err
	}
	kernel, err := kernelRelease()
	if err != nil {
		return err
	}
	for i := range fresh {
		fresh[i].When, fresh[i].Kernel = time.Now().UTC().Format(time.DateOnly), kernel
	}
	rows = merge(rows, name, order, fresh)
	var b bytes.Buffer
	if err := summarySheet(rows).write(&b); err != nil {
		return err
	}
	if err := os.WriteFile(summary, b.Bytes(), 0o644); err != nil {
		return err
	}
	return rewriteTable(filepath.Join(out, "lab.md"), markdown(rows))
}

// merge replaces the rows of an experiment; experiments stay in the order in
// which they are run.
func merge(old []Row, name string, order []string, fresh []Row) []Row {
	rows := slices.DeleteFunc(slices.Clone(old), func(r Row) bool { return r.Experiment == name })
	rows = append(rows, fresh...)
	slices.SortStableFunc(rows, func(a, b Row) int {
		return slices.Index(order, a.Experiment) - slices.Index(order, b.Experiment)
	})
	return rows
}

// rewriteTable replaces what stands between the marks.
func rewriteTable(path, table string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text, err = []byte("# The laboratory\n\n"+tableBegin+tableEnd), nil
	}
	if err != nil {
		return err
	}
	fresh, err := between(string(text), table)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(fresh), 0o644)
}

func between(text, table string) (string, error) {
	before, rest, ok := strings.Cut(text, tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return "", fmt.Errorf("the lines %q and %q are not there: the table has no place", strings.TrimSpace(tableBegin), strings.TrimSpace(tableEnd))
	}
	return before + tableBegin + table + tableEnd + after, nil
}

// kernelRelease is what uname -r prints.
func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}
