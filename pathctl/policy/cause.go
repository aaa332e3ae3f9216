package policy

import "fmt"

// UnmarshalText reads what MarshalText has written.
func (c *Cause) UnmarshalText(text []byte) error {
	for k := Failed; k <= Replaced; k++ {
		if k.String() == string(text) {
			*c = k
			return nil
		}
	}
	return fmt.Errorf("unknown cause %q", text)
}
