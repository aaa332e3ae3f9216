package main

import (
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// arm is one column of a comparison: who steers, and how.
type arm struct {
	label   string
	manager string // of both programs
	server  string // the concentrator's, where that is another
	mode    string // that the application asks for
	client  []string
	modes   string // tables for both configurations
}

// The two that most experiments compare: the stock kernel's path manager with a
// subflow on each path, through the same proxy, and ours.
var stockFullMesh = arm{label: "stock full mesh", manager: "kernel", mode: "aggregate"}

func ours(mode string) arm {
	return arm{label: "mpproxy " + mode, manager: "userspace", mode: mode}
}

// config is the rig of an arm over links.
func (a arm) config(links ...netns.LinkConfig) rig.Config {
	edit := measure.Manager(a.manager)
	if a.modes != "" {
		edit = measure.Edits(edit, measure.Append(a.modes))
	}
	server := edit
	if a.server != "" {
		server = measure.Edits(edit, measure.Manager(a.server))
	}
	return rig.Config{Links: links, EditServer: server, EditClient: edit, ClientArgs: a.client}
}

// slow returns the links of SMAPP sections 4.2 and 4.3: 5 Mbit/s, 10 ms one
// way, here with queues of 60 KB (96 ms).
func slow(seed uint64) []netns.LinkConfig {
	p := link.Params{Rate: 5 * link.Mbit, Delay: 10 * time.Millisecond, Queue: 60_000}
	return []netns.LinkConfig{
		{Name: "wifi0", Params: p, V4: true, Seed: seed},
		{Name: "lte0", Params: p, V4: true, Seed: seed + 1000},
	}
}

// lose makes a link lose a share of its frames, in both directions.
func lose(l *netns.Link, share float64) error {
	for _, d := range []link.Direction{netns.Upstream, netns.Downstream} {
		p := l.Params(d)
		p.Loss = share
		if err := l.Set(d, p); err != nil {
			return err
		}
	}
	return nil
}
