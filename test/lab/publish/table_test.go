package publish

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 100: "100", 1234.5: "1234", 12.34: "12.3", 1.234: "1.23", 0.0123: "0.012", -3: "-3",
		None: "–", math.Inf(1): "∞",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func sampleRows() []Row {
	return []Row{
		{Experiment: "backup", Quantity: "goodput, healthy", Unit: "%", Stock: 40, Ours: 99.5, Aim: "≥ 99", Met: true, Runs: 10, When: "2026-01-02", Kernel: "6.18"},
		{Experiment: "streaming", Quantity: "blocks", Stock: None, Ours: 3, Aim: "0", Runs: 12, When: "2026-01-02", Kernel: "6.18"},
	}
}

func TestMarkdown(t *testing.T) {
	got := strings.Split(markdown(sampleRows()), "\n")
	want := []string{
		"| backup | goodput, healthy, % | 40 | 99.5 | 2.49 | ≥ 99 | yes | 10 | 2026-01-02 | 6.18 |",
		"| streaming | blocks | – | 3 | – | 0 | **no** | 12 | 2026-01-02 | 6.18 |",
		"",
	}
	if diff := cmp.Diff(want, got[2:]); diff != "" {
		t.Error(diff)
	}
}

func TestSummaryReadsBack(t *testing.T) {
	var b bytes.Buffer
	if err := summarySheet(sampleRows()).write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := readSummary(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleRows(), got, cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

func TestSummaryThatIsNone(t *testing.T) {
	if _, err := readSummary(strings.NewReader(strings.Join(summaryHeader, ",") + "\na,b,c,much,1,,,true,1,d,k\n")); err == nil {
		t.Error("a word was taken for a number")
	}
}

func TestMergeReplacesAnExperiment(t *testing.T) {
	fresh := []Row{{Experiment: "backup", Quantity: "new"}}
	got := merge(sampleRows(), "backup", []string{"backup", "streaming"}, fresh)
	var order []string
	for _, r := range got {
		order = append(order, r.Experiment+" "+r.Quantity)
	}
	if diff := cmp.Diff([]string{"backup new", "streaming blocks"}, order); diff != "" {
		t.Error(diff)
	}
}

func TestBetween(t *testing.T) {
	text := "before\n" + tableBegin + "old\n" + tableEnd + "after\n"
	got, err := between(text, "new\n")
	if want := "before\n" + tableBegin + "new\n" + tableEnd + "after\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := between("no marks", "new\n"); err == nil {
		t.Error("a document without marks was rewritten")
	}
}
