package mptcppm

// Numbers of include/uapi/linux/mptcp_pm.h, which is generated from
// Documentation/netlink/specs/mptcp_pm.yaml (Linux 6.18; all of it is ABI).

const (
	familyName    = "mptcp_pm"
	familyVersion = 1
	eventsGroup   = "mptcp_pm_events"
)

// command is the command byte of the generic netlink header.
type command uint8

const (
	cmdAddAddr        command = 1
	cmdDelAddr        command = 2
	cmdGetAddr        command = 3
	cmdFlushAddrs     command = 4
	cmdSetLimits      command = 5
	cmdGetLimits      command = 6
	cmdSetFlags       command = 7
	cmdAnnounce       command = 8
	cmdRemove         command = 9
	cmdSubflowCreate  command = 10
	cmdSubflowDestroy command = 11
)

// Top-level attributes of commands: enum MPTCP_PM_ATTR_*.
const (
	attrAddr        = 1 // nest
	attrRcvAddAddrs = 2 // u32
	attrSubflows    = 3 // u32
	attrToken       = 4 // u32
	attrLocID       = 5 // u8
	attrAddrRemote  = 6 // nest
)

// Attributes inside an address nest: enum MPTCP_PM_ADDR_ATTR_*.
const (
	addrFamily  = 1 // u16
	addrID      = 2 // u8
	addrAddr4   = 3 // 4 bytes
	addrAddr6   = 4 // 16 bytes
	addrPort    = 5 // u16 in host byte order, whatever the YAML spec says
	addrFlags   = 6 // u32
	addrIfIndex = 7 // s32
)

// Attributes of events: enum MPTCP_ATTR_*.
const (
	evToken       = 1  // u32
	evFamily      = 2  // u16
	evLocID       = 3  // u8
	evRemID       = 4  // u8
	evSAddr4      = 5  // 4 bytes
	evSAddr6      = 6  // 16 bytes
	evDAddr4      = 7  // 4 bytes
	evDAddr6      = 8  // 16 bytes
	evSPort       = 9  // be16
	evDPort       = 10 // be16
	evBackup      = 11 // u8
	evError       = 12 // u8, an errno
	evFlags       = 13 // u16
	evTimeout     = 14 // u32, defined and never sent upstream
	evIfIndex     = 15 // s32
	evResetReason = 16 // u32
	evResetFlags  = 17 // u32
	evServerSide  = 18 // u8
)

// Address families as the kernel numbers them on Linux, all architectures.
const (
	afInet  = 2
	afInet6 = 10
)
