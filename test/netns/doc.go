// Package netns builds a small internet out of network namespaces, for tests,
// demonstrations and benchmarks with real programs on the real kernel: a client
// host with one link or more, a concentrator host, a destination host.
//
//	func TestMain(m *testing.M) { netns.Enter(); goleak.VerifyTestMain(m) }
//
//	netns.Require(t) // root, or a user namespace
//	topo, err := netns.New(ctx, netns.Config{Links: []netns.LinkConfig{
//		{Name: "dsl0", Params: link.Params{Rate: 50 * link.Mbit, Delay: 10 * time.Millisecond}},
//		{Name: "lte0", Params: link.Params{Rate: 20 * link.Mbit, Delay: 25 * time.Millisecond}},
//	}, Logf: t.Logf})
//	defer topo.Close()
//	web, err := apps.ServeHTTP(ctx, topo.Destination, 80) // package apps
//	server, err := topo.Concentrator.Start(ctx, netns.Spec{Path: binary, Args: args})
//	line, err := server.WaitOutput(ctx, "listening")
//	out, err := topo.Client.Command(ctx, "curl", "http://dest.example/bytes/60M").Output()
//	err = topo.Links[0].SetBlackhole(true)
//
// Each host has its own /run, /etc/hosts, HOME and TMPDIR; the names
// proxy.example and dest.example are known everywhere. The client has a default
// route through each link, the first with the best metric, and nothing more: it
// is the program under test that makes source routing rules. Namespaces have no
// names, so that nothing is left behind even by a program that is killed, but for
// a temporary directory, which the next one removes.
//
// The package changes nothing outside the namespaces that it makes, runs no
// tools and does not simulate time: links take as long as links take. It has
// nothing to do with package testing but for Require.
package netns
