#!/usr/bin/env bash
# Runs a command as an activity, and stops it when a cancel is requested. It needs no SQL: agentexec makes the calls.
#
# Usage: command.sh COMMAND... AGENTEXEC_DATABASE_URL names the database. The exit code is 0 when the command succeeded, 1 when
# it failed, 3 when canceled.
set -euo pipefail

id=$(agentexec create "$1")
agentexec log "$id" "$*" --status RUNNING
"$@" &
command=$!
while kill -0 $command 2>/dev/null; do
  beat=0
  agentexec heartbeat "$id" --expect-every 10s >/dev/null || beat=$? # 3: stop; another code: the call failed, so go on
  if [[ $beat -eq 3 ]]; then
    kill $command 2>/dev/null || true
    wait $command || true
    agentexec log "$id" 'Stopped' --status CANCELED
    exit 3
  fi
  sleep 2
done
if wait $command; then
  agentexec complete "$id"
else
  agentexec error "$id" "Exit code $?"
  exit 1
fi
