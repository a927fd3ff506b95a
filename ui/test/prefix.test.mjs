// The dashboard below a path prefix, through a real nginx: at / and below others, removed from the path or left in it.

import assert from 'node:assert/strict';
import { create, eventually, log, move, play, scene, token } from './stage.mjs';
import { live, row, rowOf, shows, text } from './screen.mjs';
import { through } from './documented.mjs';
import { nginx } from './nginx.mjs';

// below serves a sidecar behind nginx while act runs.
const below = (options, act) => through(nginx, options, act);

const behind = await move('/behind', '/agentexec');
const ways = {
  'at /': { prefix: '' },
  'below a prefix that is removed': { prefix: '/agentexec', to: behind },
  'below a prefix that is removed and that the sidecar does not know': { prefix: '/tools/tracker' },
  'below a prefix that is left': { prefix: '/agentexec', strip: false, to: behind },
};

for (const [where, options] of Object.entries(ways)) {
  const { prefix } = options;
  const name = prefix + where.replaceAll(' ', '-');
  const pathname = (page) => new URL(page.url()).pathname;
  const atList = (page) => eventually(() => assert.match(pathname(page), new RegExp(`^${prefix}/(activities)?$`)));

  scene(`the list, an activity and the way back, ${where}`, () =>
    below(options, async (p) => {
      const type = 'prefixed' + name;
      const id = await create(type, 'line 1');
      await play(`${p.url}/activities`, async (page) => {
        await live(page);
        await eventually(async () => assert.ok(await row(page, type)));
        assert.equal(new URL(await rowOf(page, type).locator('a.type').getAttribute('href'), page.url()).pathname, `${prefix}/activities/${id}`);
        await rowOf(page, type).locator('a.type').click();
        await shows(page, 'line 1');
        assert.equal(pathname(page), `${prefix}/activities/${id}`);
        await log(id, 'line 2', { status: 'RUNNING' });
        await shows(page, 'line 1', 'line 2');

        await page.keyboard.press('Escape');
        await atList(page);
        await page.goBack();
        await shows(page, 'line 1', 'line 2');
        assert.equal(pathname(page), `${prefix}/activities/${id}`);
      });
    }));

  scene(`a deep link, reloaded, ${where}`, () =>
    below(options, async (p) => {
      const id = await create('deep' + name, 'line 1');
      await play(`${p.url}/activities/${id}`, async (page) => {
        await shows(page, 'line 1');
        await page.reload();
        await shows(page, 'line 1');
        await live(page);
      });
    }));

  scene(`without WebSockets, ${where}`, () =>
    below({ ...options, sockets: false }, async (p) => {
      const id = await create('polled' + name, 'line 1');
      await play(`${p.url}/activities/${id}`, async (page) => {
        await live(page);
        await log(id, 'line 2');
        await shows(page, 'line 1', 'line 2');
      });
    }));

  if (!options.to) continue;
  scene(`links name the prefix, ${where}`, () =>
    below(options, async (p) => {
      const slash = await fetch(p.url + '?status=ERROR', { redirect: 'manual' });
      assert.deepEqual([slash.status, slash.headers.get('location')], [options.strip === false ? 307 : 308, prefix + '/?status=ERROR']);
      assert.deepEqual((await (await fetch(p.url + '/openapi.json')).json()).servers, [{ url: prefix }]);
      const created = await fetch(p.url + '/v1/activities', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"task_name": "linked"}' });
      assert.match(created.headers.get('location'), new RegExp(`^${prefix}/v1/activities/[0-9a-f-]{36}$`));
      await play(p.url, async (page) => {
        await live(page);
        assert.equal(pathname(page), prefix + '/');
      });
    }));
}

scene('a token is asked for and accepted below a prefix', async () => {
  const guarded = await move('/guarded');
  const id = await create('guarded', 'line 1');
  await below({ prefix: '/agentexec', to: guarded }, async (p) => {
    await play(`${p.url}/activities/${id}`, async (page) => {
      await eventually(async () => assert.match(await text(page, '#enter [role=alert]'), /A token is needed/));
      await page.fill('#token', await token('--read'));
      await page.keyboard.press('Enter');
      await shows(page, 'line 1');
      await live(page);
    });
  });
});
