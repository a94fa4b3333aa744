// SPDX-License-Identifier: Apache-2.0
// The Debian packages: what is in them, and, where it is asked for (minutes, root and a Debian mirror), that they install
// on a bare system, that systemd starts the services there with all of their limits, and that purging leaves nothing.
//   FB_PACKAGES="bookworm trixie"   on which Debian; packages for it must be in FB_DEBS (else: cpack, for this Debian)
//   FB_DEBS=DIR                     packages that were made before
//   FB_ROOTS=DIR                    DIR/SUITE: a bare system by debootstrap, which is copied (else it is made)

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { ROOT } from '../../support/harness.mjs';

const SERVICES = { ingest: 9101, render: 9102, upload: 9103, rewrite: 9104, revoke: 9105, watch: 9106, portal: 9108, console: 9107 };
const RELEASES = { bookworm: 'deb12', trixie: 'deb13' };
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-packages-'));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

function run(command, args, { timeout = 600000, ok = [0], ...options } = {}) {
  const r = spawnSync(command, args, { encoding: 'utf8', timeout, maxBuffer: 64 << 20, ...options });
  assert.ok(ok.includes(r.status), `${command} ${args.join(' ')}: ${r.status ?? r.signal ?? r.error}\n${r.stdout}\n${r.stderr}`);
  return r.stdout;
}

const build = process.env.FB_RELEASE ?? path.join(ROOT, 'build/release');
const isBuilt = fs.existsSync(path.join(build, 'CPackConfig.cmake')) && fs.existsSync(path.join(build, 'bin/fumibako-portal'));
const noPackages = !process.env.FB_DEBS && !isBuilt && `${build} is not built`;
let made;
function packages() {
  if (process.env.FB_DEBS) return process.env.FB_DEBS;
  if (!made) {
    made = path.join(dir, 'debs');
    run('cpack', ['-G', 'DEB', '-B', made], { cwd: build });
    fs.rmSync(path.join(made, '_CPack_Packages'), { recursive: true, force: true });
  }
  return made;
}
const find = (name, release = '') => {
  const file = fs.readdirSync(packages()).find((f) => f.startsWith(`${name}_`) && f.includes(release) && f.endsWith('.deb'));
  assert.ok(file, `${packages()} has no package ${name} for ${release}`);
  return path.join(packages(), file);
};

test('the packages have programs, manuals, units, users and a conffile, and ask for what they need', { skip: noPackages }, () => {
  const files = (name) => run('dpkg-deb', ['-c', find(name)]).split('\n').filter(Boolean)
    .map((l) => ({ mode: l.slice(0, 10), owner: l.split(/\s+/)[1], path: l.split(/\s+/)[5].slice(1) }));
  const gateway = files('fumibako'), render = files('fumibako-render');
  for (const s of [...Object.keys(SERVICES), 'fetch']) { // fetch is off until it has a token
    const mine = s === 'render' ? render : gateway;
    for (const p of [`/usr/bin/fumibako-${s}`, `/usr/lib/systemd/system/fumibako-${s}.service`, `/usr/share/man/man8/fumibako-${s}.8.gz`]) {
      assert.ok(mine.some((f) => f.path === p), p);
    }
  }
  for (const p of ['/usr/bin/fumibako', '/usr/share/man/man1/fumibako.1.gz', '/usr/share/man/man5/fumibako.yaml.5.gz',
    '/etc/fumibako/fumibako.yaml', '/usr/lib/sysusers.d/fumibako.conf', '/usr/lib/tmpfiles.d/fumibako.conf',
    '/usr/share/bash-completion/completions/fumibako', '/usr/share/zsh/vendor-completions/_fumibako',
    '/usr/share/fish/vendor_completions.d/fumibako.fish', '/usr/share/doc/fumibako/licences-console.txt',
    '/usr/share/doc/fumibako/licence-pdfjs.txt',
    '/usr/lib/systemd/system/fumibako.target', '/usr/share/doc/fumibako/copyright']) assert.ok(gateway.some((f) => f.path === p), p);
  for (const f of [...gateway, ...render]) {
    assert.equal(f.owner, 'root/root', f.path);
    assert.doesNotMatch(f.mode, /s|t|.{8}w/, `${f.path} ${f.mode}`);
  }
  assert.equal(run('dpkg-deb', ['-I', find('fumibako'), 'conffiles']).trim(), '/etc/fumibako/fumibako.yaml');
  assert.match(run('dpkg-deb', ['-f', find('fumibako-render'), 'Depends']), /fumibako \(= [^)]+\), chromium-headless-shell, fonts-/);
  assert.match(run('dpkg-deb', ['-f', find('fumibako'), 'Depends']), /libssl3.*libyaml/);
  for (const name of ['fumibako', 'fumibako-render']) {
    for (const script of ['postinst', 'prerm', 'postrm']) {
      const text = run('dpkg-deb', ['-I', find(name), script]);
      assert.doesNotMatch(text, /@\w+@/);
      run('sh', ['-n'], { input: text });
    }
  }
});

const suites = (process.env.FB_PACKAGES ?? '').split(/[\s,]+/).filter(Boolean);
const have = (c) => spawnSync('sh', ['-c', `command -v ${c}`]).status === 0;
const why = suites.length === 0 ? 'FB_PACKAGES="bookworm trixie" installs them on bare systems: minutes, root, a Debian mirror'
  : process.getuid() !== 0 ? 'needs root' : !have('systemd-nspawn') ? 'needs systemd-container' : noPackages;

const CHECK = `
left=600
until [ $left = 0 ]; do
  ok=1
  for p in ${Object.values(SERVICES).join(' ')}; do
    bash -c "exec 3<>/dev/tcp/127.0.0.1/$p; printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3" 2>/dev/null | tr -d '\\r' | tail -n 1 | grep -qx ready || ok=
  done
  [ -z "$ok" ] || break
  left=$((left - 1)); sleep 0.1
done
[ -z "$ok" ] || echo "ALL READY"
for s in ${Object.keys(SERVICES).join(' ')}; do
  pid=$(systemctl show -P MainPID fumibako-$s)
  echo "$s $(systemctl is-active fumibako-$s) restarts=$(systemctl show -P NRestarts fumibako-$s) $(grep -E '^(NoNewPrivs|Seccomp|CapBnd|CapEff):' /proc/$pid/status | tr -d '\\n\\t')"
done
printf 'HELO x\\r\\nMAIL FROM:<a@example.jp>\\r\\nRCPT TO:<b@example.com>\\r\\nDATA\\r\\nSubject: t\\r\\nContent-Type: text/html\\r\\n\\r\\n<p>body</p>\\r\\n.\\r\\nQUIT\\r\\n' >/mail
cat >/policy.yaml <<'END'
storages: [{name: vault, type: vault, url: "file:///var/lib/fumibako/vault", key_file: /etc/fumibako/vault.key}]
security_definitions: [{name: recipients only, access: recipients}]
rules: [{name: all, action: secure, storage: vault, security: recipients only}]
END
runuser -u fumibako -- fumibako policy apply /policy.yaml && echo "POLICY APPLIED"
bash -c 'exec 3<>/dev/tcp/127.0.0.1/10025; while read -r line; do printf "%s\\n" "$line" >&3; read -r -t 5 reply <&3; echo "$reply"; done </mail'
bash -c "exec 3<>/dev/tcp/127.0.0.1/9102; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3" | grep -E 'chromium_usable'
journalctl --no-pager -o cat -u 'fumibako-*' | grep -iE 'chromium|sandbox' | tail -n 5
get() { bash -c "exec 3<>/dev/tcp/127.0.0.1/$1; printf 'GET $2 HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3; timeout 5 cat <&3" | tr -d '\\r'; }
upto() { left=300; until "$@" || [ $left = 0 ]; do left=$((left - 1)); sleep 0.1; done; }
get 8080 / >/page; echo "console $(head -n 1 /page) $(grep -c console.js /page)"
runuser -u fumibako -- fumibako --json user add hanako admin | grep -q password && echo "USER ADDED"
upto test -s /var/lib/fumibako/console/users
echo "accounts $(stat -c '%a %U' /var/lib/fumibako/console/users)"
parcel() { find /var/lib/fumibako/vault -type f | grep -q .; }
upto parcel; parcel && echo "PARCEL IN THE VAULT"
is_portal() { get 8081 /r/none | head -n 1 | grep -q 404; }
upto is_portal; get 8081 /r/none >/page; echo "portal $(head -n 1 /page)"
echo "fetch without a token $(systemctl is-active fumibako-fetch)"
umask 027; head -c 48 /dev/urandom | base64 -w 0 >/etc/fumibako/fetch.token; echo 'fetch: {listen: "127.0.0.1:8025"}' >/etc/fumibako/fetch.yaml
systemctl start fumibako-fetch
is_ready() { get 9109 /readyz | grep -qx ready; }
upto is_ready
echo "fetch with a token $(systemctl is-active fumibako-fetch) $(stat -c %U "/proc/$(systemctl show -P MainPID fumibako-fetch)")"
systemctl stop fumibako.target
sleep 5
for s in ${Object.keys(SERVICES).join(' ')}; do echo "stopped $s $(systemctl is-active fumibako-$s) $(systemctl show -P Result fumibako-$s)"; done
journalctl --no-pager -o cat -u 'fumibako-*' | grep -iE 'level":"(error|fatal)' | grep -v 'no policy' || true
`;

for (const suite of Object.keys(RELEASES)) {
  test(`${suite}: installed, started by systemd with all limits, removed, purged without a trace`,
    { skip: why || (!suites.includes(suite) && 'not in FB_PACKAGES') }, () => {
      const root = path.join(dir, suite);
      const bare = process.env.FB_ROOTS && path.join(process.env.FB_ROOTS, suite);
      if (bare && fs.existsSync(bare)) run('cp', ['-a', bare, root]);
      else run('debootstrap', ['--variant=minbase', suite, root], { timeout: 900000 });
      fs.mkdirSync(path.join(root, 'debs'));
      for (const name of ['fumibako', 'fumibako-render']) {
        fs.copyFileSync(find(name, RELEASES[suite]), path.join(root, 'debs', `${name}.deb`));
      }
      fs.writeFileSync(path.join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
      const inside = (script) => run('systemd-nspawn', ['-q', '-D', root, '--register=no', '--keep-unit', '--pipe',
        '--setenv=DEBIAN_FRONTEND=noninteractive', ...Object.entries(process.env).filter(([k]) => /^https?_proxy$/i.test(k))
          .map(([k, v]) => `--setenv=${k}=${v}`), 'sh', '-ec', script], { timeout: 900000 });
      inside('apt-get update -qq; apt-get install -y -qq --no-install-recommends redis-server systemd dbus dbus-user-session >/dev/null 2>&1');
      inside('apt-get install -y -qq --no-install-recommends /debs/fumibako.deb /debs/fumibako-render.deb 2>&1');
      const modes = inside('stat -c "%a %U:%G %n" /etc/fumibako /etc/fumibako/* /var/lib/fumibako; fumibako-ingest --check; runuser -u fumibako -- fumibako-portal --check');
      for (const line of ['750 root:fumibako /etc/fumibako', '640 root:fumibako /etc/fumibako/spool.key', '640 root:fumibako /etc/fumibako/rewrite.key',
        '640 root:fumibako /etc/fumibako/fumibako.yaml', '700 fumibako:fumibako /var/lib/fumibako']) assert.ok(modes.split('\n').includes(line), `${line} in\n${modes}`);
      const keys = inside('sha256sum /etc/fumibako/*.key');
      inside('apt-get install -y -qq --reinstall /debs/fumibako.deb 2>&1');
      assert.equal(inside('sha256sum /etc/fumibako/*.key'), keys, 'keys stay as they are');

      // Booted.
      fs.writeFileSync(path.join(root, 'check.sh'), CHECK);
      fs.writeFileSync(path.join(root, 'etc/systemd/system/check.service'), '[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\n' +
        'ExecStart=/bin/sh /check.sh\nStandardOutput=file:/check.out\nStandardError=file:/check.out\nExecStopPost=/bin/systemctl poweroff --no-block\n');
      fs.mkdirSync(path.join(root, 'etc/systemd/system/default.target.wants'), { recursive: true });
      fs.symlinkSync('../check.service', path.join(root, 'etc/systemd/system/default.target.wants/check.service'));
      run('systemd-nspawn', ['-q', '-D', root, '--boot', '--private-network', '--register=no', '--keep-unit'], { timeout: 240000, stdio: ['ignore', 'pipe', 'pipe'] });
      const out = fs.readFileSync(path.join(root, 'check.out'), 'utf8');
      assert.match(out, /^ALL READY$/m, out);
      for (const s of Object.keys(SERVICES)) {
        assert.match(out, new RegExp(`^${s} active restarts=0 .*CapEff:0+CapBnd:0+NoNewPrivs:1Seccomp:2`, 'm'), out);
        assert.match(out, new RegExp(`^stopped ${s} inactive success$`, 'm'), out);
      }
      assert.match(out, /^POLICY APPLIED$/m, out);
      assert.match(out, /250 2\.0\.0 [0-9A-Z]{26} queued/, out);
      for (const line of [/^console HTTP\/1\.\d 200 OK [1-9]/m, /^portal HTTP\/1\.\d 404/m, /^USER ADDED$/m, /^accounts 600 fumibako$/m, /^PARCEL IN THE VAULT$/m,
        /^fetch without a token inactive$/m, /^fetch with a token active fumibako-fetch$/m]) assert.match(out, line, out);
      console.log(out.split('\n').filter((l) => /chromium/i.test(l)).join('\n'));
      for (const f of ['check.sh', 'check.out', 'mail', 'page', 'policy.yaml', 'etc/systemd/system/check.service', 'etc/systemd/system/default.target.wants/check.service']) {
        fs.rmSync(path.join(root, f), { force: true });
      }

      inside('apt-get remove -y -qq fumibako-render fumibako 2>&1');
      assert.equal(inside('sha256sum /etc/fumibako/*.key; test -d /var/lib/fumibako/spool'), keys, 'removing keeps configuration, keys and spool');
      inside('apt-get purge -y -qq fumibako-render fumibako 2>&1');
      const left = inside('rm -rf /debs; find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /var/lib/apt -o -path /var/log -o -path /var/cache \\) -prune ' +
        '-o \\( -name "*fumibako*" -o -nouser -o -nogroup \\) -print; getent passwd | grep fumibako || true; getent group | grep fumibako || true; dpkg -l | grep fumibako || true');
      assert.equal(left.trim(), '');
    });
}
