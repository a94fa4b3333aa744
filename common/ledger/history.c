/* SPDX-License-Identifier: Apache-2.0
 *
 * A parcel's history.  What the grant's own record tells has no line of its own, because most parcels are opened by
 * upload, ended by their date, and have no other history: when upload gave access stands in the parcel's record, and
 * when it ended in the grant.  These lines are made here, between those that were written.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "proto/limits.h"

#define MAX_LINES 10000
#define WORD      24
#define ACTOR     200

struct told { /* of one recipient, by the lines that were written */
    bool has_upload, has_expiry;
    bool is_owed; /* a line says that it was expired, and none when it became so */
    char last[WORD];
};

struct line {
    int64_t at_ms;
    const char *text; /* written */
    char *made;       /* or made here */
};

struct history {
    struct line *lines;
    size_t count;
    struct told *told;         /* of FB_MAX_RECIPIENTS */
    int64_t at_ms, expires_ms; /* of the parcel's record */
    bool is_rebuilt;
};

static bool is_word(const json_t *o, const char *key, const char *word)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL && strcmp(text, word) == 0;
}

static void read_line(struct history *h, const char *text)
{
    json_t *o = json_loads(text, 0, NULL);
    json_int_t who = json_integer_value(json_object_get(o, "recipient"));
    const char *to = json_string_value(json_object_get(o, "to"));
    h->lines[h->count++] = (struct line){json_integer_value(json_object_get(o, "at")), text, NULL};
    if (json_is_integer(json_object_get(o, "recipient")) && who >= 0 && who < FB_MAX_RECIPIENTS) {
        struct told *t = &h->told[who];
        t->has_upload = t->has_upload || is_word(o, "source", "upload");
        t->is_owed = t->is_owed || (is_word(o, "from", "expired") && !t->has_expiry);
        t->has_expiry = t->has_expiry || is_word(o, "to", "expired");
        if (!t->is_owed && to != NULL && to[0] != '\0') {
            (void)snprintf(t->last, sizeof t->last, "%.20s", to);
        }
    }
    json_decref(o);
}

/* Behind the last line that is not later. */
static void add_line(struct history *h, int64_t at_ms, uint32_t recipient, const char *from,
                     const char *to, const char *actor, const char *source)
{
    json_t *o = json_pack("{s:I, s:i, s:s, s:s, s:s, s:s}", "at", (json_int_t)at_ms, "recipient",
                          (int)recipient, "from", from, "to", to, "actor", actor, "source", source);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (text == NULL) {
        return; /* not UTF-8 */
    }
    size_t place = h->count;
    while (place > 0 && h->lines[place - 1].at_ms > at_ms) {
        place--;
    }
    memmove(h->lines + place + 1, h->lines + place, (h->count - place) * sizeof *h->lines);
    h->lines[place] = (struct line){at_ms, NULL, text};
    h->count++;
}

static void copy_field(struct fb_slice *rest, char *out, size_t size)
{
    struct fb_slice field = fb_ledger_next_field(rest);
    (void)snprintf(out, size, "%.*s", (int)(field.len < size ? field.len : size - 1),
                   field.len > 0 ? (const char *)field.ptr : "");
}

/* "<state>|<grant id>|<ms>|<actor>|<source>" */
static void read_grant(struct history *h, uint32_t who, struct fb_slice value)
{
    char state[WORD], id[80], ms[WORD], actor[ACTOR], source[64];
    struct told *t = &h->told[who];
    copy_field(&value, state, sizeof state);
    copy_field(&value, id, sizeof id);
    copy_field(&value, ms, sizeof ms);
    copy_field(&value, actor, sizeof actor);
    copy_field(&value, source, sizeof source);
    const char *from = t->last[0] != '\0' ? t->last : "active";
    bool is_expired = strcmp(state, "expired") == 0 && !t->has_expiry;
    if (is_expired || t->is_owed) {
        add_line(h, is_expired ? fb_slice_int(fb_slice_str(ms)) : h->expires_ms, who, from,
                 "expired", is_expired ? actor : "schedule", is_expired ? source : "revoke");
    }
    if (!t->has_upload && h->at_ms > 0 && !h->is_rebuilt) { /* else not known any more */
        add_line(h, h->at_ms, who, "", "active", "", "upload");
    }
}

static void read_record(struct history *h, const redisReply *record)
{
    for (size_t i = 0; i + 1 < record->elements; i += 2) {
        struct fb_slice name = fb_reply_slice(record->element[i]);
        int64_t value = fb_slice_int(fb_reply_slice(record->element[i + 1]));
        if (fb_slice_eq_str(name, "at")) {
            h->at_ms = value;
        } else if (fb_slice_eq_str(name, "expires")) {
            h->expires_ms = value;
        } else if (fb_slice_eq_str(name, "rebuilt")) {
            h->is_rebuilt = true;
        }
    }
}

static enum fb_status load(struct fb_redis *r, int shard, const char *parcel_id,
                           redisReply *replies_r[3], struct fb_error *err)
{
    static const char *const kinds[] = {"h", "p", "g"}; /* p: of older programs */
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < 3 && s == FB_OK; i++) {
        char key[FB_KEY_SIZE];
        fb_key(key, shard, "%s:%s", kinds[i], parcel_id);
        s = i == 0 ? fb_redis_call(r, &replies_r[i], err, "LRANGE", key, "0", "-1", NULL)
                   : fb_redis_call(r, &replies_r[i], err, "HGETALL", key, NULL);
    }
    return s;
}

static void build(struct history *h, redisReply *const replies[3])
{
    const redisReply *grants = replies[2];
    size_t written = replies[0]->elements < MAX_LINES ? replies[0]->elements : MAX_LINES;
    h->told = fb_xcalloc(FB_MAX_RECIPIENTS, sizeof *h->told);
    h->lines = fb_xcalloc(written + grants->elements + 1, sizeof *h->lines);
    for (size_t i = 0; i < written; i++) {
        if (replies[0]->element[i]->type == REDIS_REPLY_STRING) {
            read_line(h, replies[0]->element[i]->str);
        }
    }
    read_record(h, replies[1]);
    read_record(h, grants);
    for (size_t i = 0; i + 1 < grants->elements; i += 2) {
        uint32_t who = 0;
        if (fb_ledger_indexed(fb_reply_slice(grants->element[i]), "", "", FB_MAX_RECIPIENTS,
                              &who)) {
            read_grant(h, who, fb_reply_slice(grants->element[i + 1]));
        }
    }
}

enum fb_status fb_ledger_history(struct fb_redis *r, const char *parcel_id, size_t limit,
                                 bool (*each)(void *ctx, const char *json_line), void *ctx,
                                 struct fb_error *err)
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    redisReply *replies[3] = {NULL};
    struct history h = {.count = 0};
    if (!fb_parcel_id_split(parcel_id, msg_id, &branch)) {
        return fb_error_set(err, FB_NOT_FOUND, "not a parcel id");
    }
    enum fb_status s = load(r, fb_redis_shard(r, msg_id), parcel_id, replies, err);
    if (s == FB_OK) {
        build(&h, replies);
    }
    size_t first = limit > 0 && h.count > limit ? h.count - limit : 0;
    bool goes_on = true;
    for (size_t i = 0; i < h.count; i++) {
        const char *text = h.lines[i].made != NULL ? h.lines[i].made : h.lines[i].text;
        goes_on = goes_on && (i < first || each(ctx, text));
        free(h.lines[i].made);
    }
    for (size_t i = 0; i < 3; i++) {
        if (replies[i] != NULL) {
            freeReplyObject(replies[i]);
        }
    }
    free(h.lines);
    free(h.told);
    return s;
}
