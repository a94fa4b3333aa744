// SPDX-License-Identifier: Apache-2.0
// The command line.
'use strict';

const USAGE = `usage: boxsim --port P --config FILE [--users N] [--faults FILE] [--rate off]
              [--log FILE] [--check DIR]

  --port P       port on 127.0.0.1; 0 takes a free one
  --config FILE  application config in the layout of Box's developer console; written with fresh
                 keys when it does not exist
  --users N      managed users beside the service account
  --faults FILE  JSON lines, one fault a line
  --rate off     lifts the limits on calls per minute
  --log FILE     one JSON line per request, readable by boxcheck
  --check DIR    directory with boxcheck.js and openapi.json: checks every request
`;

class UsageError extends Error {}

const NAMES = ['port', 'config', 'users', 'faults', 'rate', 'log', 'check'];

const wholeNumber = (name, text, max) => {
  if (!/^\d+$/.test(text) || Number(text) > max) {
    throw new UsageError(`--${name}: '${text}' is not a number from 0 to ${max}`);
  }
  return Number(text);
};

function parse(argv) {
  const given = {};
  for (let i = 0; i < argv.length; i += 1) {
    const found = /^--([a-z]+)(?:=(.*))?$/s.exec(argv[i]);
    if (!found || !NAMES.includes(found[1])) {
      throw new UsageError(`unknown argument '${argv[i]}'`);
    }
    const value = found[2] !== undefined ? found[2] : argv[(i += 1)];
    if (value === undefined || value === '') {
      throw new UsageError(`--${found[1]} needs a value`);
    }
    given[found[1]] = value;
  }
  for (const name of ['port', 'config']) {
    if (given[name] === undefined) {
      throw new UsageError(`--${name} is required`);
    }
  }
  if (given.rate !== undefined && given.rate !== 'off' && given.rate !== 'on') {
    throw new UsageError(`--rate: 'on' or 'off', not '${given.rate}'`);
  }
  return {
    port: wholeNumber('port', given.port, 65535),
    config: given.config,
    users: given.users === undefined ? 0 : wholeNumber('users', given.users, 100000),
    faults: given.faults,
    rateOff: given.rate === 'off',
    log: given.log,
    check: given.check,
  };
}

module.exports = { parse, UsageError, USAGE };
