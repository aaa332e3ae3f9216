package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"mpproxy/test/netns/link"
)

// trouble is something that happens to a network or a host, and what ends it.
type trouble struct {
	name  string
	begin func(context.Context, *soak) error
	end   func(context.Context, *soak) error
	cuts  bool // transfers may be cut off by it
}

// troubles are what happens, one after the other, in random order.
var troubles = []trouble{
	{
		name:  "the first path is dark",
		begin: func(_ context.Context, s *soak) error { return s.rig.Links[0].SetBlackhole(true) },
		end:   func(_ context.Context, s *soak) error { return s.rig.Links[0].SetBlackhole(false) },
	},
	{
		name:  "the second path is dark",
		begin: func(_ context.Context, s *soak) error { return s.rig.Links[1].SetBlackhole(true) },
		end:   func(_ context.Context, s *soak) error { return s.rig.Links[1].SetBlackhole(false) },
	},
	{
		name: "both paths are dark",
		begin: func(_ context.Context, s *soak) error {
			return errors.Join(s.rig.Links[0].SetBlackhole(true), s.rig.Links[1].SetBlackhole(true))
		},
		end: func(_ context.Context, s *soak) error {
			return errors.Join(s.rig.Links[0].SetBlackhole(false), s.rig.Links[1].SetBlackhole(false))
		},
	},
	{
		name:  "answers are lost on the first path",
		begin: func(_ context.Context, s *soak) error { return s.rig.Links[0].SetBlackholeDirection(link.BtoA, true) },
		end:   func(_ context.Context, s *soak) error { return s.rig.Links[0].SetBlackholeDirection(link.BtoA, false) },
	},
	{
		name:  "the first path loses 20 %",
		begin: func(_ context.Context, s *soak) error { return s.lose(0, 0.2) },
		end:   func(_ context.Context, s *soak) error { return s.lose(0, 0) },
	},
	{
		name:  "the second path has no carrier",
		begin: func(_ context.Context, s *soak) error { return s.rig.Links[1].SetCarrier(false) },
		end:   func(_ context.Context, s *soak) error { return s.rig.Links[1].SetCarrier(true) },
	},
	{
		name:  "the first path is disconnected and comes back with its address",
		begin: func(ctx context.Context, s *soak) error { return s.rig.Links[0].Disconnect(ctx) },
		end:   func(ctx context.Context, s *soak) error { return s.rig.Links[0].Connect(ctx) },
	},
	{
		name: "the second path's NAT forgets",
		begin: func(_ context.Context, s *soak) error {
			return errors.Join(s.rig.Links[1].SetMiddlebox(link.Middlebox{}), s.rig.Links[1].Forget())
		},
	},
	{
		name: "the concentrator is killed and started again", cuts: true,
		begin: func(ctx context.Context, s *soak) error { return s.rig.Server.Kill() },
		end:   func(ctx context.Context, s *soak) error { return s.rig.RunServer(ctx) },
	},
}

// trouble lets one trouble after the other happen until ctx ends.
func (s *soak) trouble(ctx context.Context, random *rand.Rand, t *traffic) error {
	for {
		for _, i := range random.Perm(len(troubles)) {
			what := troubles[i]
			if !pause(ctx, seconds(random, 2, 8)) {
				return nil
			}
			fmt.Printf("  %s\n", what.name)
			if err := s.happen(ctx, what, random, t); err != nil {
				return fmt.Errorf("%s: %w", what.name, err)
			}
			if err := s.alive(); err != nil {
				return fmt.Errorf("after %s: %w", what.name, err)
			}
		}
	}
}

// happen begins a trouble and ends it some seconds later, also when the time is over
// meanwhile.
func (s *soak) happen(ctx context.Context, what trouble, random *rand.Rand, t *traffic) error {
	if what.cuts {
		t.forgive(true)
		defer t.forgive(false)
	}
	if err := what.begin(ctx, s); err != nil || what.end == nil {
		return err
	}
	pause(ctx, seconds(random, 1, 10)) // shorter when the time is over
	return what.end(context.WithoutCancel(ctx), s)
}

// alive reports a program that has ended.
func (s *soak) alive() error {
	select {
	case <-s.rig.ClientDaemon.Done():
		return fmt.Errorf("the client has ended: %s", s.rig.ClientDaemon.Output())
	case <-s.rig.Server.Done():
		return fmt.Errorf("the concentrator has ended: %s", s.rig.Server.Output())
	default:
		return nil
	}
}

// lose makes a path lose a share of its frames, each way.
func (s *soak) lose(path int, share float64) error {
	l := s.rig.Links[path]
	p := l.Params(link.AtoB)
	p.Loss = share
	return errors.Join(l.Set(link.AtoB, p), l.Set(link.BtoA, p))
}

// seconds is a random time between two numbers of seconds.
func seconds(random *rand.Rand, from, to int) time.Duration {
	return time.Duration(from)*time.Second + time.Duration(random.Int64N(int64(to-from)*int64(time.Second)))
}
