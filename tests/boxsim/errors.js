// SPDX-License-Identifier: Apache-2.0
// Errors as Box words them: one JSON object with a code a client may branch on, and a request id
// for the support desk.  Two replies break that rule on purpose: a refused token is a 401 with no
// body at all, and the token endpoint answers in OAuth's own form.
'use strict';
const crypto = require('crypto');

const HELP_URL = 'http://developers.box.com/docs/#errors';

class BoxError extends Error {
  constructor(status, code, message, contextInfo, headers) {
    super(message || code);
    this.status = status;
    this.code = code;
    this.contextInfo = contextInfo;
    this.headers = headers || {};
  }

  reply(requestId) {
    const body = {
      type: 'error',
      status: this.status,
      code: this.code,
      message: this.message,
      context_info: this.contextInfo || null,
      help_url: HELP_URL,
      request_id: requestId,
    };
    return { status: this.status, body, headers: this.headers };
  }
}

class OAuthError extends Error {
  constructor(error, description) {
    super(description);
    this.error = error;
  }

  reply() {
    return { status: 400, body: { error: this.error, error_description: this.message } };
  }
}

class BadTokenError extends Error {
  reply() {
    return {
      status: 401,
      headers: {
        'www-authenticate':
          'Bearer realm="Service", error="invalid_token", ' +
          'error_description="The access token provided is invalid."',
      },
    };
  }
}

const parameterErrors = (reason, name, message) => ({ errors: [{ reason, name, message }] });

const badRequest = (name, message, reason = 'invalid_parameter') =>
  new BoxError(400, 'bad_request', 'Bad Request', parameterErrors(reason, name, message));

const missing = (name) => badRequest(name, `'${name}' is required`, 'missing_parameter');

// "Not there" and "not yours" are one answer, so that ids cannot be probed.
const notFound = (type, id) =>
  new BoxError(
    404,
    'not_found',
    'Not Found',
    parameterErrors(
      'invalid_parameter',
      type,
      `Invalid value '${id}'. '${type}' with value '${id}' not found`
    )
  );

const denied = (message = 'Access denied - insufficient permission') =>
  new BoxError(403, 'access_denied_insufficient_permissions', message);

const preconditionFailed = () =>
  new BoxError(
    412,
    'precondition_failed',
    'The resource has been modified. Please retrieve the resource again and retry'
  );

// What a fault's bare status says when the test gives no body of its own.
const CODE_OF_STATUS = {
  400: 'bad_request',
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  409: 'conflict',
  410: 'session_expired',
  412: 'precondition_failed',
  413: 'request_entity_too_large',
  429: 'rate_limit_exceeded',
  500: 'internal_server_error',
  502: 'bad_gateway',
  503: 'unavailable',
  504: 'gateway_timeout',
  507: 'insufficient_storage',
};

const ofStatus = (status) =>
  new BoxError(status, CODE_OF_STATUS[status] || 'error', CODE_OF_STATUS[status] || 'Error');

const newRequestId = () => crypto.randomBytes(9).toString('hex').slice(0, 17);

module.exports = {
  BoxError,
  OAuthError,
  BadTokenError,
  badRequest,
  missing,
  notFound,
  denied,
  preconditionFailed,
  ofStatus,
  newRequestId,
};
