// Package limits has scenarios of limits and input that no client of good will sends.
package limits

import (
	"testing"

	"mpproxy/test/scenarios/scene"
)

func TestMain(m *testing.M) { scene.Main(m) }
