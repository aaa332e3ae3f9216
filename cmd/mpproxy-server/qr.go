package main

import (
	"strings"

	"rsc.io/qr"
)

// quietZone is the light border that a scanner needs, in modules (ISO 18004).
const quietZone = 4

// halfBlocks draws a QR code for a terminal, two modules a character. Light
// modules are drawn, dark ones left out: that reads right on a dark terminal,
// and scanners take the inverse on a light one.
func halfBlocks(code *qr.Code) string {
	light := func(x, y int) bool {
		return x < 0 || y < 0 || x >= code.Size || y >= code.Size || !code.Black(x, y)
	}
	var b strings.Builder
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		for x := -quietZone; x < code.Size+quietZone; x++ {
			switch {
			case light(x, y) && light(x, y+1):
				b.WriteString("█")
			case light(x, y):
				b.WriteString("▀")
			case light(x, y+1):
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
