// Package metric makes Prometheus metrics in one line each. It imports nothing of this module.
package metric
