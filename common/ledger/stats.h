/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures for charts: how much of what happened in each five minutes, for 35 days.  Part of ledger.h; written in the
 * same step as what they count, so they agree with the queue; a step that is repeated after a crash may count twice.
 *   fb:{sN}:day:<yyyymmdd>  hash  <slot>:<what> = count (slot: five minutes of the UTC day, 0 to 287);
 *                                 rule:<name>, shadow:<name> = recipients that the rule took, or would have taken
 */
#ifndef FB_COMMON_LEDGER_STATS_H
#define FB_COMMON_LEDGER_STATS_H

#include "common/queue/queue.h"
#include "proto/plan.h"

#define FB_STATS_SLOT_MS INT64_C(300000)
#define FB_STATS_DAY_MS  INT64_C(86400000)
#define FB_STATS_TTL     "3024000" /* 35 days */

enum fb_stat {
    FB_STAT_ACCEPTED, /* mails */
    FB_STAT_SECURED,  /* recipients, as planned: these three */
    FB_STAT_PASSED,
    FB_STAT_REJECTED,
    FB_STAT_SENT,       /* branches that went out */
    FB_STAT_LATENCY_MS, /* the sum of their times from acceptance on */
    FB_STAT_OPENED,     /* recipients, at their first preview or download */
    FB_STAT_RECALLED,   /* recipients that were named; 1 for a whole mail */
    FB_STAT_HELD,       /* dead letters that were made */
    FB_STAT_COUNT
};
const char *fb_stat_name(enum fb_stat what);

/* Counts with the ops of a message. */
void fb_ledger_count(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, enum fb_stat what,
                     int64_t by, int64_t now_ms);
/* The same at once, where there are no ops.  Best effort: figures are not worth a failure. */
void fb_ledger_count_now(struct fb_redis *r, int shard, enum fb_stat what, int64_t by);
/* Counts what a plan decided: actions, rules, shadow rules. */
void fb_ledger_count_plan(struct fb_redis *r, struct fb_ops *ops, const struct fb_plan *plan,
                          int64_t now_ms);
/* Key of a day's figures, and their field: for scripts that count themselves. */
#define FB_STATS_KEY 64
void fb_ledger_stats_key(char key[FB_STATS_KEY], int shard, int64_t now_ms);
#define FB_STATS_FIELD 32
void fb_ledger_stats_field(char field[FB_STATS_FIELD], enum fb_stat what, int64_t now_ms);

/* Adds the counts from from_ms on to slots_r[FB_STAT_COUNT * n + what], where n counts the intervals of
 * step_ms (a multiple of FB_STATS_SLOT_MS) from from_ms on; there are `count` of them.  All shards. */
FB_MUST_USE enum fb_status fb_ledger_stats(struct fb_redis *r, int64_t from_ms, int64_t step_ms,
                                           size_t count, int64_t *slots_r, struct fb_error *err);
/* The rules of the day that day_ms is in, each with its count; is_shadow: would have taken.  All shards (a rule may
 * come several times). */
FB_MUST_USE enum fb_status fb_ledger_rule_hits(struct fb_redis *r, int64_t day_ms,
                                               void (*each)(void *ctx, const char *rule,
                                                            bool is_shadow, int64_t count),
                                               void *ctx, struct fb_error *err);

#endif
