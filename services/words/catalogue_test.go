package words

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template/parse"
)

func TestEveryLanguageSaysTheSame(t *testing.T) {
	t.Parallel()
	for _, l := range Languages {
		for key := range sentences[l] {
			if _, ok := sentences[English][key]; !ok {
				t.Errorf("%s: %s is not in English", l, key)
			}
		}
		got := placeholdersOf(sentences[l])
		for key, want := range placeholders {
			m, ok := sentences[l][key]
			switch {
			case !ok:
				t.Errorf("%s lacks %s", l, key)
			case !slices.Equal(got[key], want):
				t.Errorf("%s: %s takes %v, in English %v", l, key, got[key], want)
			case m.Other == "" || m.Zero+m.Two+m.Few != "":
				t.Errorf("%s: the forms of %s are one and other", l, key)
			case strings.Count(m.One+m.Other, "{{") != len(placeholder.FindAllString(m.One+m.Other, -1)):
				t.Errorf("%s: %s has braces around something else than a value's name", l, key)
			case strings.ContainsAny(m.One+m.Other, `<>&"`):
				t.Errorf("%s: %s holds markup", l, key)
			}
			// One form may leave a number out ("one try is left"), and nothing else.
			if ok && m.One != "" {
				for _, name := range want {
					if name != "Count" && (!strings.Contains(m.One, "{{."+name+"}}") || !strings.Contains(m.Other, "{{."+name+"}}")) {
						t.Errorf("%s: a form of %s lacks %s", l, key, name)
					}
				}
			}
		}
	}
}

// A key stands in the sources as a string of its own.
func keys(source string, parts []string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`"(`+strings.Join(parts, "|")+`):([a-z0-9_.-]+)"`).FindAllStringSubmatch(source, -1) {
		all = append(all, m[1]+":"+m[2])
	}
	return all
}

func TestEveryKeyExistsAndIsUsed(t *testing.T) {
	t.Parallel()
	var parts []string
	for key := range placeholders {
		parts = append(parts, part(key))
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	used := map[string]bool{}
	sources(t, func(path, text string) {
		for _, key := range keys(text, parts) {
			used[key] = true
			if _, ok := placeholders[key]; !ok {
				t.Errorf("%s says %s, which no catalogue has", path, key)
			}
		}
		if strings.HasSuffix(path, ".html") {
			for _, s := range saidIn(t, path, text) {
				if want, ok := placeholders[s.key]; !ok || !slices.Equal(s.names, want) {
					t.Errorf("%s: %s is given %v, and takes %v", path, s.key, s.names, want)
				}
			}
		}
	})
	for key := range placeholders {
		if !used[key] {
			t.Errorf("%s is said nowhere", key)
		}
	}
}

// sources visits the Go and the pages of all services, tests left out.
func sources(t *testing.T, visit func(path, text string)) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !slices.Contains([]string{".go", ".html"}, filepath.Ext(path)) {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		visit(path, regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(string(text), ""))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Fatalf("only %d sources are here", seen)
	}
}

// said is one call of t in a template.
type said struct {
	key   string
	names []string
}

func saidIn(t *testing.T, path, text string) (all []said) {
	t.Helper()
	trees := map[string]*parse.Tree{}
	tree := parse.New(path)
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(text, "", "", trees); err != nil {
		t.Errorf("%s: %v", path, err)
		return nil
	}
	for _, tree := range trees {
		walk(tree.Root, func(c *parse.CommandNode) {
			if f, ok := c.Args[0].(*parse.IdentifierNode); !ok || f.Ident != "t" || len(c.Args) < 2 {
				return
			}
			key, ok := c.Args[1].(*parse.StringNode)
			if !ok {
				return // the name of a sentence that Go chose
			}
			s := said{key: key.Text, names: []string{}}
			for i := 2; i < len(c.Args); i += 2 {
				if name, ok := c.Args[i].(*parse.StringNode); ok {
					s.names = append(s.names, name.Text)
				}
			}
			slices.Sort(s.names)
			all = append(all, s)
		})
	}
	return all
}

// walk visits the commands of a template.
func walk(n parse.Node, visit func(*parse.CommandNode)) {
	branch := func(b *parse.BranchNode) {
		walk(b.Pipe, visit)
		walk(b.List, visit)
		if b.ElseList != nil {
			walk(b.ElseList, visit)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, c := range n.Nodes {
			walk(c, visit)
		}
	case *parse.ActionNode:
		walk(n.Pipe, visit)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			walk(c, visit)
		}
	case *parse.CommandNode:
		visit(n)
		for _, a := range n.Args {
			if p, ok := a.(*parse.PipeNode); ok {
				walk(p, visit)
			}
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	}
}

// A page of login or the console has no words of its own: they would stay English.
func TestPagesHoldNoWords(t *testing.T) {
	t.Parallel()
	tag, shown, letters := regexp.MustCompile(`<[^>]*>`), regexp.MustCompile(`(?:title|alt|placeholder|aria-label|aria-description|value)="([^"]*)"`), regexp.MustCompile(`[\p{L}]{2,}`)
	values := []string{"on", "yes", "evergreen", "strict", "off", "all", "html", "json", "again"} // which programs read
	pages := 0
	sources(t, func(path, text string) {
		if !strings.HasSuffix(path, ".html") || !strings.Contains(path, "login/pages") && !strings.Contains(path, "console/pages") {
			return
		}
		pages++
		text = regexp.MustCompile(`{{[^}]*}}`).ReplaceAllString(text, "")
		for _, m := range shown.FindAllStringSubmatch(text, -1) {
			if letters.MatchString(m[1]) && !slices.Contains(values, m[1]) {
				t.Errorf("%s has the words %q", path, m[1])
			}
		}
		if own := letters.FindAllString(tag.ReplaceAllString(text, " "), -1); len(own) > 0 {
			t.Errorf("%s has the words %v", path, own)
		}
	})
	if pages < 20 {
		t.Fatalf("only %d pages are here", pages)
	}
}
