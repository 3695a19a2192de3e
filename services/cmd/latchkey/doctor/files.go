package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/secret"
)

func (p *patient) configuration(_ context.Context, f *findings) {
	var err error
	if p.conf, err = config.Read(p.Config); errors.Is(err, fs.ErrNotExist) {
		f.fault("start Latchkey: latchkey up; or name the file: LATCHKEY_CONFIG", "%s is not there", p.Config)
		return
	} else if err != nil {
		wrong(f, "correct "+p.Config+" and start Latchkey again", p.Config, err)
		return
	}
	p.configured = true
	p.next(f)
	switch n := len(p.conf.Providers); n {
	case 0:
		f.fault("name providers in the configuration (README, Real texts)", "no provider is configured: no text can be sent")
	case 1:
		f.warning("configure a second one", "one provider alone: while it fails nobody can register a device")
	}
	if p.conf.Receipts == "" && len(p.conf.Providers) > 0 {
		f.warning("set receipts in the configuration to how providers reach this machine", "no delivery reports are asked for: a text that does not arrive is not noticed")
	}
	if !f.bad() {
		f.ok("%d providers, %d softwares, in %s", len(p.conf.Providers), len(p.conf.Softwares), p.Config)
	}
}

// next looks at the file that the next start reads, where it is another than what runs.
func (p *patient) next(f *findings) {
	file := p.in("latchkey.yaml")
	changed, err := os.Stat(file)
	if err != nil || p.Config != p.in("running.yaml") {
		return
	}
	if _, err := config.Read(file); err != nil {
		wrong(f, "correct "+file+": Latchkey will not start again with it", file, err)
		return
	}
	if started, err := os.Stat(p.Config); err == nil && changed.ModTime().After(started.ModTime()) {
		f.warning("start Latchkey again", "%s was changed since the start", file)
	}
}

// wrong tells all that is wrong with a configuration, a finding each.
func wrong(f *findings, do, file string, err error) {
	for line := range strings.SplitSeq(strings.TrimPrefix(err.Error(), file+": "), "\n") {
		if line = strings.TrimSpace(line); line != "yaml: unmarshal errors:" {
			f.fault(do, "%s", line)
		}
	}
}

// secrets looks at every file that the configuration names as holding one.
func (p *patient) secrets(_ context.Context, f *findings) {
	n := 0
	look := func(whose string, of any) {
		for _, named := range secretFiles(reflect.ValueOf(of), "") {
			n++
			secretFile(f, named[0]+" of "+whose, named[1])
		}
	}
	for _, provider := range p.conf.Providers {
		look(provider.Name, provider)
	}
	look("the mail server", p.conf.Mail)
	if !f.bad() {
		f.ok("%d files with secrets can be read, by their owner alone", n)
	}
}

// secretFiles are the files that a configuration names as holding a secret, each after the
// name of its field: those fields end in _file, at whatever depth.
func secretFiles(v reflect.Value, field string) (all [][2]string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			all = secretFiles(v.Elem(), field)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			all = append(all, secretFiles(v.Field(i), tag)...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, secretFiles(v.Index(i), strings.TrimSuffix(field, "s"))...)
		}
	case reflect.String:
		if strings.HasSuffix(field, "_file") && v.String() != "" {
			all = append(all, [2]string{field, v.String()})
		}
	}
	return all
}

func secretFile(f *findings, what, path string) {
	s, err := secret.FromFile(path)
	if err != nil {
		f.fault("put the secret there, readable by who runs Latchkey", "%s: %s cannot be read", what, path)
		return
	}
	if s.Empty() {
		f.fault("put the secret there", "%s: %s is empty", what, path)
	}
	modes(f, path)
}

// modes looks at who else may read a file.
func modes(f *findings, path string) {
	info, err := os.Stat(path)
	if err != nil {
		return // told of before
	}
	want := "600"
	if info.IsDir() {
		want = "700"
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o007 != 0:
		f.fault(fmt.Sprintf("chmod %s %s", want, path), "everybody on this machine may open %s (%04o)", path, mode)
	case mode&0o070 != 0:
		f.warning(fmt.Sprintf("chmod %s %s, unless the group is meant", want, path), "a group may open %s (%04o)", path, mode)
	}
}

// keyFile is one file of the key folder, by whom it is needed, and whether it can be used.
type keyFile struct {
	services []string
	try      func() error
}

func (p *patient) keyFiles() (all []keyFile) {
	k := p.Keys
	need := func(try func() error, services ...string) { all = append(all, keyFile{services, try}) }
	need(func() error { _, err := k.NonceMAC(); return err }, bus.Login)
	need(func() error { _, err := k.FormMAC(); return err }, bus.Console)
	need(func() error { _, err := k.People(); return err }, bus.Login, bus.Console)
	need(func() error { _, err := k.NumberKey(); return err }, bus.Dispatcher)
	need(func() error { _, err := k.WrapKey(); return err }, bus.Auditor)
	need(func() error { _, err := k.ReceiptKey(); return err }, bus.Dispatcher)
	need(func() error { _, err := k.NoticeKey(); return err }, bus.Dispatcher)
	need(func() error { _, err := k.DetailsKey(); return err }, bus.Console, bus.Auditor)
	need(func() error { _, err := k.BusURL(); return err }, p.Services...)
	for _, s := range p.Services {
		need(func() error { _, err := k.MainURL(s); return err }, s)
		need(func() error { _, err := k.KeysURL(s); return err }, s)
		need(func() error {
			seed, err := k.BusSeed(s)
			if err == nil {
				_, err = bus.PublicKey(seed)
			}
			return err
		}, s)
	}
	return all
}

func (p *patient) keys(_ context.Context, f *findings) {
	var missing []string
	n := 0
	for _, file := range p.keyFiles() {
		if !slices.ContainsFunc(file.services, func(s string) bool { return slices.Contains(p.Services, s) }) {
			continue
		}
		n++
		err := file.try()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, paths(err)...)
		case err != nil:
			f.fault("put the file back from your backup: what was sealed with it opens by no other", "%s", oneLine(err))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		f.fault("make what is missing: latchkey keys, latchkey migrate; where one service runs alone, say --service", "not there: %s", strings.Join(slices.Compact(missing), ", "))
	}
	err := filepath.WalkDir(string(p.Keys), func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			modes(f, path)
		}
		return err
	})
	if err != nil && !f.bad() {
		f.fault("let who runs Latchkey open the folder", "%v", err)
	}
	if !f.bad() {
		f.ok("%d keys and addresses are there, and readable by their owner alone", n)
	}
}

// paths are the files that an error is about.
func paths(err error) (all []string) {
	switch e := err.(type) {
	case *fs.PathError:
		return []string{e.Path}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			all = append(all, paths(one)...)
		}
	case interface{ Unwrap() error }:
		return paths(e.Unwrap())
	}
	return all
}

// here reports whether an address is on this machine.
func here(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
