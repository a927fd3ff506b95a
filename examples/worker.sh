#!/usr/bin/env bash
# A worker that does STEPS steps of work, and stops when a cancel is requested. Each call is SQL, through psql.
#
# Usage: worker.sh STEPS. AGENTEXEC_DATABASE_URL names the database. The exit code is 0 when all steps are done, 3 when canceled,
# 4 when another worker has taken over.
set -euo pipefail

# fail CODE MESSAGE ends the worker.
fail() {
  echo "$2" >&2
  exit "$1"
}

# sql runs the statement of its standard input until there is an answer, and prints the row, if any, or the error. The
# statement must be safe to repeat. Arguments are variables of psql: -v name=value.
sql() {
  local statement answer status
  statement=$(cat)
  while true; do
    status=0
    answer=$(psql "$AGENTEXEC_DATABASE_URL" -X -q -A -t -F ' ' -v ON_ERROR_STOP=1 -v VERBOSITY=verbose "$@" 2>&1 <<<"$statement") ||
      status=$?
    if [[ $status -ne 2 ]]; then
      [[ -z $answer ]] || echo "$answer"
      return $((status != 0)) # not the 3 of psql, which says canceled here
    fi
    echo "trying again: $answer" >&2 # no answer: the statement may have run or not
    sleep 0.5
  done
}

# create sets id, and makes the activity. The id makes it safe to repeat: when it is taken (23505), an earlier try has succeeded.
create() {
  local answer
  id=$(sql <<<'select gen_random_uuid();') || fail 1 "$id"
  answer=$(sql -v id="$id" <<<"select from agentexec.create_activity('count', agent_id => :'id');") ||
    [[ $answer == *' 23505: '* ]] || fail 1 "$answer"
}

# append MESSAGE PERCENTAGE STATUS appends one line and sets canceled. at_seq makes it safe to repeat: the line is written only
# as line seq + 1. A percentage of null keeps the current percentage, an empty status the current status.
append() {
  local answer now
  while true; do
    if answer=$(sql -v id="$id" -v message="$1" -v percentage="$2" -v status="$3" -v at_seq=$((seq + 1)) <<'SQL'
select seq, attempt, cancel_requested
from agentexec.append_log(:'id', :'message', :percentage, nullif(:'status', ''), at_seq => :at_seq);
SQL
    ); then
      read -r seq attempt canceled <<<"$answer"
      return
    elif [[ $answer =~ TA409.*last_seq\ ([0-9]+) ]]; then
      seq=${BASH_REMATCH[1]} # another line has that seq, such as the request to cancel
      now=$(sql -v id="$id" <<<"select attempt from agentexec.heartbeat(:'id');") || fail 1 "$now"
      [[ $now == "$attempt" ]] || fail 4 "activity $id is in attempt $now, not $attempt: another worker has taken over"
    else
      fail 1 "$answer"
    fi
  done
}

# send_heartbeats sends one every 2 s. It has its own connections, so a transaction of the worker does not delay it.
send_heartbeats() {
  while sql -v id="$id" <<<"select from agentexec.heartbeat(:'id', '10 s');"; do sleep 2; done
}

steps=$1
create
seq=1     # of the last line
attempt=1 # of this worker
append 'Counting' 0 RUNNING
send_heartbeats >/dev/null &
trap 'kill $! 2>/dev/null' EXIT
step=0
while [[ $step -lt $steps && $canceled == f ]]; do
  step=$((step + 1))
  # The work. It may take long.
  sql -v step=$step <<<'insert into result (step) values (:step) on conflict do nothing;'
  append "Step $step of $steps" $((100 * step / steps)) ''
done
if [[ $step -lt $steps ]]; then
  append "Stopped after step $step" null CANCELED
  exit 3
fi
append 'Counted' 100 COMPLETE
