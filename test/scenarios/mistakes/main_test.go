// Package mistakes has scenarios of what users get wrong, and that the programs say so.
package mistakes

import (
	"testing"

	"mpproxy/test/scenarios/scene"
)

func TestMain(m *testing.M) { scene.Main(m) }
