/* SPDX-License-Identifier: Apache-2.0
 *
 * One leader among several processes, and the fence that shuts out one that only believes to be it.
 *
 * A lease alone is no protection: a leader that was stopped (SIGSTOP, a paused machine) goes on
 * where it was when it wakes up, however long ago its lease ended.  So each time of office has a
 * token, larger than all before it, which the new leader writes into every shard before it does
 * anything, and which every script that writes for the leader compares first (access.h).
 *
 *   fb:{s0}:watch:lease  string  "<token> <holder>", with a time to live
 *   fb:{s0}:watch:token  string  the last token given
 *   fb:{sN}:watch:fence  string  the token whose writes are taken
 */
#ifndef FB_COMMON_LEDGER_LEASE_H
#define FB_COMMON_LEDGER_LEASE_H

#include "common/redis.h"

#define FB_LEASE_TOKEN 24

/* Takes or renews the lease.  A token that differs from token_r's old text is a new time of office:
 * the fences are raised then.  FB_EXISTS: another one is leader. */
FB_MUST_USE enum fb_status fb_lease_keep(struct fb_redis *r, const char *holder, int64_t ttl_ms,
                                         char token_r[FB_LEASE_TOKEN], struct fb_error *err);
/* Gives it back, so that another one need not wait for its end. */
FB_MUST_USE enum fb_status fb_lease_end(struct fb_redis *r, const char *holder,
                                        struct fb_error *err);

#endif
