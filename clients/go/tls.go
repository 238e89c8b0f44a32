package glock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// tlsOptions are what may stand behind the ? of an address.
var tlsOptions = map[string]bool{"ca": true, "cert": true, "key": true, "host": true}

// parseOptions takes what stands behind the ? of an address, written as in a web form.
func parseOptions(query string) (map[string]string, error) {
	options := map[string]string{}
	for _, pair := range strings.Split(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = decoded(name), decoded(value)
		if !tlsOptions[name] {
			return nil, fmt.Errorf("unknown option: %s", name)
		}
		if value == "" {
			return nil, fmt.Errorf("the option %s has no value", name)
		}
		if options[name] != "" {
			return nil, fmt.Errorf("the option %s is there twice", name)
		}
		options[name] = value
	}
	if options["key"] != "" && options["cert"] == "" {
		return nil, errKeyNoCert
	}
	return options, nil
}

// decoded takes the text of a web form; what is none stays as it is.
func decoded(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

// secure is what TLS has to look like for the address.
func (a address) secure() (*tls.Config, error) {
	config := &tls.Config{ServerName: a.host, MinVersion: tls.VersionTLS12}
	if name := a.options["host"]; name != "" {
		config.ServerName = name
	}
	if file := a.options["ca"]; file != "" {
		authorities, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s holds no certificate", file)
		}
	}
	if certificate := a.options["cert"]; certificate != "" {
		key := a.options["key"]
		if key == "" {
			key = certificate // both may be in one file
		}
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// dial connects to the daemon that server names.
func dial(ctx context.Context, server string) (net.Conn, error) {
	found, err := configured(server)
	if err != nil {
		return nil, err
	}
	conn, err := found.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("glock: %w", err)
	}
	return conn, nil
}

func (a address) dial(ctx context.Context) (net.Conn, error) {
	where := net.JoinHostPort(a.host, strconv.Itoa(a.port))
	switch a.kind {
	case "unix":
		return dialer().DialContext(ctx, "unix", a.path)
	case "tls":
		config, err := a.secure()
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{NetDialer: dialer(), Config: config}).DialContext(ctx, "tcp", where)
	default:
		return dialer().DialContext(ctx, "tcp", where)
	}
}
