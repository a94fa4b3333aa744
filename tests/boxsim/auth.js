// SPDX-License-Identifier: Apache-2.0
// Tokens: JWT assertions and client credentials, revocation, and who a request acts for.
'use strict';
const crypto = require('crypto');
const { OAuthError, BadTokenError, denied } = require('./errors');

const AUDIENCE = 'https://api.box.com/oauth2/token'; // constant, whatever the base URL is
const JWT_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const CCG_GRANT = 'client_credentials';
const EXP_MAX_S = 60;
const JTI_MIN = 16;
const JTI_MAX = 128;
const HASHES = { RS256: 'RSA-SHA256', RS384: 'RSA-SHA384', RS512: 'RSA-SHA512' };

const invalidGrant = (text) => new OAuthError('invalid_grant', text);
const badClaim = (name, text) => invalidGrant(`Please check the '${name}' claim. ${text}`);

function decode(assertion) {
  const parts = String(assertion || '').split('.');
  if (parts.length !== 3) {
    throw new OAuthError('invalid_request', 'The assertion is not a JSON Web Token.');
  }
  try {
    return {
      header: JSON.parse(Buffer.from(parts[0], 'base64url')),
      claims: JSON.parse(Buffer.from(parts[1], 'base64url')),
      signed: `${parts[0]}.${parts[1]}`,
      signature: Buffer.from(parts[2], 'base64url'),
    };
  } catch {
    throw new OAuthError('invalid_request', 'The assertion is not a JSON Web Token.');
  }
}

class Auth {
  constructor(world, app) {
    this.world = world;
    this.app = app;
    this.tokens = new Map();
    this.usedJti = new Map(); // jti -> time after which its assertion is dead anyway
  }

  checkClient(form) {
    if (form.get('client_id') !== this.app.clientId) {
      throw new OAuthError('invalid_client', 'The client credentials are invalid');
    }
    if (form.get('client_secret') !== this.app.clientSecret) {
      throw invalidGrant('Grant credentials are invalid');
    }
  }

  subject(type, id, fail) {
    if (type === 'enterprise' && id === this.world.enterpriseId) {
      return this.world.service;
    }
    const user = type === 'user' ? this.world.users.get(id) : null;
    if (!user || !user.managed) {
      throw fail;
    }
    return user;
  }

  verify({ header, claims, signed, signature }) {
    if (!HASHES[header.alg]) {
      throw invalidGrant("The 'alg' of the assertion must be RS256, RS384 or RS512.");
    }
    // No kid is fine while the application has a single key; a wrong one is not.
    const isKeyKnown =
      this.app.publicKey && (header.kid === undefined || header.kid === this.app.keyId);
    if (
      !isKeyKnown ||
      !crypto.verify(HASHES[header.alg], Buffer.from(signed), this.app.publicKey, signature)
    ) {
      throw invalidGrant('OAuth JWT signature verification failed');
    }
    if (claims.iss !== this.app.clientId) {
      throw badClaim('iss', "The 'iss' specified is invalid.");
    }
    if (claims.aud !== AUDIENCE) {
      throw badClaim('aud', "The 'aud' specified is invalid.");
    }
    this.verifyTimes(claims);
    if (typeof claims.sub !== 'string') {
      throw badClaim('sub', "The 'sub' specified is invalid.");
    }
    const user = this.subject(
      claims.box_sub_type,
      claims.sub,
      badClaim('sub', "The 'sub' specified is invalid.")
    );
    this.burnJti(claims);
    return user;
  }

  verifyTimes(claims) {
    const now = this.world.now() / 1000;
    if (!Number.isInteger(claims.exp) || claims.exp <= now) {
      throw badClaim(
        'exp',
        'Current date/time MUST be before the expiration date/time listed in ' + "the 'exp' claim."
      );
    }
    if (claims.exp > now + EXP_MAX_S) {
      throw badClaim(
        'exp',
        "The 'exp' claim must not exceed the current date/time by more than " +
          `${EXP_MAX_S} seconds.`
      );
    }
    for (const name of ['nbf', 'iat']) {
      if (claims[name] !== undefined && !(claims[name] <= now)) {
        throw badClaim(
          name,
          `Current date/time MUST be after the date/time listed in the '${name}' claim.`
        );
      }
    }
  }

  burnJti(claims) {
    const { jti } = claims;
    const now = this.world.now() / 1000;
    if (
      typeof jti !== 'string' ||
      jti.length < JTI_MIN ||
      jti.length > JTI_MAX ||
      this.usedJti.has(jti)
    ) {
      throw badClaim('jti', "A unique 'jti' value is required.");
    }
    for (const [old, until] of this.usedJti) {
      if (until > now) {
        break; // in order of use, which is nearly the order of expiry
      }
      this.usedJti.delete(old);
    }
    this.usedJti.set(jti, now + EXP_MAX_S * 2);
  }

  // Box has seen the assertion even when its front end answers 503: sending it again is a re-use.
  burnUnanswered(form) {
    try {
      if (form.get('grant_type') === JWT_GRANT) {
        this.verify(decode(form.get('assertion')));
      }
    } catch {
      // It would have been refused anyway; nothing to remember.
    }
  }

  grant(form) {
    const type = form.get('grant_type');
    if (!type) {
      throw new OAuthError('invalid_request', 'Invalid grant_type parameter or parameter missing');
    }
    if (type !== JWT_GRANT && type !== CCG_GRANT) {
      throw new OAuthError(
        'unsupported_grant_type',
        'The grant type is unauthorized for this client_id'
      );
    }
    this.checkClient(form);
    const user =
      type === JWT_GRANT
        ? this.verify(decode(form.get('assertion')))
        : this.subject(
            form.get('box_subject_type'),
            form.get('box_subject_id'),
            invalidGrant('Grant credentials are invalid')
          );
    const lifetime = this.world.settings.token_lifetime_s;
    const token = crypto.randomBytes(24).toString('base64url');
    this.tokens.set(token, { user, expiresAt: this.world.now() + lifetime * 1000 });
    return {
      status: 200,
      body: { access_token: token, expires_in: lifetime, restricted_to: [], token_type: 'bearer' },
    };
  }

  revoke(form) {
    this.checkClient(form);
    this.tokens.delete(form.get('token'));
    return { status: 200 };
  }

  // The user that a request acts for.
  authenticate(headers) {
    const found = /^Bearer (\S+)$/i.exec(headers.authorization || '');
    const token = found && this.tokens.get(found[1]);
    if (!token || token.expiresAt <= this.world.now()) {
      throw new BadTokenError();
    }
    const as = headers['as-user'];
    if (as === undefined) {
      return token.user;
    }
    const user = this.world.users.get(as);
    // Only the service account may act for others, and never "for" itself.
    if (!token.user.service || !user || !user.managed || user.service) {
      throw denied('As-User header with insufficient permissions');
    }
    return user;
  }
}

module.exports = { Auth };
