//go:build tools

// Package tools names Compose's own main package, so that `go build` finds it from here.
package tools

import _ "github.com/docker/compose/v5/cmd"
