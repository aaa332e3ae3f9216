// Package door has scenarios of peers that a concentrator on the Internet meets:
// strangers, leaked tokens, greedy users.
package door

import (
	"testing"

	"mpproxy/test/scenarios/scene"
)

func TestMain(m *testing.M) { scene.Main(m) }
