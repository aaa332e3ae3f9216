package policy

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// Mode names how a connection uses its paths. An application asks for one in
// its SOCKS5 user name, a user in the configuration; the same word travels
// from the application over the client to the concentrator.
//
// What a mode does is registered by package mode, which has one file for each; that
// says which paper or RFC the mode comes from.
type Mode string

// Traits are what others ask about a mode.
type Traits struct {
	// Place orders lists of modes: the least one is the default; modes of the same
	// place are ordered by name.
	Place int
	// OnePath says that the mode returns to a better path and lets go of a metered
	// one: the numbers return_after and linger mean something to it.
	OnePath bool
	// Alone says that the mode keeps a single subflow whatever it loses. Only when
	// its path is down or gone is another one made.
	Alone bool
	// Several says that the mode keeps several subflows on a path.
	Several bool
	// Parks says that it flags those of them backup that it has no use for.
	Parks bool
	// SetsAside says that the mode sets paths aside that slow the others down. It is
	// told what earlier connections have found out about such paths.
	SetsAside bool
	// BeginsAnywhere says that a connection may begin on another path than the
	// preferred one when that is faster.
	BeginsAnywhere bool
}

// Definition is all there is to a mode. N are its own numbers and M its own memory,
// both None where it has none. M is written to traces as JSON, with the fields of
// Memory beside its own.
type Definition[N comparable, M any] struct {
	Name Mode
	Traits
	// Adjust changes the numbers that every mode has where their defaults do not fit;
	// nil leaves them.
	Adjust   func(*Common)
	Defaults N
	Numbers  []Number[N]
	// Fits are conditions on several numbers.
	Fits []Fit[N]
	// Want decides for the client who carries data and who stands by, with the
	// methods of View. What it leaves undecided stays as it is. It may change m, but
	// not what slices of m hold.
	Want func(v *View, n N, m *M)
	// Sends is called at the concentrator, which does not choose paths: what the mode
	// does about its own sending besides leaving what has failed. nil does nothing.
	Sends func(v *View, n N, m *M)
}

// None is for modes without numbers or memory of their own.
type None struct{}

// definition is a Definition without its types.
type definition struct {
	Traits
	name     Mode
	defaults Params
	params   []Param
	fits     func(*Params) []fitting
	want     func(*View)
	sends    func(*View)
	read     func(unread) (own any, err error)
}

var registry = map[Mode]*definition{}

// Register makes a mode known and returns its name. It is called while the program
// is initialized. It panics when the name is taken.
func Register[N comparable, M any](d Definition[N, M]) Mode {
	if registry[d.Name] != nil {
		panic(fmt.Sprintf("the mode %q is registered twice", d.Name))
	}
	r := &definition{
		Traits: d.Traits, name: d.Name, defaults: Params{Common: defaultCommon, Own: d.Defaults},
		params: erase(commonTable, commonOf), fits: d.fitting,
		want: steps(d.Want), sends: steps(d.Sends), read: readMemory[M],
	}
	if d.Adjust != nil {
		d.Adjust(&r.defaults.Common)
	}
	if d.OnePath {
		r.params = append(r.params, erase(onePathTable, commonOf)...)
	}
	for i := range r.params {
		r.params[i].General = i < len(commonTable)
	}
	r.params = append(r.params, erase(d.Numbers, ownOf[N])...)
	registry[d.Name] = r
	return d.Name
}

// steps lets a function of a mode work on a copy of the mode's memory.
func steps[N comparable, M any](do func(*View, N, *M)) func(*View) {
	if do == nil {
		return func(*View) {}
	}
	return func(v *View) {
		numbers, _ := v.Params.Own.(N)
		memory := new(M)
		if before, ok := v.Memory.Own.(*M); ok {
			*memory = *before
		}
		do(v, numbers, memory)
		if v.Memory.Own = memory; reflect.ValueOf(memory).Elem().IsZero() {
			v.Memory.Own = nil
		}
	}
}

// definition returns what is registered of a mode. An unknown one is the default.
func (m Mode) definition() *definition {
	if d := registry[m]; d != nil {
		return d
	}
	return registry[Modes()[0]]
}

// Traits returns what others ask about a mode. A name that is not registered has none,
// the empty one neither: a leg that only asks whether the concentrator answers is for no
// mode, and must not begin on a path that its user has put last.
func (m Mode) Traits() Traits {
	if d := registry[m]; d != nil {
		return d.Traits
	}
	return Traits{}
}

// Params returns the description of every number that means something to the
// mode, in a fixed order.
func (m Mode) Params() []Param { return slices.Clone(m.definition().params) }

// DefaultParams returns the numbers of a built-in mode.
func DefaultParams(m Mode) Params { return m.definition().defaults }

// Modes returns every mode, the default first.
func Modes() []Mode {
	all := make([]Mode, 0, len(registry))
	for name := range registry {
		all = append(all, name)
	}
	slices.SortFunc(all, func(a, b Mode) int {
		return cmp.Or(cmp.Compare(registry[a].Place, registry[b].Place), cmp.Compare(a, b))
	})
	return all
}

// ParseMode returns the mode with that exact name.
func ParseMode(name string) (Mode, error) {
	if registry[Mode(name)] != nil {
		return Mode(name), nil
	}
	return "", fmt.Errorf("unknown mode %q: the modes are %v", name, Modes())
}
