/* SPDX-License-Identifier: Apache-2.0
 *
 * Adding first jobs for many messages.  Messages of one shard go together into calls of the enqueue
 * script, and the calls of a flight into one pipeline: at thousands of mails a second it is the
 * number of calls that counts.
 *
 * When a call of several messages is refused, or ends before its last one, those without an answer
 * are tried alone, so that what is wrong with one of them is told of that one only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/queue/internal.h"

#define PIPELINE  128U  /* messages in one flight: bounds the replies that wait */
#define GROUP     64U   /* messages in one call: bounds how long Redis is busy with it */
#define GROUP_OPS 1000U /* ledger changes in one call, unless one message alone has more */

struct flight {
    struct fb_redis *r;
    const struct fb_job *jobs;
    const struct fb_ops *const *ops; /* or NULL */
    size_t count;
    const struct fb_pace *pace; /* or NULL */
    const struct fb_pace_sender *senders;
    enum fb_status *status;
    struct fb_error *err;
    bool is_taken[PIPELINE]; /* into a group */
    enum fb_status connection;
};

struct group {
    size_t index[GROUP]; /* in the flight */
    size_t count;
    bool is_sent;
    bool is_refused; /* as a whole */
    bool has_rest;   /* some have no answer: FB_BUG until they are repeated */
};

static const struct fb_ops *ops_of(const struct flight *f, size_t i)
{
    return f->ops != NULL ? f->ops[i] : NULL;
}

static size_t ops_count(const struct flight *f, size_t i)
{
    return ops_of(f, i) != NULL ? fb_ops_count(ops_of(f, i)) : 0;
}

/* The first message that is in no group, and those behind it that can share its call. */
static struct group next_group(struct flight *f)
{
    struct group g = {.count = 0};
    size_t weight = 0;
    for (size_t i = 0; i < f->count && g.count < GROUP; i++) {
        const struct fb_job *first = g.count > 0 ? &f->jobs[g.index[0]] : &f->jobs[i];
        if (f->is_taken[i] || f->jobs[i].stage != first->stage ||
            fb_redis_shard(f->r, f->jobs[i].msg_id) != fb_redis_shard(f->r, first->msg_id)) {
            continue;
        }
        weight += ops_count(f, i);
        if (g.count > 0 && weight > GROUP_OPS) {
            break;
        }
        f->is_taken[i] = true;
        g.index[g.count++] = i;
    }
    return g;
}

static enum fb_status group_call(const struct flight *f, const struct group *g, struct fb_call *c,
                                 struct fb_error *err)
{
    const struct fb_job *first = &f->jobs[g->index[0]];
    int shard = fb_redis_shard(f->r, first->msg_id);
    size_t key_at[GROUP], len[GROUP], at = 0;
    enum fb_status s = FB_OK;
    bool is_paced = f->pace != NULL && f->pace->is_on;
    char room[32] = "0", step[32] = "0";
    fb_call_key(c, shard, "open");
    fb_call_stream(c, shard, first->stage, FB_LANE_NORMAL);
    fb_call_stream(c, shard, first->stage, FB_LANE_BULK);
    if (is_paced) {
        (void)snprintf(room, sizeof room, "%.3f", f->pace->room_ms);
        (void)snprintf(step, sizeof step, "%.3f", f->pace->step_ms);
    }
    fb_call_arg_copy(c, room);
    fb_call_arg_copy(c, step);
    for (size_t i = 0; i < g->count && s == FB_OK; i++) {
        key_at[i] = c->key_count + 1; /* Lua counts from 1 */
        fb_call_key(c, shard, "m:%s", f->jobs[g->index[i]].msg_id);
        s = fb_call_ops_pack(c, shard, ops_of(f, g->index[i]), &len[i], err);
    }
    for (size_t i = 0; i < g->count && s == FB_OK; i++) {
        const struct fb_job *job = &f->jobs[g->index[i]];
        fb_call_arg_int(c, (int64_t)key_at[i]);
        fb_call_arg_str(c, job->msg_id);
        s = fb_call_arg_job(c, job, err);
        fb_call_arg_int(c, job->first_ms);
        fb_call_arg(c,
                    len[i] == 0 ? FB_SLICE_LITERAL("") : fb_slice_of(c->packed.ptr + at, len[i]));
        at += len[i];
        if (is_paced) {
            fb_call_key(c, shard, "pace:%s", f->senders[g->index[i]].hash);
        }
        fb_call_arg_int(c, is_paced ? (int64_t)c->key_count : 0);
    }
    return s;
}

static enum fb_status code_of(const redisReply *answer)
{
    if (answer->type != REDIS_REPLY_INTEGER) {
        return FB_BUG;
    }
    return answer->integer == FB_SCRIPT_OK       ? FB_OK
           : answer->integer == FB_SCRIPT_EXISTS ? FB_EXISTS
                                                 : FB_BUG; /* its job is there, the ledger not */
}

/* What the script said of each; takes the reply.  False: it ended before the last one. */
static bool take_answers(struct flight *f, const struct group *g, redisReply *reply)
{
    size_t n = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
    for (size_t i = 0; i < g->count; i++) {
        f->status[g->index[i]] = i < n ? code_of(reply->element[i]) : FB_BUG;
    }
    freeReplyObject(reply);
    return n >= g->count;
}

static void set_all(struct flight *f, const struct group *g, enum fb_status s)
{
    for (size_t i = 0; i < g->count; i++) {
        f->status[g->index[i]] = s;
    }
}

/* False: Redis is away for this call.  In a cluster it may be one node of several: the calls of the
 * other shards are sent and fetched all the same. */
static bool note_connection(struct flight *f, enum fb_status s)
{
    if (s == FB_NETWORK || s == FB_CONFIG) {
        f->connection = s;
        return false;
    }
    return true;
}

/* Why a call could not be built is told when its messages are repeated. */
static void send_group(struct flight *f, struct group *g)
{
    struct fb_call c;
    struct fb_error own = {.status = FB_OK};
    fb_call_init(&c);
    enum fb_status s = group_call(f, g, &c, &own);
    g->is_refused = s != FB_OK;
    if (s == FB_OK) {
        s = fb_redis_append_script(f->r, fb_script_get(FB_SCRIPT_ENQUEUE), false, c.key_count,
                                   c.keys, c.arg_count, c.args, f->err);
        g->is_sent = s == FB_OK;
        g->is_refused = s != FB_OK && note_connection(f, s) && fb_status_class(s) != FB_CLASS_RETRY;
        if (!g->is_sent && !g->is_refused) {
            set_all(f, g, s);
        }
    }
    fb_call_deinit(&c);
}

static void fetch_group(struct flight *f, struct group *g)
{
    redisReply *reply = NULL;
    struct fb_error own = {.status = FB_OK};
    if (!g->is_sent) {
        return;
    }
    enum fb_status s = fb_redis_fetch(f->r, &reply, &own);
    if (s == FB_OK) {
        g->has_rest = !take_answers(f, g, reply);
        return;
    }
    if (note_connection(f, s) &&
        (fb_redis_error_is(&own, "NOSCRIPT") || fb_status_class(s) != FB_CLASS_RETRY)) {
        g->is_refused = true;
        return;
    }
    set_all(f, g, s); /* away, loading, full: alone they would fare no better */
    if (f->err != NULL) {
        *f->err = own;
    }
}

/* Outside the pipeline, with the script's source where Redis does not know it. */
static enum fb_status call_now(struct flight *f, const struct group *g)
{
    struct fb_call c;
    redisReply *reply = NULL;
    fb_call_init(&c);
    enum fb_status s = group_call(f, g, &c, f->err);
    if (s == FB_OK) {
        s = fb_call_raw(f->r, FB_SCRIPT_ENQUEUE, &c, &reply, f->err);
    }
    if (s == FB_OK) {
        (void)take_answers(f, g, reply);
    }
    fb_call_deinit(&c);
    return s;
}

static void repeat_group(struct flight *f, const struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        if (!g->is_refused && f->status[g->index[i]] != FB_BUG) {
            continue;
        }
        struct group alone = {.index = {g->index[i]}, .count = 1};
        enum fb_status s = call_now(f, &alone);
        if (s != FB_OK) {
            set_all(f, &alone, s);
            if (!note_connection(f, s)) {
                return; /* the others of this shard would fare no better */
            }
        }
    }
}

static enum fb_status fly(struct flight *f)
{
    struct group groups[PIPELINE];
    size_t count = 0;
    for (struct group g = next_group(f); g.count > 0; g = next_group(f)) {
        groups[count++] = g;
    }
    for (size_t i = 0; i < f->count; i++) {
        f->status[i] = FB_NETWORK; /* until something better is known */
    }
    for (size_t i = 0; i < count; i++) {
        send_group(f, &groups[i]);
    }
    for (size_t i = 0; i < count; i++) {
        fetch_group(f, &groups[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (groups[i].is_refused || groups[i].has_rest) {
            repeat_group(f, &groups[i]);
        }
    }
    return f->connection;
}

enum fb_status fb_queue_enqueue(struct fb_redis *r, const struct fb_job *jobs,
                                const struct fb_ops *const *ops, size_t count,
                                enum fb_status *status_r, struct fb_error *err)
{
    return fb_queue_enqueue_paced(r, jobs, ops, count, NULL, NULL, status_r, err);
}

enum fb_status fb_queue_enqueue_paced(struct fb_redis *r, const struct fb_job *jobs,
                                      const struct fb_ops *const *ops, size_t count,
                                      const struct fb_pace *pace,
                                      const struct fb_pace_sender *senders,
                                      enum fb_status *status_r, struct fb_error *err)
{
    enum fb_status connection = FB_OK;
    for (size_t from = 0; from < count; from += PIPELINE) {
        size_t n = count - from < PIPELINE ? count - from : PIPELINE;
        struct flight f = {.r = r,
                           .jobs = jobs + from,
                           .ops = ops != NULL ? ops + from : NULL,
                           .count = n,
                           .pace = pace,
                           .senders = pace != NULL ? senders + from : NULL,
                           .status = status_r + from,
                           .err = err};
        if (connection == FB_OK) {
            connection = fly(&f);
        } else {
            for (size_t i = 0; i < n; i++) {
                status_r[from + i] = connection;
            }
        }
    }
    return connection;
}
