package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// textColumns is how wide paragraphs are printed.
const textColumns = 79

const introduction = `This shows one download that uses two Internet links at once, DSL (50 Mbit/s, 10 ms) and LTE (20 Mbit/s, 25 ms), through mpproxy-client and mpproxy-server; then the same over DSL alone, to compare, and one that goes on when DSL is unplugged. The programs are real, links and hosts are emulated in network namespaces of this machine: nothing outside them is touched, nothing is left behind, and it takes half a minute.`

// printIntroduction says what is going to be seen.
func printIntroduction(w io.Writer) {
	fmt.Fprintln(w, wrap(introduction, 0)+"\n")
}

// printConclusion says how to have it for real.
func printConclusion(w io.Writer, took time.Duration) {
	fmt.Fprintf(w, `  - The show took %.0f s. All that it had set up is removed again.

To have this for real
  on a host with a good connection:  mpproxy-server init --dir DIR --public HOST:8443
                                     mpproxy-server run --config DIR/server.toml
  on the machine with two links:     mpproxy-client join   (paste what init printed)
                                     mpproxy-client run
  Then point applications at the SOCKS5 proxy 127.0.0.1:1080.
`, took.Seconds())
}

// wrap breaks a paragraph into lines, all but the first indented. The first
// keeps the blanks that it begins with.
func wrap(text string, indent int) string {
	var b strings.Builder
	start := len(text) - len(strings.TrimLeft(text, " "))
	b.WriteString(text[:start])
	column := start
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > textColumns:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
