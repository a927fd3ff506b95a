#!/usr/bin/env bash
# Tests the packages in Node, the client with a real sidecar and Postgres, and the page in a real browser over the same.
#
#   ui/test/run.sh             run the tests
#   ui/test/run.sh FOLDER      ... and leave a screenshot of every state in FOLDER
#   ONLY=REGEXP ui/test/run.sh run some of the browser's, and nothing else
#   ONLY='the README' ui/test/run.sh docs    make the pictures of the README anew
#
# Needs Go, npm, nginx, HAProxy, Caddy and Chromium (CHROMIUM names it, where it is not in PATH; its headless shell is used where there is one,
# as it takes less of the processor), and fetches a Node where there is none of 20.19.
# Without npm nothing is tested, without Chromium or nginx all but the page, without HAProxy or Caddy all but what the documentation
# says of it; it says so, and fails where CI is set.
set -euo pipefail
[[ $# -eq 0 ]] || { mkdir -p "$1" && SCREENSHOTS=$(cd "$1" && pwd) && export SCREENSHOTS; }
consequence="the packages and the page in ui/ are NOT tested"
source "$(dirname "${BASH_SOURCE[0]}")/../tools/node.sh"

status=0
if [[ -z ${ONLY:-} ]]; then
  npm test || status=1
  export AGENTEXEC_TEST_NODE=1
fi

for name in ${CHROMIUM:+"$CHROMIUM"} chromium-headless-shell chromium chromium-browser google-chrome; do
  chromium=$(command -v "$name") && break
done
PATH=$PATH:/usr/sbin # Debian has nginx and HAProxy there, where an ordinary user does not look
nginx=$(command -v nginx) || chromium=
absent=
command -v haproxy >/dev/null || absent=HAProxy
command -v caddy >/dev/null || absent=${absent:+$absent and no }Caddy
AGENTEXEC_TEST_CHROMIUM=${chromium:-} go test -v -count=1 -timeout 20m -parallel 2 -run '^(TestClient|TestInBrowser)$' . || status=1
consequence="the page is NOT tested in a browser"
[[ -n ${nginx:-} || $status -ne 0 ]] || lacking nginx
[[ -n ${chromium:-} || $status -ne 0 ]] || lacking Chromium
consequence="settings in docs/deploy/proxies.md are NOT tested"
[[ -z $absent || $status -ne 0 ]] || lacking "$absent"
exit $status
