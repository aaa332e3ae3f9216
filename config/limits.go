package config

import "time"

// Limits bound what a program uses and how long it waits. Timeouts are 0 where
// they are switched off.
type Limits struct {
	MaxConnections   int           // 1 to 1,000,000; 0 means derived from the descriptor limit
	ConnectTimeout   time.Duration // until the far side answered: 100 ms to 10 min
	IdleTimeout      time.Duration // without a byte in either direction: 1 s to 8760 h; 0 means none
	MaxLifetime      time.Duration // of a connection, busy or not: 1 s to 8760 h; 0 means none
	HalfCloseTimeout time.Duration // without a byte after one direction was closed: 1 s to 8760 h; 0 means none
	DrainTimeout     time.Duration // for open connections when the program stops: up to 1 h; 0 means end at once
	ReceiveBuffer    Size          // SO_RCVBUF of MPTCP sockets: 64 KiB to 512 MiB; 0 means the kernel's choice
	IdleLegs         int           // connections between client and concentrator that are kept for the next stream: up to 256; 0 means none
}

const (
	maxConnectionsLimit = 1_000_000
	minReceiveBuffer    = 64 * KiB
	maxReceiveBuffer    = 512 * MiB // the kernel doubles the value into an int
	// maxIdleLegs keeps within the descriptors that are not reserved for
	// connections.
	maxIdleLegs = 256
)

var (
	connectSpan   = span{100 * time.Millisecond, 10 * time.Minute, false}
	handshakeSpan = span{100 * time.Millisecond, 10 * time.Minute, false}
	idleSpan      = span{time.Second, 8760 * time.Hour, true}
	drainSpan     = span{time.Millisecond, time.Hour, true}
	delaySpan     = span{time.Millisecond, time.Minute, true}
)

// commonLimits are what client and server share. RFC 5382 REQ-5 asks NATs to
// keep idle connections for 2 h 4 min, half-closed ones for 4 min: no less here.
// The receive buffer avoids the stalls of MPTCP's autotuning, which any size of
// 1 MiB or more does, and holds 1 Gbit/s at 60 ms.
var commonLimits = Limits{
	IdleTimeout:      2*time.Hour + 4*time.Minute,
	HalfCloseTimeout: 5 * time.Minute,
	ReceiveBuffer:    8 * MiB,
}

type rawLimits struct {
	MaxConnections   field[int64]  `toml:"max_connections"`
	ConnectTimeout   field[string] `toml:"connect_timeout" example:"\"15s\""`
	IdleTimeout      field[string] `toml:"idle_timeout" example:"\"2h4m\""`
	MaxLifetime      field[string] `toml:"max_lifetime" example:"\"24h\""`
	HalfCloseTimeout field[string] `toml:"half_close_timeout" example:"\"5m\""`
	DrainTimeout     field[string] `toml:"drain_timeout" example:"\"30s\""`
	ReceiveBuffer    field[string] `toml:"receive_buffer" example:"\"8MiB\""`
	IdleLegs         field[int64]  `toml:"idle_legs"`
}

func (c check) limits(raw rawLimits, d Limits) Limits {
	return Limits{
		MaxConnections:   c.number(raw.MaxConnections, d.MaxConnections, 0, maxConnectionsLimit),
		ConnectTimeout:   c.duration(raw.ConnectTimeout, d.ConnectTimeout, connectSpan),
		IdleTimeout:      c.duration(raw.IdleTimeout, d.IdleTimeout, idleSpan),
		MaxLifetime:      c.duration(raw.MaxLifetime, d.MaxLifetime, idleSpan),
		HalfCloseTimeout: c.duration(raw.HalfCloseTimeout, d.HalfCloseTimeout, idleSpan),
		DrainTimeout:     c.duration(raw.DrainTimeout, d.DrainTimeout, drainSpan),
		ReceiveBuffer:    c.size(raw.ReceiveBuffer, d.ReceiveBuffer, minReceiveBuffer, maxReceiveBuffer),
		IdleLegs:         c.number(raw.IdleLegs, d.IdleLegs, 0, maxIdleLegs),
	}
}
