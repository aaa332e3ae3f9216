// Package mode holds the modes: the ways in which a connection can use its paths.
// There is one file for each, which registers the mode with policy: what it wants of
// the paths, its numbers with their keys, ranges and reasons, and what it remembers.
//
//	import _ "mpproxy/pathctl/policy/mode" // they are known to policy.Decide
//
// What several modes share is in a file of its own: guard.go belongs to those that use all
// paths, several.go to those with several subflows on one. Refresh is the only mode that
// does not fit in one file: refreshspeed.go measures its subflows, refreshparked.go holds
// those that are flagged backup.
package mode

import "mpproxy/pathctl/policy"

// Default is the mode of a connection for which nothing else was asked.
const Default policy.Mode = "aggregate"
