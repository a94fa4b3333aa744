// SPDX-License-Identifier: Apache-2.0
import path from 'node:path';
import license, { type Dependency } from 'rollup-plugin-license';
import { defineConfig, type Plugin } from 'vite';

/** React Aria speaks some thirty languages; two of them are ours. */
const ownLanguages: Plugin = {
  name: 'own-languages',
  enforce: 'pre',
  load: (id) => (/\/node_modules\/react-.*\/intl\/.*\/[a-z]{2}-[A-Z]{2}\.mjs$/.test(id) && !/\/(ja-JP|en-US)\.mjs$/.test(id) ? 'export default {};' : null),
};

/** What others wrote of the bundle: their names and licences, as those licences ask for. */
const licences = (all: Dependency[]) => all.sort((a, b) => (a.name! < b.name! ? -1 : 1)).map((d) => {
  const isFree = d.license === 'Unlicense'; // asks for nothing
  const text = (d.licenseText ?? '').trim() || (isFree ? 'This is free and unencumbered software released into the public domain: https://unlicense.org' : '');
  if (!d.name || !d.version || !text) throw new Error(`${d.name}: its package has no licence text`);
  return [`${d.name} ${d.version} (${d.license})`, d.noticeText?.trim(), text].filter(Boolean).join('\n\n');
}).join(`\n\n${'-'.repeat(80)}\n\n`);

/** The file of licences must name every package that the bundle has code or style of. */
const named = new Set<string>();
const nothingUnnamed: Plugin = {
  name: 'nothing-unnamed',
  generateBundle() {
    for (const id of this.getModuleIds()) {
      const name = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1];
      const isUsed = name && this.getModuleInfo(id)?.isIncluded;
      if (isUsed && !named.has(name)) this.error(`${name} is in the bundle and not in licences.txt`);
    }
  },
};

// Three files with names that stay: the program that serves them puts its own path, which changes with their bytes, in
// the place of @assets@ (services/console/assets.c).
export default defineConfig(({ command }) => ({
  base: command === 'build' ? '/@assets@/' : '/',
  plugins: [ownLanguages, license({
    thirdParty: {
      allow: { test: '(MIT OR ISC OR Apache-2.0 OR BSD-2-Clause OR BSD-3-Clause OR 0BSD OR Unlicense)', failOnUnlicensed: true, failOnViolation: true },
      output: { file: path.resolve('dist/licences.txt'),
        template: (all) => { all.forEach((d) => named.add(d.name!)); return `${licences(all)}\n`; } },
    },
  }) as Plugin, nothingUnnamed],
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
