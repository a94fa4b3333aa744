// SPDX-License-Identifier: Apache-2.0
//
// Hands what our own people submit to Fumibako: by Haraka's queue, so that a mail that was taken waits while Fumibako
// is away, and whole.  Haraka alone makes one mail for each domain of recipients, and rules would see a part of them.

'use strict';

exports.register = function () {
  this.outbound = this.haraka_require('outbound');
  this.queue = this.haraka_require('outbound/queue');
  this.Todo = this.haraka_require('outbound/todo');
  this.cfg = this.config.get('fumibako.ini', () => { this.cfg = this.config.get('fumibako.ini'); });
};

exports.hook_queue_outbound = async function (next, connection) {
  const { transaction } = connection;
  const paths = [];
  const mails = [];
  try {
    // The name stands in the log only: hook_get_mx says where everything goes.
    const todo = new this.Todo('fumibako.invalid', transaction.rcpt_to, transaction);
    todo.uuid = `${todo.uuid}.1`;
    await this.outbound.process_delivery(paths, todo, mails);
  } catch (error) {
    connection.logerror(this, String(error));
    return next(DENYSOFT, 'cannot be queued now, please try again later');
  }
  for (const mail of mails) this.queue.delivery_queue.push(mail);
  return next(OK, `queued (${transaction.uuid})`);
};

exports.hook_get_mx = function (next, hmail, domain) {
  // What Haraka itself writes (a bounce to a sender) has a real domain, and goes the usual way.
  if (domain !== 'fumibako.invalid') return next();
  return next(OK, { priority: 0, exchange: this.cfg.main.host, port: Number(this.cfg.main.port) });
};
