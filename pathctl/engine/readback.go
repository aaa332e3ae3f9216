package engine

import (
	"context"
	"net/netip"
	"sync/atomic"
)

// Made is what the kernel made of a subflow that was asked for.
type Made struct {
	// Backup says that our end has told the peer to use it as a backup.
	Backup bool
	// Device is the index of the interface that it is bound to; 0: to none.
	Device int
}

// Ignored is what this kernel was seen to ignore of what CreateSubflow asks for.
// Linux 6.1 ignores both (mptcp_nl_cmd_sf_create takes the address alone).
type Ignored struct{ Backup, Device bool }

// ignored is Ignored that the engine's goroutine writes and others read.
type ignored struct{ backup, device atomic.Bool }

// Ignored returns what the kernel was seen to ignore so far.
func (e *Engine) Ignored() Ignored {
	return Ignored{Backup: e.ignored.backup.Load(), Device: e.ignored.device.Load()}
}

// readBack finds out what the kernel made of a subflow that we asked for and that is
// established now. A backup that is none becomes one by MP_PRIO (RFC 8684, section
// 3.3.8): the scheduler uses it until then, for a round trip at most. A subflow
// without its interface goes where the routing rules for its address lead it.
func (e *Engine) readBack(ctx context.Context, c *connection, f *subflow) {
	if e.made == nil || !f.asked {
		return
	}
	f.asked = false
	made, err := e.made(ctx, f.local, f.remote)
	if err != nil {
		e.log.Debug("cannot read what the kernel made of a subflow", "path", f.path, "error", err)
		return
	}
	if f.device != 0 && made.Device == 0 {
		f.device = 0
		if !e.ignored.device.Swap(true) {
			e.log.Info("this kernel does not bind new subflows to their interface: routing rules for source addresses lead them", "path", f.path)
		}
	}
	if !f.backup || made.Backup {
		return
	}
	if !e.ignored.backup.Swap(true) {
		e.log.Info("this kernel ignores that a new subflow is to be a backup: each is made one as soon as it is established", "path", f.path)
	}
	err = e.onSubflow(f, func(local, remote netip.AddrPort) error {
		return e.cmds.SetSubflowBackup(ctx, c.reg.Token, local, remote, true)
	})
	if err != nil {
		f.backup = false // and the plan asks for it again
		e.log.Debug("cannot make a new subflow a backup", "path", f.path, "error", err)
	}
}
