package glock

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// DefaultServer is used where neither the caller nor the environment variable GLOCK_SERVER names a daemon.
const DefaultServer = "tcp://127.0.0.1:9999"

// address splits tcp://host:port or unix:///path into what net.Dial wants. An empty server means GLOCK_SERVER, then
// DefaultServer.
func address(server string) (network, where string, err error) {
	if server == "" {
		server = os.Getenv("GLOCK_SERVER")
	}
	if server == "" {
		server = DefaultServer
	}
	if path, found := cut(server, "unix://"); found && path != "" {
		return "unix", path, nil
	}
	if where, found := cut(server, "tcp://"); found {
		if _, _, err := net.SplitHostPort(where); err != nil {
			return "", "", fmt.Errorf("glock: server %q: %w", server, err)
		}
		return "tcp", where, nil
	}
	return "", "", fmt.Errorf("glock: server %q: want tcp://host:port or unix:///path", server)
}

// cut is strings.CutPrefix, which came with Go 1.20.
func cut(text, prefix string) (rest string, found bool) {
	return strings.TrimPrefix(text, prefix), strings.HasPrefix(text, prefix)
}
