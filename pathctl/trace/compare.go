package trace

import (
	"encoding/json"
	"fmt"
	"strings"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// same compares a value from a trace with one that was not written. Where the trace has
// only the words of reasons, words are compared.
func same[T any](recorded, replayed T) bool {
	a, b := text(recorded), text(replayed)
	return a == b || worded(a) == worded(b)
}

// worded writes the JSON of a value with the words of its reasons.
func worded(text string) string {
	var tree any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&tree) != nil {
		return text
	}
	b, err := json.Marshal(wordReasons(tree))
	if err != nil {
		return text
	}
	return string(b)
}

func wordReasons(tree any) any {
	switch node := tree.(type) {
	case []any:
		for i := range node {
			node[i] = wordReasons(node[i])
		}
	case map[string]any:
		for key, value := range node {
			if fields, is := value.(map[string]any); is && key == "Why" {
				node[key] = reasonOf(fields).String()
			} else {
				node[key] = wordReasons(value)
			}
		}
	}
	return tree
}

func reasonOf(fields map[string]any) (r reason.Reason) {
	if b, err := json.Marshal(fields); err == nil {
		_ = json.Unmarshal(b, &r) // it was written by us
	}
	return r
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// describe says in words what a plan is.
func describe(plan policy.Plan) string {
	var words []string
	for _, w := range plan.Create {
		words = append(words, fmt.Sprintf("create on %s%s (%s)", w.Path, backup(w.Backup), w.Reason))
	}
	for _, k := range plan.Keep {
		why := ""
		if k.Reason != (reason.Reason{}) {
			why = " (" + k.Reason.String() + ")"
		}
		words = append(words, fmt.Sprintf("keep %d%s%s", k.ID, backup(k.Backup), why))
	}
	for _, d := range plan.Drop {
		words = append(words, fmt.Sprintf("drop %d on %s: %v (%s)", d.ID, d.Path, d.Cause, d.Reason))
	}
	for _, path := range plan.Probe {
		words = append(words, "probe "+path)
	}
	return strings.Join(append(words, fmt.Sprintf("look again after %v", plan.Look)), ", ")
}

func backup(is bool) string {
	if is {
		return " as backup"
	}
	return ""
}
