package netpath

import (
	"log/slog"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

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
		routes, err := s.readRoutes(log, fam, unix.RT_TABLE_MAIN, unix.RTPROT_UNSPEC)
		if err != nil {
			return system{}, err
		}
		sys.routes = append(sys.routes, routes...)
	}
	sys.ownRules, sys.ownRoutes, err = s.readOwn(log)
	return sys, err
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
