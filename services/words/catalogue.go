package words

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed catalogue/*.toml
var files embed.FS

var (
	sentences    = load()
	placeholders = placeholdersOf(sentences[English])
	localizers   = localize(sentences)
)

// load reads the catalogues: of every language, the sentences by key. They are part of the
// program, so one that cannot be read is a programmer's error.
func load() map[Language]map[string]*i18n.Message {
	all := make(map[Language]map[string]*i18n.Message, len(Languages))
	for _, l := range Languages {
		all[l] = map[string]*i18n.Message{}
	}
	names, err := fs.Glob(files, "catalogue/*.toml")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			panic(err)
		}
		file, err := i18n.ParseMessageFileBytes(raw, name, map[string]i18n.UnmarshalFunc{"toml": toml.Unmarshal})
		if err != nil {
			panic(fmt.Sprintf("words: %s: %v", name, err))
		}
		l, ok := Parse(file.Tag.String())
		if !ok {
			panic("words: " + name + " is in no language of ours")
		}
		part, _, _ := strings.Cut(strings.TrimPrefix(name, "catalogue/"), ".")
		for _, m := range file.Messages {
			m.ID = part + ":" + m.ID
			if m.One != "" {
				m.Many = m.Other // millions, in French and Spanish: nothing here is counted so far
			}
			all[l][m.ID] = m
		}
	}
	return all
}

var placeholder = regexp.MustCompile(`{{\.(\w+)}}`)

// placeholdersOf lists the values that each sentence takes, sorted.
func placeholdersOf(all map[string]*i18n.Message) map[string][]string {
	of := make(map[string][]string, len(all))
	for key, m := range all {
		names := []string{}
		if m.One != "" {
			names = append(names, "Count")
		}
		for _, found := range placeholder.FindAllStringSubmatch(m.One+m.Other, -1) {
			names = append(names, found[1])
		}
		slices.Sort(names)
		of[key] = slices.Compact(names)
	}
	return of
}

func localize(all map[Language]map[string]*i18n.Message) map[Language]*i18n.Localizer {
	bundle := i18n.NewBundle(language.English)
	of := make(map[Language]*i18n.Localizer, len(all))
	for _, l := range Languages {
		for _, m := range all[l] {
			bundle.MustAddMessages(language.MustParse(string(l)), m)
		}
		of[l] = i18n.NewLocalizer(bundle, string(l))
	}
	return of
}
