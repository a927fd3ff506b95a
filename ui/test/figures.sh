#!/usr/bin/env bash
# Measures the dashboard in Chromium, over the real binary and a real Postgres on this machine, and prints the figures as
# rows of a table: those in ../dashboard/README.md.
#
#   ui/test/figures.sh [MINUTES]   watch the list under load for so long (default 2)
set -euo pipefail
export MINUTES=${1:-2}
consequence="nothing is measured"
source "$(dirname "${BASH_SOURCE[0]}")/../tools/node.sh"
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)} || lacking Chromium
AGENTEXEC_TEST_FIGURES=1 AGENTEXEC_TEST_CHROMIUM=$chromium go test -v -count=1 -timeout "$((MINUTES + 20))m" -run '^TestFigures$' .
