package status

import (
	"fmt"
	"time"
)

// Bytes prints a number of bytes with a decimal unit.
func Bytes(n uint64) string { return scaled(float64(n), "B") }

// Rate prints bits per second with a decimal unit.
func Rate(bitsPerSecond uint64) string { return scaled(float64(bitsPerSecond), "bit/s") }

func scaled(v float64, unit string) string {
	if v < 1000 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	v /= 1000
	for _, prefix := range []string{"k", "M", "G"} {
		if v < 999.95 { // what is more would be printed as 1000.0
			return fmt.Sprintf("%.1f %s%s", v, prefix, unit)
		}
		v /= 1000
	}
	return fmt.Sprintf("%.1f T%s", v, unit)
}

func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
