// Package job is what test/kernels and the guest that it boots agree on: the job
// that the guest finds in its initial file system, and the marks that it puts
// between the outputs of checks on its second serial line.
package job

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Path is where the guest finds its job.
const Path = "/job.json"

// Programs is the guest's directory of mpproxy-client and mpproxy-server.
const Programs = "/programs"

// A Job is all that a guest does before it switches itself off.
type Job struct {
	Modules []string // files, in the order in which they are loaded
	Checks  []Check
}

// A Check is one test binary.
type Check struct {
	Name    string
	Dir     string // working directory: the package's
	Args    []string
	Timeout time.Duration
}

// Read reads the job of this guest.
func Read() (j Job, err error) {
	b, err := os.ReadFile(Path)
	if err != nil {
		return j, err
	}
	return j, json.Unmarshal(b, &j)
}

// sign begins each mark. No test prints it.
const sign = "\x01"

// A Mark separates the outputs on the serial line.
type Mark struct {
	Kind   Kind
	Text   string // the check's name, the kernel's release, or what went wrong
	Failed bool   // of End
}

// Kind is what a mark says.
type Kind string

// The marks, in the order in which they come.
const (
	Ready  Kind = "ready"  // Text is the kernel's release
	Begin  Kind = "begin"  // a check; what follows is its output
	End    Kind = "end"    // of that check
	Broken Kind = "broken" // the guest itself failed
	Done   Kind = "done"
)

// Write writes a mark on a line of its own.
func Write(w io.Writer, m Mark) error {
	b, err := json.Marshal(m)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", sign, b)
	}
	return err
}

// Parse returns the mark that a line holds. What stands before it is the end of an
// output without a line feed.
func Parse(line string) (before string, m Mark, ok bool) {
	before, text, found := strings.Cut(line, sign)
	if !found || json.Unmarshal([]byte(text), &m) != nil {
		return line, Mark{}, false
	}
	return before, m, true
}
