// Package modes has scenarios of what the modes and rules choose.
package modes

import (
	"testing"

	"mpproxy/test/scenarios/scene"
)

func TestMain(m *testing.M) { scene.Main(m) }
