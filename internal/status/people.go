package status

import "slices"

// WithoutPeople returns s without what says who goes where: destinations, users,
// peers and the rules' names. It is for readers whose name nobody asks.
func (s Status) WithoutPeople() Status {
	s.Server.User = ""
	s.Connections = slices.Clone(s.Connections)
	for i := range s.Connections {
		c := &s.Connections[i]
		c.Destination, c.User, c.Peer, c.Rule = "", "", "", ""
		if s.Program == Concentrator { // its subflows' far ends are the client's
			c.Subflows, c.Decision = []Subflow{}, ""
		}
	}
	return s
}
