// Package axe fetches axe-core, which finds what keeps people with disabilities from using
// a page, from the npm registry. No binary that ships links it.
package axe

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The version and the digest of its package, as npm's lockfiles write it (npm view axe-core dist).
const (
	version   = "4.14.1"
	integrity = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

// maxPackage bounds what is read of an answer, in bytes, and maxScript what is unpacked of it.
const (
	maxPackage = 8 << 20
	maxScript  = 8 << 20
)

// path is where the script is kept: beside the other tools of the repository.
func path() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return filepath.Join(dir, ".tools", "axe-core-"+version+".js"), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.work is above this folder: this is not the repository")
		}
		dir = up
	}
}

// Script is axe-core, to be run in a page. The error says what to do where it is missing.
func Script() (string, error) {
	file, err := path()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("axe-core %s is not on this machine: fetch it with `make axe`", version)
	}
	return string(b), err
}

// Install fetches axe-core, unless it is there. The registry is npm's, or the one that
// npm is told of: npm_config_registry, else the line "registry" of the user's or the
// machine's npmrc. Proxies are Go's, HTTPS_PROXY.
func Install(ctx context.Context) error {
	file, err := path()
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	script, err := fetch(ctx, registry(os.Environ()))
	if err != nil {
		return fmt.Errorf("fetching axe-core: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file+".part", script, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".part", file)
}

// publicRegistry is npm's own.
const publicRegistry = "https://registry.npmjs.org"

// registry finds the registry as npm does, in an environment.
func registry(environ []string) string {
	config := map[string]string{"userconfig": filepath.Join(os.Getenv("HOME"), ".npmrc"), "globalconfig": "/usr/etc/npmrc"}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if name, ok := strings.CutPrefix(strings.ToLower(name), "npm_config_"); ok && value != "" {
			config[name] = value
		}
	}
	found := cmp.Or(config["registry"], lineOf(config["userconfig"]), lineOf(config["globalconfig"]), publicRegistry)
	return strings.TrimRight(found, "/")
}

// lineOf reads the registry of an npmrc, "" where there is none.
func lineOf(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && strings.TrimSpace(name) == "registry" {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}

// fetch takes the script from a registry's package, which must have the digest.
func fetch(ctx context.Context, registry string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, registry+"/axe-core/-/axe-core-"+version+".tgz", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the registry answers %s", resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPackage))
	if err != nil {
		return nil, err
	}
	if sum := sha512.Sum512(b); "sha512-"+base64.StdEncoding.EncodeToString(sum[:]) != integrity {
		return nil, fmt.Errorf("what came is not axe-core %s: its digest differs", version)
	}
	return unpack(b)
}

func unpack(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err != nil {
			return nil, err
		}
		if h.Name == "package/axe.min.js" {
			return io.ReadAll(io.LimitReader(t, maxScript))
		}
	}
}
