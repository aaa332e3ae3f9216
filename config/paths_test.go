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

func TestPathGatewayAndTable(t *testing.T) {
	for _, tt := range []struct {
		line    string
		gateway string // empty: the line is wrong
		table   uint32
		says    string
	}{
		{`gateway = "192.0.2.1"`, "192.0.2.1", 0, ""},
		{`gateway = "fe80::1"`, "fe80::1", 0, ""},
		{`table = 100`, "invalid IP", 100, ""},
		{`table = 4294967295`, "invalid IP", 4294967295, ""},
		{`gateway = "fe80::1%eth0"`, "", 0, "path.gateway"},
		{`gateway = "0.0.0.0"`, "", 0, "no address of a gateway"},
		{`gateway = "router"`, "", 0, `such as "192.0.2.1"`},
		{`table = 0`, "", 0, "allowed is 1 to 4294967295"},
		{`table = 255`, "", 0, "no default routes of its own"},
		{`table = 27003`, "", 0, "no default routes of its own"},
	} {
		c, err := ParseClient([]byte("[[path]]\ninterface = \"eth0\"\n"+tt.line+"\n"), "f.toml")
		if tt.gateway == "" {
			if err == nil || !strings.Contains(err.Error(), "f.toml:3: ") || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: error %v, want %q in it", tt.line, err, tt.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		if p := c.Paths[0]; p.Gateway.String() != tt.gateway || p.Table != tt.table {
			t.Errorf("%s: read as %+v", tt.line, p)
		}
		var printed strings.Builder
		if err := c.Print(&printed); err != nil || !strings.Contains(printed.String(), tt.line) {
			t.Errorf("%s is not printed: %v\n%s", tt.line, err, printed.String())
		}
	}
}

// TestPathsOfOneInterface: each gateway and table may have a path of its own.
func TestPathsOfOneInterface(t *testing.T) {
	const several = "[[path]]\ninterface = \"eth0\"\ngateway = \"192.0.2.1\"\n" +
		"[[path]]\ninterface = \"eth0\"\ntable = 100\n[[path]]\ninterface = \"eth0\"\n" +
		"[[rule]]\nports = [22]\npaths = [\"eth0@192.0.2.1\", \"eth0@100\", \"eth0\"]\n"
	if _, err := ParseClient([]byte(several), "f.toml"); err != nil {
		t.Error(err)
	}
	if _, err := ParseClient([]byte(several+"[[path]]\ninterface = \"eth0\"\ntable = 100\n"), "f.toml"); err == nil {
		t.Error("the same table twice is accepted")
	}
}

func TestParsePathWithGateway(t *testing.T) {
	for _, tt := range []struct {
		flag    string
		iface   string // empty: the flag is wrong
		gateway string
		metered bool
	}{
		{"wlan*", "wlan*", "invalid IP", false},
		{"wwan0:metered", "wwan0", "invalid IP", true},
		{"eth0@192.0.2.1", "eth0", "192.0.2.1", false},
		{"eth0@fe80::1:metered", "eth0", "fe80::1", true},
		{"eth0@", "", "", false},
		{"eth0@table", "", "", false},
		{"eth0:slow", "", "", false},
		{"@192.0.2.1", "", "", false},
	} {
		p, err := ParsePath(tt.flag)
		if (err == nil) != (tt.iface != "") {
			t.Errorf("%s: %v", tt.flag, err)
		}
		if err == nil && (p.Interface != tt.iface || p.Gateway.String() != tt.gateway || p.Metered != tt.metered) {
			t.Errorf("%s: read as %+v", tt.flag, p)
		}
	}
}
