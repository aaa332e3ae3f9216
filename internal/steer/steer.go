// Package steer joins the data path's connections with the controller: it
// translates between the two, which do not know each other.
package steer

import (
	"context"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/control"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
	"mpproxy/proxy"
)

// Controller is what pathctl.Client and pathctl.Concentrator have in common.
type Controller interface {
	Register(ctx context.Context, reg engine.Registration)
	Describe(ctx context.Context, token uapi.Token, d engine.Description, paths []string)
	Unregister(ctx context.Context, token uapi.Token)
}

// handOver bounds handing a connection to a controller that is busy.
const handOver = 5 * time.Second

// Observer hands connections of the data path to the controller. It is a
// proxy.Observer.
type Observer struct {
	Controller Controller
	Role       policy.Role
	Modes      []policy.Spec // the first one serves names that are not known
}

// Opened registers a leg.
func (o Observer) Opened(token uapi.Token, leg *mptcpsock.Conn, f *proxy.Flow) {
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	o.Controller.Register(ctx, engine.Registration{
		Token: token, Role: o.Role, Mode: o.mode(f.How.Mode), Paths: f.How.Paths,
		Description: describe(f), Reader: control.Reader(leg), Device: leg.Device(),
		Manual: f.Who.LeaveSubflows,
	})
}

// Carries says what a registered leg carries now.
func (o Observer) Carries(token uapi.Token, f *proxy.Flow) {
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	o.Controller.Describe(ctx, token, describe(f), f.How.Paths)
}

func describe(f *proxy.Flow) engine.Description {
	d := engine.Description{User: f.Who.User, Rule: f.How.Rule}
	if f.To != (proxy.Destination{}) { // else the leg waits for its first flow
		d.Destination = f.To.String()
	}
	return d
}

// Closed ends what Opened began.
func (o Observer) Closed(token uapi.Token) {
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	o.Controller.Unregister(ctx, token)
}

func (o Observer) mode(name string) *policy.Spec {
	for i := range o.Modes {
		if m := &o.Modes[i]; m.Name == name {
			return m
		}
	}
	return &o.Modes[0]
}
