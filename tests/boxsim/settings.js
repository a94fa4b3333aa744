// SPDX-License-Identifier: Apache-2.0
// What an administrator would set in Box's console, and what a test wants to turn: POST /__config.
// Unknown names and wrong types are refused, since a misspelt setting makes a test prove nothing.
'use strict';

const GB = 1000 * 1000 * 1000;
const MINUTE_CALLS = 1000;
const MINUTE_UPLOADS = 240;
const LEVELS = ['open', 'company', 'collaborators'];

const isCount = (v) => Number.isSafeInteger(v) && v >= 0;
const isPositive = (v) => Number.isSafeInteger(v) && v > 0;
const isFlag = (v) => typeof v === 'boolean';
const isText = (v) => typeof v === 'string';
const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);
const isTextList = (v) => Array.isArray(v) && v.every(isText);
const oneOf =
  (...names) =>
  (v) =>
    names.includes(v);

const isAccount = (v) =>
  isFlag(v) ||
  (isObject(v) && Object.entries(v).every(([k, x]) => ['exists', 'mfa'].includes(k) && isFlag(x)));

// name: [default, check, what it is]
const TABLE = {
  accounts: [
    {},
    (v) => isObject(v) && Object.values(v).every(isAccount),
    'login -> has a Box account; or {"exists": …, "mfa": second factor set up}',
  ],
  auto_accept: [true, isFlag, 'invitations to existing accounts are accepted at once'],
  external_mfa_state: [
    'enabled',
    oneOf('enabled', 'disabled', 'allowlist', 'denylist'),
    'second factor asked of external collaborators',
  ],
  external_mfa_factors: ['any', oneOf('any', 'totp', 'unknown'), 'which second factors count'],
  external_mfa_domains: [[], isTextList, 'domains of the allowlist or denylist state'],
  external_mfa_emails: [[], isTextList, 'addresses of the allowlist or denylist state'],
  collab_expiration: [false, isFlag, 'the setting "Automatically remove invited collaborators"'],
  collab_domains: [
    null,
    (v) => v === null || isTextList(v),
    'invitations go to these domains and the allowed list only; null: to all',
  ],
  delete_to_trash: [true, isFlag, 'deleted items go to the trash'],
  trash_days: [30, isPositive, 'until the trash empties itself'],
  purge_allowed: [true, isFlag, 'users may empty the trash (else administrators only)'],
  allowed_shared_link_access_levels: [
    LEVELS.slice(),
    (v) => Array.isArray(v) && v.length > 0 && v.every((x) => LEVELS.includes(x)),
    'widest links that the enterprise allows',
  ],
  paid_plan: [true, isFlag, 'expiring links are part of the plan'],
  quota_bytes: [
    10 * GB,
    (v) => isCount(v) || v === -1,
    'space of each managed user; -1: unlimited',
  ],
  part_size: [8 * 1024 * 1024, isPositive, 'bytes of a part of a chunked upload'],
  chunk_min: [20 * 1000 * 1000, isCount, 'smallest file of a chunked upload'],
  direct_max: [50 * 1000 * 1000, isCount, 'largest file of an upload in one request'],
  max_file_size: [150 * GB, isCount, 'largest file of the plan'],
  session_lifetime_s: [7 * 24 * 3600, isPositive, 'life of an upload session'],
  token_lifetime_s: [4123, isPositive, 'life of an access token'],
  astral_names: [false, isFlag, 'names may hold code points above U+FFFF'],
  admin_events: [true, isFlag, 'the service account may read the enterprise streams'],
  event_position: [
    'raw',
    oneOf('raw', 'string'),
    'next_stream_position as a bare integer or as a string',
  ],
  event_duplicates: [false, isFlag, 'the user stream hands out every event twice'],
  long_poll_s: [610, isPositive, 'until a long poll without news is answered'],
};

class SettingError extends Error {}

function defaults() {
  const out = {};
  for (const [name, [value]] of Object.entries(TABLE)) {
    out[name] = JSON.parse(JSON.stringify(value));
  }
  out.rate = { api_per_min: MINUTE_CALLS, upload_per_min: MINUTE_UPLOADS };
  return out;
}

function checkRate(rate, now) {
  if (rate === 'off' || rate === null) {
    return null;
  }
  const names = ['api_per_min', 'upload_per_min'];
  if (
    !isObject(rate) ||
    !Object.entries(rate).every(([k, v]) => names.includes(k) && isPositive(v))
  ) {
    throw new SettingError(`rate: "off" or {${names.join(', ')}}`);
  }
  return { api_per_min: MINUTE_CALLS, upload_per_min: MINUTE_UPLOADS, ...(now || {}), ...rate };
}

// All or nothing: a refused document changes no setting.
function merge(settings, patch) {
  if (!isObject(patch)) {
    throw new SettingError('a JSON object is expected');
  }
  const out = {};
  for (const [name, value] of Object.entries(patch)) {
    if (name === 'now_ms') {
      continue; // the clock is not a setting; control.js sets it
    }
    if (name === 'rate') {
      out.rate = checkRate(value, settings.rate);
    } else if (!TABLE[name]) {
      throw new SettingError(`unknown setting '${name}'`);
    } else if (!TABLE[name][1](value)) {
      throw new SettingError(`'${name}': ${TABLE[name][2]}`);
    } else if (name === 'accounts') {
      const lower = Object.entries(value).map(([k, v]) => [k.toLowerCase(), v]);
      out.accounts = { ...settings.accounts, ...Object.fromEntries(lower) };
    } else {
      out[name] = value;
    }
  }
  Object.assign(settings, out);
}

module.exports = { defaults, merge, SettingError, LEVELS };
