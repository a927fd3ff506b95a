"""A worker that does STEPS steps of work, and stops when a cancel is requested.

Usage: worker.py STEPS. AGENTEXEC_DATABASE_URL names the database. The exit code is 0 when all steps are done, 3 when canceled,
4 when another worker has taken over.
"""

import os
import re
import sys
import threading
import time
import uuid

import psycopg

canceled = threading.Event()


class Session:
    """One connection. It is opened again after it is lost."""

    def __init__(self):
        self.conn = None

    def call(self, sql, *args):
        """Runs a statement until there is an answer, and returns its first row, if any. The statement must be safe to repeat."""
        while True:
            try:
                if self.conn is None or self.conn.closed:
                    self.conn = psycopg.connect(os.environ["AGENTEXEC_DATABASE_URL"], autocommit=True)
                cursor = self.conn.execute(sql, args)
                return cursor.fetchone() if cursor.description else None
            except psycopg.OperationalError as e:  # no answer: the statement may have run or not
                print("trying again:", e, file=sys.stderr)
                time.sleep(0.5)


class Activity:
    """Writes the lines of one activity."""

    def __init__(self, session, task):
        self.session = session
        self.id = uuid.uuid4()  # makes create_activity safe to repeat
        self.seq = 1  # of the last line
        self.attempt = 1  # of this worker
        try:
            session.call("select agentexec.create_activity(%s, agent_id => %s)", task, self.id)
        except psycopg.errors.UniqueViolation:
            pass  # an earlier try has succeeded

    def append(self, message, percentage=None, status=None):
        """Appends one line. at_seq makes it safe to repeat: the line is written only as line seq + 1."""
        while True:
            try:
                self.seq, self.attempt, cancel_requested = self.session.call(
                    "select seq, attempt, cancel_requested from agentexec.append_log(%s, %s, %s, %s::text, at_seq => %s)",
                    self.id, message, percentage, status, self.seq + 1,
                )
            except psycopg.Error as e:
                other = e.sqlstate == "TA409" and re.search(r"last_seq (\d+)", str(e))
                if not other:
                    raise
                self.seq = int(other[1])  # another line has that seq, such as the request to cancel
                attempt = self.session.call("select attempt from agentexec.heartbeat(%s)", self.id)[0]
                if attempt != self.attempt:
                    error = f"activity {self.id} is in attempt {attempt}, not {self.attempt}: another worker has taken over"
                    print(error, file=sys.stderr)
                    sys.exit(4)
                continue
            if cancel_requested:
                canceled.set()
            return


def send_heartbeats(agent_id):
    """Sends one every 2 s. It has its own connection, so a transaction of the worker does not delay it."""
    session = Session()
    while True:
        if session.call("select cancel_requested from agentexec.heartbeat(%s, '10 s')", agent_id)[0]:
            canceled.set()
        time.sleep(2)


steps = int(sys.argv[1])
session = Session()
activity = Activity(session, "count")
activity.append("Counting", 0, "RUNNING")
threading.Thread(target=send_heartbeats, args=[activity.id], daemon=True).start()
done = 0
while done < steps and not canceled.is_set():
    # The work. It may take long.
    session.call("insert into result (step) values (%s) on conflict do nothing", done + 1)
    done += 1
    activity.append(f"Step {done} of {steps}", 100 * done / steps)
if done < steps:
    activity.append(f"Stopped after step {done}", status="CANCELED")
    sys.exit(3)
activity.append("Counted", 100, "COMPLETE")
