import { defineConfig } from 'vite';

// Only the element is bundled: one file that needs nothing beside it.
export default defineConfig({
  build: {
    lib: { entry: 'src/element.ts', formats: ['es'], fileName: () => 'element.js' },
    emptyOutDir: false,
    target: 'es2022',
  },
});
