/* SPDX-License-Identifier: Apache-2.0
 *
 * Does a replica have it?  WAIT alone would say so of the writes of its own connection only, and
 * nothing of a write that another process did before (a recall that is asked for again).  So the
 * primary's offset is what counts: the replicas must come up to where it was behind the write.  WAIT
 * makes them tell how far they are, which they do once a second else.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/ledger/internal.h"

#define LOOK_MS 50

struct role {
    bool is_primary;
    int64_t offset;
    size_t replicas;
    int64_t best; /* how far the first of the replicas is */
};

static int64_t number(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER || reply->type == REDIS_REPLY_STRING
               ? fb_reply_int(reply)
               : -1;
}

/* ROLE of a primary: "master", offset, replicas (host, port, offset that it confirmed). */
static enum fb_status ask_role(struct fb_redis *r, int shard, struct role *role_r)
{
    redisReply *reply = NULL;
    *role_r = (struct role){.best = -1};
    enum fb_status s = fb_redis_call_at(r, shard, &reply, NULL, "ROLE", NULL);
    if (s != FB_OK) {
        return s;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
        reply->element[0]->type == REDIS_REPLY_STRING &&
        strcmp(reply->element[0]->str, "master") == 0 &&
        reply->element[2]->type == REDIS_REPLY_ARRAY) {
        const redisReply *list = reply->element[2];
        role_r->is_primary = true;
        role_r->offset = number(reply->element[1]);
        role_r->replicas = list->elements;
        for (size_t i = 0; i < list->elements; i++) {
            const redisReply *one = list->element[i];
            int64_t at =
                one->type == REDIS_REPLY_ARRAY && one->elements == 3 ? number(one->element[2]) : -1;
            role_r->best = at > role_r->best ? at : role_r->best;
        }
    }
    freeReplyObject(reply);
    return s;
}

/* Its answer is not what we want to know. */
static void hurry(struct fb_redis *r, int shard, int timeout_ms)
{
    char ms[16];
    redisReply *reply = NULL;
    (void)snprintf(ms, sizeof ms, "%d", timeout_ms);
    if (fb_redis_call_at(r, shard, &reply, NULL, "WAIT", "1", ms, NULL) == FB_OK) {
        freeReplyObject(reply);
    }
}

bool fb_ledger_is_kept(struct fb_redis *r, int shard, uint64_t connections, int timeout_ms)
{
    int64_t until = fb_mono_ms() + timeout_ms;
    struct role role;
    if (ask_role(r, shard, &role) != FB_OK || !role.is_primary) {
        return false;
    }
    int64_t wanted = role.offset;
    /* A primary without replicas may be one that was replaced and has not heard of it yet. */
    bool is_alone = role.replicas == 0 && !fb_redis_may_fail_over(r);
    bool is_kept = is_alone || role.best >= wanted;
    if (!is_kept) {
        hurry(r, shard, timeout_ms);
    }
    while (!is_kept) {
        if (ask_role(r, shard, &role) != FB_OK || !role.is_primary) {
            return false;
        }
        is_kept = role.best >= wanted;
        if (!is_kept && fb_mono_ms() >= until) {
            return false;
        }
        if (!is_kept) {
            (void)nanosleep(&(struct timespec){0, LOOK_MS * 1000000L}, NULL);
        }
    }
    return fb_redis_connections(r) == connections;
}
