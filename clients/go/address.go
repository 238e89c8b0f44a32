package glock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// DefaultServer is used where neither the caller nor the environment variable GLOCK_SERVER names a daemon.
const DefaultServer = "tcp://127.0.0.1:9999"

// blank is the white space that may surround an address.
const blank = " \t\n\v\f\r"

var (
	// ports are those that an address may leave out.
	ports = map[string]int{"tcp": 9999, "tls": 9999, "ws": 9998, "wss": 9998}

	hostName  = regexp.MustCompile(`^[0-9A-Za-z._-]+$`)
	number    = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)
	plainPath = regexp.MustCompile(`^[!-~]*$`)
)

// What can be wrong with an address, in the words of all clients: ../addresses.json has them.
var (
	errEmpty     = errors.New("it is empty")
	errEmptyOne  = errors.New("one of several servers is empty")
	errTwice     = errors.New("a server is named twice")
	errSeveral   = errors.New("this client takes one server, not several")
	errScheme    = errors.New("it begins with none of tcp:// unix:// tls:// ws:// wss://")
	errUnix      = errors.New("a Unix socket is unix:///absolute/path")
	errSecret    = errors.New("the secret belongs in GLOCK_SECRET, not in the address")
	errFragment  = errors.New("a # means nothing in an address")
	errNoHost    = errors.New("the host is missing")
	errBrackets  = errors.New("an IPv6 address stands in brackets, as in [::1]:9999")
	errHost      = errors.New("the host is no name or address")
	errPort      = errors.New("the port is no number from 1 to 65535")
	errPath      = errors.New("no path belongs behind the host")
	errBlankPath = errors.New("the path has to be plain ASCII without blanks")
	errNoOptions = errors.New("only tls:// and wss:// take options")
	errKeyNoCert = errors.New("the option key needs cert")
)

// address is what a server's name says.
type address struct {
	kind    string // tcp, unix, tls, ws or wss
	host    string
	port    int
	path    string // of a Unix socket, or behind a websocket's host
	options map[string]string
}

// String is the canonical spelling, without options.
func (a address) String() string {
	if a.kind == "unix" {
		return "unix://" + a.path
	}
	return a.kind + "://" + net.JoinHostPort(a.host, strconv.Itoa(a.port)) + a.path
}

// configured is the address that server says; "" means GLOCK_SERVER, then DefaultServer.
func configured(server string) (address, error) {
	if server == "" {
		server = os.Getenv("GLOCK_SERVER")
		if strings.Trim(server, blank) == "" {
			server = DefaultServer
		}
	}
	found, err := parseAll(server)
	if err == nil && len(found) > 1 {
		err = errSeveral
	}
	if err == nil && (found[0].kind == "ws" || found[0].kind == "wss") {
		err = fmt.Errorf("this client does not speak %s://", found[0].kind)
	}
	if errors.Is(err, errSecret) {
		return address{}, fmt.Errorf("glock: server: %w", err) // it is not to be shown
	}
	if err != nil {
		return address{}, fmt.Errorf("glock: server %q: %w", server, err)
	}
	return found[0], nil
}

// parseAll takes one address, or several with commas between them.
func parseAll(server string) ([]address, error) {
	parts := strings.Split(server, ",")
	found, seen := make([]address, 0, len(parts)), map[string]bool{}
	for _, part := range parts {
		one, err := parse(strings.Trim(part, blank))
		if errors.Is(err, errEmpty) && len(parts) > 1 {
			return nil, errEmptyOne
		}
		if err != nil {
			return nil, err
		}
		if seen[one.String()] {
			return nil, errTwice
		}
		seen[one.String()] = true
		found = append(found, one)
	}
	return found, nil
}

// parse takes one address without white space around it.
func parse(server string) (address, error) {
	scheme, rest, isURL := strings.Cut(server, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case server == "":
		return address{}, errEmpty
	case server[0] == '/':
		return unix(server)
	case isURL && scheme == "unix":
		return unix(rest)
	case isURL && ports[scheme] == 0:
		return address{}, errScheme
	case isURL:
		return remote(scheme, rest)
	case len(server) >= len("unix:") && strings.EqualFold(server[:len("unix:")], "unix:"):
		return unix(server[len("unix:"):])
	default:
		return remote("tcp", server)
	}
}

func unix(path string) (address, error) {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "\x00") {
		return address{}, errUnix
	}
	return address{kind: "unix", path: path}, nil
}

// remote takes HOST[:PORT][/PATH][?OPTIONS].
func remote(kind, rest string) (address, error) {
	before, query, hasQuery := strings.Cut(rest, "?")
	place, path, hasPath := strings.Cut(before, "/")
	if strings.Contains(before, "@") {
		return address{}, errSecret
	}
	if strings.Contains(rest, "#") {
		return address{}, errFragment
	}
	host, port, err := hostPort(place, ports[kind])
	if err != nil {
		return address{}, err
	}
	found := address{kind: kind, host: host, port: port}
	if kind == "ws" || kind == "wss" {
		found.path = "/" + path
	} else if hasPath && path != "" {
		return address{}, errPath
	}
	if !plainPath.MatchString(found.path) {
		return address{}, errBlankPath
	}
	if hasQuery {
		if kind != "tls" && kind != "wss" {
			return address{}, errNoOptions
		}
		found.options, err = parseOptions(query)
	}
	return found, err
}

// hostPort takes HOST[:PORT]; without a port it is usual.
func hostPort(place string, usual int) (host string, port int, err error) {
	host, digits, hasPort := strings.Cut(place, ":")
	switch {
	case strings.HasPrefix(place, "["):
		inside, behind, closed := strings.Cut(place[1:], "]")
		if !closed || !isIPv6(inside) || behind != "" && behind[0] != ':' {
			return "", 0, errHost
		}
		ip, zone, hasZone := strings.Cut(inside, "%")
		host = strings.ToLower(ip)
		if hasZone {
			host += "%" + zone // names of interfaces have cases
		}
		digits, hasPort = cut(behind, ":")
	case strings.Contains(digits, ":") && !strings.ContainsAny(place, "[]"):
		return "", 0, errBrackets
	case host == "" && !strings.Contains(place, "]"):
		return "", 0, errNoHost
	case !hostName.MatchString(host):
		return "", 0, errHost
	default:
		host = strings.ToLower(host)
	}
	if !hasPort {
		return host, usual, nil
	}
	port, err = strconv.Atoi(digits)
	if err != nil || !number.MatchString(digits) || port > 65535 {
		return "", 0, errPort
	}
	return host, port, nil
}

func isIPv6(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Is6() && (ip.Zone() == "" || hostName.MatchString(ip.Zone()))
}

// cut is strings.CutPrefix, which came with Go 1.20.
func cut(text, prefix string) (rest string, found bool) {
	return strings.TrimPrefix(text, prefix), strings.HasPrefix(text, prefix)
}
