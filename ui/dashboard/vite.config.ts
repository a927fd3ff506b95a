import { defineConfig } from 'vite';

// The packages are built in as they are written, so that one build is enough. The output depends on nothing but the
// sources and package-lock.json: dist/ is committed, and check-dist.sh compares it.
const first = /node_modules\/(preact|@tanstack)\/|ui\/client\/src\/|ui\/react\/src\/(clock|hooks|icons|observable|store|times|virtual_items)\.|dashboard\/src\/(frame|list|[^/]+\.tsx?$)/;
const later = /\.css|frame\/question_card|list\/(cancel_|toolbar_dialogs)/;

// Preact replaces React: the browser loads, parses and runs less than half of the script before the first paint. The pages are written
// for React, and the tests of @agentexec/react use React.
export const alias = [
  { find: /^react(-dom)?$/, replacement: 'preact/compat' },
  { find: /^react-dom\/client$/, replacement: 'preact/compat/client' },
  { find: /^react\/jsx-(dev-)?runtime$/, replacement: 'preact/jsx-runtime' },
];

export default defineConfig({
  resolve: { alias, conditions: ['@agentexec/source', 'module', 'browser', 'import', 'default'] },
  base: './', // the page works under any path prefix; ui/embed.go has deep links find its files
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the content security policy takes no data: URLs
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // What the first page and a part that is loaded later both use stays with the first page: many small scripts compress badly.
        codeSplitting: { groups: [{ name: 'index', test: (id: string) => first.test(id) && !later.test(id) }] },
      },
    },
  },
});
