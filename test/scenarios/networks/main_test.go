// Package networks has scenarios of what networks do to connections: boxes on the way
// that forget, refuse, change or swallow what crosses them.
package networks

import (
	"testing"

	"mpproxy/test/scenarios/scene"
)

func TestMain(m *testing.M) { scene.Main(m) }
