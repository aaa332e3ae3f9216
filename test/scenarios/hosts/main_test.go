// Package hosts has scenarios of what a host lacks or brings along, and that it is left as it was.
package hosts

import (
	"testing"

	"mpproxy/test/scenarios/scene"
)

func TestMain(m *testing.M) { scene.Main(m) }
