import type { ActivityListItem, Question } from '@agentexec/client';
import { expect, test } from 'vitest';
import { asked, createNews, happened } from '../src/frame/notify.ts';

const item = (more: Partial<ActivityListItem>): ActivityListItem => ({
  agent_id: 'a', agent_type: 'research', status: 'RUNNING', latest_percentage: null, created_at: '2026-01-01T00:00:00Z', started_at: null, updated_at: '2026-01-01T00:00:00Z',
  finished_at: null, last_seq: 1, attempt: 1, latest_log: 'out of memory', last_seen_at: '2026-01-01T00:00:00Z', stale: false, ...more,
});
const failed = (more: Partial<ActivityListItem> = {}) => item({ status: 'ERROR', finished_at: '2026-01-01T00:01:00Z', ...more });

test('what failed and activities that need a person is told, and nothing else', () => {
  expect(happened(failed())).toMatchObject({ title: 'research failed', text: 'out of memory', id: 'a' });
  expect(happened(item({ stale: true }))?.title).toBe('research is silent');
  expect(happened(item({ open_questions: 1, stale: true })), 'its question is told').toBeNull();
  expect(asked({ agent_id: 'a', agent_type: 'research', key: 'k', prompt: 'Include them?\nReally?' } as Question)).toEqual({ key: 'a asks k', id: 'a', title: 'research asks a question', text: 'Include them?' });
  expect([item({}), item({ status: 'QUEUED' }), item({ status: 'COMPLETE' }), item({ stale: true, cancel: {} as never })].map(happened)).toEqual([null, null, null, null]);
  expect(happened(failed({ agent_type: 'a\u202eb' }))?.title).toBe('a\ufffdb failed');
});

test('what was so before is no news, and each event is told once', () => {
  const news = createNews(happened);
  const titles = (...items: ActivityListItem[]) => news(items).map(({ id }) => id);
  expect(titles(failed())).toEqual([]);
  expect(titles(failed(), failed({ agent_id: 'b' }))).toEqual(['b']);
  expect(titles(failed({ agent_id: 'b', latest_log: 'more' }))).toEqual([]);
  expect(titles(failed({ agent_id: 'b', attempt: 2, finished_at: '2026-01-01T00:09:00Z' }))).toEqual(['b']);
});
