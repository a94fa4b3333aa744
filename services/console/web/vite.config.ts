// SPDX-License-Identifier: Apache-2.0
import { defineConfig, type Plugin } from 'vite';

/** React Aria speaks some thirty languages; two of them are ours. */
const ownLanguages: Plugin = {
  name: 'own-languages',
  enforce: 'pre',
  load: (id) => (/\/node_modules\/react-.*\/intl\/.*\/[a-z]{2}-[A-Z]{2}\.mjs$/.test(id) && !/\/(ja-JP|en-US)\.mjs$/.test(id) ? 'export default {};' : null),
};

// Three files with names that stay: the program that serves them puts its own path, which changes with their bytes, in
// the place of @assets@ (services/console/assets.c).
export default defineConfig(({ command }) => ({
  base: command === 'build' ? '/@assets@/' : '/',
  plugins: [ownLanguages],
  esbuild: { jsx: 'automatic', legalComments: 'none' },
  build: {
    target: 'es2022',
    outDir: 'dist',
    assetsDir: '',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      onwarn: (warning, show) => { if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') show(warning); },
      output: {
        entryFileNames: 'console.js',
        assetFileNames: (asset) => (asset.names[0]?.endsWith('.css') ? 'console.css' : '[name][extname]'),
        inlineDynamicImports: true,
      },
    },
  },
}));
