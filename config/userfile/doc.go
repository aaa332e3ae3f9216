// Package userfile reads, changes and writes the concentrator's users file. It holds the
// hashes of tokens, never tokens.
package userfile
