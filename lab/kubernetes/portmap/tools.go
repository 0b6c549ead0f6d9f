//go:build tools

// Package tools pins the CNI plugins that a node needs beside sart's own.
package tools

import (
	_ "github.com/containernetworking/plugins/plugins/main/loopback"
	_ "github.com/containernetworking/plugins/plugins/meta/portmap"
)
