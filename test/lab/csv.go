package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
)

// sheet is a CSV file of samples.
type sheet struct {
	name   string // of the file, without the experiment's name and ".csv"; may be empty
	header []string
	rows   [][]string
}

// add adds a line; numbers are written with six digits at the most.
func (s *sheet) add(fields ...any) {
	line := make([]string, len(fields))
	for i, f := range fields {
		switch v := f.(type) {
		case float64:
			line[i] = csvNumber(v)
		default:
			line[i] = fmt.Sprint(v)
		}
	}
	s.rows = append(s.rows, line)
}

func csvNumber(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

func parseNumber(s string) (float64, error) {
	if s == "" {
		return math.NaN(), nil
	}
	return strconv.ParseFloat(s, 64)
}

func (s sheet) write(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(s.header); err != nil {
		return err
	}
	return c.WriteAll(s.rows)
}

// summaryHeader names the columns of summary.csv, from which the table of
// docs/lab.md is made.
var summaryHeader = []string{"experiment", "quantity", "unit", "stock", "ours", "ratio", "aim", "met", "runs", "date", "kernel"}

func summarySheet(rows []row) sheet {
	s := sheet{header: summaryHeader}
	for _, r := range rows {
		s.add(r.Experiment, r.Quantity, r.Unit, r.Stock, r.Ours, r.ratio(), r.Aim, r.Met, r.Runs, r.When, r.Kernel)
	}
	return s
}

// readSummary reads what summarySheet wrote.
func readSummary(r io.Reader) ([]row, error) {
	lines, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, err
	}
	var rows []row
	for i, l := range lines {
		if i == 0 || len(l) != len(summaryHeader) {
			continue
		}
		stock, err1 := parseNumber(l[3])
		ours, err2 := parseNumber(l[4])
		met, err3 := strconv.ParseBool(l[7])
		runs, err4 := strconv.Atoi(l[8])
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		rows = append(rows, row{l[0], l[1], l[2], stock, ours, l[6], met, runs, l[9], l[10]})
	}
	return rows, nil
}

// readSummaryFile reads a file that may not be there yet.
func readSummaryFile(path string) ([]row, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := readSummary(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}
