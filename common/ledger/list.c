/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings over all shards: messages by time, a parcel's history.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "proto/limits.h"

#define MAX_LIST 10000

struct row {
    char name[FB_PARCEL_ID_SIZE];
    int64_t score;
};

struct rows {
    struct row *items;
    size_t count, cap;
};

static void add_row(struct rows *rows, struct fb_slice name, int64_t score)
{
    if (name.len == 0 || name.len >= sizeof(rows->items[0].name) || rows->count >= rows->cap) {
        return;
    }
    struct row *row = &rows->items[rows->count++];
    memcpy(row->name, name.ptr, name.len);
    row->name[name.len] = '\0';
    row->score = score;
}

/* One shard's members between two scores. */
static enum fb_status collect(struct fb_redis *r, const char *key, bool is_newest_first,
                              int64_t low, int64_t high, size_t limit, struct rows *rows,
                              struct fb_error *err)
{
    char from[24];
    char to[24];
    char count[24];
    (void)snprintf(from, sizeof(from), "%" PRId64, is_newest_first ? high : low);
    (void)snprintf(to, sizeof(to), "%" PRId64, is_newest_first ? low : high);
    (void)snprintf(count, sizeof(count), "%zu", limit);
    redisReply *reply = NULL;
    enum fb_status s =
        fb_redis_call(r, &reply, err, is_newest_first ? "ZREVRANGEBYSCORE" : "ZRANGEBYSCORE", key,
                      from, to, "WITHSCORES", "LIMIT", "0", count, NULL);
    if (s != FB_OK) {
        return s;
    }
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
        add_row(rows, fb_reply_slice(reply->element[i]), fb_reply_int(reply->element[i + 1]));
    }
    freeReplyObject(reply);
    return FB_OK;
}

static int by_score(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    return x->score != y->score ? (x->score < y->score ? -1 : 1) : strcmp(x->name, y->name);
}

enum fb_status fb_ledger_walk(struct fb_redis *r, const char *kind, const char *name,
                              bool is_newest_first, int64_t low, int64_t high, size_t limit,
                              bool (*each)(void *ctx, const char *id, int64_t score), void *ctx,
                              struct fb_error *err)
{
    limit = limit < MAX_LIST ? limit : MAX_LIST;
    if (limit == 0) {
        return FB_OK;
    }
    size_t shards = (size_t)fb_redis_shard_count(r);
    struct rows rows = {.cap = limit};
    enum fb_status s = FB_OK;
    for (size_t shard = 0; s == FB_OK && shard < shards; shard++) {
        /* Keep the best `limit` so far, and room for as many of the next shard. */
        struct row *grown = fb_xcalloc(rows.count + limit, sizeof(*grown));
        if (rows.count > 0) {
            memcpy(grown, rows.items, rows.count * sizeof(*grown));
        }
        free(rows.items);
        rows.items = grown;
        rows.cap = rows.count + limit;
        char key[FB_LEDGER_KEY];
        if (name != NULL) {
            fb_ledger_key(key, (int)shard, kind, name);
        } else {
            (void)snprintf(key, sizeof(key), "fb:{s%zu}:%s", shard, kind);
        }
        s = collect(r, key, is_newest_first, low, high, limit, &rows, err);
        qsort(rows.items, rows.count, sizeof(*rows.items), by_score);
        if (rows.count > limit) {
            if (is_newest_first) {
                memmove(rows.items, rows.items + (rows.count - limit), limit * sizeof(*rows.items));
            }
            rows.count = limit;
        }
    }
    for (size_t i = 0; s == FB_OK && i < rows.count; i++) {
        const struct row *row = &rows.items[is_newest_first ? rows.count - 1 - i : i];
        if (!each(ctx, row->name, row->score)) {
            break;
        }
    }
    free(rows.items);
    return s;
}

struct plain {
    bool (*each)(void *ctx, const char *id);
    void *ctx;
};

static bool without_score(void *ctx, const char *id, int64_t score)
{
    const struct plain *p = ctx;
    (void)score;
    return p->each(p->ctx, id);
}

enum fb_status fb_ledger_list(struct fb_redis *r, const char *address, int64_t since_ms,
                              int64_t until_ms, size_t limit,
                              bool (*each)(void *ctx, const char *msg_id), void *ctx,
                              struct fb_error *err)
{
    char folded[FB_MAX_ADDRESS + 1];
    if (address != NULL) {
        fb_ledger_fold(address, folded, sizeof(folded));
    }
    struct plain p = {.each = each, .ctx = ctx};
    return fb_ledger_walk(r, address != NULL ? "a" : "t", address != NULL ? folded : NULL, true,
                          since_ms, until_ms, limit, without_score, &p, err);
}

enum fb_status fb_ledger_stuck(struct fb_redis *r, int64_t before_ms, size_t limit,
                               bool (*each)(void *ctx, const char *msg_id), void *ctx,
                               struct fb_error *err)
{
    struct plain p = {.each = each, .ctx = ctx};
    return fb_ledger_walk(r, "open", NULL, false, 0, before_ms, limit, without_score, &p, err);
}

/* ---- a parcel's history ---- */

static void mark_told(const redisReply *lines, bool *told, size_t count)
{
    for (size_t i = 0; i < lines->elements; i++) {
        const char *text = lines->element[i]->str;
        json_t *e =
            text != NULL && strstr(text, "\"upload\"") != NULL ? json_loads(text, 0, NULL) : NULL;
        const char *source = json_string_value(json_object_get(e, "source"));
        json_int_t at = json_integer_value(json_object_get(e, "recipient"));
        if (source != NULL && strcmp(source, "upload") == 0 && at >= 0 && (size_t)at < count) {
            told[at] = true;
        }
        json_decref(e);
    }
}

/* An access that upload opened has no line of its own (write.c): when, stands in the parcel's record.  False: each has
 * heard enough. */
static enum fb_status tell_uploads(struct fb_redis *r, int shard, const char *parcel_id,
                                   const redisReply *lines,
                                   bool (*each)(void *ctx, const char *json_line), void *ctx,
                                   bool *goes_on, struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    redisReply *parcel = NULL;
    redisReply *grants = NULL;
    fb_key(key, shard, "p:%s", parcel_id);
    enum fb_status s = fb_redis_call(r, &parcel, err, "HMGET", key, "at", "rebuilt", NULL);
    if (s != FB_OK) {
        return s;
    }
    int64_t at = parcel->elements == 2 ? fb_reply_int(parcel->element[0]) : 0;
    bool is_rebuilt = parcel->elements == 2 && parcel->element[1]->type == REDIS_REPLY_STRING;
    freeReplyObject(parcel);
    if (at == 0 || is_rebuilt) {
        return FB_OK; /* what happened then is not known any more */
    }
    fb_key(key, shard, "g:%s", parcel_id);
    s = fb_redis_call(r, &grants, err, "HGETALL", key, NULL);
    if (s != FB_OK) {
        return s;
    }
    bool *told = fb_xcalloc(FB_MAX_RECIPIENTS, sizeof *told);
    mark_told(lines, told, FB_MAX_RECIPIENTS);
    for (size_t i = 0; i + 1 < grants->elements && *goes_on; i += 2) {
        uint32_t who = 0;
        if (fb_ledger_indexed(fb_reply_slice(grants->element[i]), "", "", FB_MAX_RECIPIENTS,
                              &who) &&
            !told[who]) {
            char line[160];
            (void)snprintf(line, sizeof line,
                           "{\"at\":%" PRId64 ",\"recipient\":%" PRIu32
                           ",\"from\":\"\",\"to\":\"active\",\"actor\":\"\",\"source\":\"upload\"}",
                           at, who);
            *goes_on = each(ctx, line);
        }
    }
    free(told);
    freeReplyObject(grants);
    return FB_OK;
}

enum fb_status fb_ledger_history(struct fb_redis *r, const char *parcel_id, size_t limit,
                                 bool (*each)(void *ctx, const char *json_line), void *ctx,
                                 struct fb_error *err)
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    if (!fb_parcel_id_split(parcel_id, msg_id, &branch)) {
        return fb_error_set(err, FB_NOT_FOUND, "not a parcel id");
    }
    char key[FB_KEY_SIZE];
    char from[24];
    int shard = fb_redis_shard(r, msg_id);
    limit = limit > 0 && limit < MAX_LIST ? limit : MAX_LIST;
    fb_key(key, shard, "h:%s", parcel_id);
    (void)snprintf(from, sizeof(from), "-%zu", limit);
    redisReply *reply = NULL;
    bool goes_on = true;
    enum fb_status s = fb_redis_call(r, &reply, err, "LRANGE", key, from, "-1", NULL);
    if (s != FB_OK) {
        return s;
    }
    if (reply->elements < limit) { /* all of it: nothing stands before */
        s = tell_uploads(r, shard, parcel_id, reply, each, ctx, &goes_on, err);
    }
    for (size_t i = 0; s == FB_OK && goes_on && i < reply->elements; i++) {
        goes_on =
            reply->element[i]->type != REDIS_REPLY_STRING || each(ctx, reply->element[i]->str);
    }
    freeReplyObject(reply);
    return s;
}
