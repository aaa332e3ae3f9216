// Package socks is SOCKS5 (RFC 1928, RFC 1929) as bytes, for both ends:
//
//	req, err := server.Handshake(conn)       // what a peer asks for, as a flow
//	err = req.Answer(proxy.Succeeded, bound)
//
//	conn.Write(credentials.Flight(to))       // greeting, authentication, request
//	agreed, err := credentials.ReadGreeting(conn)
//	outcome, bound, err := agreed.ReadReply(conn)
//
// Applications speak it to the client, and the client to the concentrator, with one
// private method more: see methodFramed. Connections, their deadlines and TLS are the
// callers'.
package socks

import (
	"errors"
	"fmt"

	"mpproxy/proxy"
)

// Errors of a conversation, to be told apart with errors.Is. proxy.ErrAuthenticationFailed
// and proxy.ErrPeerLeft are others.
var (
	ErrUnsupportedCommand = errors.New("only CONNECT and RESOLVE are supported")
	ErrProtocol           = errors.New("not a valid SOCKS5 conversation")
	// ErrTokenRefused: the concentrator does not know this user or token.
	//
	// ErrUserDisabled is an ErrTokenRefused: the token was right.
	ErrTokenRefused error = &proxy.Failure{Outcome: proxy.GeneralFailure, Err: errors.New("the concentrator refused the user name or token")}
	ErrUserDisabled       = fmt.Errorf("%w: the user is disabled there", ErrTokenRefused)
)

// methodFramed is a private method (RFC 1928 §3). It is user name and password as in
// RFC 1929. What follows an answer that says "succeeded" is framed (see relay.Framed),
// and after both ends of that stream the client may send another request. A server
// that does not know it takes the plain method, which is always offered beside it.
const methodFramed = 0x9A

// methodReady is methodFramed with more freedom for the client. It may send its first
// request as late as it likes after the answer to the greeting, and a frame of data right
// behind any request, before the answer (see EarlyLimit). The answer to a request that
// failed ends the connection, data or not.
const methodReady = 0x9D

// EarlyLimit is how many bytes of data may come behind a request in one frame.
const EarlyLimit = 8 << 10

// Two more private methods are never chosen. They are a field of the greeting, by which
// the client says whether the concentrator may close a subflow on which its own sending
// fails. A server that does not know them takes another method, as RFC 1928 §3 has it.
const (
	// methodManaged: the client makes another subflow for one that is closed.
	methodManaged = 0x9B
	// methodAlone: the client's kernel makes the subflows, and makes none again. Leave
	// them alone.
	methodAlone = 0x9C
)
