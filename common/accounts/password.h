/* SPDX-License-Identifier: Apache-2.0
 *
 * Passwords of the console: argon2id (RFC 9106) by libsodium.  One hash takes 64 MiB and a tenth of a second or so;
 * what the cost is now stands in each hash, so that it can be raised later. */
#ifndef FB_COMMON_ACCOUNTS_PASSWORD_H
#define FB_COMMON_ACCOUNTS_PASSWORD_H

#include "common/accounts/account.h"

#define FB_PASSWORD_MIN   12  /* characters */
#define FB_PASSWORD_MAX   256 /* bytes */
#define FB_PASSWORD_GIVEN 25  /* "xxxx-xxxx-xxxx-xxxx-xxxx" and a NUL: 100 random bits */

struct fb_password_cost {
    size_t memory; /* bytes */
    unsigned passes;
};
/* What the configuration says. */
struct fb_password_cost fb_password_cost_of(const struct fb_config *config);

/* FB_INVALID: too short, too long, no UTF-8, or the user's name or the like; the text says which, in English. */
FB_MUST_USE enum fb_status fb_password_check(const char *password, const char *user,
                                             struct fb_error *err);
/* FB_NO_SPACE without memory. */
FB_MUST_USE enum fb_status fb_password_hash(const char *password,
                                            const struct fb_password_cost *cost,
                                            char out_r[FB_ACCOUNT_PASSWORD], struct fb_error *err);
/* Whether it is the one; a wrong one takes as long as a right one.  hash "" or NULL (no such account, or one without a
 * password): false after the time that a hash of this cost takes.  needs_rehash_r: it is right, and the cost has
 * changed. */
bool fb_password_verify(const char *hash, const char *password, const struct fb_password_cost *cost,
                        bool *needs_rehash_r);
/* One to be handed over and changed at the first log-in. */
void fb_password_new(char out_r[FB_PASSWORD_GIVEN]);

#endif
