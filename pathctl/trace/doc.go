// Package trace writes down what the controller saw and decided, and decides it
// again from that.
//
//	rec, err := trace.Create(trace.Config{Path: "mpproxy.trace"}, log)
//	pathctl.NewClient(pathctl.ClientConfig{Recorder: rec}, log)
//	go rec.Run(ctx) // a daemon task
//
//	sum, err := trace.Replay(file, trace.Handler{Decision: print, Difference: complain})
//
// A trace is text: one JSON object a line, the kind of which is its only key.
//
//	{"trace":{"format":1,"program":…,"role":…}}  first
//	{"mode":{"Name":…,"Base":…,"Params":{…}}}    before its first use
//	{"look":{"token":…,"number":…,"conn":{…},"paths":[…],"memory":{…},"plan":{…},"outcomes":[…]}}
//	{"told":{…}}                                 a decision that no policy made
//	{"dropped":3}                                so many lines are missing here
//
// It holds destinations, addresses of paths' peers and counters, no payload and
// no secrets; only its owner may read it. Recording never makes the controller
// wait: what cannot be written in time is left out, and counted in the trace.
//
// It does not record what the kernel said in between: a replay shows what the
// policies make of what the controller knew, not how it came to know it.
package trace
