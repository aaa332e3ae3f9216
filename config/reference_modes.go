package config

import (
	"fmt"
	"strings"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// referenceModes returns the part of a reference that has every number of every
// mode. It is made from policy's own table, so it cannot differ from it.
func referenceModes(role policy.Role) string {
	var b strings.Builder
	b.WriteString(`
# The numbers of the modes. Those of [modes.aggregate] down to the first empty line are
# numbers of every mode; the other tables list them only where their default differs.
`)
	explained := map[string]bool{}
	for _, m := range policy.Modes() {
		fmt.Fprintf(&b, "\n[modes.%s]\n", m)
		referenceMode(&b, m, role, explained)
	}
	return b.String()
}

// referenceMode writes the numbers of a mode; what each means is told where it
// comes first.
func referenceMode(b *strings.Builder, m policy.Mode, role policy.Role, explained map[string]bool) {
	general, defaults := policy.DefaultParams(mode.Default), policy.DefaultParams(m)
	inGeneral := false
	for _, p := range numbersOf(role, m) {
		value, _ := defaults.Get(p.Key)
		if usual, _ := general.Get(p.Key); p.General && explained[p.Key] && value == usual {
			continue
		}
		if inGeneral && !p.General {
			b.WriteString("\n")
		}
		inGeneral = p.General
		if !explained[p.Key] {
			explained[p.Key] = true
			text, isSentence := strings.CutSuffix(p.Doc, ".")
			text += " (" + p.Legal() + ")"
			if isSentence {
				text += "."
			}
			comment(b, text)
		}
		fmt.Fprintf(b, "%s = %s\n", p.Key, tomlNumber(p.Kind, value))
	}
}

// referenceWidth is how long a comment's lines may be.
const referenceWidth = 90

// comment writes text as comment lines.
func comment(b *strings.Builder, text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > referenceWidth {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}
