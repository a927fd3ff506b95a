#!/usr/bin/env bash
# Shows the page in a real browser, over a real sidecar and Postgres, and tests it there.
#
#   ui/test/run.sh             run the tests
#   ui/test/run.sh FOLDER      ... and leave a screenshot of every state in FOLDER
#   ONLY=REGEXP ui/test/run.sh run some
#
# Needs Go, Node 20, npm and Chromium (CHROMIUM names it, where it is not in PATH). Without Node or Chromium it says so
# and does nothing, unless CI is set: then it fails.
set -euo pipefail
[[ $# -eq 0 ]] || { mkdir -p "$1" && SCREENSHOTS=$(cd "$1" && pwd) && export SCREENSHOTS; }
cd "$(dirname "${BASH_SOURCE[0]}")"

lacking() {
  if [[ -n ${CI:-} ]]; then
    echo "ui/test/run.sh: FAILED: no $1 on this machine, and CI is set" >&2
    exit 1
  fi
  echo "NOTE: no $1 on this machine, so the page is NOT tested in a browser."
  exit 0
}

for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome; do
  chromium=$(command -v "$name") && break
done
[[ -n ${chromium:-} ]] || lacking Chromium
command -v npm >/dev/null || lacking npm
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || lacking 'Node 20'

# npm writes this file as it ends: it is as new as what is installed.
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
  npm ci
fi
AGENTEXEC_TEST_CHROMIUM=$chromium exec go test -v -count=1 -timeout 10m -run '^TestInBrowser$' ..
