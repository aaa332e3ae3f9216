//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "demo: needs Linux, for its network namespaces and Multipath TCP: run it on a Linux machine, virtual or not")
	os.Exit(1)
}
