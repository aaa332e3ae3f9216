package measure_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns/measure"
)

func TestRepeat(t *testing.T) {
	var setUp, done atomic.Int32
	got, err := measure.Repeat(t.Context(), 7, 3, func(ctx context.Context, i int, together measure.Together) (int, error) {
		setUp.Add(1)
		together(ctx)
		if n, want := setUp.Load(), int32(min(7, 3*(i/3+1))); n != want {
			t.Errorf("run %d goes on when %d are set up, want %d", i, n, want)
		}
		done.Add(1)
		together(ctx)
		if n, want := done.Load(), int32(min(7, 3*(i/3+1))); n != want {
			t.Errorf("run %d tears down when %d are done, want %d", i, n, want)
		}
		return i * i, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{0, 1, 4, 9, 16, 25, 36}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRepeatFails(t *testing.T) {
	wrong := errors.New("wrong")
	_, err := measure.Repeat(t.Context(), 4, 2, func(ctx context.Context, i int, together measure.Together) (int, error) {
		if i == 1 {
			return 0, wrong
		}
		together(ctx) // the other one never comes
		return 0, ctx.Err()
	})
	if !errors.Is(err, wrong) {
		t.Errorf("error %v, want %v", err, wrong)
	}
}
