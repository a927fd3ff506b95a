# To be sourced by a script that needs Node: goes to ui/, and installs what its packages are built and tested with.
#
# Where there is no Node it says that $consequence and ends the script: well, unless CI is set.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# lacking WHAT ends the script.
lacking() {
  if [[ -n ${CI:-} ]]; then
    echo "FAILED: no $1 on this machine, and CI is set" >&2
    exit 1
  fi
  echo "NOTE: no $1 on this machine, so $consequence."
  exit 0
}

command -v npm >/dev/null || lacking npm
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null || lacking 'Node 20.19'
# npm writes this file as it ends: it is as new as what is installed.
[[ node_modules/.package-lock.json -nt package-lock.json ]] || npm ci --no-audit --no-fund
