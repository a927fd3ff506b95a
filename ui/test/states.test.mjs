// The states of the frame: nothing there yet, faults of the server and of the page, the theme, notifications.

import assert from 'node:assert/strict';
import { create, eventually, finish, log, move, open, play, scene, shot, sql, state, token } from './stage.mjs';
import { live, offline, text } from './screen.mjs';
import { proxy } from './proxy.mjs';

// These come first: nothing is in the database yet.
scene('an empty installation says what to do first, until there is an activity', async () => {
  await play('/', async (page) => {
    await live(page);
    await page.getByRole('heading', { name: 'Nothing has run yet' }).waitFor();
    assert.match(await text(page, '#first'), /agentexec\.create_activity\('hello'\)/);
    await state(page, 'empty');
    // The three lines do what they promise.
    await sql((await page.locator('#first pre').first().textContent()).split(';\n')[0]);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    assert.equal(await page.locator('#first').count(), 0);
  });
});

scene('the first visit without a token, a wrong one, and one that may not read', async () => {
  const guarded = await move('/guarded');
  const titled = (page, title) => page.locator('#enter').getByRole('heading', { name: title }).waitFor();
  await play(guarded + '/', async (page) => {
    await titled(page, 'Enter a token');
    assert.equal(await text(page, '#connection'), 'Not signed in');
    await state(page, 'first-visit');
    await page.keyboard.type('nonsense'); // the field has the focus, each time
    await page.keyboard.press('Enter');
    await titled(page, 'This token is not valid');
    await state(page, 'wrong-token');
    await page.keyboard.type(await token('--write'));
    await page.keyboard.press('Enter');
    await titled(page, 'This token may not read activities');
    await state(page, 'no-rights');
    await page.keyboard.type(await token('--read'));
    await page.keyboard.press('Enter');
    await live(page);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  });
});

scene('a lost connection is reconnecting, then offline, then live, in words with what to do', async () => {
  const p = await proxy();
  try {
    await play(p.url + '/', async (page) => {
      await live(page);
      p.set({ fail: (url) => /^\/(v1|readyz)/.test(url) });
      p.cut();
      await eventually(async () => assert.equal(await text(page, '#connection'), 'Reconnecting'));
      await state(page, 'reconnecting');
      await offline(page);
      await page.locator('.conn').click();
      const dialog = page.getByRole('dialog');
      assert.match(await dialog.innerText(), /What is shown is from then\. The page tries again by itself\./);
      await state(page, 'offline-dialog');
      const retry = dialog.getByRole('button', { name: 'Retry now' });
      await retry.click();
      p.set({ fail: () => false });
      await retry.click({ timeout: 2000 }).catch(() => {}); // it may be back already
      await live(page);
      await dialog.getByRole('button', { name: 'Close' }).click();
    }, { viewport: { width: 1440, height: 900 } });
  } finally {
    p.close();
  }
});

scene('figures that cannot be read are said to be old, in words', async () => {
  await play('/', async (page) => {
    await live(page);
    await page.route('**/v1/stats*', (route) => route.fulfill({ status: 500, body: 'Error: at stats.go:12 <b>' }));
    await page.getByRole('button', { name: '24 h' }).click();
    await eventually(async () => assert.match(await text(page, '.page .problem'), /The figures are not up to date\. The server has a fault \(500\)/));
    assert.doesNotMatch(await text(page, 'body'), /stats\.go|TypeError|undefined/);
    await state(page, 'figures-fail');
    await page.unroute('**/v1/stats*');
    await page.getByRole('button', { name: '1 h' }).click();
    await eventually(async () => assert.equal(await page.locator('.page .problem').count(), 0));
  });
});

scene('a page that cannot load its parts says so and offers to reload', async () => {
  const page = await open();
  try {
    await page.route('**/assets/overview-*.js', (route) => route.abort());
    await page.goto(new URL('/', process.env.PAGE_URL).href);
    await page.getByRole('alert').getByRole('heading', { name: 'The overview cannot be shown' }).waitFor();
    await state(page, 'fault');
    await page.getByRole('link', { name: /^Activities/ }).click();
    await page.locator('.list').waitFor(); // the rest of the page works
    await page.goBack();
    await page.unroute('**/assets/overview-*.js');
    await page.getByRole('button', { name: 'Reload' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  } finally {
    await page.context().close();
  }
});

const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

scene('the theme is that of the system until the person chooses one, for all tabs and visits', async () => {
  await play('/', async (page) => {
    await live(page);
    const [theme, light] = [page.locator('#theme'), await background(page)];
    assert.equal(await theme.getAttribute('aria-label'), 'Theme: system');
    await page.emulateMedia({ colorScheme: 'dark' });
    const dark = await background(page);
    assert.notEqual(dark, light);
    await theme.click();
    assert.equal(await theme.getAttribute('aria-label'), 'Theme: light');
    assert.equal(await background(page), light);
    const other = await page.context().newPage();
    await other.goto(page.url());
    assert.equal(await background(other), light);
    await theme.click();
    assert.equal(await theme.getAttribute('aria-label'), 'Theme: dark');
    await eventually(async () => assert.equal(await background(other), dark));
    await page.emulateMedia({ colorScheme: 'light' });
    await page.reload();
    await live(page);
    assert.equal(await background(page), dark);
    await theme.click();
    assert.equal(await background(page), light);
  });
});

scene('the theme can be chosen where the browser keeps nothing', async () => {
  await play('/', async (page) => {
    await page.addInitScript(() => {
      for (const name of ['localStorage', 'sessionStorage']) {
        Object.defineProperty(window, name, { get() { throw new DOMException('blocked', 'SecurityError'); } });
      }
    });
    await page.reload();
    await live(page);
    const before = await background(page);
    await page.locator('#theme').click();
    await page.locator('#theme').click();
    assert.equal(await page.locator('#theme').getAttribute('aria-label'), 'Theme: dark');
    assert.notEqual(await background(page), before);
  });
});

const titled = (page, title) => eventually(async () => assert.equal(await page.title(), title));

// silenced makes an activity whose worker promised a heartbeat every second and sent the last one two minutes ago.
async function silenced(type) {
  const id = await create(type);
  await log(id, 'reading', { status: 'RUNNING' });
  await sql(`select (agentexec.heartbeat('${id}', '1 s')).status::text`);
  await sql(`update agentexec.activity_heartbeat h set beat_at = now() - interval '2 min' from agentexec.activity a where a.id = h.activity_id and a.agent_id = '${id}'`);
  await sql(`update agentexec.activity set updated_at = now() - interval '2 min' where agent_id = '${id}'`);
  return id;
}

scene('the title says how many activities need a person', async () => {
  await play('/', async (page) => {
    await titled(page, 'agentexec');
    const id = await silenced('needy');
    await titled(page, '(1) agentexec');
    await page.getByRole('link', { name: /^Activities/ }).click();
    await titled(page, '(1) Activities · agentexec');
    await finish(id, 'complete', 'done');
    await titled(page, 'Activities · agentexec');
  });
});

scene('a person who wants it is notified once of what fails and what needs them, whatever tabs are open', async () => {
  const first = await open();
  try {
    const shown = [];
    await first.context().exposeFunction('shown', (title, tag) => void shown.push([title, tag]));
    await first.context().addInitScript(() => {
      window.Notification = class {
        static permission = 'default';
        static async requestPermission() {
          return (this.permission = 'granted');
        }
        constructor(title, { tag }) {
          window.shown(title, tag);
          window.last = this;
        }
        close() {}
      };
      if (localStorage.getItem('agentexec.notify') === 'on') window.Notification.permission = 'granted';
    });
    const before = await create('before');
    await finish(before, 'error', 'it was over before');
    await first.goto(process.env.PAGE_URL);
    await live(first);
    const button = first.getByRole('button', { name: 'Notify me' });
    assert.equal(await button.getAttribute('aria-pressed'), 'false');
    const quiet = await create('quiet');
    await finish(quiet, 'error', 'nobody asked');
    await eventually(async () => assert.match(await text(first, '.attention'), /nobody asked/));
    await button.click();
    await eventually(async () => assert.equal(await button.getAttribute('aria-pressed'), 'true'));
    await state(first, 'notify');
    const tabs = [first];
    for (const path of ['/activities', '/']) {
      const tab = await first.context().newPage();
      await tab.goto(new URL(path, process.env.PAGE_URL).href);
      await live(tab);
      tabs.push(tab);
    }
    const id = await create('breaks');
    await log(id, 'working', { status: 'RUNNING' });
    await finish(id, 'error', 'out of memory');
    await silenced('silent');
    await eventually(() => assert.deepEqual(shown.map(([title]) => title).sort(), ['breaks failed', 'silent is silent']));
    // Each tab knows: another notification would have come by now.
    for (const tab of tabs) await titled(tab, new URL(tab.url()).pathname === '/' ? '(1) agentexec' : '(1) Activities · agentexec');
    const again = await create('again');
    await finish(again, 'error', 'once more');
    await eventually(() => assert.equal(shown.length, 3));
    assert.equal(new Set(shown.map(([, tag]) => tag)).size, 3);
    await shot(first, 'notified');
    const opened = tabs.map((tab) => tab.evaluate(() => window.last?.onclick()));
    await Promise.all(opened);
    await eventually(() => assert.ok(tabs.some((tab) => tab.url().includes('/activities/'))));

    await button.click().catch(() => {});
  } finally {
    await first.context().close();
  }
});
