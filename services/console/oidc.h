/* SPDX-License-Identifier: Apache-2.0
 *
 * The OpenID Connect provider that the configuration names: its discovery document and keys, kept for ten minutes, and
 * the exchange of a code for an ID token.  Everything it says is bounded, and nothing is fetched but from the addresses
 * that its own document names, by https (http only for a provider on this machine). */
#ifndef FB_CONSOLE_OIDC_H
#define FB_CONSOLE_OIDC_H

#include <jansson.h>

#include "common/config.h"

struct oidc;
#define OIDC_URL 1024

/* Where browsers sign in.  FB_NETWORK, FB_CONFIG with words. */
FB_MUST_USE enum fb_status oidc_authorization_url(struct oidc *o, char url_r[OIDC_URL],
                                                  struct fb_error *err);
struct oidc_answer {
    const char *code, *verifier, *nonce, *redirect_uri;
};
/* The claims of a verified ID token, the caller's.  FB_DENIED: the provider refused, or its token is none. */
FB_MUST_USE enum fb_status oidc_exchange(struct oidc *o, const struct oidc_answer *answer,
                                         json_t **claims_r, struct fb_error *err);
const char *oidc_client_id(const struct oidc *o);
const char *oidc_issuer(const struct oidc *o);
/* The value of a query or form, percent-encoded (RFC 3986 2.3). */
FB_MUST_USE enum fb_status oidc_add_escaped(struct fb_buf *out, const char *text);

#endif
