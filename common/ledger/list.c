/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings over all shards: messages by time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "common/ledger/listing.h"

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
    if (name.len == 0 || name.len >= sizeof(rows->items[0].name)) {
        return;
    }
    if (rows->count == rows->cap) {
        rows->cap = rows->cap == 0 ? 256 : rows->cap * 2;
        rows->items = realloc(rows->items, rows->cap * sizeof *rows->items);
        FB_ASSERT(rows->items != NULL);
    }
    struct row *row = &rows->items[rows->count++];
    memcpy(row->name, name.ptr, name.len);
    row->name[name.len] = '\0';
    row->score = score;
}

static void add_listed(void *ctx, const char *id, int64_t at_ms)
{
    add_row(ctx, fb_slice_str(id), at_ms);
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

/* Sorts them, drops what is there twice, and keeps the `limit` newest or oldest. */
static void keep_best(struct rows *rows, bool is_newest_first, size_t limit)
{
    size_t kept = 0;
    if (rows->count > 1) {
        qsort(rows->items, rows->count, sizeof *rows->items, by_score);
    }
    for (size_t i = 0; i < rows->count; i++) {
        if (kept == 0 || by_score(&rows->items[kept - 1], &rows->items[i]) != 0) {
            rows->items[kept++] = rows->items[i];
        }
    }
    rows->count = kept;
    if (kept > limit) {
        if (is_newest_first) {
            memmove(rows->items, rows->items + (kept - limit), limit * sizeof *rows->items);
        }
        rows->count = limit;
    }
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
    int shards = fb_redis_shard_count(r);
    struct rows rows = {.cap = 0};
    enum fb_status s = FB_OK;
    bool is_listing = strcmp(kind, "t") == 0 || strcmp(kind, "a") == 0;
    FB_ASSERT(!is_listing || is_newest_first);
    for (int shard = 0; s == FB_OK && shard < shards; shard++) {
        char key[FB_LEDGER_KEY];
        if (name != NULL) {
            fb_ledger_key(key, shard, kind, name);
        } else {
            (void)snprintf(key, sizeof(key), "fb:{s%d}:%s", shard, kind);
        }
        s = collect(r, key, is_newest_first, low, high, limit, &rows, err);
        if (s == FB_OK && is_listing) { /* what stands there was written by older programs */
            s = fb_listing_read(r, shard, name, low, high, limit, add_listed, &rows, err);
        }
        keep_best(&rows, is_newest_first, limit);
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

enum fb_status fb_ledger_stuck(struct fb_redis *r, int64_t before_ms, size_t limit,
                               bool (*each)(void *ctx, const char *msg_id), void *ctx,
                               struct fb_error *err)
{
    struct plain p = {.each = each, .ctx = ctx};
    return fb_ledger_walk(r, "open", NULL, false, 0, before_ms, limit, without_score, &p, err);
}
