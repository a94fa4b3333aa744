// SPDX-License-Identifier: Apache-2.0
// The systemd units: each service has one, with the limits that SECURITY.md promises, and is not held by less than the
// others where it needs no more.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ROOT } from '../../support/harness.mjs';

const DIR = path.join(ROOT, 'deploy/systemd');
const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal', 'console', 'fetch'];
/** {section: {key: [values]}} */
function parse(text) {
  const unit = {};
  let section;
  for (const line of text.split('\n')) {
    const head = /^\[(\w+)\]$/.exec(line);
    const row = /^(\w+)=(.*)$/.exec(line);
    if (head) unit[section = head[1]] ??= {};
    else if (row) (unit[section][row[1]] ??= []).push(row[2]);
    else assert.ok(line === '' || line.startsWith('#'), line);
  }
  return unit;
}
const unit = (s) => parse(fs.readFileSync(path.join(DIR, `fumibako-${s}.service`), 'utf8'));

const ALL = { NoNewPrivileges: 'yes', CapabilityBoundingSet: '', AmbientCapabilities: '', ProtectSystem: 'strict', ProtectHome: 'yes',
  PrivateTmp: 'yes', PrivateDevices: 'yes', DevicePolicy: 'closed', ProtectControlGroups: 'yes', ProtectKernelModules: 'yes',
  ProtectClock: 'yes', ProtectHostname: 'yes', LockPersonality: 'yes', RestrictRealtime: 'yes', RestrictSUIDSGID: 'yes',
  RemoveIPC: 'yes', KeyringMode: 'private', SystemCallArchitectures: 'native', SystemCallErrorNumber: 'EPERM', UMask: '0077',
  LimitCORE: '0', User: 'fumibako', Group: 'fumibako', Restart: 'always', RestartPreventExitStatus: '78' };
const NO_BROWSER = { ProtectKernelTunables: 'yes', ProtectKernelLogs: 'yes', ProtectProc: 'invisible', PrivateUsers: 'yes',
  MemoryDenyWriteExecute: 'yes', RestrictNamespaces: 'yes' };

test('there is a unit for each service, and each one belongs to the target', () => {
  const services = fs.readdirSync(path.join(ROOT, 'services')).filter((s) => s !== 'ctl').sort();
  assert.deepEqual(fs.readdirSync(DIR).filter((f) => f.endsWith('.service')).sort(), services.map((s) => `fumibako-${s}.service`));
  assert.deepEqual(services, [...SERVICES].sort());
  for (const s of SERVICES) {
    const u = unit(s);
    assert.deepEqual(u.Service.ExecStart, [`/usr/bin/fumibako-${s}`]);
    assert.deepEqual(u.Unit.PartOf, ['fumibako.target']);
    assert.deepEqual(u.Install.WantedBy, ['fumibako.target']);
    assert.ok(Number(u.Service.TimeoutStopSec[0]) >= 60, 'time to drain');
  }
});

for (const s of SERVICES) {
  test(`the unit of ${s} gives it what it needs and no more`, () => {
    const { Service } = unit(s);
    const own = { User: 'fumibako-fetch', Group: 'fumibako-fetch' }; // it reads the whole web
    const want = { ...ALL, ...s === 'render' ? {} : NO_BROWSER, ...s === 'fetch' ? own : {} };
    for (const [key, value] of Object.entries(want)) assert.deepEqual(Service[key], [value], key);
    // What the service's own limits (common/confine.c) have for it.
    const hidden = (Service.InaccessiblePaths ?? []).join(' ');
    if (s === 'fetch') { // its configuration and token are handed to it
      assert.equal(hidden, '-/etc/fumibako -/var/lib/fumibako -/run/redis');
      assert.equal(Service.LoadCredential.length, 2);
      assert.equal(Service.StateDirectory, undefined);
      return;
    }
    const mayRead = { box: ['upload', 'revoke', 'watch'], spool: ['ingest', 'render', 'upload', 'rewrite', 'revoke'],
      vault: ['upload', 'revoke', 'portal'] };
    assert.equal(!hidden.includes('/etc/fumibako/box.json'), mayRead.box.includes(s), 'the storage\'s credentials');
    assert.equal(!hidden.includes('/etc/fumibako/spool.key'), mayRead.spool.includes(s), 'the spool\'s keys');
    assert.equal(!hidden.includes('/etc/fumibako/vault.key'), mayRead.vault.includes(s), 'the vault\'s keys');
    assert.equal(!hidden.includes('/var/lib/fumibako/vault'), mayRead.vault.includes(s), 'the vault');
    assert.equal(!hidden.includes('/var/lib/fumibako/console'), s === 'console', 'the administrators\' accounts');
    assert.deepEqual(Service.ReadOnlyPaths, s === 'portal' ? ['-/var/lib/fumibako/vault'] : undefined, 'portal reads the vault');
    assert.ok(Service.StateDirectory, 'the policy\'s copy, at least');
    if (s !== 'render') assert.match(Service.SystemCallFilter[0], /^@system-service$/);
    else assert.ok(!/cgroup|ipc|uts/.test(Service.RestrictNamespaces[0]), 'name spaces that Chromium does not use');
  });
}

const analyze = spawnSync('systemd-analyze', ['--version']).status === 0;
test('systemd has nothing to say against them', { skip: !analyze && 'systemd-analyze is not installed' }, () => {
  for (const s of SERVICES) {
    const file = path.join(DIR, `fumibako-${s}.service`);
    const r = spawnSync('systemd-analyze', ['--offline=true', '--no-pager', 'security', '--threshold=' + (s === 'render' ? 35 : 20), file],
      { encoding: 'utf8' });
    assert.equal(r.status, 0, `${s}: ${(r.stdout + r.stderr).split('\n').slice(-4).join('\n')}`);
    assert.doesNotMatch(r.stdout + r.stderr, /Unknown|Failed to parse|Invalid/i);
  }
});
