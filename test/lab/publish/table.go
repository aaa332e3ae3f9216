package publish

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Row is one line of the table: one quantity, the stock kernel beside ours.
type Row struct {
	Experiment string
	Quantity   string
	Unit       string
	Stock      float64 // NaN where there is none
	Ours       float64
	Aim        string // for ours, in words; empty: none
	Met        bool   // the aim
	Runs       int    // behind each column
	// When and Kernel are set when the row is published.
	When, Kernel string
}

// None stands for a column without a value.
var None = math.NaN()

// ratio is ours to stock's.
func (r Row) ratio() float64 { return r.Ours / r.Stock }

// number writes v with about three digits, and nothing for none.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case math.IsInf(v, 0):
		return "∞"
	case a >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// verdict says in one word whether the aim was met.
func (r Row) verdict() string {
	switch {
	case r.Aim == "":
		return ""
	case r.Met:
		return "yes"
	}
	return "**no**"
}

// markdown writes rows as the table of docs/lab.md.
func markdown(rows []Row) string {
	var b strings.Builder
	b.WriteString("| experiment | quantity | stock kernel | mpproxy | ratio | aim | met | runs | date | kernel |\n|---|---|--:|--:|--:|---|---|--:|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %d | %s | %s |\n", r.Experiment, r.quantity(),
			number(r.Stock), number(r.Ours), number(r.ratio()), r.Aim, r.verdict(), r.Runs, r.When, r.Kernel)
	}
	return b.String()
}

func (r Row) quantity() string {
	if r.Unit == "" {
		return r.Quantity
	}
	return r.Quantity + ", " + r.Unit
}

// PrintRows shows the rows of an experiment on a terminal.
func PrintRows(w io.Writer, name, title string, rows []Row) {
	fmt.Fprintf(w, "\n%s: %s\n  %-64s %12s %12s %8s  %s\n", name, title, "", "stock kernel", "mpproxy", "ratio", "aim")
	for _, r := range rows {
		fmt.Fprintf(w, "  %-64s %12s %12s %8s  %s %s\n", r.quantity(), number(r.Stock), number(r.Ours), number(r.ratio()), r.Aim, strings.Trim(r.verdict(), "*"))
	}
}
