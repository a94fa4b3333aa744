// SPDX-License-Identifier: Apache-2.0
//
// The same as a service: LMTP on a port of the loopback address, Node, token and one Chromium kept.
//
//   daemon.js PORT      BOX_CONFIG, RELAY_PORT in the environment; prints `ready` when it listens
//
// Two mails at a time; the browser is replaced after 200 pages, as browsers that live for days grow.
'use strict';

const { SMTPServer } = require('smtp-server');
const { boxClient, deliver, launch, mailer } = require('./deliver');

const AT_A_TIME = 2;
const RECYCLE = 200;

const box = boxClient(process.env);
const smtp = mailer(process.env);
let browser = null; // a promise
let pages = 0;
let free = AT_A_TIME;
const queue = [];

async function withBrowser(work) {
  if (free === 0) await new Promise((resolve) => queue.push(resolve));
  else free--;
  try {
    if (browser === null || (pages >= RECYCLE && free === AT_A_TIME - 1)) {
      const old = browser;
      browser = launch();
      pages = 0;
      if (old) await (await old).close();
    }
    pages++;
    return await work(await browser);
  } catch (error) {
    const now = browser && (await browser.catch(() => null));
    if (!now?.connected) browser = null;
    throw error;
  } finally {
    const next = queue.shift();
    if (next) next();
    else free++;
  }
}

const server = new SMTPServer({
  lmtp: true,
  disabledCommands: ['AUTH', 'STARTTLS'],
  logger: false,
  onData(stream, session, callback) {
    const chunks = [];
    stream.on('data', (c) => chunks.push(c));
    stream.on('error', callback);
    stream.on('end', () => {
      const { mailFrom, rcptTo } = session.envelope;
      const mail = { raw: Buffer.concat(chunks), from: mailFrom.address, recipients: rcptTo.map((r) => r.address) };
      withBrowser((b) => deliver(mail, { browser: b, box, smtp })).then(
        () => callback(null, 'sent'),
        (error) => {
          process.stderr.write(`${error.stack ?? error}\n`);
          callback(Object.assign(new Error('try again'), { responseCode: 451 }));
        }
      );
    });
  },
});

async function end() {
  server.close();
  smtp.close();
  if (browser) await (await browser).close().catch(() => {});
  process.exit(0);
}
process.on('SIGTERM', end);
server.on('error', (error) => process.stderr.write(`${error.message}\n`));
server.listen(Number(process.argv[2]), '127.0.0.1', () => process.stdout.write('ready\n'));
