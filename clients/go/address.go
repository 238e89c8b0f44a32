package glock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// DefaultServer is used where neither the caller nor the environment variable GLOCK_SERVER names a daemon.
const DefaultServer = "tcp://127.0.0.1:9999"

// address is what a server's name says.
type address struct {
	network, where string
	tls            *tls.Config // nil: none
}

// parse takes tcp://host:port, unix:///path or tls://host:port?ca=FILE&cert=FILE&key=FILE&host=NAME apart. An empty server
// means GLOCK_SERVER, then DefaultServer.
func parse(server string) (address, error) {
	if server == "" {
		server = os.Getenv("GLOCK_SERVER")
	}
	if server == "" {
		server = DefaultServer
	}
	if path, found := cut(server, "unix://"); found && path != "" {
		return address{network: "unix", where: path}, nil
	}
	if where, found := cut(server, "tcp://"); found {
		if _, _, err := net.SplitHostPort(where); err != nil {
			return address{}, fmt.Errorf("glock: server %q: %w", server, err)
		}
		return address{network: "tcp", where: where}, nil
	}
	if strings.HasPrefix(server, "tls://") {
		found, err := parseTLS(server)
		if err != nil {
			return address{}, fmt.Errorf("glock: server %q: %w", server, err)
		}
		return found, nil
	}
	return address{}, fmt.Errorf("glock: server %q: want tcp://host:port, tls://host:port or unix:///path", server)
}

func parseTLS(server string) (address, error) {
	parts, err := url.Parse(server)
	if err != nil {
		return address{}, err
	}
	if _, _, err := net.SplitHostPort(parts.Host); err != nil {
		return address{}, err
	}
	options, err := url.ParseQuery(parts.RawQuery)
	if err != nil {
		return address{}, err
	}
	for option := range options {
		if !strings.Contains(" ca cert key host ", " "+option+" ") {
			return address{}, fmt.Errorf("unknown option %q", option)
		}
	}
	config := &tls.Config{ServerName: parts.Hostname(), MinVersion: tls.VersionTLS12}
	if name := options.Get("host"); name != "" {
		config.ServerName = name
	}
	if file := options.Get("ca"); file != "" {
		authorities, err := os.ReadFile(file)
		if err != nil {
			return address{}, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return address{}, fmt.Errorf("%s holds no certificate", file)
		}
	}
	if certificate := options.Get("cert"); certificate != "" {
		key := options.Get("key")
		if key == "" {
			key = certificate // both may be in one file
		}
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return address{}, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return address{"tcp", parts.Host, config}, nil
}

// dial connects.
func (a address) dial(ctx context.Context) (net.Conn, error) {
	if a.tls != nil {
		return (&tls.Dialer{NetDialer: dialer(), Config: a.tls}).DialContext(ctx, a.network, a.where)
	}
	return dialer().DialContext(ctx, a.network, a.where)
}

// cut is strings.CutPrefix, which came with Go 1.20.
func cut(text, prefix string) (rest string, found bool) {
	return strings.TrimPrefix(text, prefix), strings.HasPrefix(text, prefix)
}
