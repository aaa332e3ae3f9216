package netpath

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

// sessionTimeout bounds one session: a dump and the changes that follow it. On
// an idle machine that is a millisecond; a kernel that does not answer for this
// long is not going to.
const sessionTimeout = 5 * time.Second

// maxDumpAttempts bounds how often a dump that changed under our hands is read
// again at once. Whatever interrupted it is announced on the watched groups as
// well, so giving up is harmless.
const maxDumpAttempts = 3

// A session is a netlink socket for one round of questions. Each user opens its
// own, so that nothing is shared and no answer of an abandoned round can be
// taken for one of the next.
type session struct {
	conn *netlink.Conn
	stop func() bool
}

// openSession opens a socket in the namespace nsFD (0: the caller's own) whose
// waits end with ctx or after sessionTimeout.
func openSession(ctx context.Context, nsFD int) (*session, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: nsFD})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	// Strict checking makes the kernel filter dumps by table and protocol
	// (Linux 4.20) instead of handing out, say, a full BGP table.
	if err := conn.SetOption(netlink.GetStrictCheck, true); err != nil {
		return nil, errors.Join(fmt.Errorf("enable strict checks on rtnetlink socket: %w", err), conn.Close())
	}
	if err := conn.SetDeadline(time.Now().Add(sessionTimeout)); err != nil {
		return nil, errors.Join(fmt.Errorf("set deadline of rtnetlink socket: %w", err), conn.Close())
	}
	expire := func() { _ = conn.SetDeadline(time.Unix(1, 0)) } // fails only on a closed socket
	return &session{conn: conn, stop: context.AfterFunc(ctx, expire)}, nil
}

func (s *session) close() {
	s.stop()
	_ = s.conn.Close() // nothing was buffered, nothing can be lost
}

// execute sends one message and returns the raw replies.
func (s *session) execute(what string, kind uint16, flags netlink.HeaderFlags, data []byte) ([]netlink.Message, error) {
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
func (s *session) dump(what string, kind uint16, data []byte) ([]netlink.Message, error) {
	for attempt := 1; ; attempt++ {
		msgs, err := s.execute("dump "+what, kind, netlink.Dump, data)
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

// readSystem dumps all that a snapshot and source routing depend on. Messages
// are decoded one by one: an undecodable one is logged and left out.
func (s *session) readSystem(log *slog.Logger) (system, error) {
	var sys system
	var err error
	if sys.links, err = s.readLinks(log); err != nil {
		return system{}, err
	}
	if sys.addrs, err = s.readAddresses(log); err != nil {
		return system{}, err
	}
	if sys.rpFilter, err = s.readRPFilter(log); err != nil {
		return system{}, err
	}
	for _, fam := range []Family{IPv4, IPv6} {
		routes, err := s.readRoutes(log, fam, unix.RT_TABLE_UNSPEC, unix.RTPROT_UNSPEC)
		if err != nil {
			return system{}, err
		}
		rules, err := s.readRules(log, fam)
		if err != nil {
			return system{}, err
		}
		sys.sort(fam, rules, routes)
	}
	return sys, s.resolve(log, &sys)
}

// sort puts rules and routes of a family where they belong: ours, and others'.
func (sys *system) sort(fam Family, rules []rule, routes []route) {
	for _, r := range rules {
		switch {
		case r.family != fam: // a kernel without the family dumps the other one
		case isOwnRule(r):
			sys.ownRules = append(sys.ownRules, r)
		default:
			sys.rules = append(sys.rules, r)
		}
	}
	for _, r := range routes {
		switch {
		case isOwnRoute(r):
			sys.ownRoutes = append(sys.ownRoutes, r)
		case r.table != unix.RT_TABLE_LOCAL && r.worthKeeping():
			sys.routes = append(sys.routes, r)
		}
	}
}

// resolve reads the nexthop objects if there are routes that need them.
func (s *session) resolve(log *slog.Logger, sys *system) error {
	if !slices.ContainsFunc(sys.routes, func(r route) bool { return r.nexthop != 0 }) {
		return nil
	}
	msgs, err := s.dump("nexthops", unix.RTM_GETNEXTHOP, make([]byte, 8)) // struct nhmsg
	objects := make(map[uint32]nexthop)
	for _, n := range decodeAll(log, msgs, unix.RTM_NEWNEXTHOP, decodeNexthop) {
		objects[n.id] = n
	}
	sys.routes = resolve(sys.routes, objects)
	return err
}

// readOwn dumps the rules and routes that are ours by tag and range.
func (s *session) readOwn(log *slog.Logger) (rules []rule, routes []route, err error) {
	for _, fam := range []Family{IPv4, IPv6} {
		rs, err := s.readRules(log, fam)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range rs {
			if r.family == fam && isOwnRule(r) {
				rules = append(rules, r)
			}
		}
		ts, err := s.readRoutes(log, fam, unix.RT_TABLE_UNSPEC, routeProtocol)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range ts {
			if isOwnRoute(r) {
				routes = append(routes, r)
			}
		}
	}
	return rules, routes, nil
}

func (s *session) readLinks(log *slog.Logger) ([]link, error) {
	msgs, err := s.dump("links", unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	return decodeAll(log, msgs, unix.RTM_NEWLINK, decodeLink), err
}

func (s *session) readAddresses(log *slog.Logger) ([]address, error) {
	msgs, err := s.dump("addresses", unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg))
	return decodeAll(log, msgs, unix.RTM_NEWADDR, decodeAddress), err
}

// readRoutes dumps one table, or with table 0 all tables, of one family; with a
// protocol only its routes.
func (s *session) readRoutes(log *slog.Logger, fam Family, table uint32, protocol uint8) ([]route, error) {
	req := rtnetlink.RouteMessage{Family: fam.kernel(), Protocol: protocol, Attributes: rtnetlink.RouteAttributes{Table: table}}
	data, err := req.MarshalBinary()
	if err != nil {
		return nil, err
	}
	msgs, err := s.dump(fam.String()+" routes", unix.RTM_GETROUTE, data)
	var routes []route
	for _, hops := range decodeAll(log, msgs, unix.RTM_NEWROUTE, decodeRoute) {
		for _, r := range hops {
			// A kernel without the family dumps the other one instead
			// (rtnl_dump_all, net/core/rtnetlink.c).
			if r.family == fam && (table == unix.RT_TABLE_UNSPEC || r.table == table) {
				routes = append(routes, r)
			}
		}
	}
	return routes, err
}

func (s *session) readRules(log *slog.Logger, fam Family) ([]rule, error) {
	req := rtnetlink.RuleMessage{Family: fam.kernel()}
	data, err := req.MarshalBinary()
	if err != nil {
		return nil, err
	}
	msgs, err := s.dump(fam.String()+" rules", unix.RTM_GETRULE, data)
	return decodeAll(log, msgs, unix.RTM_NEWRULE, decodeRule), err
}

// readRPFilter asks by netlink and not in /proc/sys, because a socket knows its
// network namespace and needs no mounted procfs.
func (s *session) readRPFilter(log *slog.Logger) (map[int]int32, error) {
	msgs, err := s.dump("netconf", unix.RTM_GETNETCONF, []byte{unix.AF_INET, 0, 0, 0})
	if err != nil {
		return nil, err
	}
	filters := make(map[int]int32)
	for _, m := range msgs {
		index, value, err := decodeNetconf(m.Data)
		if err != nil {
			logBadMessage(log, m, err)
			continue
		}
		filters[index] = value
	}
	return filters, nil
}

func decodeAll[T any](log *slog.Logger, msgs []netlink.Message, kind uint16, decode func([]byte) (T, error)) []T {
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
