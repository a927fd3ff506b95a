# To be sourced by a script that needs Node: goes to ui/, and installs what its packages are built and tested with.
#
# Where there is no Node it says that $consequence and ends the script: well, unless CI is set.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# lacking WHAT ends the script, and adds the consequence to the list of what was skipped.
lacking() {
  if [[ -n ${CI:-} ]]; then
    echo "FAILED: no $1 on this machine, and CI is set" >&2
    exit 1
  fi
  echo "NOTE: no $1 on this machine, so $consequence."
  if [[ -n ${AGENTEXEC_SKIPPED:-} ]]; then echo "ui: $consequence: no $1" >>"$AGENTEXEC_SKIPPED"; fi
  exit 0
}

command -v npm >/dev/null || lacking npm
node_bin=$(../tools/node-bin) || lacking 'Node 20.19'
PATH=$node_bin:$PATH
# npm writes this file as it ends: it is as new as what is installed.
[[ node_modules/.package-lock.json -nt package-lock.json ]] || npm ci --no-audit --no-fund
