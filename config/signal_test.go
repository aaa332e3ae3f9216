package config

import (
	"strings"
	"testing"
)

func TestMinSignal(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  int
		ok    bool
	}{
		{"-75dBm", -75, true},
		{"-75 dBm", -75, true},
		{"-100dBm", -100, true},
		{"-20dBm", -20, true},
		{"-101dBm", 0, false},
		{"-19dBm", 0, false},
		{"75dBm", 0, false},
		{"-75", 0, false},
		{"-75 %", 0, false},
		{"weak", 0, false},
	} {
		t.Run(tt.value, func(t *testing.T) {
			text := "[[path]]\ninterface = \"wlan0\"\nmin_signal = \"" + tt.value + "\"\n"
			c, err := ParseClient([]byte(text), "f.toml")
			if (err == nil) != tt.ok {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), "f.toml:3: path.min_signal") || !strings.Contains(err.Error(), "use -100dBm to -20dBm") {
					t.Errorf("error %v", err)
				}
				return
			}
			if got := c.Paths[0].MinSignal; got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
