/* SPDX-License-Identifier: Apache-2.0
 *
 * The ID token of an OpenID Connect provider (OpenID Connect Core 3.1.3.7; RFC 7515, 7517, 7519), with OpenSSL.  Two
 * algorithms are taken, RS256 and ES256, each with a key of its own kind: "none", and a secret in place of a public
 * key, cannot happen.  What has "crit" is refused (RFC 7515 4.1.11). */
#ifndef FB_CONSOLE_JWT_H
#define FB_CONSOLE_JWT_H

#include <jansson.h>

#include "common/buf.h"

struct jwt_expected {
    const char *issuer, *audience, *nonce;
    int64_t now_ms;
};

/* claims_r is the caller's.
 *   FB_NOT_FOUND  no key of the set has this kid and algorithm: fetch the set again, once
 *   FB_DENIED     anything else that is wrong, with words */
FB_MUST_USE enum fb_status jwt_verify(const char *token, const json_t *key_set,
                                      const struct jwt_expected *expected, json_t **claims_r,
                                      struct fb_error *err);

#endif
