// SPDX-License-Identifier: Apache-2.0
// The application's config file in the layout of Box's developer console.  The simulator is the
// other side of it: it writes the file once, as the console would hand it out, and from then on
// believes only assertions that this file's key has signed.
'use strict';
const crypto = require('crypto');
const fs = require('fs');

const randomText = (length) =>
  crypto
    .randomBytes(length)
    .toString('base64')
    .replace(/[^A-Za-z0-9]/g, '')
    .slice(0, length)
    .padEnd(length, 'x')
    .toLowerCase();

function fresh() {
  const passphrase = crypto.randomBytes(16).toString('hex');
  // Box encrypts with PBES2 and triple DES; a client that cannot open this one cannot open Box's.
  const { privateKey } = crypto.generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'des-ede3-cbc', passphrase },
  });
  return {
    boxAppSettings: {
      clientID: randomText(32),
      clientSecret: randomText(32),
      appAuth: {
        publicKeyID: crypto.randomBytes(4).toString('hex'),
        privateKey,
        passphrase,
      },
    },
    enterpriseID: String(crypto.randomInt(100000000, 999999999)),
  };
}

// Written beside and renamed: whoever waits for the file never reads half of it.
function write(file, config) {
  const part = `${file}.part-${process.pid}`;
  fs.writeFileSync(part, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  fs.renameSync(part, file);
}

function read(file) {
  const config = JSON.parse(fs.readFileSync(file, 'utf8'));
  const app = config.boxAppSettings || {};
  for (const [name, value] of [
    ['boxAppSettings.clientID', app.clientID],
    ['boxAppSettings.clientSecret', app.clientSecret],
    ['enterpriseID', config.enterpriseID],
  ]) {
    if (typeof value !== 'string' || !value) {
      throw new Error(`'${name}' must be a string`);
    }
  }
  return config;
}

function load(file) {
  if (!fs.existsSync(file)) {
    write(file, fresh());
  }
  const config = read(file);
  const app = config.boxAppSettings;
  const out = {
    clientId: app.clientID,
    clientSecret: app.clientSecret,
    enterpriseId: config.enterpriseID,
    keyId: null,
    publicKey: null, // none: a file for client credentials only
  };
  if (app.appAuth) {
    const key = crypto.createPrivateKey({
      key: app.appAuth.privateKey,
      format: 'pem',
      passphrase: app.appAuth.passphrase,
    });
    out.publicKey = crypto.createPublicKey(key);
    out.keyId = app.appAuth.publicKeyID;
  }
  return out;
}

module.exports = { load };
