// SPDX-License-Identifier: Apache-2.0
// The images.  What deploy/Containerfile says is checked always; with FB_IMAGES they are run as the manifests run them:
//   FB_IMAGES=build                                                builds both first (minutes; buildah, a Debian 13 base)
//   FB_IMAGES=twice                                                and once more from nothing: the same images must come out
//   FB_BUILDAH="-v HOST:IN:ro ..."                                 options of buildah, as a registry's certificate needs them
//   FB_IMAGES="localhost/fumibako:dev localhost/fumibako-render:dev"   takes these

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ROOT } from '../../support/harness.mjs';

const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal', 'console', 'fetch'];
const file = fs.readFileSync(path.join(ROOT, 'deploy/Containerfile'), 'utf8');

test('the Containerfile: a base that can be replaced, no root, no shell to start with, nothing of tests or secrets', () => {
  const stages = file.split(/^FROM /m).slice(1);
  assert.deepEqual(stages.map((s) => s.split('\n')[0]), ['${BASE} AS build', '${BASE} AS packages', '${BASE} AS fumibako', 'fumibako AS fumibako-render']);
  for (const stage of stages.slice(2)) {
    assert.match([...stage.matchAll(/^USER (.*)$/gm)].pop()[1], /^[1-9]\d+:[1-9]\d+$/);
    assert.match(stage, /^CMD \["\/usr\/bin\//m);
    assert.match(stage, /chmod a-s/);
    assert.match(stage, /sbom\.spdx\.json/);
  }
  const kept = fs.readFileSync(path.join(ROOT, '.containerignore'), 'utf8').split('\n').filter((l) => l && !l.startsWith('#'));
  assert.equal(kept[0], '*');
  assert.ok(!kept.some((l) => /tests|secrets|build/.test(l)));
  // What render needs is named in three places.
  const list = (text) => [...new Set(text.match(/fonts-[a-z-]+[a-z]|chromium-headless-shell/g))].sort();
  const here = list(stages[3]);
  assert.deepEqual(here, list(fs.readFileSync(path.join(ROOT, 'cmake/packages.cmake'), 'utf8')));
  assert.deepEqual(here, list(fs.readFileSync(path.join(ROOT, 'deploy/install-packages'), 'utf8').split('packages=(')[1].split(')')[0]));
});

const want = process.env.FB_IMAGES;
const skip = want ? (spawnSync('podman', ['--version']).status !== 0 && 'podman is not installed')
  : 'FB_IMAGES=build builds and runs them (minutes; buildah, podman, root)';

function sh(command, args, { ok = 0, timeout = 120000 } = {}) {
  const r = spawnSync(command, args, { encoding: 'utf8', timeout, maxBuffer: 64 << 20, cwd: ROOT });
  assert.equal(r.status, ok, `${command} ${args.join(' ')}: ${r.stdout}${r.stderr}`);
  return r.stdout;
}

const BUD = ['--pull-never', '--network', 'host', '--timestamp', '0', ...(process.env.FB_BUILDAH ?? '').split(' ').filter(Boolean), '-f', 'deploy/Containerfile'];

test('the images run as the manifests run them', { skip }, () => {
  let [plain, render] = want.split(/\s+/);
  if (want === 'build' || want === 'twice') {
    [plain, render] = ['localhost/fumibako:test', 'localhost/fumibako-render:test'];
    for (const [target, tag] of [['fumibako', plain], ['fumibako-render', render]]) {
      sh('buildah', ['bud', '--layers', ...BUD, '--target', target, '-t', tag, '.'], { timeout: 3600000 });
    }
    if (want === 'twice') {
      // The second one stands on the first: its id holds the layers and the settings of both.
      const again = 'localhost/fumibako-render:again';
      sh('buildah', ['bud', '--layers', '--no-cache', ...BUD, '--target', 'fumibako-render', '-t', again, '.'], { timeout: 3600000 });
      const [a, b] = [render, again].map((i) => sh('podman', ['image', 'inspect', '-f', '{{.Id}} {{.RootFS.Layers}}', i]).trim());
      sh('podman', ['rmi', again]);
      assert.equal(b, a, 'the same sources make the same images');
    }
  }
  const run = (image, args, more = []) => sh('podman', ['run', '--rm', '--network', 'none', '--read-only', '--cap-drop', 'all',
    '--security-opt', 'no-new-privileges', '--tmpfs', '/tmp:mode=1777', ...more, image, ...args]);
  for (const s of SERVICES) assert.match(run(plain, [`/usr/bin/fumibako-${s}`, '--version']), /\d+\.\d+\.\d+/);
  assert.equal(run(plain, ['/usr/bin/id', '-u']).trim(), '10001');
  // Nothing is missing for the console's rule tester, and nothing is linked that the image has not.
  const loose = run(plain, ['/bin/sh', '-c', 'for p in /usr/bin/fumibako*; do ldd $p; done']);
  assert.doesNotMatch(loose, /not found/);
  // Named volumes of compose take over owner and mode.
  assert.equal(run(plain, ['/usr/bin/stat', '-c', '%a %u', '/var/lib/fumibako', '/var/lib/fumibako/vault']).trim(), '700 10001\n700 10001');
  for (const image of [plain, render]) {
    assert.equal(run(image, ['/usr/bin/find', '/usr', '/bin', '/sbin', '/opt', '-xdev', '-perm', '/6000', '-type', 'f']).trim(), '', 'set-user-ID');
    const sbom = JSON.parse(run(image, ['/usr/bin/cat', '/usr/share/fumibako/sbom.spdx.json']));
    assert.equal(sbom.spdxVersion, 'SPDX-2.3');
    const installed = run(image, ['/usr/bin/dpkg-query', '-W', '-f', '${Package} ${Version}\\n']).trim().split('\n').sort();
    assert.deepEqual(sbom.packages.slice(1).map((p) => `${p.name} ${p.versionInfo}`).sort(), installed);
    assert.equal(new Set(sbom.packages.map((p) => p.SPDXID)).size, sbom.packages.length);
    const labels = JSON.parse(sh('podman', ['image', 'inspect', '-f', '{{json .Labels}}', image]));
    assert.equal(labels['org.opencontainers.image.licenses'], 'Apache-2.0');
    assert.ok(labels['org.opencontainers.image.version']);
  }
  // Chromium's own sandbox, with our profile, without a capability.
  const html = run(render, ['/usr/bin/chromium-headless-shell', '--headless', '--disable-gpu', '--disable-dev-shm-usage', '--dump-dom',
    '--user-data-dir=/tmp/c', 'data:text/html,<p>painted</p>'], ['--security-opt', `seccomp=${path.join(ROOT, 'k8s/seccomp/chromium.json')}`, '-e', 'HOME=/tmp']);
  assert.match(html, /<p>painted<\/p>/);
});
