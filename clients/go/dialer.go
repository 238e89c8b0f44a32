//go:build go1.23

package glock

import (
	"net"
	"time"
)

// dialer makes connections that end 30 s after the daemon has vanished without a word, as long as the daemon itself by
// default takes to give a vanished holder's locks to others.
func dialer() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4,
	}}
}
