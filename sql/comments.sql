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
comment on column agentexec.activity.parent_agent_id is 'The activity that this one is a part of; null for a root.';
comment on column agentexec.activity.root_agent_id is 'The root of the tree; null for a root.';
comment on column agentexec.activity.depth is 'Number of activities above it, 0 to 32.';
comment on column agentexec.activity.open_questions is 'Number of its questions that are PENDING.';
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

comment on function agentexec.create_activity(text, text, uuid, jsonb, uuid) is
  'Registers an activity, writes its line 1 (QUEUED, percentage 0) and returns its agent_id.
task_name: kind of work, 1 to 255 characters; read back as agent_type.
message: the first line, at most 1048576 bytes.
agent_id: the key; null makes a random one. A taken one fails with 23505.
metadata: JSON object to filter by, or null; never changes. Bounds as for data of append_log. A child without it gets that of its parent.
parent_agent_id: the activity that this one is a part of, or null. A tree is at most 32 deep.
Errors: TA404 no such parent, TA422, 23505, 42501 outside agentexec.scope.';
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
comment on function agentexec.cancel(uuid, text, interval, text, boolean) is
  'Cancels an activity, or requests that its worker ends it, and returns the line of that. QUEUED and ERROR become CANCELED at once. A RUNNING one stays RUNNING until its worker ends it; each answer to the worker has cancel_requested. Call it in FROM, as append_log.
agent_id: the activity.
message: the line to write, at most 1048576 bytes.
grace: after this time sweep() ends the activity; 0 ends it at once, null never does. At most 365 days. A repeated request writes no second line, and the shorter grace counts.
requested_by: name of the requester, at most 255 characters; stored in the data of the line.
tree: true cancels the QUEUED, RUNNING and ERROR activities below it in the same way.
Errors: TA404, TA409 it is COMPLETE, TA422.';
comment on function agentexec.cancel_pending(text, jsonb, interval, text) is
  'Cancels the QUEUED and RUNNING activities that match, each with its own line, and returns how many. Those that another transaction keeps locked for longer than 1 s are skipped; their number is in the setting agentexec.skipped until the transaction ends.
agent_type: only of this type; null takes all.
metadata_filter: a JSON object, only with an equal value for every key; or an array of 1 to 16 objects, of which one must match; null takes all.
idle_for: only without a line for at least that long; null takes all.
message: the line to write, at most 1048576 bytes.
Errors: TA422.';
comment on function agentexec.sweep(int) is
  'Ends the activities whose cancel was requested and whose grace period is over (forced), closes the questions whose time is over (expired), and deletes what the retention rules say (pruned activities and lines); returns the counts as JSON. Every sidecar calls it about once a second; pg_cron can call it too. While one sweep runs, another one returns zeros.
max_rows: at most that many rows of each kind, 1 to 100000.
Errors: TA422.';
comment on function agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean, text, text, timestamptz, timestamptz, text, uuid, uuid, boolean, boolean, boolean) is
  'One page of activities as JSON (ActivityList): RUNNING first, then QUEUED, then finished, in each the newest first unless sort and "order" say otherwise, ties by agent_id in the same order. latest_log is cut at 500 characters (latest_log_truncated). A page holds at most 4 MiB; then it ends early, and "next" goes on.
page: number of the page, from 1.
page_size: activities on a page, 1 to 1000.
statuses: only with one of these; null takes all.
agent_type: only of this type; null takes all.
metadata_filter: a JSON object, only with an equal value for every key; or an array of 1 to 16 objects, of which one must match; null takes all.
after: the "next" of an earlier page, in place of page; then total, page and pages are null.
include_metadata: whether each item has its metadata.
stale: true takes only stale activities, false only others; null takes all.
sort: created (created_at), duration (how long it has run; QUEUED: has waited) or activity (the last line; finished: the line that ended it).
order: desc (the newest or longest first) or asc. A keyword of SQL, so it is written in quotes: "order" => ''asc''.
since: only activities that were not finished before; null takes all.
until: only activities that were created before; null takes all.
id_prefix: only activities whose agent_id begins with these 4 to 32 hexadecimal digits; null takes all.
parent_agent_id: only the activities directly below this one; null takes all.
root_agent_id: only the tree of this root, with the root; null takes all.
roots_only: true takes only activities without a parent in the scope.
waiting: true takes only activities with an open question, false only the others; null takes all.
stopping: true takes only RUNNING activities whose cancel was requested, false only the others; null takes all.
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
comment on function agentexec.count_by_status(text, jsonb, timestamptz, timestamptz, uuid, uuid, boolean, boolean, boolean) is
  'Number of activities per status as JSON, with all five keys, and as stale the number of stale ones, which count as RUNNING too.
agent_type: only of this type; null takes all.
metadata_filter: a JSON object, only with an equal value for every key; or an array of 1 to 16 objects, of which one must match; null takes all.
since: only activities that were not finished before; null takes all.
until: only activities that were created before; null takes all.
parent_agent_id: only the children of this activity; null takes all.
root_agent_id: only the tree of this root, with the root; null takes all.
roots_only: only activities without a parent in the scope.
waiting: true takes only activities with an open question, false only the others; null takes all.
stopping: true takes only RUNNING activities whose cancel was requested, false only the others; null takes all.
Errors: TA422.';
comment on function agentexec.stats(timestamptz, interval) is
  'What happened since a time, as JSON (Stats): the number of activities per status now, what started and ended in each bucket, durations by type, and the newest failures. Nothing is a sample, so the cost grows with what ended in the range; failures are counted among the newest 5000 of the range (failures_counted).
since: the beginning of the range, in the past, at most 366 days ago; rounded down to a multiple of bucket.
bucket: the length of a bucket, from 1 second; at most 1500 buckets.
Errors: TA422.';
comment on function agentexec.pending_ids() is
  'agent_ids of the QUEUED and RUNNING activities, oldest first, ties by agent_id.';

comment on type agentexec.question_state is
  'State of a question: PENDING, ANSWERED, DECLINED by a person, EXPIRED, or WITHDRAWN by its worker or because the activity ended.';
comment on table agentexec.question is
  'One row per question of an activity to a person. Private: write through ask, answer, decline and withdraw, read through get_question and list_questions.';
comment on column agentexec.question.activity_id is 'The activity: activity.id, not agent_id.';
comment on column agentexec.question.key is 'Name of the question in its activity, 1 to 255 characters.';
comment on column agentexec.question.prompt is 'The question.';
comment on column agentexec.question.schema is 'JSON Schema of the answer; null allows any.';
comment on column agentexec.question.state is 'PENDING until it is closed. Readers see one whose time is over as EXPIRED, also before sweep() writes it down.';
comment on column agentexec.question.answer is 'The answer; null unless it is ANSWERED.';
comment on column agentexec.question.answered_by is 'Name of the person who answered or declined; null where none was given.';
comment on column agentexec.question.asked_at is 'Time of the line that asks.';
comment on column agentexec.question.expires_at is 'When it becomes EXPIRED; null for never.';
comment on column agentexec.question.closed_at is 'When it was closed; null while it is PENDING.';
comment on table agentexec.retention is 'For how long finished activities are kept. Write it through set_retention. Without a rule nothing is deleted.';
comment on column agentexec.retention.agent_type is 'The rule is for this type; null for any.';
comment on column agentexec.retention.status is 'The rule is for this final status; null for any.';
comment on column agentexec.retention.keep is 'Time from finished_at on.';

comment on function agentexec.ask(uuid, text, text, jsonb, interval) is
  'Puts a question to a person, writes its line, and returns the question. The same key and prompt again return the same question. The worker listens on the channel <schema>_answer, or calls get_question, until the state is not PENDING.
agent_id: the activity.
key: name of the question in the activity, 1 to 255 characters.
prompt: the question, at most 1048576 bytes.
schema: JSON Schema for the answer, at most 65536 bytes; null allows any. answer checks type, enum, const, required, properties, items, and the bounds of numbers, lengths and items.
expires_in: after this time the question is EXPIRED, at most 365 days; null for never.
Errors: TA404, TA409 the activity has ended or the key was used for another prompt, TA422.';
comment on function agentexec.answer(uuid, text, jsonb, text) is
  'Closes a question with an answer, and returns it. The same answer again returns the same row.
agent_id: the activity.
key: name of the question.
answer: any JSON that the schema of the question allows.
answered_by: name of the person, at most 255 characters.
Errors: TA404, TA409 it is closed already in another way, TA422.';
comment on function agentexec.decline(uuid, text, text) is
  'Closes a question without an answer, because a person refuses to give one, and returns it.
agent_id: the activity.
key: name of the question.
answered_by: name of the person, at most 255 characters.
Errors: TA404, TA409 it is closed already in another way, TA422.';
comment on function agentexec.withdraw(uuid, text) is
  'Closes a question that its worker no longer asks, and returns it.
agent_id: the activity.
key: name of the question.
Errors: TA404, TA409 it is closed already in another way.';
comment on function agentexec.get_question(uuid, text) is
  'Returns a question as it is now.
agent_id: the activity.
key: name of the question.
Errors: TA404.';
comment on function agentexec.list_questions(agentexec.question_state, text, jsonb, text, int, uuid) is
  'One page of questions as JSON, the oldest first: {"items": [...], "next"}.
state: only with this state; null takes all.
agent_type: only of activities of this type; null takes all.
metadata_filter: only of activities that match, as in list_activities; null takes all.
after: "next" of an earlier page; null for the first one.
page_size: questions on a page, 1 to 1000.
agent_id: only the questions of this activity; null takes all.
Errors: TA422.';
comment on function agentexec.set_retention(interval, text, agentexec.status) is
  'Sets for how long finished activities are kept. The most specific rule counts: type and status, type, status, the default. Without a rule nothing is deleted.
keep: time after the end, 1 second to 100 years; null removes the rule.
agent_type: the rule is for this type; null for any.
status: the rule is for this final status; null for any.
Errors: TA422.';
comment on function agentexec.prune(timestamptz, text, agentexec.status[], int, boolean) is
  'Deletes finished activities with their lines, the oldest first, and returns the numbers as JSON: activities, lines. Call it again until both are 0. A tree goes as a whole, when all of it has finished.
finished_before: only what finished before this time.
agent_type: only trees whose root is of this type; null takes all.
statuses: only trees whose root has one of these statuses; null takes all.
max_rows: at most that many activities and that many lines, 1 to 100000.
dry_run: true deletes nothing, and returns the numbers of all calls together.
Errors: TA422.';
