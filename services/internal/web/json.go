package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// errLax is what encoding/json would let pass and DecodeObject does not; its text may be shown.
var errLax = errors.New("it is JSON that this service does not take")

// DecodeObject decodes one JSON object. Beside what encoding/json refuses with
// DisallowUnknownFields it refuses bytes that are not UTF-8 (they would become other
// characters), U+0000 (which the database cannot keep), a null (which would pass for an
// absent field) and a field that comes twice (of which another reader may take the other).
func DecodeObject(body []byte, into any) error {
	if !utf8.Valid(body) {
		return fmt.Errorf("%w: it is not UTF-8", errLax)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return strictly(body)
}

// strictly walks a body that is well formed.
func strictly(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%w: it is no object", errLax)
	}
	return object(dec)
}

// object reads the rest of an object whose brace was read.
func object(dec *json.Decoder) error {
	var seen []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		field, _ := name.(string)
		// encoding/json takes a field in any case.
		if slices.ContainsFunc(seen, func(s string) bool { return strings.EqualFold(s, field) }) {
			return fmt.Errorf("%w: a field comes twice", errLax)
		}
		seen = append(seen, field)
		if err := value(dec); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func value(dec *json.Decoder) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case nil:
		return fmt.Errorf("%w: a field is null; leave it out instead", errLax)
	case string:
		if strings.Contains(t, "\x00") {
			return fmt.Errorf("%w: a text has a NUL character", errLax)
		}
	case json.Delim:
		if t == '{' {
			return object(dec)
		}
		for dec.More() {
			if err := value(dec); err != nil {
				return err
			}
		}
		_, err = dec.Token()
	}
	return err
}
