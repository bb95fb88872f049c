//go:build tools

// Package tools names what this module is for: two plugins of the Docker
// client, for machines whose package manager has no current ones.
package tools

import (
	_ "github.com/docker/buildx/cmd/buildx"
	_ "github.com/docker/compose/v2/cmd"
)
