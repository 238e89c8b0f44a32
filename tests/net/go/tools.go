//go:build tools

package main

// What tests run beside this program, at the version that go.mod names.
import _ "github.com/summerwind/h2spec/cmd/h2spec"
