// Package measure is what programs that measure the whole system share:
// transfers through the proxy of a rig, and distributions of what came out.
//
//	client, err := measure.HTTPClient(r, "handover")
//	took, err := measure.Download(ctx, client, netns.DestinationName, 60_000_000, true)
//	d := measure.NewDistribution(samples)
//	fmt.Println(d.Median(), d.Quantile(0.95), d.ShareAtMost(1))
//
// It prints nothing and judges nothing.
package measure
