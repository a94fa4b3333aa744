/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds and runs calls of the scripts.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/queue/internal.h"
#include "proto/limits.h"

#define MAX_PACKED (40U << 20)

static void FB_PRINTF(3, 0)
    key_text(char key[FB_KEY_SIZE], int shard, const char *fmt, va_list list)
{
    int n = snprintf(key, FB_KEY_SIZE, "fb:{s%d}:", shard);
    FB_ASSERT(n > 0 && n < FB_KEY_SIZE);
    int more = vsnprintf(key + n, FB_KEY_SIZE - (size_t)n, fmt, list);
    FB_ASSERT(more >= 0 && n + more < FB_KEY_SIZE);
}

void fb_key(char key[FB_KEY_SIZE], int shard, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    key_text(key, shard, fmt, list);
    va_end(list);
}

int fb_lanes_of(enum fb_stage stage)
{
    return stage == FB_STAGE_REVOKE ? 1 : FB_LANE_COUNT;
}

const char *fb_lane_suffix(enum fb_stage stage, enum fb_lane lane)
{
    return lane == FB_LANE_BULK && fb_lanes_of(stage) > 1 ? ":bulk" : "";
}

void fb_stream_key(char key[FB_KEY_SIZE], int shard, enum fb_stage stage, enum fb_lane lane)
{
    fb_key(key, shard, "%s%s", fb_stage_name(stage), fb_lane_suffix(stage, lane));
}

void fb_call_init(struct fb_call *c)
{
    *c = (struct fb_call){.keys = NULL};
    fb_buf_init(&c->packed, MAX_PACKED);
}

void fb_call_deinit(struct fb_call *c)
{
    for (size_t i = 0; i < c->owned_count; i++) {
        free(c->owned[i]);
    }
    free(c->owned);
    free(c->keys);
    free(c->args);
    fb_buf_deinit(&c->packed);
}

static void push(struct fb_slice **items, size_t *count, size_t *cap, struct fb_slice item)
{
    if (*count == *cap) {
        size_t more = *cap == 0 ? 16 : *cap * 2;
        struct fb_slice *grown = fb_xcalloc(more, sizeof(*grown));
        if (*count > 0) {
            memcpy(grown, *items, *count * sizeof(*grown));
        }
        free(*items);
        *items = grown;
        *cap = more;
    }
    (*items)[(*count)++] = item;
}

static const char *own(struct fb_call *c, const void *bytes, size_t len)
{
    if (c->owned_count == c->owned_cap) {
        size_t more = c->owned_cap == 0 ? 16 : c->owned_cap * 2;
        char **grown = fb_xcalloc(more, sizeof(*grown));
        if (c->owned_count > 0) {
            memcpy(grown, c->owned, c->owned_count * sizeof(*grown));
        }
        free(c->owned);
        c->owned = grown;
        c->owned_cap = more;
    }
    char *copy = fb_xcalloc(len + 1, 1);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    c->owned[c->owned_count++] = copy;
    return copy;
}

void fb_call_key(struct fb_call *c, int shard, const char *fmt, ...)
{
    char key[FB_KEY_SIZE];
    va_list list;
    va_start(list, fmt);
    key_text(key, shard, fmt, list);
    va_end(list);
    push(&c->keys, &c->key_count, &c->key_cap, fb_slice_str(own(c, key, strlen(key))));
}

void fb_call_stream(struct fb_call *c, int shard, enum fb_stage stage, enum fb_lane lane)
{
    fb_call_key(c, shard, "%s%s", fb_stage_name(stage), fb_lane_suffix(stage, lane));
}

void fb_call_delayed(struct fb_call *c, int shard, enum fb_stage stage, enum fb_lane lane)
{
    fb_call_key(c, shard, "delayed:%s%s", fb_stage_name(stage), fb_lane_suffix(stage, lane));
}

void fb_call_arg(struct fb_call *c, struct fb_slice arg)
{
    push(&c->args, &c->arg_count, &c->arg_cap, arg);
}

void fb_call_arg_str(struct fb_call *c, const char *arg)
{
    fb_call_arg(c, fb_slice_str(arg));
}

void fb_call_key_slice(struct fb_call *c, struct fb_slice key)
{
    push(&c->keys, &c->key_count, &c->key_cap, key);
}

void fb_call_arg_copy(struct fb_call *c, const char *arg)
{
    fb_call_arg_str(c, own(c, arg, strlen(arg)));
}

void fb_call_arg_int(struct fb_call *c, int64_t arg)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%" PRId64, arg);
    fb_call_arg_str(c, own(c, text, (size_t)n));
}

enum fb_status fb_call_arg_job(struct fb_call *c, const struct fb_job *job, struct fb_error *err)
{
    struct fb_buf bytes;
    struct fb_error why = {.status = FB_OK};
    struct fb_job ignored;
    fb_buf_init(&bytes, FB_MAX_JOB);
    enum fb_status s = fb_job_encode(job, &bytes);
    if (s == FB_OK) { /* a job that no worker could read must not get into the queue */
        s = fb_job_decode(fb_slice_buf(&bytes), &ignored, &why);
    }
    if (s == FB_OK) {
        fb_call_arg(c, fb_slice_of(own(c, bytes.ptr, bytes.len), bytes.len));
    } else {
        s = fb_error_set(err, FB_BUG, "job of %s is not fit for the queue: %s %s",
                         fb_stage_name(job->stage), fb_status_name(s), why.text);
    }
    fb_buf_deinit(&bytes);
    return s;
}

enum fb_status fb_call_ops_pack(struct fb_call *c, int shard, const struct fb_ops *ops,
                                size_t *len_r, struct fb_error *err)
{
    struct fb_error first = {.status = FB_OK};
    size_t before = c->packed.len;
    *len_r = 0;
    if (ops == NULL) {
        return FB_OK;
    }
    enum fb_status s = fb_ops_encode(ops, &c->packed, &first);
    if (s != FB_OK || fb_ops_count(ops) == 0) {
        c->packed.len = before;
        return s == FB_OK ? FB_OK : fb_error_set(err, first.status, "%s", first.text);
    }
    char prefix[FB_KEY_SIZE];
    fb_key(prefix, shard, "%s", "");
    const char *const *keys = NULL;
    size_t count = fb_ops_keys(ops, &keys);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(keys[i], prefix, strlen(prefix)) != 0) {
            return fb_error_set(err, FB_BUG, "ledger change on a key of another shard");
        }
        push(&c->keys, &c->key_count, &c->key_cap, fb_slice_str(keys[i]));
    }
    *len_r = c->packed.len - before;
    return FB_OK;
}

enum fb_status fb_call_ops(struct fb_call *c, int shard, const struct fb_ops *ops,
                           struct fb_error *err)
{
    size_t len = 0;
    enum fb_status s = fb_call_ops_pack(c, shard, ops, &len, err);
    if (s == FB_OK) {
        fb_call_arg(c, len == 0 ? FB_SLICE_LITERAL("") : fb_slice_buf(&c->packed));
    }
    return s;
}

const char *fb_script_stage(const struct fb_job *job)
{
    return fb_job_is_side(job) && job->stage != FB_STAGE_REVOKE ? "letter"
                                                                : fb_stage_name(job->stage);
}

void fb_call_claim(struct fb_call *c, const char *consumer, const struct fb_claim *claim)
{
    fb_call_arg_str(c, FB_GROUP);
    fb_call_arg_str(c, consumer);
    fb_call_arg_str(c, claim->id);
    fb_call_arg_str(c, fb_script_stage(&claim->job));
    fb_call_arg_int(c, claim->job.branch);
}

static enum fb_status code_status(int64_t code, const char *name, struct fb_error *err)
{
    switch (code) {
    case FB_SCRIPT_OK:
        return FB_OK;
    case FB_SCRIPT_EXISTS:
        return fb_error_set(err, FB_EXISTS, "%s: done already", name);
    case FB_SCRIPT_LOST:
        return fb_error_set(err, FB_LOST, "%s: the job belongs to another worker", name);
    case FB_SCRIPT_NOT_FOUND:
        return fb_error_set(err, FB_NOT_FOUND, "%s: not there", name);
    case FB_SCRIPT_AGAIN:
        return fb_error_set(err, FB_AGAIN, "%s: not now", name);
    case FB_SCRIPT_WORN:
        return fb_error_set(err, FB_CORRUPT, "%s: too often", name);
    default:
        return fb_error_set(err, FB_BUG, "%s: answered %" PRId64, name, code);
    }
}

enum fb_status fb_call_raw(struct fb_redis *r, enum fb_script_id id, const struct fb_call *c,
                           redisReply **reply_r, struct fb_error *err)
{
    const struct fb_script *script = fb_script_get(id);
    struct fb_error first = {.status = FB_OK};
    enum fb_status s =
        fb_redis_script(r, script, c->key_count, c->keys, c->arg_count, c->args, reply_r, &first);
    if (s == FB_OK) {
        return FB_OK;
    }
    if (fb_redis_error_is(&first, "NOGROUP")) {
        enum fb_status again = fb_queue_prepare(r, err);
        return again != FB_OK ? again
                              : fb_error_set(err, FB_LOST, "%s: the queue was wiped", script->name);
    }
    if (err != NULL) {
        *err = first;
    }
    return s;
}

enum fb_status fb_call_run(struct fb_redis *r, enum fb_script_id id, const struct fb_call *c,
                           redisReply **reply_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_call_raw(r, id, c, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    const char *name = fb_script_get(id)->name;
    const redisReply *code =
        reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 ? reply->element[0] : reply;
    s = code->type == REDIS_REPLY_INTEGER ? code_status(code->integer, name, err)
                                          : fb_error_set(err, FB_BUG, "%s: odd answer", name);
    if (reply_r != NULL && (s == FB_OK || s == FB_EXISTS)) {
        *reply_r = reply;
    } else {
        freeReplyObject(reply);
    }
    return s;
}

struct fb_slice fb_reply_slice(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS) {
        return fb_slice_of(NULL, 0);
    }
    return fb_slice_of(reply->str, (size_t)reply->len);
}

int64_t fb_slice_int(struct fb_slice s)
{
    int64_t n = 0;
    bool is_negative = s.len > 0 && s.ptr[0] == '-';
    for (size_t i = is_negative ? 1 : 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || __builtin_mul_overflow(n, (int64_t)10, &n) ||
            __builtin_add_overflow(n, (int64_t)(s.ptr[i] - '0'), &n)) {
            return 0;
        }
    }
    return is_negative ? -n : n;
}

int64_t fb_reply_int(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER ? reply->integer
                                              : fb_slice_int(fb_reply_slice(reply));
}
