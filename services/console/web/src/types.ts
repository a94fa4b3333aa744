// SPDX-License-Identifier: Apache-2.0
//
// What the API answers, as services/console/openapi says.
export interface MessageSummary {
  id: string;
  accepted: string | null;
  from: string;
  subject: string | null; // null where it is not known, or the role may not see it
  size: number;
  state: 'queued' | 'planned' | 'held' | 'done';
  is_recalled: boolean;
  recipient_count: number;
  recipients: { address: string; state: string; grant: string }[]; // the first five
  rules: string[];
  kinds: ('pass' | 'secure' | 'reject')[];
  opened_count: number; // recipients that opened it, as far as is known
}
export interface MessagePage {
  items: MessageSummary[];
  next: string | null; // cursor of the next page; null behind the last one
  searched_to: string | null; // null, or: the search stopped here after many messages that do not fit; next goes on
}
export interface Evidence {
  kind: 'stopped' | 'maybe_out' | 'plain' | 'refused' | 'waiting' | 'open' | 'closing' | 'failed' | 'closed' | 'ended';
  notice_out: boolean;
  pending: boolean;
  removed: string | null;
  opened: string | null;
  downloaded: string | null;
  previews: number;
  downloads: number;
  log_until: string | null;
  log_complete_at: string | null;
  final: boolean;
  opened_by_others: boolean;
  words: { ja: string | null; en: string | null };
}
export interface Event {
  at: string | null;
  what: string; // accepted, planned, uploaded, sent, refused, held, recall, pending, active, preview, download, recalled, restored, expired, purged, code asked, ...
  source: string;
  actor: string;
  network: string | null;
  agent: string | null;
  by_others: boolean; // somebody did it who is no recipient
}
export interface Recipient {
  index: number;
  address: string;
  branch: number;
  state: string;
  grant: string;
  grant_at: string | null;
  previews: number;
  downloads: number;
  two_step: string;
  fallback: string;
  is_recalled: boolean;
  recalled_at: string | null;
  evidence: Evidence;
  timeline: Event[];
}
export interface Branch {
  number: number;
  kind: string;
  state: string;
  rule: string;
  reason: string;
  parcel: string;
  storage: string;
  folder: string;
  access: string;
  expires: string | null;
  purges: string | null;
  uploaded: string | null;
  ended: string | null;
  is_held: boolean;
  forced: string;
}
export interface RecallRecord {
  id: string;
  at: string | null;
  actor: string;
  source: string;
  reason: string;
  all: boolean;
  content: boolean;
  recipients: number[];
  jobs_left: number;
  told: string;
  failed: boolean;
  failure: string;
}
export interface Message {
  id: string;
  accepted: string | null;
  from: string;
  subject: string | null; // null where it is not known, or the role may not see it
  size: number;
  state: 'queued' | 'planned' | 'held' | 'done';
  is_recalled: boolean;
  recalled_at: string | null;
  recipients: Recipient[];
  branches: Branch[];
  recalls: RecallRecord[];
}
export interface RecallEffect {
  address: string;
  effect: 'stop' | 'remove' | 'plain' | 'nothing'; // stop: nothing was sent, nor will be. remove: the notice is out, access is taken away. plain: the mail itself went out, it cannot be taken back. nothing: refused, ended or recalled before
  opened: boolean;
  words: string;
}
export interface RecallPreview {
  id: string;
  preview: true;
  can: boolean;
  why_not: string | null;
  recipients: RecallEffect[];
  can_restore: boolean;
}
export interface RecallResult {
  id: string;
  recall: string;
  is_repeated: boolean; // this Idempotency-Key was used before: nothing was done again
  is_unsure: boolean; // no replica of Redis has confirmed it yet: look again in a minute
  recipients: { address: string; was_out: boolean; was_secured: boolean }[];
}
export interface RestoreResult {
  id: string;
  preview: boolean;
  restored: number;
  recipients: { address: string; restored: boolean; reason: string | null }[];
}
export interface Dead {
  id: string;
  message: string;
  branch: number;
  stage: 'render' | 'upload' | 'rewrite' | 'revoke';
  attempts: number;
  held_at: string | null;
  ends_at: string | null; // then it is given up
  status: string;
  reason: string;
  letter: string | null;
  from: string | null;
  subject: string | null; // null where it is not known, or the role may not see it
  recipients: string[]; // the first five
  explained: { what: string; meaning: string; retry: string; release: string; reject: string; can_release: boolean };
}
export interface DeadPage {
  items: Dead[];
  next: string | null;
  total: number;
}
export interface DeadAction {
  id: string;
  message: string;
  action: 'retry' | 'release' | 'reject';
  untold: string | null; // rejected: why its sender is not told
}
export interface Storage {
  name: string;
  type: 'box' | 'vault';
  place: string; // URL or root folder
  users: number;
  quota: number | null; // bytes; null = no limit of ours
  rules: string[]; // that use it
  alarms: Alarm[];
  state: StorageState | null; // null: no upload service has looked yet
  is_ok: boolean;
}
export interface StorageState {
  at: string | null;
  is_ok: boolean;
  used: number | null; // bytes, of all users together
  quota: number | null; // 0 = there is none
  free: number | null; // on the file system of a vault's folder
  users: { user: string; used: number | null; quota: number | null }[]; // "": the service account
  checks: CheckLine[];
}
export interface Storages {
  items: Storage[];
}
export interface CheckLine {
  name: string;
  state: 'ok' | 'warning' | 'error';
  text: string;
  hint: string | null;
}
export interface Checks {
  is_ok: boolean;
  checks: CheckLine[];
}
export interface AuditItem {
  id: string;
  time: string | null;
  user: string;
  role: string;
  by: string;
  address: string;
  action: string;
  object: string;
  before: unknown;
  after: unknown;
}
export interface AuditPage {
  items: AuditItem[];
  next: string | null; // cursor of the next page; null behind the last one
}
export interface System {
  version: string;
  openapi: string;
  redis: { version: string; shards: number; used_memory: number; max_memory: number; uptime_s: number };
  policy_source: string;
  processes: { who: string; service: string; stage: string; idle_ms: number }[];
}
export interface Stage {
  stage: 'render' | 'upload' | 'rewrite' | 'revoke';
  waiting: number;
  inflight: number;
  bulk: number; // of these in the bulk lane
  delayed: number;
  dead: number;
  newer: number; // delayed, of a newer version: they wait for upgraded workers
  oldest_age_ms: number;
}
export interface Alarm {
  kind: string;
  cause: string;
  who: string;
  text: string;
  since: string | null;
}
export interface Counts {
  accepted: number;
  secured: number; // recipients
  passed: number; // recipients
  rejected: number; // recipients
  sent: number; // notices and mails that went out, by recipient
  opened: number;
  recalled: number;
  held: number;
}
export interface Overview {
  at: string;
  since: string;
  today: Counts;
  held_now: number; // dead letters that wait for a decision
  stages: Stage[];
  alarms: Alarm[];
  due: number; // expiries, purges, reminders and reports that are due and have no job yet
  policy: PolicyHead | null;
}
export interface Queues {
  stages: Stage[];
  alarms: Alarm[];
  due: number;
}
export interface Series {
  interval_ms: number;
  times: number[]; // seconds since 1970: where each interval begins
  accepted: number[];
  secured: number[];
  passed: number[];
  rejected: number[];
  sent: number[];
  opened: number[];
  recalled: number[];
  held: number[];
  latency_ms: (number | null)[]; // mean time from acceptance to sent; null where nothing was sent
}
export interface PolicyHead {
  version: string; // SHA-256 of the document, in hex
  number: number;
  at: string | null;
  author: string;
  comment: string;
}
export interface Policy {
  version: string; // SHA-256 of the document, in hex
  number: number;
  at: string | null;
  author: string;
  comment: string;
  document: string; // YAML
  source: string; // "redis", or "file:PATH" that the services follow
  is_writable: boolean;
}
export interface PolicyVersion {
  version: string; // SHA-256 of the document, in hex
  number: number;
  at: string | null;
  author: string;
  comment: string;
  document: string;
}
export interface Finding {
  line: number; // 1-based; 0: the document as a whole
  severity: 'error' | 'warning';
  text: string;
}
export interface PolicyApplied {
  version: string; // SHA-256 of the document, in hex
  number: number;
  at: string | null;
  author: string;
  comment: string;
  findings: Finding[];
}
export interface PolicyCheck {
  is_valid: boolean;
  version: string; // SHA-256 of the document, in hex
  findings: Finding[];
  rules: string[];
  storages: string[];
  security_definitions: string[];
  groups: string[];
}
export interface PolicyPage {
  items: PolicyHead[];
  next: string | null;
}
export interface DiffLine {
  kind: ' ' | '+' | '-';
  old: number | null;
  new: number | null;
  text: string;
}
export interface PolicyDiff {
  from: PolicyHead;
  to: PolicyHead;
  hunks: DiffLine[][];
  added: number;
  removed: number;
}
export interface TestReason {
  condition: string; // as a policy writes it; "rule": the rule as a whole
  code: string;
  holds: boolean;
  text: string; // in the language asked for
}
export interface Tested {
  address: string;
  action: 'secure' | 'pass' | 'reject';
  rule?: string | null;
  reason: string;
  shadow?: string | null;
  storage?: string | null;
  security?: string | null;
  rules: { rule: string; line?: number; matches: boolean; shadow?: boolean; why: string; reasons: TestReason[] }[];
}
export interface TestResult {
  mail: { from?: string; subject?: string; size?: number; attachment_count?: number; attachments?: { name?: string; type?: string; size?: number }[] };
  recipients: Tested[];
}
export interface DryRunItem {
  message: string;
  accepted: string | null;
  from: string;
  subject: string | null; // null where it is not known, or the role may not see it
  address: string;
  before: Outcome;
  after: Outcome;
}
export interface Outcome {
  action: 'secure' | 'pass' | 'reject' | 'unknown';
  rule: string | null;
}
export interface DryRun {
  messages: number; // that were looked at
  recipients: number;
  same: number;
  changed: number;
  unknown: number; // a condition on body, headers or attachments decides: these are not kept
  changes: { before: Outcome; after: Outcome; count: number }[];
  unknown_rules: { rule: string; count: number }[]; // whose conditions would decide
  items: DryRunItem[]; // changed ones, the newest 200
}
export interface RuleHits {
  rule: string;
  today: number;
  week: number;
  month: number;
  shadow_today: number;
  shadow_week: number;
  shadow_month: number;
}
export interface Hits {
  items: RuleHits[];
}
export interface NoticesPreview {
  logo: 'none' | 'shown' | 'file';
  rule: string | null;
  items: { kind: string; language: 'ja' | 'en'; subject: string; text: string; html: string }[];
}
