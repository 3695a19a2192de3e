package console_test

import (
	"bytes"
	"encoding/base64"
	"html"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
)

// upload sends the form of the import page as a browser does.
func (b browser) upload(fields map[string]string, name, file string) (int, string) {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for field, v := range fields {
		if err := w.WriteField(field, v); err != nil {
			b.t.Fatal(err)
		}
	}
	if name != "" {
		part, err := w.CreateFormFile("file", name)
		if err == nil {
			_, err = part.Write([]byte(file))
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	status, _, text := b.raw(http.MethodPost, "/import", body.String(), "Content-Type", w.FormDataContentType())
	return status, text
}

var contentField = regexp.MustCompile(`name="content" value="([^"]+)"`)

func TestTheImportPageShowsWhatAFileDoesAndThenDoesIt(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	owner, _ := s.signedIn(console.NewMember{Role: device.Owner, UserID: "ada"})
	b := s.at(owner)
	token := b.fresh()
	wants := func(what string, status int, text string, want int, says ...string) {
		t.Helper()
		for _, say := range says {
			if !strings.Contains(html.UnescapeString(text), say) {
				t.Errorf("%s does not say %q: %s", what, say, text)
			}
		}
		if status != want {
			t.Errorf("%s is answered %d, want %d", what, status, want)
		}
	}
	evil := "a\"; filename*=x\r\nSet-Cookie: x=1\r\n<script>.csv"
	status, text := b.upload(map[string]string{"form": token}, evil, "role,user_id\nprovider,ada;\n<script>,dee\nprovider,DEE\n")
	wants("a bad file", status, text, 200, "2 lines cannot be imported", "<th scope=\"row\"><span class=\"narrow\">Line </span>3</th><td><code>role</code></td><td>The role is owner", "Line 3 is about the same person")
	if strings.Contains(text, "<script>") || strings.Contains(text, "Set-Cookie") || contentField.MatchString(text) {
		t.Errorf("a bad file is answered %s", text)
	}
	file := "role;user_id;devices\r\nprovider;\"née\";1\r\nclient;;\r\n"
	status, text = b.upload(map[string]string{"form": token}, "people.csv", file)
	wants("a good file", status, text, 200, "Nothing is saved yet", "<dt>Added</dt><dd>2</dd>", "These columns are not read: devices.")
	m := contentField.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("the file is not there to be imported: %s", text)
	}
	if n := s.count("SELECT count(*) FROM member"); n != 1 {
		t.Errorf("after the dry run there are %d people, want 1", n)
	}
	for _, added := range []string{"<dt>Added</dt><dd>2</dd>", "<dt>Unchanged</dt><dd>1</dd>"} {
		status, text = b.upload(map[string]string{"form": token, "content": html.UnescapeString(m[1]), "confirmed": "yes"}, "", "")
		wants("the import", status, text, 200, "The file is imported.", added)
	}
	if n := s.count("SELECT count(*) FROM member WHERE user_id = 'née' OR role = 'client'"); n != 2 {
		t.Errorf("%d people were imported, want 2", n)
	}
	status, text = b.upload(map[string]string{"form": token}, "people.csv", file)
	wants("the file again", status, text, 200, "The file changes nothing.")
	status, text = b.upload(map[string]string{"form": token}, "people.csv", strings.Repeat("x", console.MaxImportBytes+1))
	wants("a large file", status, text, 413, "A file has at most 4 MiB.")
	status, text = b.upload(map[string]string{"form": token, "content": base64.StdEncoding.EncodeToString([]byte("role\nking\n")), "confirmed": "yes"}, "", "")
	wants("a file that was not checked", status, text, 422, "1 line cannot be imported")
	for what, form := range map[string]map[string]string{"no file": {"form": token}, "no base64": {"form": token, "content": "%"}} {
		if status, _ := b.upload(form, "", ""); status != 400 {
			t.Errorf("%s is answered %d", what, status)
		}
	}
	if status, _ := b.upload(map[string]string{"form": "x"}, "people.csv", file); status != 403 {
		t.Errorf("a form of nobody's is answered %d", status)
	}
	release := s.Occupy()
	status, text = b.upload(map[string]string{"form": token}, "people.csv", file)
	wants("a file too many", status, text, 429, "Other files are being imported.")
	release()
	s.exec("UPDATE member SET language = 'fr'")
	status, text = b.upload(map[string]string{"form": token}, "people.csv", "rôle\nprovider\n")
	wants("a bad file in French", status, text, 200, "Cette colonne n’existe pas.", "<code>rôle</code>")
}

// No other form takes a file.
func TestOtherFormsTakeNoFiles(t *testing.T) {
	t.Parallel()
	s := serve(t, console.Account{})
	owner, _ := s.signedIn(console.NewMember{Role: device.Owner, UserID: "ada"})
	b := s.at(owner)
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if err := w.WriteField("form", b.fresh()); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if status, _, _ := b.raw("POST", "/clients/new", body.String(), "Content-Type", w.FormDataContentType()); status != 403 {
		t.Errorf("a form with files is answered %d, want 403", status)
	}
}
