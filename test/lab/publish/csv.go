package publish

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
)

// Sheet is a CSV file of samples.
type Sheet struct {
	Name   string // of the file, without the experiment's name and ".csv"; may be empty
	Header []string
	Rows   [][]string
}

// Add adds a line; numbers are written with six digits at the most.
func (s *Sheet) Add(fields ...any) {
	line := make([]string, len(fields))
	for i, f := range fields {
		switch v := f.(type) {
		case float64:
			line[i] = csvNumber(v)
		default:
			line[i] = fmt.Sprint(v)
		}
	}
	s.Rows = append(s.Rows, line)
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

func (s Sheet) write(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(s.Header); err != nil {
		return err
	}
	return c.WriteAll(s.Rows)
}

// summaryHeader names the columns of summary.csv, from which the table of
// docs/lab.md is made.
var summaryHeader = []string{"experiment", "quantity", "unit", "stock", "ours", "ratio", "aim", "met", "runs", "date", "kernel"}

func summarySheet(rows []Row) Sheet {
	s := Sheet{Header: summaryHeader}
	for _, r := range rows {
		s.Add(r.Experiment, r.Quantity, r.Unit, r.Stock, r.Ours, r.ratio(), r.Aim, r.Met, r.Runs, r.When, r.Kernel)
	}
	return s
}

// readSummary reads what summarySheet wrote.
func readSummary(r io.Reader) ([]Row, error) {
	lines, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, err
	}
	var rows []Row
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
		rows = append(rows, Row{l[0], l[1], l[2], stock, ours, l[6], met, runs, l[9], l[10]})
	}
	return rows, nil
}

// readSummaryFile reads a file that may not be there yet.
func readSummaryFile(path string) ([]Row, error) {
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
