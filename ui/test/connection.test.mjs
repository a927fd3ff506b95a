// The connection: how it stands is in sight, and whatever happens to it, no line is lost or shown twice.

import assert from 'node:assert/strict';
import { create, createMany, eventually, finish, log, logMany, move, play, scene, state } from './stage.mjs';
import { downloaded, grouped, lineCount, live, messages, offline, parsed, range, row, rows, seqs, shows, text, types, unbroken } from './screen.mjs';
import { nginx } from './nginx.mjs';
import { proxy } from './proxy.mjs';

scene('nothing is lost or doubled when the sidecar is killed', async () => {
  const id = await create('survivor', 'line 1');
  await log(id, 'line 2', { status: 'RUNNING' });
  await play('/activities/' + id, async (page) => {
    await live(page);
    await shows(page, 'line 1', 'line 2');
    const broken = await unbroken(page);
    let last = 2;
    let writing = true;
    const writer = (async () => {
      while (writing) await log(id, 'line ' + ++last);
    })();
    const newest = () => page.$$eval('.ax-line', (all) => Number(all.at(-1)?.dataset.seq));
    try {
      for (let round = 0; round < 3; round++) {
        const seen = last;
        await eventually(async () => assert.ok((await newest()) > seen + 10));
        await move('/sidecar/kill');
        await offline(page);
        if (round === 0) await state(page, 'offline');
        assert.ok((await newest()) >= seen + 10, 'what was seen stays');
        const away = last;
        await eventually(() => assert.ok(last > away + 10));
        await create('born while away ' + round);
        await move('/sidecar/start');
        await page.locator('#retry').click({ timeout: 2000 }).catch(() => {}); // it may be back already
        await live(page);
        await eventually(async () => assert.ok(await row(page, 'born while away ' + round)));
      }
    } finally {
      writing = false;
      await writer;
    }
    await finish(id, 'complete', 'line ' + ++last);
    await eventually(async () => assert.equal(await newest(), last));
    assert.deepEqual(await broken(), [], 'at no time');
    const all = parsed((await downloaded(page)).text);
    assert.deepEqual(all.map((l) => l.seq), range(1, last));
    assert.deepEqual(all.map((l) => l.message), range(1, last).map((n) => 'line ' + n));
    await eventually(async () => assert.equal((await row(page, 'survivor')).status, 'complete'));
  });
});

scene('the list holds what happened while the sidecar was away', async () => {
  const [stays, ends] = [await create('stays'), await create('ends')];
  await play('/?status=QUEUED,RUNNING', async (page) => {
    await eventually(async () => assert.deepEqual((await types(page)).filter((t) => /stays|ends/.test(t)), ['ends', 'stays']));
    // Wait until the script of an activity is loaded: the page reads it ahead.
    await page.waitForFunction(() => ['detail-', 'closed_question-'].every((name) => performance.getEntriesByType('resource').some((e) => e.name.includes(name) && e.responseEnd)));
    await move('/sidecar/kill');
    await offline(page);
    const { elapsed } = await row(page, 'stays');
    assert.ok((await rows(page)).length > 1, 'what was seen stays');
    await state(page, 'offline-list');
    await finish(ends, 'complete', 'over');
    await log(stays, 'on', { status: 'RUNNING', percentage: 5 });
    await create('comes');
    assert.equal((await row(page, 'stays')).elapsed, elapsed, 'what is not live does not look it');
    await move('/sidecar/start');
    await live(page);
    await eventually(async () => assert.deepEqual((await types(page)).filter((t) => /stays|ends|comes/.test(t)), ['stays', 'comes']));
    assert.equal((await row(page, 'stays')).latest, 'on');
  });
});

scene('nothing is lost or doubled on a bad line', async () => {
  const id = await create('wire', 'line 1');
  await play('/', async (page) => {
    let frames = 0;
    let sockets = 0;
    await page.routeWebSocket(/v1.feed/, (ws) => {
      sockets++;
      ws.connectToServer().onMessage((message) => {
        if (!message.includes('"logs"')) return ws.send(message);
        frames++;
        if (frames % 9 === 4) return; // a frame that never comes
        if (frames % 13 === 6) return ws.close({ code: 1001 });
        ws.send(message);
        if (frames % 5 === 2) ws.send(message); // one that comes twice
      });
    });
    await page.goto(new URL('activities/' + id, page.url()).href);
    await live(page);
    const broken = await unbroken(page);
    let last = 1;
    while (sockets < 4 && last < 2000) await log(id, 'line ' + ++last);
    assert.ok(sockets >= 4);
    await finish(id, 'complete', 'line ' + ++last);
    await eventually(async () => assert.equal(await lineCount(page), grouped(last)), 60_000);
    assert.deepEqual(await broken(), []);
    assert.deepEqual(parsed((await downloaded(page)).text).map((l) => l.message), range(1, last).map((n) => 'line ' + n));
  });
});

scene('catching up is not called live', async () => {
  const id = await create('slow', 'line 1');
  await play('/activities/' + id, async (page) => {
    const held = [];
    let holding = false;
    await page.routeWebSocket(/v1.feed/, (ws) => {
      ws.connectToServer().onMessage((message) => (holding && !message.includes('"welcome"') ? held.push(() => ws.send(message)) : ws.send(message)));
    });
    await page.reload();
    await live(page);
    holding = true;
    await move('/sidecar/kill');
    await offline(page);
    await move('/sidecar/start');
    await eventually(async () => assert.equal(await text(page, '#connection'), 'Catching up'), 60_000);
    await state(page, 'catching-up');
    await eventually(() => assert.ok(held.length > 1));
    holding = false;
    for (const send of held) send();
    await live(page);
  });
});

scene('a database that is away is not called live', async () => {
  const id = await create('patient', 'line 1');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await move('/postgres/stop');
    await offline(page);
    await eventually(async () => assert.match(await text(page, '#reason'), /does not reach its database/));
    await state(page, 'no-database');
    await move('/postgres/start');
    await logMany(id, 5);
    await live(page);
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 5)));
  });
});

scene('a server that answers 500 is said to, and all is well when it is', async () => {
  const p = await proxy();
  try {
    const id = await create('broken', 'line 1');
    p.set({ fail: (url) => /^\/(v1|readyz)/.test(url) });
    await play(p.url + '/activities/' + id, async (page) => {
      await offline(page);
      await eventually(async () => assert.match(await text(page, '#reason'), /500/));
      assert.equal(await page.evaluate(() => window.pwned), undefined);
      await state(page, 'answers-500');
      p.set({ fail: () => false });
      await page.locator('#retry').click({ timeout: 2000 }).catch(() => {});
      await live(page);
      await shows(page, 'line 1');

      p.set({ fail: (url) => /^\/(v1|readyz)/.test(url) });
      p.cut();
      await offline(page);
      assert.deepEqual(await messages(page), ['line 1']);
      await log(id, 'line 2');
      p.set({ fail: () => false });
      await live(page);
      await shows(page, 'line 1', 'line 2');
    });
  } finally {
    p.close();
  }
});

scene('a page of the list that answers 500 is said to be missing, and comes later', async () => {
  const p = await proxy();
  try {
    await createMany('paged', 900);
    p.set({ fail: (url) => url.startsWith('/v1/activities?') && url.includes('page_size=500') });
    await play(p.url + '/?agent_type=paged', async (page) => {
      await live(page);
      const end = () => page.locator('.list').evaluate((e) => (e.scrollTop = e.scrollHeight));
      await eventually(async () => {
        await end();
        assert.match(await text(page, '.list .problem'), /cannot be read on: .*500/);
      });
      await state(page, 'list-answers-500');
      p.set({ fail: () => false });
      await eventually(async () => {
        await end();
        assert.equal(await page.locator('.place').last().getAttribute('aria-posinset'), '900');
      });
      assert.equal(await page.locator('.problem').count(), 0);
    });
  } finally {
    p.close();
  }
});

scene('where WebSockets do not get through, it is live without', async () => {
  const p = await nginx({ sockets: false });
  try {
    const id = await create('sse', 'line 1');
    await play(p.url + '/activities/' + id, async (page) => {
      await live(page);
      await shows(page, 'line 1');
      await log(id, 'line 2', { status: 'RUNNING', percentage: 50 });
      await shows(page, 'line 1', 'line 2');
      await eventually(async () => assert.equal((await row(page, 'sse')).percentage, 50));
      await state(page, 'without-websocket');
    });
  } finally {
    await p.close();
  }
});
