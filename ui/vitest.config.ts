import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectConfiguration } from 'vitest/config';
import { alias } from './dashboard/vite.config.ts';

// The packages are tested as they are written, without a build.
const conditions = ['@agentexec/source', 'module', 'import', 'default'];

// The dashboard is built with Preact, so it is tested with Preact. Testing Library must then render with Preact too.
const preact = [
  ...alias,
  { find: 'react-dom/test-utils', replacement: 'preact/test-utils' },
  { find: /^@testing-library\/react$/, replacement: '@testing-library/react/dist/@testing-library/react.esm.js' },
];

function project(name: string, root: string, include: string, environment: string): TestProjectConfiguration {
  return {
    resolve: { conditions, alias: name === 'dashboard' ? preact : [] },
    ssr: { resolve: { conditions: [...conditions, 'node'] } },
    // CI machines are slow, and have few cores.
    test: { name, root, server: { deps: { inline: name === 'dashboard' ? [/@tanstack|@testing-library/] : [] } }, setupFiles: name === 'react' ? ['test/setup.ts'] : [], environment, include: ['test/**/*.test.{ts,tsx}'].map((all) => include || all), exclude: include ? [] : ['test/binary*.test.ts'], testTimeout: 120_000, hookTimeout: 60_000 },
  };
}

export default defineConfig({
  test: {
    isolate: false, // files share what they load: loading it costs more than the tests
    pool: 'threads',
    maxWorkers: availableParallelism(),
    projects: [
      project('client', 'client', '', 'node'),
      project('stores', 'react', 'test/**/*.test.ts', 'node'), // without a jsdom, which takes a second for each file
      project('react', 'react', 'test/**/*.test.tsx', 'jsdom'),
      project('dashboard', 'dashboard', '', 'jsdom'),
      // Against a real sidecar, which `go test ./ui -run TestClient` starts.
      ...(process.env['CONTROL_URL'] ? [project('binary', 'client', 'test/binary*.test.ts', 'node')] : []),
    ],
  },
});
