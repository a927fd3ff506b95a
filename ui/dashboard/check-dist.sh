#!/bin/sh
# Builds the dashboard once more, elsewhere, and fails where dist/ is not what comes out.
set -eu
cd "$(dirname "$0")"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npx vite build --logLevel warn --outDir "$fresh" --emptyOutDir
diff -rq dist "$fresh" || {
  echo 'ui/dashboard/dist is not what its sources make: run `make ui`, and commit it' >&2
  exit 1
}
