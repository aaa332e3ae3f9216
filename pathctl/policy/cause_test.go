package policy

import "testing"

func TestCauseText(t *testing.T) {
	for c := Failed; c <= Replaced; c++ {
		text, err := c.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Cause
		if err := got.UnmarshalText(text); err != nil || got != c {
			t.Errorf("%v came back as %v: %v", c, got, err)
		}
	}
	var c Cause
	if err := c.UnmarshalText([]byte("unknown")); err == nil {
		t.Error("a cause that does not exist was read")
	}
}
