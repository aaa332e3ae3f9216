// Package examples holds four small programs that use packages mptcpsock and
// control: the three of the talk that proposed these calls as socket options, and
// a chat that survives the loss of a path.
//
//	go run ./examples/chat -listen [::]:7000                    # on a server
//	go run ./examples/subflows proxy.example:7000               # list the subflows
//	go run ./examples/whichway proxy.example:7000               # where does each go?
//	sudo go run ./examples/opensub proxy.example:7000 192.0.2.7 # open one more
//	sudo go run ./examples/chat proxy.example:7000              # unplug something
//
// It has no code to import.
package examples
