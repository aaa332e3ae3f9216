package collect

import (
	"mpproxy/config"
	"mpproxy/internal/status"
	"mpproxy/pathctl"
)

// PathManager says who makes subflows now, which may not be who is configured
// to.
func PathManager(k pathctl.KernelStatus) status.PathManager {
	backend := config.PathManagerKernel
	if k.UserSpace {
		backend = config.PathManagerUserSpace
	}
	return status.PathManager{Backend: string(backend), Timeouts: k.Timeouts, EventGaps: k.EventGaps, Endpoints: k.Endpoints, Active: k.Active}
}
