//go:build tools

// Package tools pins the newer GoBGP, which is a peer in tests and benchmarks.
package tools

import (
	_ "github.com/osrg/gobgp/v4/cmd/gobgp"
	_ "github.com/osrg/gobgp/v4/cmd/gobgpd"
)
