// Package archtest holds the tests of what no compiler checks: which package
// may import which, that each module the program stands on is listed with its
// reason, that no file names a place of the machine it was written on, and that
// links in documents lead somewhere.
//
//	go test ./internal/archtest
//
// It has no code to import.
package archtest
