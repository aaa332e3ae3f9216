package config

import (
	"time"

	"mpproxy/config/tomlfile"
	"mpproxy/config/userfile"
)

// Limits bound what a program uses and how long it waits. Timeouts are 0 where
// they are switched off.
type Limits struct {
	MaxConnections   int           // 1 to 1,000,000; 0 means derived from descriptors and memory
	ConnectTimeout   time.Duration // until the far side answered: 100 ms to 10 min
	IdleTimeout      time.Duration // without a byte in either direction: 1 s to 8760 h; 0 means none
	MaxLifetime      time.Duration // of a connection, busy or not: 1 s to 8760 h; 0 means none
	HalfCloseTimeout time.Duration // without a byte after one direction was closed: 1 s to 8760 h; 0 means none
	DrainTimeout     time.Duration // for open connections when the program stops: up to 1 h; 0 means end at once
	ReceiveBuffer    tomlfile.Size // SO_RCVBUF of MPTCP sockets: 64 KiB to 512 MiB; 0 means the kernel's choice
	IdleLegs         int           // connections between client and concentrator that are kept for the next stream: up to 256; 0 means none
}

const (
	maxConnectionsLimit = userfile.MaxConnections
	minReceiveBuffer    = 64 * tomlfile.KiB
	maxReceiveBuffer    = 512 * tomlfile.MiB // the kernel doubles the value into an int
	// maxIdleLegs keeps within the descriptors that are not reserved for
	// connections.
	maxIdleLegs = 256
)

var (
	connectSpan   = tomlfile.Span{Min: 100 * time.Millisecond, Max: 10 * time.Minute}
	handshakeSpan = tomlfile.Span{Min: 100 * time.Millisecond, Max: 10 * time.Minute}
	idleSpan      = tomlfile.Span{Min: time.Second, Max: 8760 * time.Hour, OffAt0: true}
	drainSpan     = tomlfile.Span{Min: time.Millisecond, Max: time.Hour, OffAt0: true}
	delaySpan     = tomlfile.Span{Min: time.Millisecond, Max: time.Minute, OffAt0: true}
)

// commonLimits are what client and server share. RFC 5382 REQ-5 asks NATs to
// keep idle connections for 2 h 4 min, half-closed ones for 4 min: no less here.
// The receive buffer avoids the stalls of MPTCP's autotuning, which any size of
// 1 MiB or more does, and holds 1 Gbit/s at 60 ms.
var commonLimits = Limits{
	IdleTimeout:      2*time.Hour + 4*time.Minute,
	HalfCloseTimeout: 5 * time.Minute,
	ReceiveBuffer:    8 * tomlfile.MiB,
}

type rawLimits struct {
	MaxConnections   tomlfile.Field[int64]  `toml:"max_connections"`
	ConnectTimeout   tomlfile.Field[string] `toml:"connect_timeout" example:"\"15s\""`
	IdleTimeout      tomlfile.Field[string] `toml:"idle_timeout" example:"\"2h4m\""`
	MaxLifetime      tomlfile.Field[string] `toml:"max_lifetime" example:"\"24h\""`
	HalfCloseTimeout tomlfile.Field[string] `toml:"half_close_timeout" example:"\"5m\""`
	DrainTimeout     tomlfile.Field[string] `toml:"drain_timeout" example:"\"30s\""`
	ReceiveBuffer    tomlfile.Field[string] `toml:"receive_buffer" example:"\"8MiB\""`
	IdleLegs         tomlfile.Field[int64]  `toml:"idle_legs"`
}

func (c check) limits(raw rawLimits, d Limits) Limits {
	return Limits{
		MaxConnections:   c.Number(raw.MaxConnections, d.MaxConnections, 0, maxConnectionsLimit),
		ConnectTimeout:   c.Duration(raw.ConnectTimeout, d.ConnectTimeout, connectSpan),
		IdleTimeout:      c.Duration(raw.IdleTimeout, d.IdleTimeout, idleSpan),
		MaxLifetime:      c.Duration(raw.MaxLifetime, d.MaxLifetime, idleSpan),
		HalfCloseTimeout: c.Duration(raw.HalfCloseTimeout, d.HalfCloseTimeout, idleSpan),
		DrainTimeout:     c.Duration(raw.DrainTimeout, d.DrainTimeout, drainSpan),
		ReceiveBuffer:    c.Size(raw.ReceiveBuffer, d.ReceiveBuffer, minReceiveBuffer, maxReceiveBuffer),
		IdleLegs:         c.Number(raw.IdleLegs, d.IdleLegs, 0, maxIdleLegs),
	}
}
