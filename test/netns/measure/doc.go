// Package measure is what programs that measure the whole system share:
// transfers through the proxy of a rig, and distributions of what came out.
//
//	client, err := measure.HTTPClient(r, "handover")
//	took, err := measure.Download(ctx, client, netns.DestinationName, 60_000_000, true)
//	d := measure.NewDistribution(samples)
//	fmt.Println(d.Median(), d.Quantile(0.95), d.ShareAtMost(1))
//
// For what happens in the middle of a flow there is a bulk flow with a script,
// what arrived when, what the links carried, and what both controllers decided:
//
//	var log measure.Log
//	r, err := rig.New(ctx, rig.Config{Logf: log.Logf, EditClient: measure.LogDecisions, EditServer: measure.LogDecisions})
//	run, err := measure.Bulk{Mode: "handover", For: 6 * time.Second, Script: []measure.Step{{2 * time.Second, dark}}}.Run(ctx, r)
//	longest, since := run.Arrivals.Silence(2*time.Second, 6*time.Second)
//	fmt.Println(log.Decisions(run.Begun))
//
// It prints nothing and judges nothing.
package measure
