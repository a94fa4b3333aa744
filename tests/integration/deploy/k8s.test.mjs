// SPDX-License-Identifier: Apache-2.0
// The manifests: each overlay is rendered by kustomize; every object fits the schema of its kind, unknown fields are
// errors; and what no schema knows holds as well: names that lead somewhere, ports, restricted pods, network, scaling.
// Copies with one mistake each must fail.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import { ROOT, Redis, World, binDir } from '../../support/harness.mjs';

const require = createRequire(import.meta.url);
const Ajv = require('ajv');
const { parse, parseAllDocuments } = require('yaml');
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
const bundle = JSON.parse(read('tests/fixtures/k8s/schemas.json'));
const ajv = new Ajv({ strict: false, allErrors: true, allowUnionTypes: true });
ajv.addSchema({ $id: 'k8s', definitions: bundle.definitions });
const validators = Object.fromEntries(Object.entries(bundle.kinds).map(([kind, s]) => [kind, ajv.compile({ $ref: `k8s${s.$ref}` })]));

const version = spawnSync('kubectl', ['version', '--client'], { encoding: 'utf8' });
const skip = /Kustomize Version: v([5-9]|\d\d)/.test(version.stdout ?? '') ? false
  : 'kubectl with kustomize 5 or later is not installed (Debian 13: kubernetes-client; else kubernetes.io)';

const OVERLAYS = ['dev', 'production', 'gitops'];
const SERVICES = ['ingest', 'render', 'upload', 'rewrite', 'revoke', 'watch', 'portal', 'console'];
const ALL = [...SERVICES, 'fetch']; // with the component remote-images; it has no Redis
const rendered = {};
function render(overlay) {
  if (!rendered[overlay]) {
    const r = spawnSync('kubectl', ['kustomize', path.join(ROOT, 'k8s/overlays', overlay)], { encoding: 'utf8', maxBuffer: 16 << 20 });
    assert.equal(r.status, 0, r.stderr);
    assert.doesNotMatch(r.stderr, /warning|deprecated/i);
    rendered[overlay] = parseAllDocuments(r.stdout).map((d) => d.toJS()).filter(Boolean);
  }
  return structuredClone(rendered[overlay]);
}

// Created by the operator of the cluster, by hand or by a tool (k8s/README.md): name -> keys.
const SECRETS = { 'fumibako-redis': [...[...SERVICES, 'operator', 'keda'].map((s) => `redis-${s}.password`), 'redis-keda.username'], 'fumibako-spool-key': ['spool.key'], 'fumibako-vault-key': ['vault.key'],
  'fumibako-rewrite-key': ['rewrite.key'], 'fumibako-ingest-token': ['ingest.token'], 'fumibako-fetch-token': ['fetch.token'], 'fumibako-box': ['box.json'],
  'fumibako-bucket': ['credentials'], 'fumibako-redis-users': ['users.acl'], 'fumibako-portal-tls': ['tls.crt', 'tls.key'], 'fumibako-console-tls': ['tls.crt', 'tls.key'] };
const USES = { ingest: ['spool-key', 'ingest-token'], render: ['spool-key', 'rewrite-key'], upload: ['spool-key', 'box', 'vault-key'],
  rewrite: ['spool-key', 'rewrite-key'], revoke: ['spool-key', 'box', 'vault-key'], watch: ['box'], portal: ['rewrite-key', 'vault-key', 'ingest-token'], fetch: ['fetch-token'],
  console: ['rewrite-key'] }; // SECURITY.md
const QUANTITY = /^\d+(\.\d+)?(m|Ki|Mi|Gi)?$/;
const STREAM = /^fb:\{s(\d+)\}:(render|upload|rewrite|revoke)(:bulk)?$/;
const TRIGGER_KEYS = ['address', 'stream', 'streamLength', 'databaseIndex', 'enableTLS'];

/** Every fault of these objects, in words. */
function faults(objects) {
  const found = [];
  const bad = (o, text) => found.push(`${o.kind} ${o.metadata?.name}: ${text}`);
  const of = (kind) => objects.filter((o) => o.kind === kind);
  const named = (kind, name) => of(kind).find((o) => o.metadata.name === name);
  for (const o of objects) {
    const validate = validators[`${o.apiVersion} ${o.kind}`];
    if (!validate) bad(o, `no schema of ${o.apiVersion}`);
    else if (!validate(o)) for (const e of validate.errors) bad(o, `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
    if (o.kind === 'Secret') bad(o, 'a secret in a manifest');
    if (o.kind !== 'Namespace' && !o.metadata.namespace) bad(o, 'no namespace');
  }
  if (found.length > 0) return found;
  const matches = (selector, labels) => Object.entries(selector?.matchLabels ?? {}).every(([k, v]) => labels[k] === v)
    && (selector?.matchExpressions ?? []).every((e) => e.operator === 'In' && e.values.includes(labels[e.key]));
  const workloads = objects.filter((o) => ['Deployment', 'StatefulSet'].includes(o.kind));
  const pods = workloads.map((w) => ({ w, labels: w.spec.template.metadata.labels, spec: w.spec.template.spec }));

  for (const { w, labels, spec } of pods) {
    if (!matches(w.spec.selector, labels)) bad(w, 'its selector does not find its pods');
    const s = spec.securityContext ?? {};
    if (!s.runAsNonRoot || !(s.runAsUser > 0) || !s.fsGroup) bad(w, 'may run as root');
    if (!['RuntimeDefault', 'Localhost'].includes(s.seccompProfile?.type)) bad(w, 'no seccomp profile');
    if (s.seccompProfile?.type === 'Localhost' && !labels['app.kubernetes.io/component']?.match(/^render$/)) bad(w, 'a profile that only render needs');
    if (spec.automountServiceAccountToken !== false) bad(w, 'gets a token of the API server');
    if (spec.hostNetwork || spec.hostPID || spec.hostIPC) bad(w, 'uses the host');
    if (spec.serviceAccountName) {
      const account = named('ServiceAccount', spec.serviceAccountName);
      if (!account || account.automountServiceAccountToken !== false) bad(w, `account ${spec.serviceAccountName}`);
    }
    for (const c of spec.containers) {
      const k = c.securityContext ?? {};
      if (k.allowPrivilegeEscalation !== false || k.readOnlyRootFilesystem !== true || k.capabilities?.drop?.join() !== 'ALL' || k.capabilities.add) bad(w, `container ${c.name} is not restricted`);
      if (!c.readinessProbe || !c.livenessProbe) bad(w, 'no probes');
      if (!c.resources?.requests?.cpu || !c.resources.requests.memory || !c.resources.limits?.memory) bad(w, 'no requests or limits');
      for (const value of Object.values({ ...c.resources?.requests, ...c.resources?.limits })) if (!QUANTITY.test(value)) bad(w, `"${value}" is no quantity`);
      if (/:latest$|^[^:]+$/.test(c.image.replace(/^.*\//, ''))) bad(w, `image ${c.image} has no version`);
      const ports = c.ports.map((p) => p.name);
      for (const probe of [c.readinessProbe, c.livenessProbe, c.startupProbe].filter(Boolean)) {
        const port = (probe.httpGet ?? probe.tcpSocket).port;
        if (!ports.includes(port)) bad(w, `a probe asks port ${port}`);
      }
      for (const m of c.volumeMounts) if (!spec.volumes.some((v) => v.name === m.name)) bad(w, `volume ${m.name} is not there`);
      for (const e of c.env ?? []) {
        const ref = e.valueFrom?.configMapKeyRef;
        if (ref && !(named('ConfigMap', ref.name)?.data[ref.key])) bad(w, `${e.name}: no ${ref.name}/${ref.key}`);
        if (e.valueFrom?.secretKeyRef) bad(w, `${e.name}: a secret in the environment`);
      }
    }
    for (const v of spec.volumes) {
      if (v.hostPath) bad(w, 'a folder of the host');
      if (v.configMap && !named('ConfigMap', v.configMap.name)) bad(w, `no ConfigMap ${v.configMap.name}`);
      if (v.persistentVolumeClaim && !named('PersistentVolumeClaim', v.persistentVolumeClaim.claimName)) bad(w, `no claim ${v.persistentVolumeClaim.claimName}`);
      if (v.emptyDir && !v.emptyDir.sizeLimit) bad(w, `volume ${v.name} has no limit`);
      if (v.projected) bad(w, 'a projected volume');
      if (v.secret) {
        const name = v.secret.secretName;
        if (!SECRETS[name]) bad(w, `no secret ${name}`);
        for (const item of v.secret.items ?? []) if (!SECRETS[name]?.includes(item.key)) bad(w, `${name} has no ${item.key}`);
        if (v.secret.defaultMode !== 0o440) bad(w, `${name} can be read by others`);
      }
    }
    const service = labels['app.kubernetes.io/component'];
    if (ALL.includes(service)) {
      const c = spec.containers[0];
      if (c.command.join() !== `/usr/bin/fumibako-${service}`) bad(w, `runs ${c.command}`);
      if (!c.lifecycle?.preStop?.sleep) bad(w, 'no pause before SIGTERM');
      if (!(spec.terminationGracePeriodSeconds >= 40)) bad(w, 'no time to drain (30 s)');
      if (spec.topologySpreadConstraints?.length !== 2 || !spec.topologySpreadConstraints.every((t) => matches(t.labelSelector, labels))) bad(w, 'not spread');
      const has = spec.volumes.filter((v) => v.secret).map((v) => v.secret.secretName.replace('fumibako-', '')).filter((n) => !['redis', 'bucket'].includes(n)).sort();
      const isFetching = service === 'render' && workloads.some((x) => x.metadata.name === 'fumibako-fetch');
      const password = spec.volumes.find((v) => v.name === 'redis')?.secret.items.map((i) => i.key).join();
      if (password !== (service === 'fetch' ? undefined : `redis-${service}.password`)) bad(w, 'the password of another service');
      if (has.join() !== [...USES[service], ...isFetching ? ['fetch-token'] : []].sort().join()) bad(w, `has the secrets ${has}`);
      const isScaled = objects.some((o) => ['ScaledObject', 'HorizontalPodAutoscaler'].includes(o.kind) && o.spec.scaleTargetRef.name === w.metadata.name);
      if (isScaled === (w.spec.replicas !== undefined)) bad(w, 'replicas: either the autoscaler or the manifest says how many');
      if (!of('PodDisruptionBudget').some((p) => matches(p.spec.selector, labels))) bad(w, 'no PodDisruptionBudget');
    }
  }
  for (const p of of('PodDisruptionBudget')) if (!pods.some((x) => matches(p.spec.selector, x.labels))) bad(p, 'finds no pod');
  for (const s of of('Service').filter((x) => x.spec.type !== 'ExternalName')) {
    const target = pods.filter((x) => matches({ matchLabels: s.spec.selector }, x.labels));
    if (target.length !== 1) bad(s, `finds ${target.length} workloads`);
    for (const p of s.spec.ports) if (!target[0]?.spec.containers[0].ports.some((x) => x.name === p.targetPort)) bad(s, `leads to port ${p.targetPort}`);
  }
  for (const i of of('Ingress')) {
    for (const p of i.spec.rules.flatMap((r) => r.http.paths)) {
      const s = named('Service', p.backend.service.name);
      if (!s?.spec.ports.some((x) => x.name === p.backend.service.port.name)) bad(i, `leads to ${p.backend.service.name}`);
      // The portal's controller is open to everybody, the console's to the administrators' network.
      const own = { 'fumibako-portal': 'nginx', 'fumibako-console': 'nginx-internal' }[p.backend.service.name];
      if (own === undefined || i.spec.ingressClassName !== own) bad(i, `opens ${p.backend.service.name} by ${i.spec.ingressClassName}`);
    }
    if (!i.spec.tls?.length || !i.spec.tls.every((x) => SECRETS[x.secretName])) bad(i, 'no TLS');
  }
  for (const m of of('PodMonitor')) {
    const seen = pods.filter((x) => matches(m.spec.selector, x.labels));
    if (seen.length !== workloads.filter((w) => ALL.includes(w.spec.template.metadata.labels['app.kubernetes.io/component'])).length) bad(m, `sees ${seen.length} workloads`);
    for (const e of m.spec.podMetricsEndpoints) for (const x of seen) if (!x.spec.containers[0].ports.some((p) => p.name === e.port)) bad(m, `${x.w.metadata.name} has no port ${e.port}`);
  }
  // Scaling.
  const config = of('ConfigMap').find((c) => c.data['fumibako.yaml']);
  const shards = parse(config?.data['fumibako.yaml'] ?? '{}').redis?.shards ?? 1;
  for (const s of of('ScaledObject')) {
    const target = named('Deployment', s.spec.scaleTargetRef.name);
    const stage = s.metadata.name.replace('fumibako-', '');
    if (!target || target.metadata.name !== s.metadata.name) bad(s, 'scales nothing');
    if (!(s.spec.minReplicaCount >= 1) || !(s.spec.maxReplicaCount > s.spec.minReplicaCount)) bad(s, 'from how many to how many?');
    const want = Array.from({ length: shards }, (_, n) => [`fb:{s${n}}:${stage}`, ...stage === 'revoke' ? [] : [`fb:{s${n}}:${stage}:bulk`]]).flat();
    if (s.spec.triggers.map((t) => t.metadata.stream).join() !== want.join()) bad(s, `its streams are not ${want}`);
    for (const t of s.spec.triggers) {
      if (t.type !== 'redis-streams' || t.metadata.consumerGroup || !STREAM.test(t.metadata.stream)) bad(s, `trigger ${JSON.stringify(t.metadata)}`);
      for (const [k, v] of Object.entries(t.metadata)) if (!TRIGGER_KEYS.includes(k) || typeof v !== 'string') bad(s, `metadata ${k}: ${v}`);
      if (!(Number(t.metadata.streamLength) > 0)) bad(s, 'streamLength');
      if (!named('TriggerAuthentication', t.authenticationRef?.name)) bad(s, 'no TriggerAuthentication');
      if (!named('Service', t.metadata.address.split(':')[0])) bad(s, `no service ${t.metadata.address}`);
    }
  }
  for (const a of of('TriggerAuthentication')) for (const r of a.spec.secretTargetRef) if (!SECRETS[r.name]?.includes(r.key)) bad(a, `${r.name} has no ${r.key}`);
  for (const h of of('HorizontalPodAutoscaler')) if (!named(h.spec.scaleTargetRef.kind, h.spec.scaleTargetRef.name)) bad(h, 'scales nothing');
  for (const n of of('Namespace')) if (n.metadata.labels?.['pod-security.kubernetes.io/enforce'] !== 'restricted') bad(n, 'pods are not held to the restricted standard');
  // Network.
  const rules = of('NetworkPolicy');
  if (!rules.some((n) => Object.keys(n.spec.podSelector).length === 0 && n.spec.policyTypes.join() === 'Ingress,Egress' && !n.spec.ingress && !n.spec.egress)) found.push('nothing denies by default');
  const world = (n) => (n.spec.egress ?? []).some((e) => !e.to || e.to.some((t) => t.ipBlock?.cidr === '0.0.0.0/0'));
  for (const n of rules) {
    for (const [way, list, peer] of [['ingress', n.spec.ingress, 'from'], ['egress', n.spec.egress, 'to']]) {
      for (const r of list ?? []) if (!r[peer]?.length || !r.ports?.length) bad(n, `${way} from or to anywhere, or any port`);
    }
    for (const e of n.spec.egress ?? []) for (const t of e.to ?? []) {
      if (t.ipBlock?.cidr === '0.0.0.0/0' && !t.ipBlock.except?.includes('169.254.0.0/16')) bad(n, 'reaches the provider\'s metadata address');
    }
  }
  const isBucket = pods.some((x) => x.spec.containers[0].env?.some((e) => e.name === 'FUMIBAKO_SPOOL_URL' && e.value.startsWith('s3://')));
  for (const { w, labels } of pods.filter((x) => ALL.includes(x.labels['app.kubernetes.io/component']))) {
    const s = labels['app.kubernetes.io/component'];
    const mine = rules.filter((n) => matches(n.spec.podSelector, labels));
    const may = ['upload', 'revoke', 'watch', 'fetch'].includes(s) || (isBucket && (USES[s].includes('spool-key') || USES[s].includes('vault-key')));
    if (mine.some(world) !== may) bad(w, may ? 'cannot reach its storage' : 'reaches the internet');
    const opened = [...new Set(mine.flatMap((n) => n.spec.ingress ?? []).flatMap((r) => r.ports.map((p) => p.port)))].sort().join();
    const want = { ingest: 'http,metrics,smtp', portal: 'metrics,portal', console: 'console,metrics', fetch: 'images,metrics' }[s] ?? 'metrics';
    if (opened !== want) bad(w, `is reached on ${opened}, not on ${want}`);
    const calls = mine.flatMap((n) => n.spec.egress ?? []).flatMap((e) => e.ports.map((p) => p.port));
    if (calls.includes(6379) === (s === 'fetch')) bad(w, s === 'fetch' ? 'reaches Redis' : 'cannot reach Redis');
    if (s === 'fetch' && [...new Set(calls)].filter((p) => p !== 4318).sort().join() !== '443,53,80') bad(w, `calls ${calls}`);
    if (s === 'render' && calls.includes(8025) !== pods.some((x) => x.labels['app.kubernetes.io/component'] === 'fetch')) bad(w, 'and the fetcher');
  }
  return found;
}

for (const overlay of OVERLAYS) {
  test(`k8s/overlays/${overlay}: every object fits its schema and everything else that must hold`, { skip }, () => {
    const objects = render(overlay);
    assert.deepEqual(faults(objects), []);
    for (const s of overlay === 'dev' ? SERVICES : ALL) assert.ok(objects.some((o) => o.metadata.name === `fumibako-${s}` && ['Deployment', 'StatefulSet'].includes(o.kind)), s);
  });
}

const MISTAKES = {
  'replicas as text': (get) => { get('StatefulSet', 'fumibako-ingest').spec.revisionHistoryLimit = 'two'; },
  'a misspelt field': (get) => { const t = get('Deployment', 'fumibako-upload').spec.template.spec; t.terminationGracePeriod = 30; },
  'no selector': (get) => { delete get('Deployment', 'fumibako-upload').spec.selector; },
  'a selector that finds nothing': (get) => { get('Deployment', 'fumibako-upload').spec.selector.matchLabels['app.kubernetes.io/component'] = 'up'; },
  'an unknown seccomp type': (get) => { get('Deployment', 'fumibako-render').spec.template.spec.securityContext.seccompProfile.type = 'RuntimeDefalt'; },
  'no seccomp profile': (get) => { get('Deployment', 'fumibako-render').spec.template.spec.securityContext.seccompProfile.type = 'Unconfined'; },
  'root': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.securityContext.runAsUser = 0; },
  'a writable root': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.containers[0].securityContext.readOnlyRootFilesystem = false; },
  'a capability': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.containers[0].securityContext.capabilities.add = ['NET_ADMIN']; },
  'a token': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.automountServiceAccountToken = true; },
  'a quantity that is none': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.containers[0].resources.limits.memory = '512Mb'; },
  'a probe of a port that is not there': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.containers[0].readinessProbe.httpGet.port = 'health'; },
  'an image without a version': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.containers[0].image = 'registry.example.jp/fumibako'; },
  'a secret too many': (get) => { get('Deployment', 'fumibako-render').spec.template.spec.volumes.push({ name: 'box', secret: { secretName: 'fumibako-box', defaultMode: 0o440 } }); },
  'another service\'s password': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.volumes.find((v) => v.name === 'redis').secret.items[0].key = 'redis-upload.password'; },
  'a secret in the environment': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.containers[0].env.push({ name: 'X', valueFrom: { secretKeyRef: { name: 'a', key: 'b' } } }); },
  'a ConfigMap that is not there': (get) => { get('Deployment', 'fumibako-watch').spec.template.spec.volumes[0].configMap.name = 'fumibako-confg'; },
  'a Service that leads to no port': (get) => { get('Service', 'fumibako-portal').spec.ports[0].targetPort = 'web'; },
  'a protocol that is none': (get) => { get('NetworkPolicy', 'fumibako-all').spec.egress[0].ports[0].protocol = 'TPC'; },
  'render reaches the internet': (get) => { get('NetworkPolicy', 'fumibako-storages').spec.podSelector = {}; },
  'a policy for any peer': (get) => { delete get('NetworkPolicy', 'fumibako-portal').spec.ingress[0].from; },
  'replicas beside an autoscaler': (get) => { get('Deployment', 'fumibako-upload').spec.replicas = 2; },
  'maxReplicaCount as text': (get) => { get('ScaledObject', 'fumibako-upload').spec.maxReplicaCount = '50'; },
  'no scaleTargetRef': (get) => { delete get('ScaledObject', 'fumibako-upload').spec.scaleTargetRef; },
  'a consumer group': (get) => { get('ScaledObject', 'fumibako-upload').spec.triggers[0].metadata.consumerGroup = 'workers'; },
  'a stream that is none of ours': (get) => { get('ScaledObject', 'fumibako-upload').spec.triggers[0].metadata.stream = 'fb:upload'; },
  'a length as a number': (get) => { get('ScaledObject', 'fumibako-upload').spec.triggers[0].metadata.streamLength = 40; },
  'metadata that KEDA does not know': (get) => { get('ScaledObject', 'fumibako-upload').spec.triggers[0].metadata.lagCont = '1'; },
  'endpoints that are misspelt': (get) => { const m = get('PodMonitor', 'fumibako'); m.spec.podMetricEndpoints = m.spec.podMetricsEndpoints; delete m.spec.podMetricsEndpoints; },
  'a port that no pod has': (get) => { get('PodMonitor', 'fumibako').spec.podMetricsEndpoints[0].port = 'web'; },
  'a rule without an expression': (get) => { delete get('PrometheusRule', 'fumibako').spec.groups[1].rules[0].expr; },
  'an API that was removed': (get) => { get('PodDisruptionBudget', 'fumibako-watch').apiVersion = 'policy/v1beta1'; },
  'a fetcher that reaches Redis': (get) => { get('NetworkPolicy', 'fumibako-redis-clients').spec.podSelector.matchExpressions[0].values.push('fetch'); },
  'a fetcher with a Redis password': (get) => { get('Deployment', 'fumibako-fetch').spec.template.spec.volumes.push({ name: 'redis', secret: { secretName: 'fumibako-redis', defaultMode: 0o440, items: [{ key: 'redis-watch.password', path: 'p' }] } }); },
  'a fetcher on any port': (get) => { get('NetworkPolicy', 'fumibako-fetch').spec.egress[0].ports.push({ port: 22 }); },
  'a fetcher for everybody': (get) => { delete get('NetworkPolicy', 'fumibako-fetch').spec.ingress[0].from; },
  'the console for everybody': (get) => { get('Ingress', 'fumibako-console').spec.ingressClassName = 'nginx'; },
  'an Ingress that opens ingest': (get) => { get('Ingress', 'fumibako-console').spec.rules[0].http.paths[0].backend.service = { name: 'fumibako-ingest', port: { name: 'http' } }; },
  'an Ingress without TLS': (get) => { delete get('Ingress', 'fumibako-portal').spec.tls; },
};
const IN_DEV = new Set(['render reaches the internet']); // in production a bucket lies there
test('each of these mistakes is found', { skip }, async (t) => {
  for (const [name, spoil] of Object.entries(MISTAKES)) {
    await t.test(name, () => {
      const objects = render(IN_DEV.has(name) ? 'dev' : 'production');
      spoil((kind, n) => {
        const o = objects.find((x) => x.kind === kind && x.metadata.name.replace(/-[a-z0-9]{10}$/, '') === n);
        assert.ok(o, `${kind} ${n}`);
        return o;
      });
      assert.notDeepEqual(faults(objects), []);
    });
  }
});

test('k8s/secrets makes every Secret that is referred to, and a Redis that lets each one do its work and no more', async (t) => {
  const r = spawnSync(path.join(ROOT, 'k8s/secrets'), ['--namespace', 'n', '--aws', path.join(ROOT, 'LICENSE')], { encoding: 'utf8' });
  assert.equal(r.status, 0, r.stderr);
  const made = Object.fromEntries(parseAllDocuments(r.stdout).map((d) => d.toJS()).filter(Boolean).map((s) => {
    assert.equal(validators['v1 Secret'](s), true);
    assert.equal(s.metadata.namespace, 'n');
    return [s.metadata.name, Object.fromEntries(Object.entries(s.data).map(([k, v]) => [k, Buffer.from(v, 'base64').toString()]))];
  }));
  for (const [name, keys] of Object.entries(SECRETS)) if (!name.endsWith('-tls')) for (const k of keys) assert.ok(made[name]?.[k], `${name}/${k}`);
  assert.doesNotMatch(made['fumibako-redis-users']['users.acl'], /CHANGE-ME/);
  const world = await World.create(t);
  world.usersFile = path.join(world.dir, 'k8s.acl');
  fs.writeFileSync(world.usersFile, made['fumibako-redis-users']['users.acl'].replace('user default off', 'user default on nopass ~* &* +@all'));
  const redis = new Redis(world.dir, world.ports.redis);
  t.after(() => redis.stop());
  await redis.start(['--aclfile', world.usersFile]);
  const as = async (who, ...command) => {
    await redis.command('AUTH', `fumibako-${who}`, made['fumibako-redis'][`redis-${who}.password`]);
    return redis.command(...command).catch((e) => e.message);
  };
  for (const stage of ['render', 'upload:bulk', 'rewrite', 'revoke']) assert.equal(await as('keda', 'XLEN', `fb:{s0}:${stage}`), 0);
  assert.match(await as('keda', 'XRANGE', 'fb:{s0}:render', '-', '+'), /NOPERM/);
  assert.match(await as('portal', 'XLEN', 'fb:{s0}:render'), /NOPERM/);
  for (const s of [...SERVICES, 'operator']) assert.equal(typeof await as(s, 'TIME'), 'object', s);
});

test('the pod for the operator fits its schema and is restricted, and so is all of compose', () => {
  const pod = parse(read('k8s/operator.yaml'), { version: '1.1' });
  assert.equal(validators['v1 Pod'](pod), true, JSON.stringify(validators['v1 Pod'].errors));
  const { spec } = pod;
  const config = spec.volumes.find((v) => v.configMap).configMap.name;
  for (const overlay of skip ? [] : OVERLAYS) assert.ok(render(overlay).some((o) => o.kind === 'ConfigMap' && o.metadata.name === config), `${config} in ${overlay}`);
  assert.ok(spec.securityContext.runAsNonRoot && spec.automountServiceAccountToken === false);
  const k = spec.containers[0].securityContext;
  assert.ok(k.readOnlyRootFilesystem && !k.allowPrivilegeEscalation && k.capabilities.drop[0] === 'ALL');
  for (const v of spec.volumes) if (v.secret) assert.equal(v.secret.defaultMode, 0o440);

  const compose = parse(read('deploy/compose.yaml'), { merge: true });
  assert.deepEqual(Object.keys(compose.services).sort(), ['redis', ...SERVICES].sort());
  for (const [name, s] of Object.entries(compose.services)) {
    assert.ok(s.read_only === true && s.cap_drop.join() === 'ALL' && s.security_opt.includes('no-new-privileges:true') && !s.privileged, name);
    assert.match(s.user, /^[1-9]\d*:[1-9]\d*$/, name);
    for (const p of s.ports ?? []) assert.match(p, /^127\.0\.0\.1:/, name);
    if (name === 'redis') continue;
    assert.deepEqual(s.command, [`/usr/bin/fumibako-${name}`]);
    const secrets = { 'spool-key': 'spool.key', 'vault-key': 'vault.key', 'rewrite-key': 'rewrite.key', box: 'box.json', 'ingest-token': 'ingest.token' };
    assert.deepEqual([...s.secrets].sort(), USES[name].filter((x) => x !== 'ingest-token').map((x) => secrets[x]).sort(), name);
    assert.equal(s.networks.includes('outside'), name !== 'render', name);
    assert.ok(!s.security_opt.some((o) => /seccomp=unconfined/.test(o)), name);
  }
  assert.equal(compose.networks.inside.internal, true);
});

test('compose with remote images: the fetcher reaches the web and render, and neither Redis nor the spool', () => {
  const more = parse(read('deploy/compose.remote-images.yaml'));
  const { fetch, render: painter } = more.services;
  assert.deepEqual(Object.keys(more.services).sort(), ['fetch', 'render']);
  assert.ok(fetch.read_only === true && fetch.cap_drop.join() === 'ALL' && fetch.security_opt.includes('no-new-privileges:true') && !fetch.ports);
  assert.match(fetch.user, /^[1-9]\d*:[1-9]\d*$/);
  assert.deepEqual([fetch.command, fetch.secrets, fetch.networks], [['/usr/bin/fumibako-fetch'], ['fetch.token'], ['images', 'outside']]);
  assert.ok(!fetch.volumes.some((v) => /\/var\/lib/.test(v)));
  assert.ok(!painter.networks.includes('outside') && more.networks.images.internal === true);
});

test('the seccomp profile allows name spaces and nothing that the service itself refuses for good', () => {
  const profile = JSON.parse(read('k8s/seccomp/chromium.json'));
  assert.equal(profile.defaultAction, 'SCMP_ACT_ERRNO');
  const allowed = new Set(profile.syscalls.filter((s) => s.action === 'SCMP_ACT_ALLOW').flatMap((s) => s.names));
  for (const call of ['clone', 'unshare', 'mount', 'chroot', 'landlock_restrict_self', 'seccomp']) assert.ok(allowed.has(call), call);
  const source = read('common/confine_seccomp.c');
  const never = [...source.slice(source.indexOf('never[]'), source.indexOf('never_alone')).matchAll(/SCMP_SYS\((\w+)\)/g)].map((m) => m[1]);
  assert.ok(never.length > 30);
  assert.deepEqual(never.filter((call) => allowed.has(call)), []);
});

test('the configuration of the base is one that the programs take', () => {
  const r = spawnSync(path.join(binDir(), 'fumibako-ingest'), ['--config', path.join(ROOT, 'k8s/base/fumibako.yaml'), '--dump-config'], { encoding: 'utf8' });
  assert.equal(r.status, 0, r.stderr);
  assert.match(r.stdout, /0\.0\.0\.0:10025/);
});
