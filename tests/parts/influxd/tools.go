//go:build tools

// Package tools names what this module is for: the InfluxDB server, built
// from its published Go module, so that tests run against the real thing.
package tools

import _ "github.com/influxdata/influxdb/v2/cmd/influxd"
