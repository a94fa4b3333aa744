/* SPDX-License-Identifier: Apache-2.0
 *
 * Passkeys: what a browser hands over when one is made or used, verified as WebAuthn level 2 says (7.1, 7.2), with
 * libfido2 for authenticator data and signatures and libcbor for the attestation object.  Attestation is not asked for:
 * whoever made the key does not matter, that the same one signs later does.  The user must have been verified (PIN,
 * finger, face): so a passkey is both factors at once.  Everything comes from outside. */
#ifndef FB_CONSOLE_PASSKEY_H
#define FB_CONSOLE_PASSKEY_H

#include <jansson.h>

#include "common/accounts/account.h"
#include "common/id.h"

#define PASSKEY_CHALLENGE FB_RANDOM_TEXT /* 32 bytes in base64url, and a NUL */

/* What this ceremony was begun with. */
struct passkey_expected {
    const char *challenge; /* base64url */
    const char *origin;    /* "https://fumibako.example.jp" */
    const char *rp_id;     /* "fumibako.example.jp" */
};

/* The id of the relying party: the host of an origin.  False: an IP address, which browsers refuse, or too long. */
bool passkey_rp_id(const char *origin, char *out, size_t size);
/* A credential as a browser's PublicKeyCredential.toJSON() writes it, just made: {id, type, response: {clientDataJSON,
 * attestationObject}}.  FB_DENIED with what is wrong; label and since are not filled. */
FB_MUST_USE enum fb_status passkey_verify_new(const json_t *credential,
                                              const struct passkey_expected *expected,
                                              struct fb_passkey *passkey_r, struct fb_error *err);
/* The id and (may be "") the user handle of a credential that was used, both as bytes.  FB_DENIED: it is none. */
struct passkey_used {
    uint8_t id[FB_ACCOUNT_KEY_ID];
    size_t id_len;
    char handle[FB_ACCOUNT_HANDLE]; /* "" = not given */
};
FB_MUST_USE enum fb_status passkey_read_used(const json_t *credential, struct passkey_used *used_r,
                                             struct fb_error *err);
/* {response: {clientDataJSON, authenticatorData, signature}}: whether this key made it.  counter_r: its count, which is
 * to be kept.  FB_DENIED, also when the count did not go on: there are two of this key. */
FB_MUST_USE enum fb_status passkey_verify(const json_t *credential,
                                          const struct passkey_expected *expected,
                                          const struct fb_passkey *passkey, uint32_t *counter_r,
                                          struct fb_error *err);

#endif
