package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/config"
	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/proxy/relay"
)

func TestMaxConnectionsOfDescriptors(t *testing.T) {
	for _, tt := range []struct {
		name        string
		configured  int
		descriptors uint64
		want        int
	}{
		{"usual limit", 0, 20_000, (20_000 - 512) / 2},
		{"small limit", 0, 1024, 256},
		{"below the reserve", 0, 1023, 255},
		{"hardly any", 0, 64, 16},
		{"fewer than a connection takes", 0, 3, 1},
		{"none", 0, 0, 1},
		{"no limit", 0, 1<<64 - 1, (4<<20 - 512) / 2},
		{"more than an int of 32 bits", 0, 1 << 40, (4<<20 - 512) / 2},
		{"configured, room enough", 100, 20_000, 100},
		{"configured, exactly fits", 9744, 20_000, 9744},
		{"configured, one too many", 9745, 20_000, 9744},
		{"configured, far too many", 1_000_000, 1024, 256},
		{"configured with nothing", 5, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Room{tt.descriptors, plenty}).MaxConnections(tt.configured, 0); got != tt.want {
				t.Errorf("maxConnections(%d, %d) = %d, want %d", tt.configured, tt.descriptors, got, tt.want)
			}
		})
	}
}

// TestMoreDescriptorsMoreConnections: there is no limit at which one more
// descriptor means fewer connections, and never are all of them taken.
func TestMoreDescriptorsMoreConnections(t *testing.T) {
	last := 0
	for n := range uint64(5000) {
		got := Room{n, plenty}.MaxConnections(0, 0)
		if got < last {
			t.Fatalf("%d connections with %d descriptors, %d with one less", got, n, last)
		}
		if rest := min(n/2, reservedDescriptors); n >= 4 && 2*uint64(got) > n-rest {
			t.Fatalf("%d connections leave less than %d of %d descriptors", got, rest, n)
		}
		last = got
	}
}

// plenty is more memory than descriptors can fill.
const plenty = 1 << 50

// TestRoomForStrangers: they leave most of the descriptors to users, and all of them
// together fit into the room.
func TestRoomForStrangers(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		name                   string
		room                   Room
		configured             int
		strangers, connections int
	}{
		{"a small server", Room{524_288, gib}, 0, 2048, 8192},
		{"a big one", Room{1 << 20, 64 * gib}, 0, 16_384, 515_840},
		{"few descriptors", Room{1024, gib}, 0, 128, 192},
		{"hardly any", Room{64, gib}, 0, 8, 12},
		{"none", Room{}, 0, 1, 1},
		{"configured", Room{20_000, gib}, 1000, 1000, 8192},
		{"configured beyond the descriptors", Room{1024, gib}, 5000, 128, 192},
		{"configured beyond the memory", Room{524_288, gib}, 10_000, 10_000, 8192},
	} {
		t.Run(tt.name, func(t *testing.T) {
			strangers := tt.room.MaxStrangers(tt.configured)
			connections := tt.room.MaxConnections(0, strangers)
			if strangers != tt.strangers || connections != tt.connections {
				t.Errorf("%d strangers and %d connections, want %d and %d", strangers, connections, tt.strangers, tt.connections)
			}
			if used := strangers + 2*connections; tt.room.Descriptors >= 64 && uint64(used) > tt.room.Descriptors {
				t.Errorf("%d descriptors of %d", used, tt.room.Descriptors)
			}
		})
	}
}

func TestOurRoom(t *testing.T) {
	room, err := OurRoom()
	if err != nil || room.Descriptors < 3 || room.Memory < 1<<20 {
		t.Errorf("%+v, %v", room, err)
	}
}

func TestExitCode(t *testing.T) {
	mistake := &tomlfile.Error{Key: "mode", Message: "no"}
	_, badLink := joinlink.Parse("http://x")
	for name, tt := range map[string]struct {
		err  error
		want int
	}{
		"success":            {nil, 0},
		"failure":            {errors.New("no route"), Failure},
		"no file":            {fmt.Errorf("reading: %w", fs.ErrNotExist), Failure},
		"mistakes":           {tomlfile.Errors{mistake}, Usage},
		"mistakes, wrapped":  {fmt.Errorf("x: %w", tomlfile.Errors{mistake}), Usage},
		"one mistake":        {mistake, Usage},
		"bad link":           {badLink, Usage},
		"bad link, wrapped":  {fmt.Errorf("--link: %w", badLink), Usage},
		"mistake and others": {errors.Join(errors.New("x"), mistake), Usage},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exitCode(tt.err); got != tt.want {
				t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
			}
		})
	}
}

func TestRelayConfig(t *testing.T) {
	got := RelayConfig(config.Limits{IdleTimeout: time.Minute, HalfCloseTimeout: 0, MaxLifetime: time.Hour})
	want := relay.Config{IdleTimeout: time.Minute, HalfCloseTimeout: -1, MaxLifetime: time.Hour}
	if got.IdleTimeout != want.IdleTimeout || got.HalfCloseTimeout != want.HalfCloseTimeout || got.MaxLifetime != want.MaxLifetime {
		t.Errorf("RelayConfig = %+v, want %+v: 0 in a file means no timeout", got, want)
	}
	if got := RelayConfig(config.Limits{}); got.IdleTimeout >= 0 || got.HalfCloseTimeout >= 0 || got.MaxLifetime >= 0 {
		t.Errorf("RelayConfig of zeros = %+v, want all off", got)
	}
}

func TestReceiveBuffer(t *testing.T) {
	for in, want := range map[tomlfile.Size]int{0: -1, 1 << 16: 1 << 16, 512 << 20: 512 << 20} {
		if got := ReceiveBuffer(in); got != want {
			t.Errorf("ReceiveBuffer(%d) = %d, want %d", in, got, want)
		}
	}
}

func TestLogger(t *testing.T) {
	secret := credential.NewSecret("hush")
	for name, tt := range map[string]struct {
		conf config.Log
		want []string // prefixes of the lines
	}{
		"text":  {config.Log{Format: config.LogText, Level: slog.LevelInfo}, []string{"time=", "time="}},
		"json":  {config.Log{Format: config.LogJSON, Level: slog.LevelWarn}, []string{"{"}},
		"debug": {config.Log{Format: config.LogText, Level: slog.LevelDebug}, []string{"time=", "time=", "time="}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			log := Logger(&out, tt.conf)
			log.Debug("a", "token", secret)
			log.Info("b", "token", secret)
			Warn(log, []string{"c"})
			var got []string
			for line := range strings.Lines(out.String()) {
				for _, p := range []string{"time=", "{"} {
					if strings.HasPrefix(line, p) {
						got = append(got, p)
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s\n%s", diff, &out)
			}
			if strings.Contains(out.String(), "hush") {
				t.Errorf("the log shows a secret:\n%s", &out)
			}
		})
	}
}

func TestStateDir(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1")
	want := filepath.Join("/run/user/1", "mpproxy")
	if os.Getuid() == 0 {
		want = "/run/mpproxy"
	}
	if got := StateDir(); got != want {
		t.Errorf("StateDir() = %q, want %q", got, want)
	}
}
