// SPDX-License-Identifier: Apache-2.0
//
// The manifests on one machine without a cluster: the objects that kustomize renders, as pods that `podman kube play`
// takes.  What Podman does not know (4.3: StatefulSets, Services, Secrets as volumes, fsGroup, probes without a program
// in the image, published ports) is put in its place here, and nothing else is changed: commands, variables, mounts,
// users, capabilities, read-only roots, the seccomp profile and limits are the manifests' own.
//
//   const play = await Play.create(t, objects, { secrets, env: { rewrite: { FUMIBAKO_REWRITE_RELAY: 'smtp://...' } } });
//   await play.start(play.pod('upload', 2));        // a second pod of that Deployment
//   await play.address('fumibako-upload-2');
//   play.podman(['kill', ...]);

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { ROOT, request, waitFor } from '../../support/harness.mjs';

const { parseAllDocuments, stringify } = createRequire(import.meta.url)('yaml');
const USER = 10001;

/** Runs podman; its output, or what it says when it fails. */
export function podman(args, { input, timeout = 120000, ok = [0] } = {}) {
  const r = spawnSync('podman', args, { encoding: 'utf8', input, timeout, maxBuffer: 64 << 20 });
  assert.ok(ok.includes(r.status), `podman ${args.join(' ')}: ${r.status ?? r.signal ?? r.error}\n${r.stdout}\n${r.stderr}`);
  return r.stdout.trim();
}

/** What a machine lacks for pods, in words, or false. */
export function lacks(images) {
  if (process.getuid() !== 0) return 'needs root';
  if (spawnSync('podman', ['--version']).status !== 0) return 'podman is not installed';
  for (const image of images) if (spawnSync('podman', ['image', 'exists', image]).status !== 0) return `there is no image ${image}`;
  return false;
}

/** A Redis for these tests, from the base that the images are built on: user 999, and a folder /data of its own. */
export function redisImage(tag = 'localhost/fumibako-redis:test') {
  if (spawnSync('podman', ['image', 'exists', tag]).status === 0) return tag;
  const file = 'FROM docker.io/library/debian:trixie-slim\n' +
    'RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null ' +
    '&& install -d -o 999 -g 999 /data && rm -rf /var/lib/apt/lists/*\nUSER 999:999\nCMD ["redis-server"]\n';
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-redis-'));
  fs.writeFileSync(path.join(dir, 'Containerfile'), file);
  const r = spawnSync('buildah', ['bud', '--pull-never', '--network', 'host', '-t', tag, dir], { encoding: 'utf8', timeout: 600000 });
  fs.rmSync(dir, { recursive: true });
  assert.equal(r.status, 0, r.stdout + r.stderr);
  return tag;
}

export class Play {
  /** env: {service: {NAME: value}} on top of the manifests' own; secrets: what k8s/secrets printed, as objects. */
  static async create(t, objects, { secrets, env = {}, images = {} }) {
    const play = new Play();
    Object.assign(play, { objects, secrets, env, images, pods: new Map(), probes: new Map(), made: [] });
    play.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fumibako-play-'));
    fs.chmodSync(play.dir, 0o755);
    t.after(() => play.stop());
    play.network = `fumibako-play-${process.pid}`;
    podman(['network', 'create', play.network]);
    play.gateway = JSON.parse(podman(['network', 'inspect', play.network]))[0].subnets[0].gateway;
    play.seccomp = path.join(play.dir, 'seccomp');
    fs.mkdirSync(play.seccomp);
    fs.copyFileSync(path.join(ROOT, 'k8s/seccomp/chromium.json'), path.join(play.seccomp, 'chromium.json'));
    // fsGroup, in Podman's words.
    for (const claim of objects.filter((o) => o.kind === 'PersistentVolumeClaim')) {
      claim.metadata.annotations = { 'volume.podman.io/uid': String(USER), 'volume.podman.io/gid': String(USER) };
      play.made.push(claim.metadata.name);
      play.#play(claim.metadata.name, [claim], []);
    }
    return play;
  }

  /** The pod of a Deployment or StatefulSet, as objects for one file; number tells its copies apart. */
  pod(service, number = 0) {
    const isIt = (o) => ['Deployment', 'StatefulSet'].includes(o.kind) && [`fumibako-${service}`, service].includes(o.metadata.name);
    const work = structuredClone(this.objects.find(isIt));
    const { labels } = work.spec.template.metadata;
    const { spec } = work.spec.template;
    // A pod's name is what finds it: that of the Service that leads to it.
    const found = this.objects.find((o) => o.kind === 'Service' && Object.entries(o.spec.selector).every(([k, v]) => labels[k] === v));
    const name = `${found?.metadata.name ?? work.metadata.name}${number > 0 ? `-${number}` : ''}`;
    return this.podOf(name, labels, spec, { env: this.env[service] });
  }

  /** A pod of a specification that stands in a manifest. */
  podOf(name, labels, spec, { env = {}, image } = {}) {
    const annotations = {};
    const maps = new Set();
    for (const v of spec.volumes) this.#volume(v, path.join(this.dir, name, v.name), spec.securityContext, maps);
    for (const c of spec.containers) {
      const profile = spec.securityContext.seccompProfile;
      if (profile.type === 'Localhost') {
        annotations[`container.seccomp.security.alpha.kubernetes.io/${c.name}`] = `localhost/${path.basename(profile.localhostProfile)}`; // Podman takes no folders
      }
      for (const e of c.env ?? []) if (e.valueFrom?.configMapKeyRef) maps.add(e.valueFrom.configMapKeyRef.name);
      c.env = (c.env ?? []).filter((e) => env[e.name] === undefined).concat(Object.entries(env).map(([n, value]) => ({ name: n, value })));
      c.image = image ?? this.images[c.image] ?? c.image;
      c.imagePullPolicy = 'Never';
      // No program of the image asks them: the test does, from outside.
      const port = c.ports?.find((p) => p.name === c.readinessProbe?.httpGet?.port)?.containerPort;
      this.probes.set(name, port && `:${port}${c.readinessProbe.httpGet.path}`);
      for (const key of ['readinessProbe', 'livenessProbe', 'startupProbe', 'lifecycle', 'ports']) delete c[key];
    }
    delete spec.topologySpreadConstraints;
    delete spec.serviceAccountName;
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels, annotations }, spec };
    return [...this.objects.filter((o) => o.kind === 'ConfigMap' && maps.has(o.metadata.name)), pod];
  }

  #volume(v, folder, { runAsUser, fsGroup }, maps) {
    if (v.configMap) {
      maps.add(v.configMap.name);
      if (!this.made.includes(v.configMap.name)) this.made.push(v.configMap.name);
    } else if (v.secret) {
      const data = this.secrets.find((s) => s.metadata.name === v.secret.secretName)?.data;
      assert.ok(data, `no Secret ${v.secret.secretName}`);
      fs.mkdirSync(folder, { recursive: true });
      for (const { key, path: file } of v.secret.items ?? Object.keys(data).map((k) => ({ key: k, path: k }))) {
        fs.writeFileSync(path.join(folder, file), Buffer.from(data[key], 'base64'));
        fs.chownSync(path.join(folder, file), 0, fsGroup);
        fs.chmodSync(path.join(folder, file), v.secret.defaultMode);
      }
      delete v.secret;
      v.hostPath = { path: folder, type: 'Directory' };
    } else if (v.emptyDir) {
      fs.mkdirSync(folder, { recursive: true });
      fs.chownSync(folder, runAsUser, fsGroup);
      fs.chmodSync(folder, 0o770);
      delete v.emptyDir;
      v.hostPath = { path: folder, type: 'Directory' };
    }
  }

  #play(name, objects, more) {
    const file = path.join(this.dir, `${name}.yaml`);
    fs.writeFileSync(file, objects.map((o) => stringify(o)).join('---\n'));
    podman(['kube', 'play', '--quiet', '--log-driver', 'k8s-file', '--seccomp-profile-root', this.seccomp, ...more, file]);
  }

  /** Plays one pod and waits until its readiness probe is answered. */
  async start(objects, { timeout = 180000 } = {}) {
    const { name } = objects.at(-1).metadata;
    this.pods.set(name, objects);
    this.#play(name, objects, ['--network', this.network]);
    const address = this.address(name);
    const probe = this.probes.get(name);
    if (probe) {
      await waitFor(async () => (await request(`http://${address}${probe}`, { timeout: 2000 })).status === 200, { timeout, interval: 200, what: `${name} to be ready` })
        .catch((error) => { throw new Error(`${error.message}\n${this.logs(name)}`); });
    }
    return address;
  }

  address(name) {
    const infra = podman(['pod', 'inspect', name, '-f', '{{.InfraContainerID}}']);
    return podman(['inspect', infra, '-f', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}']);
  }

  container(name) { return `${name}-${this.pods.get(name).at(-1).spec.containers[0].name}`; }
  logs(name) { return spawnSync('podman', ['logs', '--tail', '40', this.container(name)], { encoding: 'utf8' }).stderr ?? ''; }

  /** As waitFor; what the services had to say is in the error. */
  async until(fn, options) {
    return waitFor(fn, options).catch((error) => {
      const words = [...this.pods.keys()].map((name) => `${name}:\n${this.logs(name).split('\n').filter((l) => /"(warn|error|fatal)"/.test(l)).slice(-5).join('\n')}`);
      throw new Error(`${error.message}\n${words.join('\n')}`);
    });
  }

  /** As the node dies: no signal that anybody could follow, and no pod behind it. */
  kill(name) {
    podman(['kill', '--signal', 'KILL', this.container(name)]);
    podman(['rm', '-f', '-v', '-t', '0', this.container(name)]); // with its nameless volumes
    podman(['pod', 'rm', '-f', '-t', '0', name]);
    this.pods.delete(name);
  }

  /** What one container may: its limits as the kernel has them, and its root. */
  limits(name) {
    const [c] = JSON.parse(podman(['inspect', this.container(name)]));
    const status = fs.readFileSync(`/proc/${c.State.Pid}/status`, 'utf8');
    const row = (key) => new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(status)[1].split(/\s+/)[0];
    return { uid: Number(row('Uid')), caps: row('CapBnd'), effective: row('CapEff'), noNewPrivs: row('NoNewPrivs'), seccomp: row('Seccomp'),
      isReadOnly: c.HostConfig.ReadonlyRootfs, peakMb: Math.round(Number(row('VmHWM')) / 1024) };
  }

  /** Nothing of it stays, whatever the test came to. */
  stop() {
    const away = (...args) => spawnSync('podman', args, { timeout: 300000, stdio: 'ignore' });
    if (this.pods.size > 0) away('rm', '-f', '-v', '-t', '1', ...[...this.pods.keys()].map((n) => this.container(n)));
    if (this.pods.size > 0) away('pod', 'rm', '-f', '-t', '1', ...this.pods.keys());
    for (const name of this.made) away('volume', 'rm', '-f', name);
    if (this.network) away('network', 'rm', '-f', this.network);
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

/** What kubectl makes of an overlay. */
export function rendered(overlay) {
  const r = spawnSync('kubectl', ['kustomize', path.join(ROOT, 'k8s/overlays', overlay)], { encoding: 'utf8', maxBuffer: 16 << 20 });
  assert.equal(r.status, 0, r.stderr);
  return parseAllDocuments(r.stdout).map((d) => d.toJS()).filter(Boolean);
}

/** What k8s/secrets prints. */
export function freshSecrets(namespace) {
  const r = spawnSync(path.join(ROOT, 'k8s/secrets'), ['--namespace', namespace], { encoding: 'utf8' });
  assert.equal(r.status, 0, r.stderr);
  return parseAllDocuments(r.stdout).map((d) => d.toJS()).filter(Boolean);
}

/** A command in a pod or container; its exit code and output. */
export function inside(container, args, { input } = {}) {
  const r = spawnSync('podman', ['exec', '-i', container, ...args], { encoding: 'utf8', input: input ?? '', timeout: 60000 });
  return { code: r.status, out: r.stdout, err: r.stderr };
}
