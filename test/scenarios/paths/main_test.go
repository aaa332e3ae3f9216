// Package paths has scenarios of transfers over paths that come, go, change and die.
package paths

import (
	"testing"

	"mpproxy/test/scenarios/scene"
)

func TestMain(m *testing.M) { scene.Main(m) }
