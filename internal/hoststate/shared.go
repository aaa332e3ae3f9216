package hoststate

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Shared is what the programs of a network namespace change together: settings. Each
// program that needs one holds it; the last one that returns it puts it back. A program
// that was killed holds nothing any more, and the next one to come or go puts back what
// it left. Programs find each other by the directory of their state. Its
// methods may be called from several goroutines at once.
type Shared struct {
	dir   string
	mu    sync.Mutex
	locks *locks
}

// sharedJournal is the file of the settings; %d is the network namespace.
const sharedJournal = "%d.settings"

// OpenShared joins the programs of the calling thread's network namespace.
func OpenShared(dir string) (*Shared, error) {
	l, err := openLocks(dir)
	if err != nil {
		return nil, err
	}
	return &Shared{dir: dir, locks: l}, nil
}

// Restore puts back what programs that were killed have left, unless others hold it.
func (s *Shared) Restore() error {
	return s.guarded(func(j *Journal) error {
		errs := []error{j.dropUnknown()}
		for _, set := range settings {
			errs = append(errs, s.giveBack(j, set))
		}
		return errors.Join(errs...)
	})
}

// Adopt puts back the settings in the journal of one program, as earlier versions kept
// them. Of the other entries it knows those with these keys, and drops the rest.
func (s *Shared) Adopt(old *Journal, keys ...string) error {
	return s.guarded(func(*Journal) error {
		errs := []error{old.dropUnknown(keys...)}
		for _, set := range settings {
			errs = append(errs, s.giveBack(old, set))
		}
		return errors.Join(errs...)
	})
}

// Take holds a setting and makes it what mpproxy needs; what it was is on disk before. It
// returns what it was, in a word where there is one, and whether that had to be changed. Taking a setting that is held
// makes it right again.
func (s *Shared) Take(set *Setting) (before string, changed bool, err error) {
	err = s.guarded(func(j *Journal) error {
		before, changed, err = s.take(j, set)
		return err
	})
	if set.word != nil {
		before = set.word(before)
	}
	if err != nil {
		return before, false, fmt.Errorf("%s: %w", set.what, err)
	}
	return before, changed, nil
}

func (s *Shared) take(j *Journal, set *Setting) (now string, changed bool, err error) {
	f, err := set.here()
	if set.missing(err) {
		return "", false, nil
	}
	if err == nil {
		now, err = f.read()
	}
	if err == nil {
		err = s.locks.share(set)
	}
	if err != nil || now == f.ours { // by another mpproxy, or by somebody else and not ours to put back
		return now, false, err
	}
	_, err = j.setting(set)
	if errors.Is(err, errNoEntry) {
		err = j.Record(set.key, saved{Before: now, Set: f.ours})
	}
	if err != nil {
		err = fmt.Errorf("it could not be put back after a crash: %w", err)
		return now, false, errors.Join(err, s.locks.unlock(set))
	}
	if err := f.write(f.ours); err != nil {
		return now, false, errors.Join(err, s.giveBackOurs(j, set))
	}
	return now, true, nil
}

// Return gives a setting up that Take held. The last one puts it back, unless somebody
// has changed it since.
func (s *Shared) Return(set *Setting) error {
	return s.guarded(func(j *Journal) error { return s.giveBackOurs(j, set) })
}

func (s *Shared) giveBackOurs(j *Journal, set *Setting) error {
	return errors.Join(s.locks.unlock(set), s.giveBack(j, set))
}

// giveBack puts a setting back that nobody holds any more.
func (s *Shared) giveBack(j *Journal, set *Setting) error {
	e, err := j.setting(set)
	switch {
	case errors.Is(err, errNoEntry):
		return nil
	case errors.Is(err, errForged):
		return errors.Join(err, j.Done(set.key))
	case err != nil:
		return err
	}
	if held, err := s.locks.held(set); err != nil || held {
		return err
	}
	f, err := set.check(e)
	if err != nil {
		return err
	}
	now, err := f.read()
	if err == nil && now == e.Set {
		err = f.write(e.Before)
	}
	if err != nil {
		return fmt.Errorf("putting %s back: %w", f.name(), err)
	}
	return j.Done(set.key)
}

// Runs reports whether another program has the lock of a role. It takes none: a program
// that starts just then must get its own.
func (s *Shared) Runs(role string) (runs bool, err error) {
	err = s.guarded(func(*Journal) error {
		runs, err = s.locks.others(roleByte(role))
		return err
	})
	return runs, err
}

// A Change is a setting that an mpproxy has changed.
type Change struct {
	Name             string // as sysctl(8) has it
	Before, Set, Now string
}

// Changes lists what mpproxys of this network namespace have changed, and what it is now.
func (s *Shared) Changes() (all []Change, err error) {
	err = s.guarded(func(j *Journal) error {
		for _, set := range settings {
			e, err := j.setting(set)
			if err != nil {
				continue // it is said where it is put back
			}
			f, err := set.check(e)
			if err != nil {
				continue
			}
			now, err := f.read()
			if err != nil {
				return err
			}
			all = append(all, Change{f.name(), e.Before, e.Set, now})
		}
		return nil
	})
	return all, err
}

// Lost returns what somebody else has made of a setting that this program holds; empty: it
// is as it should be.
func (s *Shared) Lost(set *Setting) (now string, err error) {
	f, err := set.here()
	if err != nil {
		if set.missing(err) {
			err = nil
		}
		return "", err
	}
	if now, err = f.read(); now == f.ours {
		now = ""
	}
	return now, err
}

// Changed reports whether a setting was changed by an mpproxy, and is held by one; else
// somebody else had made it what it is before.
func (s *Shared) Changed(set *Setting) (changed bool, err error) {
	err = s.guarded(func(j *Journal) error {
		_, err := j.setting(set)
		changed = err == nil
		if errors.Is(err, errNoEntry) {
			err = nil
		}
		return err
	})
	return changed, err
}

// guarded runs f with the journal of the settings, which no other program touches
// meanwhile.
func (s *Shared) guarded(f func(*Journal) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.locks.guard(); err != nil {
		return err
	}
	j, err := openJournal(s.dir, sharedJournal)
	if err == nil {
		err = errors.Join(f(j), j.Close())
	}
	return errors.Join(err, s.locks.unguard())
}

// Close lets go of what is held without putting anything back. Closing nil does nothing.
func (s *Shared) Close() error {
	if s == nil {
		return nil
	}
	return s.locks.close()
}

// errNoEntry: the journal says nothing of a setting.
var errNoEntry = errors.New("not in the journal")

// setting returns what the journal says of a setting. The error is errNoEntry, errForged,
// or says that the kernel has no such setting.
func (j *Journal) setting(set *Setting) (e saved, err error) {
	found, err := j.Pending(set.key, &e)
	switch {
	case err != nil:
		return e, errors.Join(err, errForged)
	case !found:
		return e, errNoEntry
	}
	_, err = set.check(e)
	return e, err
}

// dropUnknown says which entries are no settings, and forgets them.
func (j *Journal) dropUnknown(known ...string) error {
	var errs []error
	for key := range j.data.Entries {
		if !isSetting(key) && !slices.Contains(known, key) {
			errs = append(errs, fmt.Errorf("the journal %s has an entry %q: %w", j.path, key, errForged), j.Done(key))
		}
	}
	return errors.Join(errs...)
}

func isSetting(key string) bool {
	return slices.ContainsFunc(settings, func(s *Setting) bool { return s.key == key })
}
