package rtnl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// SessionTimeout bounds one session: a dump and the changes that follow it. On
// an idle machine that is a millisecond; a kernel that does not answer for this
// long is not going to.
const SessionTimeout = 5 * time.Second

// maxDumpAttempts bounds how often a dump that changed under our hands is read
// again at once. Whatever interrupted it is announced on the watched groups as
// well, so giving up is harmless.
const maxDumpAttempts = 3

// A session is a netlink socket for one round of questions. Each user opens its
// own, so that nothing is shared and no answer of an abandoned round can be
// taken for one of the next.
type Session struct {
	conn *netlink.Conn
	stop func() bool
}

// OpenSession opens a socket in the namespace nsFD (0: the caller's own) whose
// waits end with ctx or after sessionTimeout.
func OpenSession(ctx context.Context, nsFD int) (*Session, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: nsFD})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	// Strict checking makes the kernel filter dumps by table and protocol
	// (Linux 4.20) instead of handing out, say, a full BGP table.
	if err := conn.SetOption(netlink.GetStrictCheck, true); err != nil {
		return nil, errors.Join(fmt.Errorf("enable strict checks on rtnetlink socket: %w", err), conn.Close())
	}
	if err := conn.SetDeadline(time.Now().Add(SessionTimeout)); err != nil {
		return nil, errors.Join(fmt.Errorf("set deadline of rtnetlink socket: %w", err), conn.Close())
	}
	expire := func() { _ = conn.SetDeadline(time.Unix(1, 0)) } // fails only on a closed socket
	return &Session{conn: conn, stop: context.AfterFunc(ctx, expire)}, nil
}

func (s *Session) Close() {
	s.stop()
	_ = s.conn.Close() // nothing was buffered, nothing can be lost
}

// Execute sends one message and returns the raw replies.
func (s *Session) Execute(what string, kind uint16, flags netlink.HeaderFlags, data []byte) ([]netlink.Message, error) {
	replies, err := s.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | flags},
		Data:   data,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return replies, nil
}

// dump collects the replies to one dump request. A table that does not exist
// (yet) is empty, and so is a family that the kernel does not have (IPv6
// switched off at boot, no policy routing).
func (s *Session) dump(what string, kind uint16, data []byte) ([]netlink.Message, error) {
	for attempt := 1; ; attempt++ {
		msgs, err := s.Execute("dump "+what, kind, netlink.Dump, data)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil, nil
		}
		if err != nil || attempt == maxDumpAttempts || !interrupted(msgs) {
			return msgs, err
		}
	}
}

func interrupted(msgs []netlink.Message) bool {
	for _, m := range msgs {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return true
		}
	}
	return false
}

// ReadSystem dumps all that a snapshot and source routing depend on. Messages
// are decoded one by one: an undecodable one is logged and left out.
func (s *Session) ReadSystem(log *slog.Logger) (System, error) {
	var sys System
	var err error
	if sys.Links, err = s.ReadLinks(log); err != nil {
		return System{}, err
	}
	if sys.Addrs, err = s.ReadAddresses(log); err != nil {
		return System{}, err
	}
	if sys.RPFilter, err = s.readRPFilter(log); err != nil {
		return System{}, err
	}
	for _, fam := range []Family{IPv4, IPv6} {
		routes, err := s.ReadRoutes(log, fam, unix.RT_TABLE_UNSPEC, unix.RTPROT_UNSPEC)
		if err != nil {
			return System{}, err
		}
		rules, err := s.ReadRules(log, fam)
		if err != nil {
			return System{}, err
		}
		sys.sort(fam, rules, routes)
	}
	return sys, s.resolve(log, &sys)
}

// sort puts rules and routes of a family where they belong: ours, and others'.
func (sys *System) sort(fam Family, rules []Rule, routes []Route) {
	for _, r := range rules {
		switch {
		case r.Family != fam: // a kernel without the family dumps the other one
		case IsOwnRule(r):
			sys.OwnRules = append(sys.OwnRules, r)
		default:
			sys.Rules = append(sys.Rules, r)
		}
	}
	for _, r := range routes {
		switch {
		case IsOwnRoute(r):
			sys.OwnRoutes = append(sys.OwnRoutes, r)
		case r.Table != unix.RT_TABLE_LOCAL && r.worthKeeping():
			sys.Routes = append(sys.Routes, r)
		}
	}
}

// resolve reads the nexthop objects if there are routes that need them.
func (s *Session) resolve(log *slog.Logger, sys *System) error {
	if !slices.ContainsFunc(sys.Routes, func(r Route) bool { return r.Nexthop != 0 }) {
		return nil
	}
	msgs, err := s.dump("nexthops", unix.RTM_GETNEXTHOP, make([]byte, 8)) // struct nhmsg
	objects := make(map[uint32]Nexthop)
	for _, n := range DecodeAll(log, msgs, unix.RTM_NEWNEXTHOP, decodeNexthop) {
		objects[n.ID] = n
	}
	sys.Routes = Resolve(sys.Routes, objects)
	return err
}

// ReadOwn dumps the rules and routes that are ours by tag and range.
func (s *Session) ReadOwn(log *slog.Logger) (rules []Rule, routes []Route, err error) {
	for _, fam := range []Family{IPv4, IPv6} {
		rs, err := s.ReadRules(log, fam)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range rs {
			if r.Family == fam && IsOwnRule(r) {
				rules = append(rules, r)
			}
		}
		ts, err := s.ReadRoutes(log, fam, unix.RT_TABLE_UNSPEC, RouteProtocol)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range ts {
			if IsOwnRoute(r) {
				routes = append(routes, r)
			}
		}
	}
	return rules, routes, nil
}

func (s *Session) ReadLinks(log *slog.Logger) ([]Link, error) {
	msgs, err := s.dump("links", unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	return DecodeAll(log, msgs, unix.RTM_NEWLINK, DecodeLink), err
}

func (s *Session) ReadAddresses(log *slog.Logger) ([]Address, error) {
	msgs, err := s.dump("addresses", unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg))
	return DecodeAll(log, msgs, unix.RTM_NEWADDR, DecodeAddress), err
}

// ReadRoutes dumps one table, or with table 0 all tables, of one family; with a
// protocol only its routes.
func (s *Session) ReadRoutes(log *slog.Logger, fam Family, table uint32, protocol uint8) ([]Route, error) {
	req := rtnetlink.RouteMessage{Family: fam.kernel(), Protocol: protocol, Attributes: rtnetlink.RouteAttributes{Table: table}}
	data, err := req.MarshalBinary()
	if err != nil {
		return nil, err
	}
	msgs, err := s.dump(fam.String()+" routes", unix.RTM_GETROUTE, data)
	var routes []Route
	for _, hops := range DecodeAll(log, msgs, unix.RTM_NEWROUTE, DecodeRoute) {
		for _, r := range hops {
			// A kernel without the family dumps the other one instead
			// (rtnl_dump_all, net/core/rtnetlink.c).
			if r.Family == fam && (table == unix.RT_TABLE_UNSPEC || r.Table == table) {
				routes = append(routes, r)
			}
		}
	}
	return routes, err
}

func (s *Session) ReadRules(log *slog.Logger, fam Family) ([]Rule, error) {
	req := rtnetlink.RuleMessage{Family: fam.kernel()}
	data, err := req.MarshalBinary()
	if err != nil {
		return nil, err
	}
	msgs, err := s.dump(fam.String()+" rules", unix.RTM_GETRULE, data)
	return DecodeAll(log, msgs, unix.RTM_NEWRULE, DecodeRule), err
}

// readRPFilter asks by netlink and not in /proc/sys, because a socket knows its
// network namespace and needs no mounted procfs.
func (s *Session) readRPFilter(log *slog.Logger) (map[int]int32, error) {
	msgs, err := s.dump("netconf", unix.RTM_GETNETCONF, []byte{unix.AF_INET, 0, 0, 0})
	if err != nil {
		return nil, err
	}
	filters := make(map[int]int32)
	for _, m := range msgs {
		index, value, err := DecodeNetconf(m.Data)
		if err != nil {
			logBadMessage(log, m, err)
			continue
		}
		filters[index] = value
	}
	return filters, nil
}

func DecodeAll[T any](log *slog.Logger, msgs []netlink.Message, kind uint16, decode func([]byte) (T, error)) []T {
	var all []T
	for _, m := range msgs {
		if m.Header.Type != netlink.HeaderType(kind) {
			continue
		}
		v, err := decode(m.Data)
		if err != nil {
			logBadMessage(log, m, err)
			continue
		}
		all = append(all, v)
	}
	return all
}

func logBadMessage(log *slog.Logger, m netlink.Message, err error) {
	log.Debug("left out an rtnetlink message", "type", uint16(m.Header.Type), "bytes", len(m.Data), "error", err)
}
