import { defineConfig } from 'vite';

// The packages are built in as they are written, so that one build is enough. The output depends on nothing but the
// sources and package-lock.json: dist/ is committed, and check-dist.sh compares it.
export default defineConfig({
  resolve: { conditions: ['@agentexec/source', 'module', 'browser', 'import', 'default'] },
  base: './', // the page works under any path prefix; ui/embed.go has deep links find its files
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the content security policy takes no data: URLs
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
