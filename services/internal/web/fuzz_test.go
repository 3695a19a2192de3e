package web_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"latchkey.dev/services/internal/web"
)

// FuzzDecodeObject holds that what is taken is what encoding/json takes, and has no text
// that the database cannot keep.
func FuzzDecodeObject(f *testing.F) {
	for _, body := range []string{`{"code":"1","n":1,"in":{"code":"2"},"all":["x"]}`, `{"code":null}`, `{"code":"1","CODE":"2"}`, `[]`, `{}{}`, "{\"code\":\"\\u0000\"}", "{\"code\":\"\xff\"}", `{"in":{"in":{}}}`} {
		f.Add([]byte(body))
	}
	type inner struct {
		Code string `json:"code"`
	}
	type outer struct {
		Code string   `json:"code"`
		N    int      `json:"n"`
		In   *inner   `json:"in"`
		All  []string `json:"all"`
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got, std outer
		if web.DecodeObject(body, &got) != nil {
			return
		}
		if err := json.Unmarshal(body, &std); err != nil {
			t.Fatalf("%q is no JSON and was taken", body)
		}
		texts := append([]string{got.Code}, got.All...)
		if got.In != nil {
			texts = append(texts, got.In.Code)
		}
		for _, s := range texts {
			if strings.Contains(s, "\x00") || !utf8.ValidString(s) {
				t.Errorf("%q was read from %q", s, body)
			}
		}
		if a, b := must(json.Marshal(got)), must(json.Marshal(std)); string(a) != string(b) {
			t.Errorf("%q is read as %s, by others as %s", body, a, b)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
