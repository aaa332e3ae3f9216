package config

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strings"

	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

//go:embed reference_client.toml
var referenceClient string

//go:embed reference_server.toml
var referenceServer string

// ReferenceClient returns a client file with every key, its default and what it
// means. Parsed, it equals DefaultClient.
func ReferenceClient() string { return referenceClient + referenceModes(policy.Client) }

// ReferenceServer returns a server file with every key, its default and what it
// means. Parsed, it equals DefaultServer.
func ReferenceServer() string { return referenceServer + referenceModes(policy.Concentrator) }

// ClientTOML returns the file that join writes: the reference, without the long
// part about the modes' numbers, with the link filled in and everything else
// commented out, so that later versions' defaults apply. It holds the token: write it with WritePrivate.
func ClientTOML(link joinlink.Link) []byte {
	return fill(referenceClient, map[string]string{"link": tomlfile.Quote(link.URL())})
}

// ServerInit are the values of a new server's file.
type ServerInit struct {
	Public   joinlink.HostPort // goes into links
	Listen   []netip.AddrPort  // empty: the default
	Security joinlink.Security // empty: SecurityTLS
}

// ServerTOML returns the file that init writes: as ClientTOML, with these values
// filled in. Other files have their default names.
func ServerTOML(v ServerInit) []byte {
	d := DefaultServer()
	if len(v.Listen) == 0 {
		v.Listen = d.Listen
	}
	if v.Security == "" {
		v.Security = d.Security
	}
	values := map[string]string{
		"listen":    tomlfile.QuoteList(v.Listen),
		"security":  tomlfile.Quote(string(v.Security)),
		"users":     tomlfile.Quote(d.Users),
		"token_key": tomlfile.Quote(d.TokenKey),
	}
	if !v.Public.IsZero() {
		values["public"] = tomlfile.Quote(v.Public.String())
	}
	if v.Security == joinlink.SecurityTLS {
		values["certificate"], values["key"] = tomlfile.Quote(d.Certificate), tomlfile.Quote(d.Key)
	}
	return fill(referenceServer, values)
}

// fill sets keys above the first table of a reference text and comments all
// other keys out.
func fill(reference string, values map[string]string) []byte {
	var b strings.Builder
	atTop := true
	for line := range strings.Lines(reference) {
		atTop = atTop && !strings.HasPrefix(line, "[")
		key, _, isKey := strings.Cut(strings.TrimPrefix(line, "#"), " = ")
		isKey = isKey && !strings.ContainsAny(key, " #[")
		value, isFilled := values[key]
		switch {
		case isKey && isFilled && atTop:
			line = key + " = " + value + "\n"
		case isKey && !strings.HasPrefix(line, "#"):
			line = "#" + line
		}
		b.WriteString(line)
	}
	return []byte(b.String())
}

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
