// A worker that does STEPS steps of work, and stops when a cancel is requested.
//
// Usage: node worker.mjs STEPS. AGENTEXEC_DATABASE_URL names the database. The exit code is 0 when all steps are done, 3 when
// canceled, 4 when another worker has taken over.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

let canceled = false

// session returns a function that runs a statement on one connection, which is opened again after it is lost. The function runs
// the statement until there is an answer, and returns the first row, if any. The statement must be safe to repeat.
function session() {
  let client
  return async function call(sql, ...args) {
    for (;;) {
      try {
        if (!client) {
          const next = new pg.Client(process.env.AGENTEXEC_DATABASE_URL)
          next.on('error', () => (client = undefined))
          await next.connect()
          client = next
        }
        return (await client.query(sql, args)).rows[0]
      } catch (err) {
        const answered = err instanceof pg.DatabaseError && !/^(08|53|57)/.test(err.code)
        if (answered) throw err
        console.error('trying again:', err.message) // no answer: the statement may have run or not
        client = undefined
        await sleep(500)
      }
    }
  }
}

// Activity writes the lines of one activity.
class Activity {
  id = randomUUID() // makes create_activity safe to repeat
  seq = 1 // of the last line
  attempt = 1 // of this worker

  constructor(call) {
    this.call = call
  }

  // create makes the activity.
  async create(task) {
    try {
      await this.call('select agentexec.create_activity($1, agent_id => $2)', task, this.id)
    } catch (err) {
      if (err.code !== '23505') throw err // 23505: an earlier try has succeeded
    }
  }

  // append appends one line. at_seq makes it safe to repeat: the line is written only as line seq + 1.
  async append(message, percentage = null, status = null) {
    for (;;) {
      try {
        const line = await this.call(
          'select seq, attempt, cancel_requested from agentexec.append_log($1, $2, $3, $4::text, at_seq => $5)',
          this.id, message, percentage, status, this.seq + 1,
        )
        this.seq = line.seq
        this.attempt = line.attempt
        canceled ||= line.cancel_requested
        return
      } catch (err) {
        const other = err.code === 'TA409' && /last_seq (\d+)/.exec(err.message)
        if (!other) throw err
        this.seq = Number(other[1]) // another line has that seq, such as the request to cancel
        const { attempt } = await this.call('select attempt from agentexec.heartbeat($1)', this.id)
        if (attempt !== this.attempt) {
          console.error(`activity ${this.id} is in attempt ${attempt}, not ${this.attempt}: another worker has taken over`)
          process.exit(4)
        }
      }
    }
  }
}

// sendHeartbeats sends one every 2 s. It has its own connection, so a transaction of the worker does not delay it.
async function sendHeartbeats(id) {
  const call = session()
  for (;;) {
    const beat = await call("select cancel_requested from agentexec.heartbeat($1, '10 s')", id)
    canceled ||= beat.cancel_requested
    await sleep(2000)
  }
}

const steps = Number(process.argv[2])
const call = session()
const activity = new Activity(call)
await activity.create('count')
await activity.append('Counting', 0, 'RUNNING')
void sendHeartbeats(activity.id)
let done = 0
while (done < steps && !canceled) {
  // The work. It may take long.
  await call('insert into result (step) values ($1) on conflict do nothing', done + 1)
  done++
  await activity.append(`Step ${done} of ${steps}`, (100 * done) / steps)
}
if (done < steps) {
  await activity.append(`Stopped after step ${done}`, null, 'CANCELED')
  process.exit(3)
}
await activity.append('Counted', 100, 'COMPLETE')
process.exit(0)
