/* SPDX-License-Identifier: Apache-2.0
 *
 * What an account opens the console with besides its password: tokens of the API and passkeys, listed, made and taken
 * away.  For the console and `fumibako user`. */
#ifndef FB_COMMON_ACCOUNTS_KEYS_H
#define FB_COMMON_ACCOUNTS_KEYS_H

#include <jansson.h>

#include "common/accounts/account.h"

#define FB_TOKEN_ID        17 /* of a token or session in answers: the beginning of its hash, and a NUL */
#define FB_TOKEN_SIZE      260
#define FB_TOKEN_DAYS      90 /* unless told */
#define FB_TOKEN_MOST_DAYS 366
#define FB_PASSKEY_NAME    33 /* in answers: the beginning of its id's SHA-256, and a NUL */

void fb_token_id(const char *hash, char out_r[FB_TOKEN_ID]);
/* SHA-256 of a token or cookie, in hex. */
void fb_token_hash(const char *token, char out_r[FB_ACCOUNT_HASH]);
/* Another token of a user: fbt.<name>.<256 random bits>; its hash is what an account keeps. */
void fb_token_make(const char *user, char token_r[FB_TOKEN_SIZE], char hash_r[FB_ACCOUNT_HASH]);

/* [{id, label, role, since, until}] and [{id, label, since}]; time writes the moments.  The caller's. */
json_t *fb_tokens_json(const struct fb_account *a, json_t *(*time)(int64_t ms));
json_t *fb_passkeys_json(const struct fb_account *a, json_t *(*time)(int64_t ms));

/* Those that ended make room.  FB_DENIED: there are FB_ACCOUNT_TOKENS already. */
FB_MUST_USE enum fb_status fb_account_add_token(struct fb_account *a, const struct fb_token *t,
                                                struct fb_error *err);
/* By its id.  FB_NOT_FOUND. */
FB_MUST_USE enum fb_status fb_account_drop_token(struct fb_account *a, const char *id,
                                                 struct fb_error *err);
/* By its name.  FB_NOT_FOUND; FB_DENIED: it is the only second factor. */
FB_MUST_USE enum fb_status fb_account_drop_passkey(struct fb_account *a, const char *name,
                                                   struct fb_error *err);

#endif
