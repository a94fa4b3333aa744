// SPDX-License-Identifier: Apache-2.0
//
// For Postfix's pipe transport, once for each mail:
//
//   pipe.js SENDER RECIPIENT...      the mail on standard input; BOX_CONFIG, RELAY_PORT in the environment
//
// Ends with 75 (EX_TEMPFAIL) when anything fails: Postfix tries again.
'use strict';

const { boxClient, deliver, launch, mailer } = require('./deliver');

async function main() {
  const [from, ...recipients] = process.argv.slice(2);
  const browserReady = launch();
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const browser = await browserReady;
  const smtp = mailer(process.env);
  try {
    await deliver({ raw: Buffer.concat(chunks), from, recipients }, { browser, box: boxClient(process.env), smtp });
  } finally {
    smtp.close();
    await browser.close();
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error.stack ?? error}\n`);
    process.exit(75);
  }
);
