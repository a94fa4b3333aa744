/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sources of the accounts and the console's sessions share: names of keys, calls of scripts. */
#ifndef FB_COMMON_ACCOUNTS_STORE_H
#define FB_COMMON_ACCOUNTS_STORE_H

#include "common/accounts/account.h"
#include "common/id.h"

#define ACCOUNTS_PREFIX  "fb:{s0}:console:"
#define ACCOUNTS_USERS   ACCOUNTS_PREFIX "users"
#define ACCOUNTS_HANDLES ACCOUNTS_PREFIX "handles"
#define ACCOUNTS_CHANGES ACCOUNTS_PREFIX "changes"
#define ACCOUNTS_SESSION ACCOUNTS_PREFIX "session:" /* <hash of the cookie> */
#define ACCOUNTS_OF      ACCOUNTS_PREFIX "of:"      /* <handle>: its sessions by their beginning */
#define ACCOUNTS_TRY     ACCOUNTS_PREFIX "try:"     /* <kind>:<hash> */
#define ACCOUNTS_KEY     160
#define ACCOUNTS_KEYS    4
#define ACCOUNTS_ARGS    40
#define ACCOUNTS_TEXT    (96U << 10) /* of one account */

struct redisReply;
/* Runs a script with C strings; the reply is the caller's, and a list of at least `least` items. */
FB_MUST_USE enum fb_status fb_accounts_script(struct fb_redis *r, const struct fb_script *script,
                                              size_t key_count, const char *const *keys,
                                              size_t arg_count, const char *const *args,
                                              size_t least, struct redisReply **reply_r,
                                              struct fb_error *err);
/* A number in a list; 0 for anything else. */
int64_t fb_accounts_int(const struct redisReply *reply, size_t i);

#endif
