// SPDX-License-Identifier: Apache-2.0
// Puts the OpenAPI document together: merge.mjs OUT VERSION PART...  A name that two parts define is an error.
import fs from 'node:fs';

const [out, version, ...parts] = process.argv.slice(2);

function merge(into, from, where) {
  for (const [key, value] of Object.entries(from)) {
    const old = into[key];
    if (old === undefined) {
      into[key] = value;
    } else if (Array.isArray(old) && Array.isArray(value)) {
      old.push(...value);
    } else if (typeof old === 'object' && typeof value === 'object' && !Array.isArray(old) && !Array.isArray(value)) {
      merge(old, value, `${where}/${key}`);
    } else {
      throw new Error(`${where}/${key} is defined twice`);
    }
  }
}

const document = {};
for (const part of parts.sort((a, b) => b.endsWith('/main.json') - a.endsWith('/main.json') || a.localeCompare(b))) {
  merge(document, JSON.parse(fs.readFileSync(part, 'utf8')), '');
}
document.info.version = version;
fs.writeFileSync(out, JSON.stringify(document));
