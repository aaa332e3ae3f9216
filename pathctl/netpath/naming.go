package netpath

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// nameAll gives each path a unique name: the selector's for the first interface
// that matches, the same with the interface's name behind it for the others. An
// interface that was named before keeps its name while it is there.
func nameAll(all []found, sels []Selector, names map[string]string) {
	taken := make(map[string]bool)
	for i := range all {
		if name, ok := names[all[i].path.Interface]; ok {
			all[i].path.Name = name
			taken[name] = true
		}
	}
	for i := range all {
		f := &all[i]
		if f.path.Name != "" {
			continue
		}
		want := f.path.Interface
		if f.selector >= 0 && sels[f.selector].Name != "" {
			want = sels[f.selector].Name
		}
		f.path.Name = uniqueName(want, f.path.Interface, taken)
		taken[f.path.Name] = true
		if f.path.Index != 0 {
			remember(names, f.path.Interface, f.path.Name)
		}
	}
}

// remember notes an interface's name and takes it from an interface that had it
// and is gone: when that one comes back, it gets another.
func remember(names map[string]string, iface, name string) {
	for other, n := range names {
		if n == name {
			delete(names, other)
		}
	}
	names[iface] = name
}

func uniqueName(want, iface string, taken map[string]bool) string {
	if !taken[want] {
		return want
	}
	base := want + "-" + iface
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// rankAll ranks and sorts: first the paths whose selector gives a rank, then
// the others in the order of their route metrics. Weak ones come behind all.
func rankAll(all []found, sels []Selector) {
	given := func(f found) int {
		if f.selector >= 0 && sels[f.selector].Rank > 0 {
			return sels[f.selector].Rank
		}
		return math.MaxInt
	}
	slices.SortStableFunc(all, func(a, b found) int {
		return cmp.Or(
			compareBool(a.path.Weak, b.path.Weak),
			cmp.Compare(given(a), given(b)),
			cmp.Compare(a.metric, b.metric),
			cmp.Compare(a.path.Interface, b.path.Interface),
		)
	})
	last := 0
	for i := range all {
		if r := given(all[i]); r != math.MaxInt && (!all[i].path.Weak || r > last) {
			last = r
		} else {
			last++
		}
		all[i].path.Rank, all[i].path.Ranked = last, given(all[i]) != math.MaxInt
	}
}
