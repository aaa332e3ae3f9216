package main

import (
	"sync"
)

// tally collects the samples of cases from jobs that run at the same time.
type tally[T any] struct {
	mu    sync.Mutex
	cases map[string][]T
}

func (t *tally[T]) add(name string, v ...T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cases == nil {
		t.cases = make(map[string][]T)
	}
	t.cases[name] = append(t.cases[name], v...)
}

// of returns what a case has. The jobs must have ended.
func (t *tally[T]) of(name string) []T { return t.cases[name] }
