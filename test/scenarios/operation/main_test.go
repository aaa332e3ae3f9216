// Package operation has scenarios of running the programs: stop, kill, users, status, metrics and traces.
package operation

import (
	"testing"

	"mpproxy/test/scenarios/scene"
)

func TestMain(m *testing.M) { scene.Main(m) }
