//go:build !go1.23

package glock

import (
	"net"
	"time"
)

// dialer makes connections that end 30 s after the daemon has vanished without a word. Here both silence and interval are
// KeepAlive, and the number of probes is the system's: 9, see tcp(7).
func dialer() *net.Dialer { return &net.Dialer{KeepAlive: 3 * time.Second} }
