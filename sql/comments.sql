-- Comments on the public objects, for \d+ and \df+ of psql and for other tools. Code: re-applied whole at every upgrade.
-- Each function's comment names its arguments; a test finds objects without a comment.

comment on type agentexec.status is
  'Status of an activity: QUEUED, RUNNING, COMPLETE, ERROR or CANCELED. text and varchar cast to it implicitly, in upper or lower case; an untyped literal is read in upper case only.';

comment on table agentexec.activity is
  'One row per tracked activity. Private: write through the functions, read through activity_list and the functions.';
comment on column agentexec.activity.id is 'Internal key; activity_log.activity_id refers to it.';
comment on column agentexec.activity.agent_id is 'Key of the activity in every function. Unique.';
comment on column agentexec.activity.agent_type is 'Kind of work: the task_name given to create_activity, 1 to 255 characters.';
comment on column agentexec.activity.status is 'Current status.';
comment on column agentexec.activity.latest_percentage is 'Progress, 0 to 100: the last one given before the activity finished. Null where none was given.';
comment on column agentexec.activity.last_seq is 'seq of the last line, at most 2147483647.';
comment on column agentexec.activity.attempt is 'Number of the attempt: 1, and one more with every return from ERROR.';
comment on column agentexec.activity.cancel_seq is 'seq of the line that requested the cancel; null where there is none. A retry after it is refused.';
comment on column agentexec.activity.cancel_force_at is 'When sweep() ends the activity, if its worker has not ended it before; null for never.';
comment on column agentexec.activity.cancel_forced is 'Whether sweep() or a cancel with grace 0 ended the activity in place of its worker.';
comment on column agentexec.activity.metadata is 'JSON object given at creation, to filter by. Null where none was given.';
comment on column agentexec.activity.created_at is 'Time of line 1.';
comment on column agentexec.activity.started_at is 'Time of the first line with RUNNING; null before it.';
comment on column agentexec.activity.updated_at is 'Time of the last line.';
comment on column agentexec.activity.finished_at is 'Time of the line that ended the activity with COMPLETE, ERROR or CANCELED; null while it is QUEUED or RUNNING.';

comment on table agentexec.activity_log is
  'One row per log line, numbered by seq within its activity without gaps. Written by append_log or a direct INSERT of activity_id, message and optionally status, percentage and data, which obeys the same rules.';
comment on column agentexec.activity_log.id is 'Key of the line, given by the database. Within an activity, ids ascend with seq. Only the owner may set it, together with seq.';
comment on column agentexec.activity_log.activity_id is 'The activity: activity.id, not agent_id.';
comment on column agentexec.activity_log.seq is 'Number of the line within its activity, from 1 without gaps, given by the database.';
comment on column agentexec.activity_log.message is 'What happened, at most 1048576 bytes.';
comment on column agentexec.activity_log.status is 'Status of the activity after this line. In an INSERT: the status asked for; null keeps the current one.';
comment on column agentexec.activity_log.percentage is 'Progress, 0 to 100, or null.';
comment on column agentexec.activity_log.data is 'Any JSON to keep with the line: at most 1 MiB as text, nested at most 100 deep, no number with an exponent beyond +-1000.';
comment on column agentexec.activity_log.created_at is 'Wall clock when the line was written, read under the lock of the activity; never runs backwards against seq.';
comment on column agentexec.activity_log.xid is 'Transaction that wrote the line (txid_current), for readers whose position is a snapshot. Private.';

comment on column agentexec.activity_log.attempt is 'Attempt of the activity that the line belongs to, from 1. Set by the database.';
comment on column agentexec.activity_log.cancel_requested is 'Whether a cancel had been requested when the line was written. Set by the database.';

comment on table agentexec.activity_heartbeat is
  'One row per QUEUED or RUNNING activity whose worker made a promise (expect_every). Private: write through heartbeat, read through activity_list and the functions.';
comment on column agentexec.activity_heartbeat.activity_id is 'The activity: activity.id, not agent_id.';
comment on column agentexec.activity_heartbeat.beat_at is 'Time of the last heartbeat.';
comment on column agentexec.activity_heartbeat.expect_every is 'Promise of the worker: it sends a heartbeat or a line at least that often. 1 second to 1 day.';

comment on view agentexec.activity_list is
  'One row per activity with its latest line, for queries of one''s own. Reads with its caller''s rights. For pages there is list_activities.';
comment on column agentexec.activity_list.agent_id is 'Key of the activity in every function.';
comment on column agentexec.activity_list.agent_type is 'Kind of work: the task_name given to create_activity.';
comment on column agentexec.activity_list.status is 'Current status.';
comment on column agentexec.activity_list.latest_log is 'Message of the last line, whole.';
comment on column agentexec.activity_list.latest_percentage is 'Progress, 0 to 100, or null.';
comment on column agentexec.activity_list.last_seq is 'seq of the last line.';
comment on column agentexec.activity_list.attempt is 'Number of the attempt, from 1.';
comment on column agentexec.activity_list.created_at is 'Time of line 1.';
comment on column agentexec.activity_list.started_at is 'Time of the first line with RUNNING, or null.';
comment on column agentexec.activity_list.updated_at is 'Time of the last line.';
comment on column agentexec.activity_list.finished_at is 'Time of the line that ended the activity, or null.';
comment on column agentexec.activity_list.metadata is 'JSON object given at creation, or null.';

comment on column agentexec.activity_list.last_seen_at is 'Time of the last line or the last heartbeat, whichever is later.';
comment on column agentexec.activity_list.expect_every is 'Promise of the worker: it sends a heartbeat or a line at least that often. Null where there is none.';
comment on column agentexec.activity_list.stale is 'Whether the activity is RUNNING and its worker sent no heartbeat and no line for longer than it promised.';
comment on column agentexec.activity_list.cancel_requested is 'Whether a cancel was requested.';

comment on type agentexec.append_result is 'State of an activity after append_logs. A row has: the key of the activity, the seq of its last line, its status, its attempt, and whether its worker is to end.';
comment on type agentexec.heartbeat_result is 'Answer to a heartbeat: status and attempt of the activity, whether its worker is to end, and the message of the request.';

comment on function agentexec.create_activity(text, text, uuid, jsonb) is
  'Registers an activity, writes its line 1 (QUEUED, percentage 0) and returns its agent_id.
task_name: kind of work, 1 to 255 characters; read back as agent_type.
message: the first line, at most 1048576 bytes.
agent_id: the key; null makes a random one. A taken one fails with 23505.
metadata: JSON object to filter by, or null; never changes. Bounds as for data of append_log.
Errors: TA422, 23505, 42501 outside agentexec.scope.';
comment on function agentexec.append_log(uuid, text, double precision, agentexec.status, jsonb, int) is
  'Adds one line to the log of an activity and returns it. Call it in FROM: select seq, status from agentexec.append_log(...). Written as (agentexec.append_log(...)).* it runs once for each column, and writes eleven lines.
agent_id: the activity.
message: what happened, at most 1048576 bytes.
percentage: progress, 0 to 100, rounded down; null leaves the latest one.
status: new status; null keeps the current one. The row returned has the status that holds now.
data: any JSON to keep with the line: at most 1 MiB as text, nested at most 100 deep, no number with an exponent beyond +-1000.
at_seq: the line is written only with this seq; if that line exists already with the same contents, it is returned. So a call whose answer was lost can be repeated. Null takes the next seq.
Result: cancel_requested tells the worker to end the activity.
Errors: TA404 no such activity, TA409 the status may not follow the current one or line at_seq is a different line or not the next one, TA422 bad argument.';
comment on function agentexec.append_logs(jsonb) is
  'Adds many lines at once, in the order given, all or none, and returns a row per activity, in the order of first appearance: its state after them.
entries: JSON array of {"agent_id", "message", "percentage"?, "status"?, "data"?, "at_seq"?}, each as in append_log.
Errors: those of append_log, naming the entry (entries[0] is the first).';
comment on function agentexec.complete(uuid, text, double precision, jsonb) is
  'Adds the line that ends an activity with COMPLETE and returns it. Call it in FROM, as append_log.
agent_id: the activity.
message: the last line, at most 1048576 bytes.
percentage: progress, 0 to 100, rounded down; null leaves the latest one.
data: as in append_log.
Errors: TA404, TA409, TA422.';
comment on function agentexec.error(uuid, text, jsonb) is
  'Adds the line that ends an activity, or one attempt of it, with ERROR and returns it. Call it in FROM, as append_log.
agent_id: the activity.
message: the last line, at most 1048576 bytes.
data: as in append_log.
Errors: TA404, TA409, TA422.';
comment on function agentexec.heartbeat(uuid, interval) is
  'Records that the worker of an activity is alive, and returns whether the worker is to end (cancel_requested). Writes no line, waits for no lock, and does not change a finished activity.
agent_id: the activity.
expect_every: the promise of the worker, 1 second to 1 day: it sends a heartbeat or a line at least that often; otherwise the activity is stale. Null keeps the earlier promise, or makes one of 60 s.
Errors: TA404, TA422.';
comment on function agentexec.cancel(uuid, text, interval, text) is
  'Cancels an activity, or requests that its worker ends it, and returns the line of that. QUEUED and ERROR become CANCELED at once. A RUNNING one stays RUNNING until its worker ends it; each answer to the worker has cancel_requested. Call it in FROM, as append_log.
agent_id: the activity.
message: the line to write, at most 1048576 bytes.
grace: after this time sweep() ends the activity; 0 ends it at once, null never does. At most 365 days. A repeated request writes no second line, and the shorter grace counts.
requested_by: name of the requester, at most 255 characters; stored in the data of the line.
Errors: TA404, TA409 it is COMPLETE, TA422.';
comment on function agentexec.cancel_pending(text, jsonb, interval, text) is
  'Cancels the QUEUED and RUNNING activities that match, each with its own line, and returns how many. Those that another transaction keeps locked for longer than 1 s are skipped; their number is in the setting agentexec.skipped until the transaction ends.
agent_type: only of this type; null takes all.
metadata_filter: a JSON object, only with an equal value for every key; or an array of 1 to 16 objects, of which one must match; null takes all.
idle_for: only without a line for at least that long; null takes all.
message: the line to write, at most 1048576 bytes.
Errors: TA422.';
comment on function agentexec.sweep(int) is
  'Ends the activities whose cancel was requested and whose grace period is over; returns the counts as JSON: forced, expired, pruned. Every sidecar calls it about once a second; pg_cron can call it too. While one sweep runs, another one returns zeros.
max_rows: at most that many rows of each kind, 1 to 100000.
Errors: TA422.';
comment on function agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean) is
  'One page of activities as JSON (ActivityList): RUNNING first, then QUEUED, then finished, in each the newest first, ties by agent_id descending. latest_log is cut at 500 characters (latest_log_truncated). A page holds at most 4 MiB; then it ends early, and "next" goes on.
page: number of the page, from 1.
page_size: activities on a page, 1 to 1000.
statuses: only with one of these; null takes all.
agent_type: only of this type; null takes all.
metadata_filter: a JSON object, only with an equal value for every key; or an array of 1 to 16 objects, of which one must match; null takes all.
after: the "next" of an earlier page, in place of page; then total, page and pages are null.
include_metadata: whether each item has its metadata.
stale: true takes only stale activities, false only others; null takes all.
Errors: TA422.';
comment on function agentexec.activity_detail(uuid, jsonb, int, int, boolean) is
  'One activity with its lines in seq order as JSON (ActivityDetail); null where there is none.
agent_id: the activity.
metadata_filter: null where its metadata does not match.
after_seq: leaves out the lines up to this seq.
log_limit: at most that many lines, 0 for none; null takes all.
include_metadata: whether it has its metadata.
Errors: TA422.';
comment on function agentexec.count_active(jsonb) is
  'Number of QUEUED and RUNNING activities.
metadata_filter: a JSON object, only with an equal value for every key; or an array of 1 to 16 objects, of which one must match; null takes all.
Errors: TA422.';
comment on function agentexec.count_by_status(text, jsonb) is
  'Number of activities per status as JSON, with all five keys, and as stale the number of stale ones, which count as RUNNING too.
agent_type: only of this type; null takes all.
metadata_filter: a JSON object, only with an equal value for every key; or an array of 1 to 16 objects, of which one must match; null takes all.
Errors: TA422.';
comment on function agentexec.pending_ids() is
  'agent_ids of the QUEUED and RUNNING activities, oldest first, ties by agent_id.';
