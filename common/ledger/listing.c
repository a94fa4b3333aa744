/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"

#define HOUR_MS   INT64_C(3600000)
#define PERIOD_MS (INT64_C(30) * 24 * HOUR_MS)
#define MOST_MS   ((INT64_C(1) << 48) - 1)
#define GROUP     64 /* keys asked for at once, at most */
#define MOST_KEYS 4096

void fb_listing_recipient_key(char key_r[FB_LEDGER_KEY], int shard, const char *address)
{
    char folded[FB_MAX_ADDRESS + 1];
    fb_ledger_fold(address, folded, sizeof folded);
    fb_ledger_key(key_r, shard, "l:a", folded);
}

static void period_key(char key_r[FB_LEDGER_KEY], int shard, const char *folded, int64_t period)
{
    char kind[40];
    (void)snprintf(kind, sizeof kind, "l:s:%" PRId64, period);
    fb_ledger_key(key_r, shard, kind, folded);
}

void fb_listing_sender_key(char key_r[FB_LEDGER_KEY], int shard, const char *address,
                           const char *msg_id)
{
    char folded[FB_MAX_ADDRESS + 1];
    fb_ledger_fold(address, folded, sizeof folded);
    period_key(key_r, shard, folded, fb_id_time_ms(msg_id) / PERIOD_MS);
}

void fb_listing_hour_key(char key_r[FB_LEDGER_KEY], int shard, const char *msg_id,
                         char hour_r[FB_LISTING_HOUR])
{
    (void)snprintf(hour_r, FB_LISTING_HOUR, "%" PRId64, fb_id_time_ms(msg_id) / HOUR_MS);
    fb_ledger_key(key_r, shard, "l:t", hour_r);
}

/* The 48 bits of time that an id begins with; the others all zeros or all ones. */
static void bound(uint8_t out[1 + FB_ID_BYTES], int64_t ms, uint8_t rest)
{
    uint64_t time = ms < 0 ? 0 : (uint64_t)(ms < MOST_MS ? ms : MOST_MS);
    out[0] = '[';
    for (int i = 0; i < 6; i++) {
        out[1 + i] = (uint8_t)(time >> (40 - 8 * i));
    }
    memset(out + 7, rest, FB_ID_BYTES - 6);
}

void fb_listing_add(struct fb_ops *ops, int shard, const char *msg_id,
                    const struct fb_envelope *envelope, int64_t ttl_ms)
{
    char key[FB_LEDGER_KEY];
    char hours[FB_LEDGER_KEY];
    char hour[FB_LISTING_HOUR];
    char old_hour[24];
    char ttl[24];
    uint8_t id[FB_ID_BYTES];
    uint8_t old[1 + FB_ID_BYTES];
    int64_t old_ms = fb_id_time_ms(msg_id) - ttl_ms - (int64_t)FB_LEDGER_IN_FLIGHT_S * 1000;
    fb_id_pack(msg_id, id);
    bound(old, old_ms, 0);
    (void)snprintf(ttl, sizeof ttl, "%" PRId64,
                   ttl_ms / 1000 + FB_LEDGER_IN_FLIGHT_S + HOUR_MS / 1000);
    (void)snprintf(old_hour, sizeof old_hour, "%" PRId64, old_ms / HOUR_MS - 1);
    fb_listing_hour_key(key, shard, msg_id, hour);
    (void)snprintf(hours, sizeof hours, "fb:{s%d}:l:hours", shard);
    fb_ops_add(ops, "LISTIN", hours, hour, hour, old_hour, ttl, NULL);
    const struct fb_slice in_hour[] = {fb_slice_of(id, sizeof id), fb_slice_str(ttl)};
    fb_ops_add_slices(ops, "HOURIN", key, in_hour, 2);
    const struct fb_slice in_list[] = {fb_slice_of(id, sizeof id), fb_slice_of(old + 1, 6),
                                       fb_slice_str(ttl)};
    if (envelope->reverse_path[0] != '\0') {
        fb_listing_sender_key(key, shard, envelope->reverse_path, msg_id);
        fb_ops_add_slices(ops, "ADDRIN", key, in_list, 3);
    }
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        fb_listing_recipient_key(key, shard, envelope->recipients[i].address);
        fb_ops_add_slices(ops, "ADDRIN", key, in_list, 3);
    }
}

/* ---- reading ---- */

struct reading {
    struct fb_redis *r;
    int shard;
    const char *address;
    int64_t low_ms, high_ms;
    size_t limit, found;
    void (*each)(void *ctx, const char *id, int64_t at_ms);
    void *ctx;
    struct fb_error *err;
};

static void take(struct reading *x, const uint8_t *bytes)
{
    char id[FB_ID_SIZE];
    fb_id_unpack(bytes, id);
    int64_t at_ms = fb_id_time_ms(id);
    if (at_ms >= x->low_ms && at_ms <= x->high_ms) {
        x->each(x->ctx, id, at_ms);
        x->found++;
    }
}

/* A string of ids, or a list of them. */
static enum fb_status fetch_ids(struct reading *x)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_fetch(x->r, &reply, x->err);
    if (s != FB_OK) {
        return s;
    }
    if (reply->type == REDIS_REPLY_STRING) {
        struct fb_slice all = fb_reply_slice(reply);
        for (size_t i = 0; i + FB_ID_BYTES <= all.len; i += FB_ID_BYTES) {
            take(x, all.ptr + i);
        }
    }
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        struct fb_slice one = fb_reply_slice(reply->element[i]);
        if (one.len == FB_ID_BYTES) {
            take(x, one.ptr);
        }
    }
    freeReplyObject(reply);
    return FB_OK;
}

static enum fb_status end_pipeline(struct reading *x, enum fb_status s)
{
    if (s != FB_OK) {
        fb_redis_reset(x->r); /* replies of this pipeline must not be taken for others' */
    }
    return s;
}

/* Few hours first: on a busy system they hold more than a page. */
static enum fb_status read_hours(struct reading *x, const redisReply *hours)
{
    enum fb_status s = FB_OK;
    size_t group = 2;
    for (size_t from = 0; from < hours->elements && s == FB_OK && x->found < x->limit;) {
        size_t to = from + group < hours->elements ? from + group : hours->elements;
        for (size_t i = from; i < to && s == FB_OK; i++) {
            char key[FB_KEY_SIZE];
            fb_key(key, x->shard, "l:t:%.20s",
                   hours->element[i]->str != NULL ? hours->element[i]->str : "");
            const struct fb_slice argv[] = {FB_SLICE_LITERAL("GET"), fb_slice_str(key)};
            s = fb_redis_append(x->r, 2, argv, x->err);
        }
        for (size_t i = from; i < to && s == FB_OK; i++) {
            s = fetch_ids(x);
        }
        from = to;
        group = group * 2 < GROUP ? group * 2 : GROUP;
    }
    return end_pipeline(x, s);
}

static int64_t in_hours(int64_t ms)
{
    return (ms < 0 ? 0 : ms < MOST_MS ? ms : MOST_MS) / HOUR_MS;
}

/* Batch by batch: a search without a match may go through years. */
static enum fb_status read_all(struct reading *x)
{
    char key[FB_KEY_SIZE];
    char low[24];
    char high[24];
    char most[24];
    enum fb_status s = FB_OK;
    int64_t until = in_hours(x->high_ms);
    bool is_over = false;
    fb_key(key, x->shard, "%s", "l:hours");
    (void)snprintf(low, sizeof low, "%" PRId64, in_hours(x->low_ms));
    (void)snprintf(most, sizeof most, "%d", GROUP * 8);
    while (s == FB_OK && !is_over && x->found < x->limit) {
        redisReply *hours = NULL;
        (void)snprintf(high, sizeof high, "%" PRId64, until);
        s = fb_redis_call(x->r, &hours, x->err, "ZREVRANGEBYSCORE", key, high, low, "LIMIT", "0",
                          most, NULL);
        if (s == FB_OK) {
            s = read_hours(x, hours);
            is_over = hours->elements < GROUP * 8;
            until = is_over ? 0 : fb_reply_int(hours->element[hours->elements - 1]) - 1;
            freeReplyObject(hours);
        }
    }
    return s;
}

/* The first or last hour that anything is listed in; -1: there is none. */
static enum fb_status end_hour(struct reading *x, const char *command, int64_t *hour_r)
{
    char key[FB_KEY_SIZE];
    redisReply *reply = NULL;
    fb_key(key, x->shard, "%s", "l:hours");
    enum fb_status s = fb_redis_call(x->r, &reply, x->err, command, key, "0", "0", NULL);
    if (s == FB_OK) {
        *hour_r = reply->type == REDIS_REPLY_ARRAY && reply->elements == 1
                      ? fb_reply_int(reply->element[0])
                      : -1;
        freeReplyObject(reply);
    }
    return s;
}

/* The periods of senders that can hold something of the time that is asked for; last_r < first_r: none. */
static enum fb_status periods(struct reading *x, int64_t *first_r, int64_t *last_r)
{
    int64_t first = -1;
    int64_t last = -1;
    enum fb_status s = end_hour(x, "ZRANGE", &first);
    s = s == FB_OK ? end_hour(x, "ZREVRANGE", &last) : s;
    if (s != FB_OK || first < 0 || last < 0) {
        *first_r = 0;
        *last_r = -1;
        return s;
    }
    int64_t low = in_hours(x->low_ms);
    int64_t high = in_hours(x->high_ms);
    *first_r = (low > first ? low : first) * HOUR_MS / PERIOD_MS;
    *last_r = (high < last ? high : last) * HOUR_MS / PERIOD_MS;
    *first_r = *last_r - *first_r < MOST_KEYS ? *first_r : *last_r - MOST_KEYS;
    return s;
}

static enum fb_status ask_list(struct reading *x, const char *key)
{
    uint8_t low[1 + FB_ID_BYTES];
    uint8_t high[1 + FB_ID_BYTES];
    char most[24];
    bound(low, x->low_ms, 0);
    bound(high, x->high_ms, 0xff);
    (void)snprintf(most, sizeof most, "%zu", x->limit);
    const struct fb_slice argv[] = {FB_SLICE_LITERAL("ZREVRANGEBYLEX"),
                                    fb_slice_str(key),
                                    fb_slice_of(high, sizeof high),
                                    fb_slice_of(low, sizeof low),
                                    FB_SLICE_LITERAL("LIMIT"),
                                    FB_SLICE_LITERAL("0"),
                                    fb_slice_str(most)};
    return fb_redis_append(x->r, sizeof argv / sizeof argv[0], argv, x->err);
}

static enum fb_status read_address(struct reading *x)
{
    char key[FB_LEDGER_KEY];
    int64_t first = 0;
    int64_t last = -1;
    enum fb_status s = periods(x, &first, &last);
    if (s != FB_OK || last < first) {
        return s;
    }
    fb_ledger_key(key, x->shard, "l:a", x->address);
    s = ask_list(x, key);
    s = end_pipeline(x, s == FB_OK ? fetch_ids(x) : s);
    x->found = 0; /* of the sender's lists, which follow each other */
    for (int64_t at = last; at >= first && s == FB_OK && x->found < x->limit; at -= GROUP) {
        int64_t to = at - GROUP + 1 > first ? at - GROUP + 1 : first;
        for (int64_t p = at; p >= to && s == FB_OK; p--) {
            period_key(key, x->shard, x->address, p);
            s = ask_list(x, key);
        }
        for (int64_t p = at; p >= to && s == FB_OK; p--) {
            s = fetch_ids(x);
        }
        s = end_pipeline(x, s);
    }
    return s;
}

enum fb_status fb_listing_read(struct fb_redis *r, int shard, const char *address, int64_t low_ms,
                               int64_t high_ms, size_t limit,
                               void (*each)(void *ctx, const char *id, int64_t at_ms), void *ctx,
                               struct fb_error *err)
{
    struct reading x = {.r = r,
                        .shard = shard,
                        .address = address,
                        .low_ms = low_ms,
                        .high_ms = high_ms,
                        .limit = limit,
                        .each = each,
                        .ctx = ctx,
                        .err = err};
    return address != NULL ? read_address(&x) : read_all(&x);
}

static enum fb_status ask_count(struct reading *x, const char *key)
{
    const struct fb_slice argv[] = {FB_SLICE_LITERAL("ZCARD"), fb_slice_str(key)};
    return fb_redis_append(x->r, 2, argv, x->err);
}

enum fb_status fb_listing_count(struct fb_redis *r, int shard, const char *address,
                                int64_t *count_r, struct fb_error *err)
{
    struct reading x = {.r = r, .shard = shard, .address = address, .high_ms = MOST_MS, .err = err};
    char key[FB_LEDGER_KEY];
    int64_t first = 0;
    int64_t last = -1;
    int64_t asked = 0;
    *count_r = 0;
    enum fb_status s = periods(&x, &first, &last);
    if (s != FB_OK || last < first) {
        return s;
    }
    first = last - first < GROUP ? first : last - GROUP; /* five years say enough */
    fb_ledger_key(key, shard, "l:a", address);
    s = ask_count(&x, key);
    asked += s == FB_OK;
    for (int64_t p = last; p >= first && s == FB_OK; p--) {
        period_key(key, shard, address, p);
        s = ask_count(&x, key);
        asked += s == FB_OK;
    }
    for (; asked > 0 && s == FB_OK; asked--) {
        redisReply *reply = NULL;
        s = fb_redis_fetch(r, &reply, err);
        if (s == FB_OK) {
            *count_r += reply->type == REDIS_REPLY_INTEGER ? (int64_t)reply->integer : 0;
            freeReplyObject(reply);
        }
    }
    return end_pipeline(&x, s);
}
