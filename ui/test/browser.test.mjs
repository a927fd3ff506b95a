// The page in a browser, over a sidecar and a Postgres that are taken away and brought back.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { create, eventually, finish, live, log, logMany, messages, move, play, range, row, rowOf, rows, scene, seqs, shot, sql, text } from './stage.mjs';

// first of all: the list is empty only once
scene('an empty list says how to fill it', () =>
  play('/', async (page) => {
    await live(page);
    await eventually(async () => assert.match(await text(page, '#nothing'), /No activities yet[^]*psql[^]*agentexec\.create_activity\(/));
    await shot(page, 'empty');
    const command = await page.locator('#nothing pre').textContent();
    await sql(command.match(/"(select [^]*)"/)[1]);
    await eventually(async () => assert.equal((await rows(page)).length, 1));
    assert.ok(await page.locator('#nothing').isHidden());
  }));

scene('the list is live', () =>
  play('/', async (page) => {
    await live(page);
    const first = await create('first', 'waiting for a worker');
    await create('second');
    await eventually(async () => assert.deepEqual((await rows(page)).slice(0, 2).map((r) => r.type), ['second', 'first']));

    await log(first, 'reading', { status: 'RUNNING', percentage: 20 });
    await eventually(async () => assert.equal((await rows(page))[0].type, 'first', 'what runs comes first'));
    await log(first, 'reading page 7', { percentage: 45 });
    await eventually(async () => {
      const r = await row(page, 'first');
      assert.deepEqual([r.status, r.latest, r.percentage], ['Running', 'reading page 7', 45]);
    });
    const bar = page.locator('.row[data-status=RUNNING] .bar');
    await eventually(async () => {
      const [whole, done] = [await bar.boundingBox(), await bar.locator('i').boundingBox()];
      assert.ok(Math.abs(done.width / whole.width - 0.45) < 0.01, 'the bar is drawn at 45%');
    });
    const { elapsed } = await row(page, 'first');
    await eventually(async () => assert.notEqual((await row(page, 'first')).elapsed, elapsed, 'the clock ticks'));
    assert.match(await text(page, '.filters'), /All\s*3\s*Running\s*1\s*Queued\s*2/);
    await shot(page, 'list');

    await finish(first, 'complete', 'all read');
    await eventually(async () => assert.deepEqual((await rows(page)).map((r) => r.status), ['Queued', 'Queued', 'Complete']));
  }));

scene('one activity is live', () =>
  play('/', async (page) => {
    const id = await create('crawler', 'crawl example.org');
    await rowOf(page, 'crawler').click();
    await eventually(async () => assert.deepEqual(await messages(page), ['crawl example.org']));
    assert.equal(new URL(page.url()).pathname, '/activities/' + id);
    assert.equal(await page.locator('.row[aria-current=true] .type').textContent(), 'crawler');

    await log(id, 'fetching', { status: 'RUNNING', percentage: 10 });
    await log(id, 'fetched 30 pages', { percentage: 60, data: { pages: 30, largest: 12345678901234567890n.toString(), hosts: ['a', 'b'] } });
    await eventually(async () => assert.deepEqual(await messages(page), ['crawl example.org', 'fetching', 'fetched 30 pages']));
    // The log and the head are drawn each in its own time.
    await eventually(async () => {
      assert.equal(await text(page, '.title .badge'), 'Running');
      assert.equal(await text(page, '.progress .percent'), '60%');
    });
    assert.equal(await text(page, '.line:last-child .percent'), '60%');
    assert.match(await text(page, '#started'), /^\d\d:\d\d:\d\d$/);
    assert.equal(await page.title(), '60% crawler · agentexec');
    await page.locator('.line:last-child .data').click();
    assert.match(await text(page, '.json pre'), /"pages": 30,\n/);
    await shot(page, 'detail');

    await finish(id, 'error', 'the site is gone');
    await eventually(async () => assert.equal(await text(page, '.title .badge'), 'Error'));
    await eventually(async () => assert.equal(await page.locator('#announce').textContent(), 'crawler: Error'));
    await eventually(async () => assert.match(await text(page, '#finished'), /^\d\d:\d\d:\d\d$/));
    await shot(page, 'error');
    await log(id, 'once more', { status: 'RUNNING' });
    await eventually(async () => assert.equal(await text(page, '.attempt'), 'Attempt 2'));
    await eventually(async () => assert.equal(await text(page, '#finished'), '–'));
    await finish(id, 'complete', 'crawled');
    await eventually(async () => assert.equal(await text(page, '.title .badge'), 'Complete'));
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 6)));

    await page.goBack();
    await eventually(async () => assert.match(await text(page, '.detail'), /Choose an activity/));
  }));

scene('large numbers in data are shown as written', () =>
  sql(`select agentexec.create_activity('numbers')::text as id`).then(async ([{ id }]) => {
    await sql(`select (agentexec.append_log('${id}', 'ids', data => '{"id": 12345678901234567890, "n": 1.5}')).seq`);
    await play('/activities/' + id, async (page) => {
      await page.locator('.data').click();
      assert.equal(await text(page, '.json pre'), '{\n  "n": 1.5,\n  "id": 12345678901234567890\n}');
    });
  }));

scene('a deep link opens one activity, in any spelling of its id', async () => {
  const id = await create('linked', 'hello');
  await logMany(id, 3);
  await play('/activities/' + id.toUpperCase(), async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3]));
    assert.equal(await page.locator('.row[aria-current=true] .type').textContent(), 'linked');
    await page.reload();
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3]));
  });
});

scene('turning to and fro shows each line once', async () => {
  const [a, b] = [await create('to'), await create('fro')];
  await Promise.all([logMany(a, 400), logMany(b, 400)]);
  await play('/', async (page) => {
    await live(page);
    await rowOf(page, 'fro').waitFor();
    await page.evaluate(() => {
      const find = (type) => [...document.querySelectorAll('.row')].find((r) => r.querySelector('.type').textContent === type);
      for (let n = 0; n < 21; n++) find(n % 2 ? 'fro' : 'to').click();
    });
    await logMany(a, 410);
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 410)));
    await eventually(async () => assert.equal(await text(page, '.title h2'), 'to'));
  });
});

scene('an unknown id is said to be unknown, until it is known', () =>
  play('/activities/' + randomUUID(), async (page) => {
    await eventually(async () => assert.match(await text(page, '#message'), /No such activity/));
    assert.ok(await page.locator('#activity').isHidden());
    await shot(page, 'unknown');
    await create('late', 'here at last', { agent_id: new URL(page.url()).pathname.split('/')[2] });
    await eventually(async () => assert.deepEqual(await messages(page), ['here at last']));
    assert.ok(await page.locator('#message').isHidden());
  }));

scene('what is no id at all is said to be unknown, too', () =>
  play('/activities/%3Cimg%20src=x%3E', async (page) => {
    await eventually(async () => assert.match(await text(page, '#message'), /No such activity/));
    assert.equal(await page.locator('img').count(), 0);
    await live(page);
  }));

scene('an activity that is deleted stays on screen, and is said to be gone', async () => {
  const id = await create('doomed', 'hello');
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), [1]));
    await sql(`delete from agentexec.activity where agent_id = '${id}'`);
    await move('/sidecar/kill');
    await move('/sidecar/start');
    await eventually(async () => assert.match(await text(page, '#message'), /deleted/));
    assert.deepEqual(await messages(page), ['hello']);
    await shot(page, 'deleted');
  });
});

scene('nothing is lost or doubled when the sidecar is killed', async () => {
  const id = await create('survivor', 'line 1');
  await log(id, 'line 2', { status: 'RUNNING' });
  await play('/activities/' + id, async (page) => {
    await live(page);
    let last = 2;
    let writing = true;
    const writer = (async () => {
      while (writing) await log(id, 'line ' + ++last);
    })();
    try {
      for (let round = 0; round < 3; round++) {
        const seen = last;
        await eventually(async () => assert.ok((await seqs(page)).length > seen + 20));
        await move('/sidecar/kill');
        await eventually(async () => assert.match(await text(page, '#connection'), /^Reconnecting since \d\d:\d\d:\d\d$/));
        if (round === 0) await shot(page, 'reconnecting');
        const away = last;
        await eventually(() => assert.ok(last > away + 20));
        await move('/sidecar/start');
        await page.locator('#retry').click({ timeout: 2000 }).catch(() => {}); // it may be back already
        await live(page);
      }
    } finally {
      writing = false;
      await writer;
    }
    await finish(id, 'complete', 'line ' + ++last);
    await eventually(async () => assert.equal((await seqs(page)).at(-1), last));
    assert.deepEqual(await seqs(page), range(1, last));
    assert.deepEqual(await messages(page), range(1, last).map((n) => 'line ' + n));
    await eventually(async () => assert.equal((await row(page, 'survivor')).status, 'Complete'));
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
    await page.goto(page.url() + 'activities/' + id);
    await live(page);
    for (let last = 2; sockets < 5 && last < 2000; last++) await log(id, 'line ' + last);
    assert.ok(sockets >= 5);
    await finish(id, 'complete', 'the last line');
    await eventually(async () => assert.equal((await messages(page)).at(-1), 'the last line'), 60_000);
    const shown = await seqs(page);
    assert.deepEqual(shown, range(1, shown.length));
  });
});

scene('a database that is away is not called live', async () => {
  const id = await create('patient', 'line 1');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await move('/postgres/stop');
    await eventually(async () => assert.match(await text(page, '#connection'), /^Database not reached since \d\d:\d\d:\d\d$/));
    await shot(page, 'unready');
    await move('/postgres/start');
    await logMany(id, 5);
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 5)));
    await live(page);
  });
});

scene('lines that are no longer kept are announced', async () => {
  const id = await create('pruned');
  await logMany(id, 10);
  await sql(`delete from agentexec.activity_log l using agentexec.activity a where a.id = l.activity_id and a.agent_id = '${id}' and l.seq between 3 and 6`);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 7, 8, 9, 10]));
    assert.deepEqual(await page.locator('.log li').evaluateAll((all) => all.map((e) => e.className)), ['line', 'line', 'note', 'line', 'line', 'line', 'line']);
    assert.equal(await text(page, '.log li.note'), 'Lines 3 to 6 are no longer kept.');
    await shot(page, 'pruned');
  });
});

scene('lines that the database lost are taken back', async () => {
  const id = await create('restored');
  await logMany(id, 10);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 10)));
    await move('/sidecar/kill');
    await sql(`with a as (update agentexec.activity set last_seq = 6 where agent_id = '${id}' returning id)
      delete from agentexec.activity_log l using a where a.id = l.activity_id and l.seq > 6`);
    await move('/sidecar/start');
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 6)));
    assert.equal(await text(page, '.log li.note'), 'The database was set back: lines 7 to 10 are void.');
    await log(id, 'line 7 again');
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 7)));
    assert.equal((await messages(page)).at(-1), 'line 7 again');
    await eventually(async () => assert.equal(await text(page, '#lines'), '7 lines'));
  });
});

scene('whatever a message holds is shown as text', async () => {
  const html = '<img src=x onerror="window.pwned = 1"><script>window.pwned = 2</script><b>bold</b> & &amp;';
  const id = await create(html, html);
  await log(id, 'أُنجزت 3 صفحات من example.org ثم توقف', { percentage: 30, status: 'RUNNING' });
  await log(id, 'control \u0001\u0007\u001b[31mred\u001b[0m, \u202eoverride, tab\tand\r\nnew line');
  await log(id, '🚀 👩‍🔬 café e\u0301, 中文, ' + 'unbroken'.repeat(60));
  await log(id, '🚀'.repeat(400));
  await log(id, 'x'.repeat(1 << 20), { data: { [html]: html } });
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 6)));
    const all = await messages(page);
    assert.equal(all[0], html);
    assert.equal(await page.locator('.title h2').textContent(), html);
    assert.match(all[2], /^control ␁␇␛\[31mred␛\[0m, \u202eoverride, tab\tand\nnew line$/);
    assert.match(all[4], /^(🚀)+ …$/u);
    assert.equal(all[5], 'x'.repeat(600) + ' …');
    await page.locator('.line:last-child .data').click();
    assert.ok((await page.locator('.json pre').textContent()).includes('<b>bold</b>'));
    assert.equal(await page.locator('img, b, .detail script').count(), 0);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    const rtl = page.locator('.line').nth(1).locator('.text');
    assert.equal(await rtl.evaluate((e) => e.matches(':dir(rtl)')), true);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
    await page.locator('.log').evaluate((e) => (e.scrollTop = 0));
    await shot(page, 'hostile');

    const more = page.getByRole('button', { name: 'Show all 1,048,576 characters' });
    await more.click();
    assert.equal((await page.locator('.line:last-child .text').textContent()).length, 1 << 20);
    await page.getByRole('button', { name: 'Show less' }).click();
    assert.equal((await page.locator('.line:last-child .text').textContent()).length, 602);
  });
});

scene('following stops when the person scrolls up', async () => {
  const id = await create('long');
  await logMany(id, 200);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal((await seqs(page)).length, 200));
    const scroller = page.locator('.log');
    const below = () => scroller.evaluate((e) => e.scrollHeight - e.clientHeight - e.scrollTop);
    await eventually(async () => assert.ok((await below()) < 2));
    await logMany(id, 210);
    await eventually(async () => assert.equal((await seqs(page)).length, 210));
    await eventually(async () => assert.ok((await below()) < 2, 'it follows'));

    await scroller.hover();
    await page.mouse.wheel(0, -600);
    await eventually(async () => assert.equal(await page.locator('#follow').getAttribute('aria-pressed'), 'false'));
    await page.waitForFunction(() => new Promise((r) => { // until the wheel has come to rest
      const e = document.querySelector('.log');
      const top = e.scrollTop;
      setTimeout(() => r(e.scrollTop === top), 200);
    }));
    const top = await scroller.evaluate((e) => e.scrollTop);
    await logMany(id, 215);
    await eventually(async () => assert.equal(await text(page, '#newer'), '↓ 5 new lines'));
    assert.equal(await scroller.evaluate((e) => e.scrollTop), top, 'what is read does not move');
    await shot(page, 'scrolled-up');
    await page.locator('#newer').click();
    await eventually(async () => assert.ok((await below()) < 2));
    assert.ok(await page.locator('#newer').isHidden());

    await page.keyboard.press('Tab');
    await scroller.focus();
    await page.keyboard.press('Home');
    await eventually(async () => assert.equal(await page.locator('#follow').getAttribute('aria-pressed'), 'false'));
    await page.keyboard.press('End');
    await eventually(async () => assert.equal(await page.locator('#follow').getAttribute('aria-pressed'), 'true'));
  });
});

scene('of a very long log the newest lines are shown, and how many are not', async () => {
  const id = await create('endless');
  await logMany(id, 12_000);
  await play('/activities/' + id, async (page) => {
    const newest = async (last) => {
      const shown = await seqs(page);
      assert.equal(shown.at(-1), last);
      assert.ok(shown.length >= 4000 && shown.length <= 5000);
      assert.deepEqual(shown, range(shown[0], last));
      assert.equal(await page.locator('#hidden').textContent(), `${(shown[0] - 1).toLocaleString('en')} earlier lines are not shown here.`);
      return shown;
    };
    const first = await eventually(() => newest(12_000));
    await eventually(async () => assert.equal(await text(page, '#lines'), '12,000 lines'));
    await page.locator('.log').evaluate((e) => (e.scrollTop = 0));
    await eventually(async () => assert.equal(await page.locator('#follow').getAttribute('aria-pressed'), 'false'));
    await shot(page, 'endless');
    await logMany(id, 18_000);
    await eventually(async () => assert.equal(await text(page, '#newer'), '↓ 6,000 new lines'));
    const now = await seqs(page);
    assert.deepEqual(now, range(first[0], now.at(-1)), 'what is read stays');
    await page.locator('#newer').click();
    await eventually(() => newest(18_000));
  });
});

scene('of huge lines fewer are kept, and none is left out between them', async () => {
  const id = await create('huge');
  await logMany(id, 60);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 60)));
    await page.locator('.log').evaluate((e) => (e.scrollTop = 0));
    await eventually(async () => assert.equal(await page.locator('#follow').getAttribute('aria-pressed'), 'false'));
    for (let n = 0; n < 8; n++) {
      await sql(`select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', '${id}', 'message', repeat('x', 1000000))) from generate_series(1, 5)))`);
    }
    await eventually(async () => assert.equal(await text(page, '#newer'), '↓ 40 new lines'));
    await page.locator('#newer').click();
    await eventually(async () => assert.deepEqual(await seqs(page), range(85, 100)));
    assert.equal(await page.locator('#hidden').textContent(), '84 earlier lines are not shown here.');
  });
});

scene('the list is filtered by status', async () => {
  const id = await create('failing');
  await finish(id, 'error', 'it broke');
  await play('/', async (page) => {
    await live(page);
    await page.locator('.filter[data-status=ERROR]').click();
    await eventually(async () => {
      const all = await rows(page);
      assert.ok(all.length > 0 && all.every((r) => r.status === 'Error'));
    });
    assert.equal(new URL(page.url()).search, '?status=ERROR');
    await rowOf(page, 'failing').click();
    await eventually(async () => assert.equal(await text(page, '.title h2'), 'failing'));
    await page.reload();
    await eventually(async () => assert.ok((await rows(page)).length > 0 && (await rows(page)).every((r) => r.status === 'Error')));
    await eventually(async () => assert.equal(await text(page, '.title h2'), 'failing'));
    await log(id, 'again', { status: 'RUNNING' });
    await eventually(async () => assert.equal(await row(page, 'failing'), undefined));
    await page.locator('.filter[data-status=CANCELED]').click();
    await eventually(async () => assert.match(await text(page, '#unmatched'), /No activity is canceled/));
    await shot(page, 'unmatched');
    await page.getByRole('link', { name: 'Show all activities' }).click();
    await eventually(async () => assert.ok((await rows(page)).length > 3));
  });
});

scene('of a large list the first hundred are shown', async () => {
  await sql(`select count(agentexec.create_activity('many', 'number ' || n)) from generate_series(1, 120) n`);
  await play('/', async (page) => {
    await eventually(async () => assert.equal((await rows(page)).length, 100));
    assert.match(await page.locator('#more').textContent(), /^The first 100 activities of 1\d\d\.$/);
  });
  await sql(`delete from agentexec.activity where agent_type = 'many'`);
});

scene('the keyboard alone will do', () =>
  play('/', async (page) => {
    await live(page);
    await page.locator('.row').first().waitFor();
    await page.locator('.filter').last().focus();
    await page.keyboard.press('Tab');
    const type = await page.evaluate(() => document.activeElement.querySelector('.type')?.textContent);
    assert.ok(type, 'the first row follows the filters');
    await create('pushes the row down');
    await eventually(async () => assert.ok(await row(page, 'pushes the row down')));
    assert.equal(await page.evaluate(() => document.activeElement.querySelector('.type')?.textContent), type, 'a row keeps the focus as it moves');
    await page.keyboard.press('Enter');
    await eventually(async () => assert.equal(await text(page, '.title h2'), type));
  }));

const phone = { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true };

scene('it works at 375 px', async () => {
  const long = 'a-type-with-a-rather-long-name-that-does-not-fit-on-a-phone';
  const id = await create(long, 'a first line that is long enough to need more than one line on a phone');
  await log(id, 'half way through the work of the day', { status: 'RUNNING', percentage: 50, data: { a: 1 } });
  const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight);
  await play('/', async (page) => {
    await live(page);
    await page.locator('.row').first().waitFor();
    assert.ok(await fits(page));
    assert.ok(await page.locator('.detail').isHidden());
    await shot(page, 'phone-list');
    await rowOf(page, long).click();
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2]));
    assert.ok(await page.locator('.list').isHidden());
    assert.ok(await fits(page));
    assert.equal(await page.evaluate(() => document.activeElement.className), 'detail', 'the focus comes along');
    assert.ok(await page.locator('#connection').isVisible());
    await shot(page, 'phone-detail');
    await page.getByRole('link', { name: 'All activities' }).click();
    await eventually(async () => assert.ok(await page.locator('.list').isVisible()));
    assert.match(await page.evaluate(() => document.activeElement.href), new RegExp(id));
  }, phone);
  await play('/activities/' + randomUUID(), async (page) => {
    await eventually(async () => assert.match(await text(page, '#message'), /No such activity/));
    assert.ok(await page.getByRole('link', { name: 'All activities' }).isVisible());
    await shot(page, 'phone-unknown');
  }, phone);
});

scene('it is dark where the person prefers that', async () => {
  const id = await create('night', 'in the dark');
  await log(id, 'working', { status: 'RUNNING', percentage: 70 });
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2]));
    const [r, g, b] = (await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)).match(/\d+/g).map(Number);
    assert.ok(r + g + b < 100);
    await shot(page, 'dark');
    await move('/sidecar/kill');
    await eventually(async () => assert.match(await text(page, '#connection'), /^Reconnecting/));
    await shot(page, 'dark-reconnecting');
    await move('/sidecar/start');
    await live(page);
  }, { colorScheme: 'dark' });
});

scene('a server that wants a token says so, and is let in with one', async () => {
  const guarded = await move('/guarded');
  const id = await create('guarded', 'for those with a token');
  const refused = async (page, reason) => {
    await eventually(async () => assert.match(await text(page, '#enter p'), reason));
    assert.equal(await text(page, '#connection'), 'Not signed in');
  };
  await play(guarded + '/activities/' + id, async (page) => {
    await refused(page, /a token is needed/);
    await shot(page, 'token');
    assert.deepEqual(await rows(page), []);
    for (const [bad, reason] of [['nonsense', /malformed/], ['two words', /no token/]]) {
      await page.fill('#token', bad);
      await page.click('#enter button');
      await refused(page, reason);
    }
    await page.fill('#token', await move('/token', '1h'));
    await page.click('#enter button');
    await live(page);
    assert.ok(await page.locator('#enter').isHidden());
    await eventually(async () => assert.deepEqual(await messages(page), ['for those with a token']));
    await page.reload();
    await live(page); // it lives as long as the tab
  });
  await play(guarded + '/#token=' + (await move('/token', '8s')), async (page) => {
    await live(page);
    assert.equal(page.url(), guarded + '/', 'it is out of sight');
    await refused(page, /the token has expired/);
  });
});
