package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"mpproxy/test/netns"
)

const (
	controlSetting = "net.ipv4.tcp_congestion_control"
	allowedFile    = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
)

// allowControl lets namespaces use a congestion control. Which they may is one list for
// the whole machine (net/ipv4/tcp_cong.c, TCP_CONG_NON_RESTRICTED). undo sets the list
// back.
func allowControl(control string) (undo func(), err error) {
	before, err := os.ReadFile(allowedFile)
	if err != nil {
		return nil, err
	}
	if slices.Contains(strings.Fields(string(before)), control) {
		return func() {}, nil
	}
	if err := os.WriteFile(allowedFile, append(before[:len(before)-1], " "+control...), 0); err != nil {
		return nil, fmt.Errorf("%s may not be used in namespaces here, and allowing it takes root: %w", control, err)
	}
	return func() { _ = os.WriteFile(allowedFile, before, 0) }, nil
}

func setControl(ctx context.Context, control string, hosts ...*netns.Host) error {
	for _, h := range hosts {
		if err := h.SetSysctl(ctx, controlSetting, control); err != nil {
			return fmt.Errorf("%s in host %s: %w", control, h.Name(), err)
		}
	}
	return nil
}
