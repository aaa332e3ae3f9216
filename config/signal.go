package config

import (
	"fmt"
	"strconv"
	"strings"
)

// The range of a path's min_signal, in dBm.
const (
	leastSignal = -100
	mostSignal  = -20
)

// signal reads "-75dBm"; a space before the unit is fine. 0 is not set.
func (c check) signal(f field[string]) int {
	if !f.isSet {
		return 0
	}
	n, unit := strings.CutSuffix(f.value, "dBm")
	v, err := strconv.Atoi(strings.TrimSpace(n))
	if !unit || err != nil || v < leastSignal || v > mostSignal {
		c.at(f.mark, "%q is not a signal: use %s to %s", f.value, formatSignal(leastSignal), formatSignal(mostSignal))
		return 0
	}
	return v
}

func formatSignal(dBm int) string { return fmt.Sprintf("%ddBm", dBm) }
