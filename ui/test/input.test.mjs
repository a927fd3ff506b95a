// All input from outside is shown as text, and does no harm.

import assert from 'node:assert/strict';
import { create, eventually, log, play, scene, shot, state } from './stage.mjs';
import { live, messages, range, row, seqs, text } from './screen.mjs';

const html = '<img src=x onerror="window.pwned = 1"><script>window.pwned = 2</script><b>bold</b> & &amp;';
const harmless = async (page) => {
  assert.equal(await page.locator('img, main b:not(.ax-chip b, .curve b), .detail script, i').count(), 0);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
};

scene('whatever a message holds is shown as text', async () => {
  const id = await create(html, html);
  await log(id, 'أُنجزت 3 صفحات من example.org ثم توقف', { percentage: 30, status: 'RUNNING' });
  await log(id, 'control \u0001\u0007\u001b[31mred\u001b[0m, \u202eoverride, tab\tand\r\nnew line');
  await log(id, '🚀 👩‍🔬 café e\u0301, 中文, ' + 'unbroken'.repeat(60));
  await log(id, 'x' + '🚀'.repeat(600)); // cut in the middle of a pair of surrogates, were it cut after 1000 units
  await log(id, 'x'.repeat(1 << 20), { data: { [html]: html, '\u202e': '\u0007' } });
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 6)));
    const all = await messages(page);
    assert.equal(all[0], html);
    assert.equal(await page.locator('.title h2').textContent(), html);
    assert.equal(all[2], 'control ␁␇red, \ufffdoverride, tab\tand\nnew line');
    assert.equal(all[4], 'x' + '🚀'.repeat(499) + ' …');
    assert.equal(all[5], 'x'.repeat(1000) + ' …');
    const line = (seq) => page.locator(`.ax-line[data-seq="${seq}"]`);
    await page.locator('.ax-log').evaluate((e) => (e.scrollTop = e.scrollHeight));
    await line(6).locator('.ax-data').click();
    await eventually(async () => assert.ok((await line(6).locator('.ax-json').innerText()).includes('<b>bold</b>')));
    assert.ok(!(await line(6).locator('.ax-json').innerText()).includes('\u202e'));
    await harmless(page);
    await page.locator('.ax-log').evaluate((e) => (e.scrollTop = 0));
    await eventually(async () => assert.equal(await line(2).locator('.ax-message').evaluate((e) => e.matches(':dir(rtl)')), true));
    await state(page, 'hostile');

    await page.locator('.ax-log').evaluate((e) => (e.scrollTop = e.scrollHeight));
    await page.getByRole('button', { name: 'Show all 1,048,576 characters' }).click();
    assert.equal((await line(6).locator('.ax-message').first().textContent()).length, 1 << 20);
    await shot(page, 'mebibyte');
    await page.getByRole('button', { name: 'Show less' }).click();
    await eventually(async () => assert.equal((await line(6).locator('.ax-message').first().textContent()).length, 1002));
    await harmless(page);
  });
});

scene('so does the list', async () => {
  const type = '<u>\u202egpj.exe '.repeat(15).slice(0, 255);
  await create(type, html, { metadata: { [html]: html, 'a\u202e': 'b\u0007' } });
  await create('long', 'x'.repeat(1 << 20), { metadata: { long: 'y'.repeat(5000) } });
  await create('rtl', 'أُنجزت 3 صفحات');
  await play('/activities', async (page) => {
    await live(page);
    await eventually(async () => assert.equal((await row(page, type.replaceAll('\u202e', '\ufffd'))).latest, html));
    assert.ok((await row(page, 'long')).latest.length <= 301);
    assert.equal(await page.locator('.row').filter({ hasText: 'rtl' }).locator('.said').evaluate((e) => e.matches(':dir(rtl)')), true);
    assert.equal(await page.locator('u').count(), 0);
    await harmless(page);
    await state(page, 'hostile-list');
    await page.goto(new URL('/activities?' + new URLSearchParams({ q: html, agent_type: html, [`metadata.${html}`]: html }), page.url()).href);
    await eventually(async () => assert.match(await text(page, '#unmatched'), /No activity matches/));
    await harmless(page);
    await state(page, 'hostile-filter');
  }, { viewport: { width: 1440, height: 900 } });
});

for (const id of ['%3Cimg%20src=x%20onerror=pwned=1%3E', 'not-a-uuid', '00000000-0000-0000-0000-00000000000g', 'x'.repeat(3000), '%E0%A4%A1%F0%9F']) {
  scene(`what is no id at all is said to be unknown: ${id.slice(0, 50)}`, () =>
    play('/activities/' + id, async (page) => {
      await eventually(async () => assert.match(await text(page, '#message'), /No such activity/));
      await harmless(page);
      await live(page); // the list is
    }));
}
