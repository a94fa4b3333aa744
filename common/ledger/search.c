/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/search.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/ledger/internal.h"
#include "common/ledger/listing.h"
#include "common/title.h"
#include "common/yaml.h"
#include "proto/limits.h"

#define BATCH    100
#define MAX_WALK 10000 /* what fb_ledger_walk gives at most */

static const char *const states[] = {"open", "queued",   "planned", "held",
                                     "done", "recalled", "pending"};

bool fb_search_knows_state(const char *state)
{
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(states[i], state) == 0) {
            return true;
        }
    }
    return false;
}

bool fb_search_cursor(const char *cursor, struct fb_search *q)
{
    char number[24];
    const char *dash = strchr(cursor, '-');
    if (dash == NULL || (size_t)(dash - cursor) >= sizeof number || !fb_id_is_valid(dash + 1)) {
        return false;
    }
    memcpy(number, cursor, (size_t)(dash - cursor));
    number[dash - cursor] = '\0';
    (void)snprintf(q->after_id, sizeof q->after_id, "%s", dash + 1);
    return fb_parse_int(number, &q->after_ms) && q->after_ms >= 0;
}

/* ---- where the candidates come from ---- */

struct row {
    char id[FB_ID_SIZE];
    int64_t at_ms;
};

struct scan {
    struct fb_redis *r;
    const struct fb_search *q;
    const char *kind, *name; /* of the index */
    char folded[FB_MAX_ADDRESS + 1];
    int64_t after_ms; /* position: rows behind this one follow */
    char after_id[FB_ID_SIZE];
    struct row *rows; /* of the batch */
    size_t count, cap;
    size_t walked;    /* rows that the index gave, those before the position included */
    struct row *open; /* all of a small index, newest first; NULL: walked in batches */
    size_t open_count;
    struct fb_title_key key; /* of subjects, where they are searched */
};

static bool is_behind(const struct scan *x, const char *id, int64_t at_ms)
{
    return x->after_id[0] == '\0' || at_ms < x->after_ms ||
           (at_ms == x->after_ms && strcmp(id, x->after_id) < 0);
}

static void add_row(struct scan *x, const char *id, int64_t at_ms)
{
    if (x->count < x->cap && fb_id_is_valid(id)) {
        (void)snprintf(x->rows[x->count].id, FB_ID_SIZE, "%s", id);
        x->rows[x->count++].at_ms = at_ms;
    }
}

static bool take_row(void *ctx, const char *id, int64_t at_ms)
{
    struct scan *x = ctx;
    x->walked++;
    if (is_behind(x, id, at_ms)) {
        add_row(x, id, at_ms);
    }
    return true;
}

/* The next batch of an index by acceptance.  Many messages of one millisecond may stand before the position. */
static enum fb_status next_batch(struct scan *x, size_t want, bool *is_last_r, struct fb_error *err)
{
    int64_t high = x->q->until_ms;
    enum fb_status s = FB_OK;
    if (x->after_id[0] != '\0' && x->after_ms < high) {
        high = x->after_ms;
    }
    x->count = 0;
    *is_last_r = false;
    for (size_t limit = want + 1; s == FB_OK && x->count == 0 && !*is_last_r; limit *= 4) {
        limit = limit < MAX_WALK ? limit : MAX_WALK;
        x->walked = 0;
        x->cap = want;
        s = fb_ledger_walk(x->r, x->kind, x->name, true, x->q->since_ms, high, limit, take_row, x,
                           err);
        *is_last_r = x->walked < limit || (limit == MAX_WALK && x->count == 0);
    }
    /* What did not fit into the batch is still to come. */
    *is_last_r = *is_last_r && x->count < x->cap;
    return s;
}

static bool take_open(void *ctx, const char *id)
{
    struct scan *x = ctx;
    int64_t at_ms = fb_id_time_ms(id);
    if (fb_id_is_valid(id) && at_ms >= x->q->since_ms && at_ms <= x->q->until_ms) {
        (void)snprintf(x->open[x->open_count].id, FB_ID_SIZE, "%s", id);
        x->open[x->open_count++].at_ms = at_ms;
    }
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    return strcmp(y->id, x->id); /* by time as well: they are ULIDs */
}

static enum fb_status next_open(struct scan *x, size_t want, bool *is_last_r)
{
    size_t at = 0;
    while (at < x->open_count && !is_behind(x, x->open[at].id, x->open[at].at_ms)) {
        at++;
    }
    x->count = 0;
    x->cap = want;
    *is_last_r = x->open_count - at < want;
    for (; at < x->open_count && x->count < want; at++) {
        add_row(x, x->open[at].id, x->open[at].at_ms);
    }
    return FB_OK;
}

/* How many messages an address has. */
static enum fb_status count_of(struct fb_redis *r, const char *folded, int64_t *count_r,
                               struct fb_error *err)
{
    enum fb_status s = FB_OK;
    *count_r = 0;
    for (int shard = 0; shard < fb_redis_shard_count(r) && s == FB_OK; shard++) {
        char key[FB_LEDGER_KEY];
        redisReply *reply = NULL;
        fb_ledger_key(key, shard, "a", folded);
        s = fb_redis_call(r, &reply, err, "ZCARD", key, NULL);
        if (s == FB_OK) {
            int64_t listed = 0;
            *count_r += reply->type == REDIS_REPLY_INTEGER ? (int64_t)reply->integer : 0;
            freeReplyObject(reply);
            s = fb_listing_count(r, shard, folded, &listed, err);
            *count_r += listed;
        }
    }
    return s;
}

/* The address with fewer messages. */
static enum fb_status choose_address(struct scan *x, struct fb_error *err)
{
    int64_t of_sender = 0;
    int64_t of_recipient = 0;
    const struct fb_search *q = x->q;
    enum fb_status s = FB_OK;
    const char *chosen = q->sender != NULL ? q->sender : q->recipient;
    if (q->sender != NULL && q->recipient != NULL) {
        char other[FB_MAX_ADDRESS + 1];
        fb_ledger_fold(q->sender, other, sizeof other);
        s = count_of(x->r, other, &of_sender, err);
        fb_ledger_fold(q->recipient, other, sizeof other);
        s = s == FB_OK ? count_of(x->r, other, &of_recipient, err) : s;
        chosen = of_recipient < of_sender ? q->recipient : q->sender;
    }
    fb_ledger_fold(chosen, x->folded, sizeof x->folded);
    x->kind = "a";
    x->name = x->folded;
    return s;
}

static enum fb_status begin(struct scan *x, struct fb_error *err)
{
    const char *state = x->q->state;
    x->kind = "t";
    if (x->q->sender != NULL || x->q->recipient != NULL) {
        return choose_address(x, err);
    }
    bool is_open = state != NULL && (strcmp(state, "open") == 0 || strcmp(state, "queued") == 0 ||
                                     strcmp(state, "planned") == 0 || strcmp(state, "held") == 0);
    if (!is_open) {
        return FB_OK;
    }
    x->open = fb_xcalloc(MAX_WALK, sizeof *x->open);
    enum fb_status s = fb_ledger_stuck(x->r, INT64_MAX / 4, MAX_WALK, take_open, x, err);
    if (x->open_count == MAX_WALK) { /* more than can be sorted here: by acceptance, and compared */
        free(x->open);
        x->open = NULL;
    } else {
        qsort(x->open, x->open_count, sizeof *x->open, newest_first);
    }
    return s;
}

/* ---- which of them are meant ---- */

static bool has_text(const char *hay, const char *needle)
{
    size_t len = strlen(needle);
    for (; *hay != '\0'; hay++) {
        if (strncasecmp(hay, needle, len) == 0) {
            return true;
        }
    }
    return len == 0;
}

static bool has_subject(const struct scan *x, const struct fb_ledger_message *m)
{
    struct fb_title title;
    if (m->title == NULL || fb_title_open_by(&x->key, m->msg_id, m->title, &title) != FB_OK) {
        return false;
    }
    bool is_there = has_text(title.subject, x->q->subject);
    explicit_bzero(&title, sizeof title);
    return is_there;
}

static bool has_state(const char *state, const struct fb_ledger_message *m)
{
    if (strcmp(state, m->state) == 0) {
        return true;
    }
    if (strcmp(state, "open") == 0) {
        return strcmp(m->state, "done") != 0;
    }
    bool is_recalled = strcmp(state, "recalled") == 0;
    bool is_pending = strcmp(state, "pending") == 0;
    for (size_t i = 0; i < m->recipient_count; i++) {
        if ((is_recalled && m->recipients[i].is_recalled) ||
            (is_pending && strcmp(m->recipients[i].grant_state, "pending") == 0)) {
            return true;
        }
    }
    return false;
}

static bool is_meant(const struct scan *x, const struct fb_ledger_message *m)
{
    const struct fb_search *q = x->q;
    bool is_to = q->recipient == NULL;
    for (size_t i = 0; i < m->recipient_count && !is_to; i++) {
        is_to = strcasecmp(m->recipients[i].address, q->recipient) == 0;
    }
    return is_to && (q->sender == NULL || strcasecmp(m->from, q->sender) == 0) &&
           (q->state == NULL || has_state(q->state, m)) &&
           (q->subject == NULL || has_subject(x, m));
}

/* ---- the search ---- */

static void stop_at(const struct scan *x, struct fb_search_end *end)
{
    end->at_ms = x->after_ms;
    (void)snprintf(end->next, sizeof end->next, "%" PRId64 "-%s", x->after_ms, x->after_id);
}

/* Hands on what fits; found_r counts.  True: the page is full, and more may follow. */
static bool hand_on(struct scan *x, const struct fb_ledger_message *list, size_t *found,
                    void (*each)(void *ctx, const struct fb_ledger_message *m), void *ctx)
{
    for (size_t i = 0; i < x->count; i++) {
        if (*found == x->q->limit) {
            return true;
        }
        if (list[i].msg_id[0] != '\0') {
            each(ctx, &list[i]);
            (*found)++;
        }
        x->after_ms = x->rows[i].at_ms;
        memcpy(x->after_id, x->rows[i].id, sizeof x->after_id);
    }
    return false;
}

/* Empties those that are not meant, and reads the grants of those that are: of all only where grants decide. */
static enum fb_status keep_meant(const struct scan *x, struct fb_ledger_message *list,
                                 struct fb_error *err)
{
    bool by_grants = x->q->state != NULL && strcmp(x->q->state, "pending") == 0;
    enum fb_status s = by_grants ? fb_ledger_get_parcels(x->r, list, x->count, err) : FB_OK;
    for (size_t i = 0; i < x->count && s == FB_OK; i++) {
        if (list[i].msg_id[0] != '\0' && !is_meant(x, &list[i])) {
            fb_ledger_message_deinit(&list[i]);
        }
    }
    return s == FB_OK && !by_grants ? fb_ledger_get_parcels(x->r, list, x->count, err) : s;
}

static enum fb_status look(struct scan *x, size_t *found, bool *is_full_r,
                           void (*each)(void *ctx, const struct fb_ledger_message *m), void *ctx,
                           struct fb_error *err)
{
    const char *ids[BATCH];
    struct fb_ledger_message *list = fb_xcalloc(x->count + 1, sizeof *list);
    for (size_t i = 0; i < x->count; i++) {
        ids[i] = x->rows[i].id;
    }
    enum fb_status s = fb_ledger_get_many(x->r, ids, x->count, list, err);
    if (s == FB_OK) {
        s = keep_meant(x, list, err);
        if (s == FB_OK) {
            *is_full_r = hand_on(x, list, found, each, ctx);
        }
        for (size_t i = 0; i < x->count; i++) {
            fb_ledger_message_deinit(&list[i]);
        }
    }
    free(list);
    return s;
}

enum fb_status fb_ledger_search(struct fb_redis *r, const struct fb_search *q,
                                void (*each)(void *ctx, const struct fb_ledger_message *m),
                                void *ctx, struct fb_search_end *end_r, struct fb_error *err)
{
    FB_ASSERT(q->limit > 0 && q->limit <= FB_SEARCH_PAGE);
    struct row rows[BATCH];
    struct scan x = {.r = r, .q = q, .after_ms = q->after_ms, .rows = rows};
    size_t found = 0;
    size_t seen = 0;
    bool is_last = false;
    bool is_full = false;
    *end_r = (struct fb_search_end){.is_cut = false};
    memcpy(x.after_id, q->after_id, sizeof x.after_id);
    fb_title_key(q->subject != NULL ? q->title_key : NULL, &x.key);
    int64_t until_ms = fb_mono_ms() + FB_SEARCH_MS;
    bool is_plain =
        q->state == NULL && q->subject == NULL && (q->sender == NULL || q->recipient == NULL);
    enum fb_status s = begin(&x, err);
    while (s == FB_OK && !is_last && !is_full && seen < FB_SEARCH_MOST &&
           (seen == 0 || fb_mono_ms() < until_ms)) {
        size_t want = is_plain && q->limit - found + 1 < BATCH ? q->limit - found + 1 : BATCH;
        s = x.open != NULL ? next_open(&x, want, &is_last) : next_batch(&x, want, &is_last, err);
        if (s == FB_OK && x.count > 0) {
            seen += x.count;
            s = look(&x, &found, &is_full, each, ctx, err);
        }
    }
    if (s == FB_OK && (is_full || !is_last)) {
        stop_at(&x, end_r);
        end_r->is_cut = !is_full;
    }
    free(x.open);
    fb_title_key_wipe(&x.key);
    return s;
}
