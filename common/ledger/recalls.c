/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the recalls of a message: fb:{sN}:rc:<msg_id> with, for each recall's id, the record
 * (<id>, JSON), a mark for each job that has not ended (j:<id>:<job>), one for each that failed
 * (f:<id>:<job>, JSON), what the sender is told (t:<id>) and which letter went out
 * (s:<id>).
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "proto/limits.h"

void fb_recalls_free(struct fb_recall *list, size_t count)
{
    for (size_t i = 0; list != NULL && i < count; i++) {
        free(list[i].recipients);
    }
    free(list);
}

static void copy_text(char *out, size_t size, const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

/* The numbers of a list that can be recipients. */
static uint32_t *read_indices(const json_t *list, size_t *count_r)
{
    size_t n = json_array_size(list);
    uint32_t *out = n > 0 ? fb_xcalloc(n, sizeof *out) : NULL;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t value = json_integer_value(item);
        if (json_is_integer(item) && value >= 0 && value < FB_MAX_RECIPIENTS) {
            out[count++] = (uint32_t)value;
        }
    }
    *count_r = count;
    return out;
}

static void read_record(struct fb_slice text, struct fb_recall *recall)
{
    json_t *o = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    recall->at_ms = json_integer_value(json_object_get(o, "at"));
    copy_text(recall->actor, sizeof recall->actor, o, "actor");
    copy_text(recall->source, sizeof recall->source, o, "source");
    copy_text(recall->reason, sizeof recall->reason, o, "reason");
    recall->is_all = json_is_true(json_object_get(o, "all"));
    recall->takes_content = json_is_true(json_object_get(o, "content"));
    recall->recipients = read_indices(json_object_get(o, "rcpts"), &recall->count);
    json_decref(o);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct fb_recall *)a)->id, ((const struct fb_recall *)b)->id);
}

static int by_time(const void *a, const void *b)
{
    const struct fb_recall *x = a;
    const struct fb_recall *y = b;
    return x->at_ms != y->at_ms ? (x->at_ms < y->at_ms ? -1 : 1) : by_id(a, b);
}

/* A name of the hash: its kind ('r' for the record; 0 for none of ours) and the recall's id. */
static char split_name(struct fb_slice name, char id[FB_ID_SIZE])
{
    char kind = 'r';
    if (name.len > 2 && name.ptr[1] == ':') {
        kind = (char)name.ptr[0];
        name = fb_slice_sub(name, 2, SIZE_MAX);
    }
    if (name.len < FB_ID_SIZE - 1) {
        return '\0'; /* n: how many there are */
    }
    memcpy(id, name.ptr, FB_ID_SIZE - 1);
    id[FB_ID_SIZE - 1] = '\0';
    bool is_whole = name.len == FB_ID_SIZE - 1;
    return fb_id_is_valid(id) && is_whole == (kind == 'r' || kind == 't' || kind == 's') ? kind
                                                                                         : '\0';
}

static struct fb_recall *find(struct fb_recall *list, size_t count, const char *id)
{
    struct fb_recall key = {.at_ms = 0};
    memcpy(key.id, id, sizeof key.id);
    return count > 0 ? bsearch(&key, list, count, sizeof *list, by_id) : NULL;
}

static void read_failure(struct fb_slice text, struct fb_recall *recall)
{
    json_t *o = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    recall->has_failed = true;
    if (recall->failure[0] == '\0') {
        copy_text(recall->failure, sizeof recall->failure, o, "reason");
    }
    json_decref(o);
}

static void read_mark(char kind, struct fb_slice value, struct fb_recall *recall)
{
    if (kind == 'j') {
        recall->jobs_left++;
    } else if (kind == 'f') {
        read_failure(value, recall);
    } else if (kind == 't' && value.len < sizeof recall->told) {
        memcpy(recall->told, value.ptr, value.len);
        recall->told[value.len] = '\0';
    } else if (kind == 's' && value.len < sizeof recall->sent) {
        memcpy(recall->sent, value.ptr, value.len);
        recall->sent[value.len] = '\0';
    }
}

struct loaded {
    redisReply *hash;
    struct fb_recall *list; /* by id */
    size_t count;
};

static void read_hash(struct loaded *l)
{
    char id[FB_ID_SIZE];
    l->list = fb_xcalloc(l->hash->elements / 2 + 1, sizeof *l->list);
    for (size_t i = 0; i + 1 < l->hash->elements; i += 2) {
        if (split_name(fb_reply_slice(l->hash->element[i]), id) == 'r') {
            struct fb_recall *recall = &l->list[l->count++];
            memcpy(recall->id, id, sizeof recall->id);
            read_record(fb_reply_slice(l->hash->element[i + 1]), recall);
        }
    }
    qsort(l->list, l->count, sizeof *l->list, by_id);
    for (size_t i = 0; i + 1 < l->hash->elements; i += 2) {
        char kind = split_name(fb_reply_slice(l->hash->element[i]), id);
        struct fb_recall *recall = kind != '\0' ? find(l->list, l->count, id) : NULL;
        if (recall != NULL) {
            read_mark(kind, fb_reply_slice(l->hash->element[i + 1]), recall);
        }
    }
}

static enum fb_status load(struct fb_redis *r, const char *msg_id, struct loaded *l,
                           struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    *l = (struct loaded){.hash = NULL};
    if (!fb_id_is_valid(msg_id)) {
        return fb_error_set(err, FB_NOT_FOUND, "not a message id");
    }
    fb_key(key, fb_redis_shard(r, msg_id), "rc:%s", msg_id);
    enum fb_status s = fb_redis_call(r, &l->hash, err, "HGETALL", key, NULL);
    if (s == FB_OK && l->hash->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(l->hash);
        l->hash = NULL;
        s = fb_error_set(err, FB_BUG, "HGETALL: odd answer");
    }
    if (s == FB_OK) {
        read_hash(l);
    }
    return s;
}

enum fb_status fb_ledger_recalls(struct fb_redis *r, const char *msg_id, struct fb_recall **list_r,
                                 size_t *count_r, struct fb_error *err)
{
    struct loaded l;
    enum fb_status s = load(r, msg_id, &l, err);
    if (s == FB_OK) {
        freeReplyObject(l.hash);
        qsort(l.list, l.count, sizeof *l.list, by_time);
        *list_r = l.list;
        *count_r = l.count;
    }
    return s;
}

/* ---- whose access could not be removed ---- */

static bool is_in(const uint32_t *recipients, size_t count, uint32_t recipient)
{
    for (size_t i = 0; i < count; i++) {
        if (recipients[i] == recipient) {
            return true;
        }
    }
    return false;
}

/* By recipient: the latest recall that asked for it, or NULL. */
static void find_latest(const struct loaded *l, size_t recipient_count,
                        const struct fb_recall **latest)
{
    for (size_t k = 0; k < l->count; k++) {
        const struct fb_recall *recall = &l->list[k];
        size_t n = recall->is_all ? recipient_count : recall->count;
        for (size_t i = 0; i < n; i++) {
            size_t at = recall->is_all ? i : recall->recipients[i];
            if (at < recipient_count && (latest[at] == NULL || by_time(latest[at], recall) < 0)) {
                latest[at] = recall;
            }
        }
    }
}

static void mark_failed(const struct fb_ledger_message *m, const struct fb_recall *recall,
                        struct fb_slice text, const struct fb_recall *const *latest, bool *failed_r)
{
    size_t count = 0;
    json_t *o = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    json_int_t branch = json_integer_value(json_object_get(o, "branch"));
    uint32_t *recipients = read_indices(json_object_get(o, "rcpts"), &count);
    for (size_t i = 0; i < m->recipient_count; i++) {
        bool is_concerned = count > 0 ? is_in(recipients, count, (uint32_t)i)
                                      : (json_int_t)m->recipients[i].branch == branch;
        failed_r[i] = failed_r[i] || (is_concerned && latest[i] == recall);
    }
    free(recipients);
    json_decref(o);
}

enum fb_status fb_ledger_recall_failures(struct fb_redis *r, const struct fb_ledger_message *m,
                                         bool *failed_r, struct fb_error *err)
{
    struct loaded l;
    enum fb_status s = load(r, m->msg_id, &l, err);
    if (s != FB_OK) {
        return s;
    }
    const struct fb_recall **latest = fb_xcalloc(m->recipient_count + 1, sizeof *latest);
    find_latest(&l, m->recipient_count, latest);
    for (size_t i = 0; i + 1 < l.hash->elements; i += 2) {
        char id[FB_ID_SIZE];
        char kind = split_name(fb_reply_slice(l.hash->element[i]), id);
        const struct fb_recall *recall = kind == 'f' ? find(l.list, l.count, id) : NULL;
        if (recall != NULL) {
            mark_failed(m, recall, fb_reply_slice(l.hash->element[i + 1]), latest, failed_r);
        }
    }
    free(latest);
    freeReplyObject(l.hash);
    fb_recalls_free(l.list, l.count);
    return FB_OK;
}
