package glock

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
)

// spelling is an entry of ../addresses.json, which all clients share.
type spelling struct {
	Spelled, Kind, Host, Path, URL, Error string
	Port                                  int
	Options                               map[string]string
	Several                               []string
}

type spellings struct {
	Format    int
	Unset     []string
	Addresses []spelling
	Secrets   []struct {
		Secret, Error string
		Sent          *string
	}
}

func shared(t *testing.T) (list spellings) {
	t.Helper()
	text, err := os.ReadFile("../addresses.json")
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil || list.Format != 1 || len(list.Addresses) == 0 || len(list.Secrets) == 0 {
		t.Fatal(err, list.Format)
	}
	return list
}

func TestAddressesAreSpelledAsForAllClients(t *testing.T) {
	for _, entry := range shared(t).Addresses {
		found, err := parseAll(entry.Spelled)
		switch {
		case entry.Error != "":
			if err == nil || !strings.Contains(err.Error(), entry.Error) {
				t.Errorf("%q: got %v, want %q", entry.Spelled, err, entry.Error)
			}
		case err != nil:
			t.Errorf("%q: %v", entry.Spelled, err)
		case entry.Several != nil:
			several := []string{}
			for _, one := range found {
				several = append(several, one.String())
			}
			if !reflect.DeepEqual(several, entry.Several) {
				t.Errorf("%q: got %q", entry.Spelled, several)
			}
		default:
			want := address{kind: entry.Kind, host: entry.Host, port: entry.Port, path: entry.Path}
			got := found[0]
			same := reflect.DeepEqual(got.options, entry.Options) || len(got.options)+len(entry.Options) == 0
			got.options = nil
			if !same || !reflect.DeepEqual(got, want) || got.String() != entry.URL || len(found) != 1 {
				t.Errorf("%q: got %+v, want %+v", entry.Spelled, found, entry)
			}
		}
	}
}

func TestTheEnvironmentIsReadAsByAllClients(t *testing.T) {
	list := shared(t)
	for _, unset := range list.Unset {
		t.Setenv("GLOCK_SERVER", unset)
		found, err := configured("")
		if err != nil || found.String() != DefaultServer {
			t.Errorf("%q: %v, %v", unset, found, err)
		}
	}
	for _, entry := range list.Addresses {
		if strings.Contains(entry.Spelled, "\x00") || strings.Trim(entry.Spelled, blank) == "" {
			continue // no environment holds the one; the other is none
		}
		t.Setenv("GLOCK_SERVER", entry.Spelled)
		_, err := configured("")
		want := entry.Error
		switch {
		case entry.Several != nil:
			want = "this client takes one server, not several"
		case entry.Kind == "ws" || entry.Kind == "wss":
			want = "this client does not speak " + entry.Kind + "://"
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", entry.Spelled, err, want)
		}
		if strings.Contains(want, "secret") && strings.Contains(err.Error(), "me:") {
			t.Errorf("the secret is shown: %v", err)
		}
	}
}

func TestSecretsAreReadAsByAllClients(t *testing.T) {
	for _, entry := range shared(t).Secrets {
		for _, given := range []bool{true, false} {
			secret, variable := entry.Secret, ""
			if !given {
				secret, variable = variable, secret
			}
			t.Setenv("GLOCK_SECRET", variable)
			ours, theirs := net.Pipe()
			heard := make(chan string, 1)
			go func() {
				line, _ := bufio.NewReader(theirs).ReadString('\n')
				heard <- line
				theirs.Write([]byte("1 ok\n"))
			}()
			s, err := greeted(context.Background(), ours, secret, "", 0)
			if err == nil {
				s.Close()
			}
			theirs.Close()
			want := ""
			if entry.Sent != nil {
				want = "auth " + *entry.Sent + "\n"
			}
			if got := <-heard; got != want {
				t.Errorf("%q: sent %q, want %q", entry.Secret, got, want)
			}
			if entry.Error != "" && (err == nil || !strings.Contains(err.Error(), entry.Error)) || entry.Error == "" && err != nil {
				t.Errorf("%q: got %v, want %q", entry.Secret, err, entry.Error)
			}
		}
	}
}
