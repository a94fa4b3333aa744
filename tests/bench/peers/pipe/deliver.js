// SPDX-License-Identifier: Apache-2.0
//
// One mail to Box: what pipe.js and daemon.js share.  Written as one would for one's own company: well-known packages, one
// browser page for each mail, no scripts and no network in it, the folder shared with the recipients only.
'use strict';

const crypto = require('crypto');
const path = require('path');
const { Readable } = require('stream');
const { BoxClient, BoxJwtAuth, JwtConfig } = require('box-node-sdk');
const { BaseUrls, NetworkSession } = require('box-node-sdk/networking');
const { simpleParser } = require('mailparser');
const nodemailer = require('nodemailer');
const puppeteer = require('puppeteer-core');

const escape = (text) =>
  String(text ?? '').replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

function boxClient(env) {
  const options = {
    auth: new BoxJwtAuth({ config: JwtConfig.fromConfigFile(env.BOX_CONFIG) }),
  };
  if (env.BOX_URL) {
    options.networkSession = new NetworkSession({
      baseUrls: new BaseUrls({
        baseUrl: env.BOX_URL,
        uploadUrl: `${env.BOX_URL}/upload/api`,
        oauth2Url: `${env.BOX_URL}/api/oauth2`,
      }),
    });
  }
  return new BoxClient(options);
}

const launch = () =>
  puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell',
    headless: 'shell',
    args: ['--disable-gpu', '--disable-extensions', '--disable-background-networking'],
  });

const mailer = (env) =>
  nodemailer.createTransport({ host: '127.0.0.1', port: Number(env.RELAY_PORT), secure: false, ignoreTLS: true, pool: true });

/** The body as a page: header block, then HTML, or the text. */
function pageOf(mail) {
  const rows = [
    ['Subject', mail.subject],
    ['From', mail.from?.text],
    ['To', mail.to?.text],
    ['Date', mail.date?.toISOString()],
  ];
  const body = mail.html || `<pre style="white-space:pre-wrap">${escape(mail.text)}</pre>`;
  return `<!doctype html><meta charset="utf-8"><table>${rows
    .map(([k, v]) => `<tr><th align="left">${k}</th><td>${escape(v)}</td></tr>`)
    .join('')}</table><hr>${body}`;
}

async function pdfOf(browser, mail) {
  const page = await browser.newPage();
  try {
    await page.setJavaScriptEnabled(false);
    await page.setOfflineMode(true);
    await page.setContent(pageOf(mail), { waitUntil: 'load' });
    return Buffer.from(await page.pdf({ format: 'A4', printBackground: true }));
  } finally {
    await page.close();
  }
}

async function upload(box, mail, pdf, recipients) {
  const folder = await box.folders.createFolder({ name: `m-${crypto.randomUUID()}`, parent: { id: '0' } });
  const files = [
    { name: 'body.pdf', content: pdf },
    ...mail.attachments
      .filter((a) => !a.related)
      .map((a, i) => ({ name: path.basename(a.filename || `attachment-${i}`), content: a.content })),
  ];
  await Promise.all(
    files.map(({ name, content }) =>
      box.uploads.uploadFile(
        { attributes: { name, parent: { id: folder.id } }, file: Readable.from(content), fileFileName: name },
        { headers: { contentMd5: crypto.createHash('sha1').update(content).digest('hex') } }
      )
    )
  );
  await Promise.all(
    recipients.map((login) =>
      box.userCollaborations.createCollaboration(
        {
          item: { type: 'folder', id: folder.id },
          accessibleBy: { type: 'user', login },
          role: 'viewer',
          isAccessOnly: true,
        },
        { queryParams: { notify: false } }
      )
    )
  );
  const shared = await box.folders.updateFolderById(folder.id, {
    requestBody: {
      canNonOwnersInvite: false,
      canNonOwnersViewCollaborators: false,
      sharedLink: { access: 'collaborators' },
    },
  });
  return { link: shared.sharedLink.url, files };
}

/** raw: the mail; from, recipients: of the envelope. */
async function deliver({ raw, from, recipients }, { browser, box, smtp }) {
  const mail = await simpleParser(raw);
  const pdf = await pdfOf(browser, mail);
  const { link, files } = await upload(box, mail, pdf, recipients);
  const names = files.map((f) => `  ${f.name} (${Math.ceil(f.content.length / 1024)} kB)`).join('\n');
  await smtp.sendMail({
    envelope: { from, to: recipients },
    from: mail.from?.text,
    to: mail.to?.text,
    cc: mail.cc?.text,
    subject: mail.subject,
    date: mail.date,
    messageId: mail.messageId,
    text: `このメールの内容は次のリンクからご覧いただけます。\nThis mail can be read here:\n\n${link}\n\n${names}\n`,
    html: `<p>このメールの内容は次のリンクからご覧いただけます。<br>This mail can be read here:</p><p><a href="${escape(link)}">${escape(
      link
    )}</a></p><pre>${escape(names)}</pre>`,
  });
}

module.exports = { boxClient, deliver, launch, mailer };
