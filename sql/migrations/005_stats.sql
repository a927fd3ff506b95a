-- Indexes for stats, and for lists by duration, by last activity and of a time range. No index has a column that a common line
-- changes. Making the indexes reads the table and holds back writers meanwhile: some seconds for a million activities.

-- The end of a run, by status: what ended in a range, and the finished activities by their last line.
create index activity_finished_idx on agentexec.activity (status, finished_at desc, agent_id desc) where finished_at is not null;
-- How long a finished run took, by status.
create index activity_duration_idx on agentexec.activity (
  status, (finished_at - coalesce(started_at, created_at)) desc, agent_id desc
) where finished_at is not null;
-- What started in a range.
create index activity_started_idx on agentexec.activity (started_at) where started_at is not null;
