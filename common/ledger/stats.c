/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/ledger/internal.h"
#include "proto/limits.h"

#define SHADOW "shadow:"
#define RULE   "rule:"

const char *fb_stat_name(enum fb_stat what)
{
    static const char *const names[FB_STAT_COUNT] = {"accepted", "secured",  "passed",
                                                     "rejected", "sent",     "latency_ms",
                                                     "opened",   "recalled", "held"};
    return names[what];
}

void fb_ledger_stats_key(char key[FB_STATS_KEY], int shard, int64_t now_ms)
{
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm = {0};
    (void)gmtime_r(&seconds, &tm);
    (void)snprintf(key, FB_STATS_KEY, "fb:{s%d}:day:%04d%02d%02d", shard, tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday);
}

void fb_ledger_stats_field(char field[FB_STATS_FIELD], enum fb_stat what, int64_t now_ms)
{
    int slot = (int)(now_ms % FB_STATS_DAY_MS / FB_STATS_SLOT_MS);
    (void)snprintf(field, FB_STATS_FIELD, "%d:%s", slot, fb_stat_name(what));
}

static void add(struct fb_ops *ops, const char *key, const char *field, int64_t by)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRId64, by);
    fb_ops_add(ops, "HINCRBY", key, field, number, NULL);
}

void fb_ledger_count(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, enum fb_stat what,
                     int64_t by, int64_t now_ms)
{
    char key[FB_STATS_KEY];
    char field[FB_STATS_FIELD];
    fb_ledger_stats_key(key, fb_redis_shard(r, msg_id), now_ms);
    fb_ledger_stats_field(field, what, now_ms);
    add(ops, key, field, by);
    fb_ops_add(ops, "EXPIRE", key, FB_STATS_TTL, NULL);
}

void fb_ledger_count_now(struct fb_redis *r, int shard, enum fb_stat what, int64_t by)
{
    char key[FB_STATS_KEY];
    char field[FB_STATS_FIELD];
    char number[24];
    redisReply *reply = NULL;
    struct fb_error ignored = {0};
    int64_t now = fb_now_ms();
    fb_ledger_stats_key(key, shard, now);
    fb_ledger_stats_field(field, what, now);
    (void)snprintf(number, sizeof number, "%" PRId64, by);
    if (by > 0 &&
        fb_redis_call(r, &reply, &ignored, "HINCRBY", key, field, number, NULL) == FB_OK) {
        freeReplyObject(reply);
        if (fb_redis_call(r, &reply, &ignored, "EXPIRE", key, FB_STATS_TTL, NULL) == FB_OK) {
            freeReplyObject(reply);
        }
    }
}

static void count_rule(struct fb_ops *ops, const char *key, const char *kind, const char *rule,
                       int64_t by)
{
    char field[160];
    (void)snprintf(field, sizeof field, "%s%.140s", kind, rule);
    add(ops, key, field, by);
}

/* Words "<recipients> <rule>" of a plan, each with a tab behind it. */
static void count_shadows(struct fb_ops *ops, const char *key, const char *lines)
{
    while (lines != NULL && *lines != '\0') {
        char name[160];
        int64_t n = 0;
        size_t digits = strspn(lines, "0123456789");
        size_t len = strcspn(lines, "\t");
        for (size_t i = 0; i < digits && n < FB_MAX_RECIPIENTS; i++) {
            n = n * 10 + (lines[i] - '0');
        }
        if (digits > 0 && lines[digits] == ' ' && len > digits + 1 && n > 0) {
            (void)snprintf(name, sizeof name, "%.*s", (int)(len - digits - 1), lines + digits + 1);
            count_rule(ops, key, SHADOW, name, n < FB_MAX_RECIPIENTS ? n : FB_MAX_RECIPIENTS);
        }
        lines += lines[len] == '\t' ? len + 1 : len;
    }
}

void fb_ledger_count_plan(struct fb_redis *r, struct fb_ops *ops, const struct fb_plan *plan,
                          int64_t now_ms)
{
    int64_t by_kind[3] = {0};
    char key[FB_STATS_KEY];
    fb_ledger_stats_key(key, fb_redis_shard(r, plan->msg_id), now_ms);
    for (uint32_t b = 0; b < plan->branch_count; b++) {
        const struct fb_branch *branch = &plan->branches[b];
        int64_t n = branch->recipient_count;
        by_kind[branch->kind == FB_BRANCH_SECURE ? 0 : branch->kind == FB_BRANCH_PASS ? 1 : 2] += n;
        if (branch->rule != NULL && branch->rule[0] != '\0' && n > 0) {
            count_rule(ops, key, RULE, branch->rule, n);
        }
    }
    count_shadows(ops, key, plan->shadows);
    static const enum fb_stat kinds[] = {FB_STAT_SECURED, FB_STAT_PASSED, FB_STAT_REJECTED};
    for (size_t k = 0; k < 3; k++) {
        if (by_kind[k] > 0) {
            fb_ledger_count(r, ops, plan->msg_id, kinds[k], by_kind[k], now_ms);
        }
    }
}

/* ---- reading ---- */

static bool read_slot(struct fb_slice name, int64_t *slot_r, enum fb_stat *what_r)
{
    size_t colon = fb_slice_find(name, FB_SLICE_LITERAL(":"));
    if (colon == SIZE_MAX || colon == 0 || colon > 3) {
        return false;
    }
    *slot_r = fb_slice_int(fb_slice_sub(name, 0, colon));
    struct fb_slice kind = fb_slice_sub(name, colon + 1, SIZE_MAX);
    for (int k = 0; k < FB_STAT_COUNT; k++) {
        if (fb_slice_eq_str(kind, fb_stat_name((enum fb_stat)k))) {
            *what_r = (enum fb_stat)k;
            return name.ptr[0] >= '0' && name.ptr[0] <= '9';
        }
    }
    return false;
}

static enum fb_status get_day(struct fb_redis *r, int shard, int64_t day_ms, redisReply **reply_r,
                              struct fb_error *err)
{
    char key[FB_STATS_KEY];
    fb_ledger_stats_key(key, shard, day_ms);
    return fb_redis_call(r, reply_r, err, "HGETALL", key, NULL);
}

enum fb_status fb_ledger_stats(struct fb_redis *r, int64_t from_ms, int64_t step_ms, size_t count,
                               int64_t *slots_r, struct fb_error *err)
{
    int64_t until_ms = from_ms + (int64_t)count * step_ms;
    enum fb_status s = FB_OK;
    for (int64_t day = from_ms - from_ms % FB_STATS_DAY_MS; day < until_ms && s == FB_OK;
         day += FB_STATS_DAY_MS) {
        for (int shard = 0; shard < fb_redis_shard_count(r) && s == FB_OK; shard++) {
            redisReply *hash = NULL;
            s = get_day(r, shard, day, &hash, err);
            for (size_t i = 0; s == FB_OK && i + 1 < hash->elements; i += 2) {
                int64_t slot = 0;
                enum fb_stat what = FB_STAT_ACCEPTED;
                if (!read_slot(fb_reply_slice(hash->element[i]), &slot, &what)) {
                    continue;
                }
                int64_t at = day + slot * FB_STATS_SLOT_MS - from_ms;
                if (at >= 0 && at / step_ms < (int64_t)count) {
                    slots_r[FB_STAT_COUNT * (at / step_ms) + (int64_t)what] +=
                        fb_reply_int(hash->element[i + 1]);
                }
            }
            if (s == FB_OK) {
                freeReplyObject(hash);
            }
        }
    }
    return s;
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

enum fb_status fb_ledger_rule_hits(struct fb_redis *r, int64_t day_ms,
                                   void (*each)(void *ctx, const char *rule, bool is_shadow,
                                                int64_t count),
                                   void *ctx, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (int shard = 0; shard < fb_redis_shard_count(r) && s == FB_OK; shard++) {
        redisReply *hash = NULL;
        s = get_day(r, shard, day_ms, &hash, err);
        for (size_t i = 0; s == FB_OK && i + 1 < hash->elements; i += 2) {
            const char *name = hash->element[i]->str;
            int64_t n = fb_reply_int(hash->element[i + 1]);
            if (name != NULL && starts(name, RULE)) {
                each(ctx, name + strlen(RULE), false, n);
            } else if (name != NULL && starts(name, SHADOW)) {
                each(ctx, name + strlen(SHADOW), true, n);
            }
        }
        if (s == FB_OK) {
            freeReplyObject(hash);
        }
    }
    return s;
}
