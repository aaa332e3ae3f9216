package tomlfile

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

// Binary units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var sizeUnits = []struct {
	name string
	size Size
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}, {"", 1}}

// ParseSize reads a whole number with a unit: B, kB, MB, GB (powers of 1000),
// KiB, MiB, GiB (powers of 1024); no unit means bytes.
func ParseSize(s string) (Size, error) {
	digits := strings.TrimRight(s, "BGKMik ")
	unit := strings.TrimSpace(s[len(digits):])
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size: write a whole number and a unit, such as \"512KiB\" or \"8MiB\"", s)
	}
	for _, u := range sizeUnits {
		if u.name == unit {
			if n > uint64(1<<62)/uint64(u.size) {
				return 0, fmt.Errorf("%q is too large for a size", s)
			}
			return Size(n) * u.size, nil
		}
	}
	return 0, fmt.Errorf("%q has the unknown unit %q: use B, KiB, MiB or GiB", s, unit)
}

// String uses the largest binary unit that divides the size: 8388608 is "8MiB".
func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
