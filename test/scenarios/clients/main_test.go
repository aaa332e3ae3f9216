// Package clients has scenarios of the applications that use the proxy, and the protocol that they speak.
package clients

import (
	"testing"

	"mpproxy/test/scenarios/scene"
)

func TestMain(m *testing.M) { scene.Main(m) }
