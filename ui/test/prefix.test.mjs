// The dashboard under any path prefix: at / and below a proxy's /agentexec/ the same page works.

import assert from 'node:assert/strict';
import { create, eventually, log, move, play, scene, token } from './stage.mjs';
import { live, row, rowOf, shows, text, types } from './screen.mjs';
import { proxy } from './proxy.mjs';

// below serves a sidecar under a prefix while act runs; no request may leave the prefix.
async function below(prefix, act, to) {
  const p = await proxy({ prefix, to });
  try {
    await act(p);
    assert.deepEqual(p.strays, [], 'every request lies below the prefix');
  } finally {
    p.close();
  }
}

for (const prefix of ['', '/agentexec', '/tools/activities']) {
  const pathname = (page) => new URL(page.url()).pathname;

  scene(`the list, an activity and the way back, at ${prefix}/`, () =>
    below(prefix, async (p) => {
      const type = 'prefixed' + prefix;
      const id = await create(type, 'line 1');
      await play(`${p.url}/`, async (page) => {
        await live(page);
        await eventually(async () => assert.ok(await row(page, type)));
        assert.equal(await rowOf(page, type).getAttribute('href'), `${prefix}/activities/${id}`);
        await rowOf(page, type).click();
        await shows(page, 'line 1');
        assert.equal(pathname(page), `${prefix}/activities/${id}`);
        await log(id, 'line 2', { status: 'RUNNING' });
        await shows(page, 'line 1', 'line 2');

        await page.keyboard.press('Escape');
        await eventually(() => assert.equal(pathname(page), prefix + '/'));
        await page.getByLabel('Type, exactly').fill(type);
        await page.getByLabel('Type, exactly').press('Enter');
        await eventually(async () => assert.deepEqual(await types(page), [type]));
        assert.equal(pathname(page), prefix + '/');
        await page.locator('h1 a').click();
        await eventually(() => assert.equal(page.url(), p.url + '/'));
        await page.goBack();
        await page.goBack();
        await page.goBack();
        await shows(page, 'line 1', 'line 2');
        assert.equal(pathname(page), `${prefix}/activities/${id}`);
      });
    }));

  scene(`a deep link, reloaded, at ${prefix}/`, () =>
    below(prefix, async (p) => {
      const id = await create('deep' + prefix, 'line 1');
      await play(`${p.url}/activities/${id}?agent_type=${encodeURIComponent('deep' + prefix)}`, async (page) => {
        await shows(page, 'line 1');
        await page.reload();
        await shows(page, 'line 1');
        await live(page);
        await eventually(async () => assert.deepEqual(await types(page), ['deep' + prefix]));
      });
    }));

  scene(`without WebSockets, at ${prefix}/`, () =>
    below(prefix, async (p) => {
      p.set({ sockets: false });
      const id = await create('polled' + prefix, 'line 1');
      await play(`${p.url}/activities/${id}`, async (page) => {
        await live(page);
        await log(id, 'line 2');
        await shows(page, 'line 1', 'line 2');
      });
    }));
}

scene('a token is asked for and accepted below a prefix', async () => {
  const guarded = await move('/guarded');
  const id = await create('guarded', 'line 1');
  await below('/agentexec', async (p) => {
    await play(`${p.url}/activities/${id}`, async (page) => {
      await eventually(async () => assert.match(await text(page, '#enter [role=alert]'), /A token is needed/));
      await page.fill('#token', await token('--read'));
      await page.keyboard.press('Enter');
      await shows(page, 'line 1');
      await live(page);
    });
  }, guarded);
});
