package tomlfile

import (
	"errors"
	"strconv"
	"strings"
)

// maxNesting bounds arrays and inline tables inside each other and the parts of
// a dotted key, maxKey a key's bytes. Nothing in our files comes near; the bounds
// keep hostile input off the stack, and paths short, which repeat their tables.
const (
	maxNesting = 32
	maxKey     = 1000
)

var (
	errTooDeep = errors.New("arrays, inline tables or the parts of a key are nested more than 32 deep")
	errLongKey = errors.New("a key has more than 1000 bytes")
)

// lineIndex maps the path of each key, table and array element of a TOML text
// to its line. The toml module gives no positions for keys, so we find them.
// Paths look like `path[1].rank`; parts that are not bare keys are quoted.
type lineIndex map[string]int

// indexLines scans a text that need not be valid: for a valid one every path
// is right, for others it only must not panic. It fails for deep nesting only,
// and then before anything that recurses has seen the text.
func indexLines(text string) (lineIndex, error) {
	s := lineScanner{text: strings.TrimPrefix(text, "\uFEFF"), line: 1, lines: lineIndex{}, elements: map[string]int{}}
	for s.blank(); s.at < len(s.text); s.blank() {
		start := s.at
		read := s.assignment
		if s.text[s.at] == '[' {
			read = s.header
		}
		if err := read(s.table, 0); err != nil {
			return nil, err
		}
		if s.at == start { // not TOML: step over it
			s.at++
		}
	}
	return s.lines, nil
}

type lineScanner struct {
	text     string
	at, line int
	table    string         // path of the table that assignments go to
	elements map[string]int // how many elements an array of tables has so far
	lines    lineIndex
}

func (s *lineScanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// record keeps the first line a path was seen on.
func (s *lineScanner) record(path string) {
	if _, ok := s.lines[path]; !ok {
		s.lines[path] = s.line
	}
}

// blank steps over white space, line ends and comments.
func (s *lineScanner) blank() {
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case ' ', '\t', '\r':
		case '\n':
			s.line++
		case '#':
			if n := strings.IndexByte(s.text[s.at:], '\n'); n >= 0 {
				s.at += n - 1
			} else {
				s.at = len(s.text) - 1
			}
		default:
			return
		}
	}
}

func (s *lineScanner) spaces() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r", s.text[s.at]) >= 0 {
		s.at++
	}
}

// header reads [a.b] or [[a.b]], which starts at the root whatever the table.
func (s *lineScanner) header(string, int) error {
	s.at++
	isArray := s.peek() == '['
	if isArray {
		s.at++
	}
	parts, err := s.key()
	if err != nil {
		return err
	}
	path := ""
	for i, p := range parts {
		path = JoinKey(path, p)
		last := i == len(parts)-1
		if isArray && last {
			s.record(path)
			s.elements[path]++
		}
		if n := s.elements[path]; n > 0 {
			path = elementKey(path, n-1)
		}
		s.record(path)
	}
	s.table = path
	for s.peek() == ']' {
		s.at++
	}
	return nil
}

// assignment reads key = value below a table's path.
func (s *lineScanner) assignment(path string, depth int) error {
	parts, err := s.key()
	if err != nil {
		return err
	}
	for _, p := range parts {
		path = JoinKey(path, p)
		s.record(path)
	}
	s.spaces()
	if s.peek() != '=' {
		return nil
	}
	s.at++
	s.spaces()
	return s.value(path, depth)
}

// key reads a dotted key and returns its parts, unquoted.
func (s *lineScanner) key() (parts []string, err error) {
	for first := s.at; ; {
		s.spaces()
		start := s.at
		switch c := s.peek(); c {
		case '"', '\'':
			s.quoted(c)
			part := strings.Trim(s.text[start:s.at], string(c))
			if u, err := strconv.Unquote(s.text[start:s.at]); c == '"' && err == nil {
				part = u
			}
			parts = append(parts, part)
		default:
			for s.at < len(s.text) && strings.IndexByte(" \t\r\n.=[]{}#,\"'", s.text[s.at]) < 0 {
				s.at++
			}
			parts = append(parts, s.text[start:s.at])
		}
		s.spaces()
		switch {
		case len(parts) > maxNesting:
			return nil, errTooDeep
		case s.at-first > maxKey:
			return nil, errLongKey
		case s.peek() != '.':
			return parts, nil
		}
		s.at++
	}
}

func (s *lineScanner) value(path string, depth int) error {
	if depth > maxNesting {
		return errTooDeep
	}
	switch c := s.peek(); c {
	case '"', '\'':
		s.quoted(c)
	case '[':
		return s.array(path, depth+1)
	case '{':
		return s.inline(path, depth+1)
	default:
		for s.at < len(s.text) && strings.IndexByte(",]}#\n", s.text[s.at]) < 0 {
			s.at++
		}
	}
	return nil
}

func (s *lineScanner) array(path string, depth int) error {
	s.at++
	for i := 0; ; {
		s.blank()
		switch s.peek() {
		case 0:
			return nil
		case ']':
			s.at++
			return nil
		case ',':
			s.at++
			continue
		}
		start := s.at
		element := elementKey(path, i)
		s.record(element)
		if err := s.value(element, depth); err != nil {
			return err
		}
		i++
		if s.at == start {
			return nil
		}
	}
}

func (s *lineScanner) inline(path string, depth int) error {
	s.at++
	for {
		s.blank()
		switch s.peek() {
		case 0:
			return nil
		case '}':
			s.at++
			return nil
		case ',':
			s.at++
			continue
		}
		start := s.at
		if err := s.assignment(path, depth); err != nil {
			return err
		}
		if s.at == start {
			return nil
		}
	}
}

// quoted steps over a string in any of TOML's four forms.
func (s *lineScanner) quoted(quote byte) {
	long := strings.Repeat(string(quote), 3)
	isLong := strings.HasPrefix(s.text[s.at:], long)
	if isLong {
		s.at += 3
	} else {
		s.at++
	}
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '\\' && quote == '"' && s.at+1 < len(s.text) && s.text[s.at+1] != '\n':
			s.at += 2
		case c == quote && !isLong:
			s.at++
			return
		case isLong && strings.HasPrefix(s.text[s.at:], long):
			for s.at += 3; s.peek() == quote; s.at++ { // up to two quotes may stand before the closing three
			}
			return
		case c == '\n' && !isLong: // not TOML
			return
		default:
			if c == '\n' {
				s.line++
			}
			s.at++
		}
	}
}

// JoinKey and elementKey build paths of a lineIndex.
func JoinKey(path, part string) string {
	if part == "" || strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		part = strconv.Quote(part)
	}
	if path == "" {
		return part
	}
	return path + "." + part
}

func elementKey(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
