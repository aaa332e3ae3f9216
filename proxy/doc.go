// Package proxy holds the nouns of the data path, each once: a Flow has a
// Destination, an Identity and a Choice, and ends in an Outcome.
//
//	way in ─▶ Flow ─▶ leg ══MPTCP══▶ egress ─▶ destination
//
// The rooms below import this package, and it imports none of them:
//
//	proxy/ingress   turns what applications ask for into flows, one folder a way in
//	proxy/rules     choose how a flow is carried
//	proxy/front     asks the rules about a flow, opens a stream for it, relays
//	proxy/leg       reaches the concentrator: race, wire, pool of legs
//	proxy/egress    the concentrator: accepts legs and connects to destinations
//	proxy/serve     what front and egress share: accepting, limits, table, draining
//	proxy/socks     SOCKS5 as bytes, for both ends
//	proxy/relay     the byte pump
//
// The types are here and the wiring is in front and egress, because Go allows no
// import cycles: a package that wired the rooms together could not hold the types
// that they share.
//
// Nothing here or below knows of interfaces, routes or subflow policies. Paths
// reach the legs through leg.Paths, and whoever decides about subflows learns of
// a leg through Observer, by its kernel token.
package proxy
