/* SPDX-License-Identifier: Apache-2.0
 *
 * Which Redis is the primary: the sentinels say, and the one they name must say so itself.
 * https://redis.io/docs/latest/develop/reference/sentinel-clients/
 *
 * The sentinels are asked before every connection, and each second while there is one: when an
 * operator fails over, or the network is cut between the sentinels and a primary that we still
 * reach, that primary goes on taking writes for seconds before it is demoted, and all of them are
 * lost (measured: tests/integration/redis).  min-replicas-to-write bounds this from the other side.
 *
 * The first sentinel that answers is believed; when what it named turns out not to be a primary,
 * the next one is asked first: it may have been cut off from the others.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/redis_internal.h"

#define ASK_MS  500 /* a sentinel that needs longer is passed over */
#define LOOK_MS 1000

static bool take_address(const redisReply *reply, struct fb_redis_host *at_r)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        return false;
    }
    size_t len = (size_t)reply->element[0]->len;
    long port = strtol(reply->element[1]->str, NULL, 10);
    if (len == 0 || len >= sizeof at_r->name || strlen(reply->element[0]->str) != len ||
        port <= 0 || port > UINT16_MAX) {
        return false;
    }
    memcpy(at_r->name, reply->element[0]->str, len + 1);
    at_r->port = (uint16_t)port;
    return true;
}

static void use_next(struct fb_redis *r)
{
    fb_redis_link_drop(&r->sentinel.link);
    r->sentinel.is_linked = false;
    r->sentinel.at = (r->sentinel.at + 1) % r->url.host_count;
}

/* The connection to the sentinel in use stays. */
static struct fb_redis_link *sentinel_link(struct fb_redis *r)
{
    struct fb_redis_link *l = &r->sentinel.link;
    if (!r->sentinel.is_linked) {
        uint32_t generation = l->generation;
        fb_redis_link_init(l, &r->url, &r->url.hosts[r->sentinel.at],
                           r->timeout_ms < ASK_MS ? r->timeout_ms : ASK_MS);
        l->generation = generation;
        l->is_plain = true;
        l->is_database = false;
        l->own_user = r->sentinel.user;
        l->own_password = r->sentinel.password;
        r->sentinel.is_linked = true;
    }
    return l;
}

/* It gets a password only when it asks for one: many have none while Redis has. */
static enum fb_status ask(struct fb_redis *r, struct fb_redis_host *at_r, struct fb_error *err)
{
    const char *argv[] = {"SENTINEL", "get-master-addr-by-name", r->url.primary};
    struct fb_redis_link *l = sentinel_link(r);
    redisReply *reply = NULL;
    struct fb_error own = {.status = FB_OK};
    enum fb_status s = fb_redis_link_open(l, &own);
    if (s == FB_OK) {
        s = fb_redis_link_ask(l, 3, argv, &reply, &own);
        if (s != FB_OK &&
            (fb_redis_error_is(&own, "NOAUTH") || fb_redis_error_is(&own, "NOPERM"))) {
            s = fb_redis_link_auth(l, &own);
            s = s == FB_OK ? fb_redis_link_ask(l, 3, argv, &reply, &own) : s;
        }
    }
    if (s != FB_OK) {
        return fb_error_set(err, s, "%s (sentinel %s:%u)", own.text, l->at.name, l->at.port);
    }
    if (reply->type == REDIS_REPLY_NIL) {
        s = fb_error_set(err, FB_CONFIG,
                         "redis.url: sentinel %s:%u watches no primary named \"%s\"", l->at.name,
                         l->at.port, r->url.primary);
    } else if (!take_address(reply, at_r)) {
        s = fb_error_set(err, FB_NETWORK, "redis: sentinel %s:%u gave an odd answer", l->at.name,
                         l->at.port);
    }
    freeReplyObject(reply);
    return s;
}

enum fb_status fb_redis_sentinel_locate(void *redis, struct fb_redis_link *l, struct fb_error *err)
{
    struct fb_redis *r = redis;
    int64_t until = fb_mono_ms() + r->timeout_ms;
    enum fb_status s = FB_NETWORK;
    for (size_t i = 0; i < r->url.host_count; i++) {
        s = ask(r, &l->at, err);
        if (s == FB_OK) {
            r->sentinel.look_at_ms = fb_mono_ms() + LOOK_MS;
            return s;
        }
        use_next(r);
        if (fb_mono_ms() >= until) {
            break; /* the next attempt goes on with the next one */
        }
    }
    return s;
}

bool fb_redis_sentinel_is_right(void *redis, struct fb_redis_link *l)
{
    struct fb_redis *r = redis;
    struct fb_redis_host at;
    if (fb_mono_ms() < r->sentinel.look_at_ms) {
        return true;
    }
    enum fb_status s = ask(r, &at, NULL);
    r->sentinel.look_at_ms = fb_mono_ms() + LOOK_MS;
    if (s != FB_OK) { /* what works is kept; the next second asks another one */
        use_next(r);
        return true;
    }
    return at.port == l->at.port && strcmp(at.name, l->at.name) == 0;
}

enum fb_status fb_redis_sentinel_check(void *redis, struct fb_redis_link *l, struct fb_error *err)
{
    struct fb_redis *r = redis;
    const char *argv[] = {"ROLE"};
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_link_ask(l, 1, argv, &reply, err);
    if (s == FB_OK) {
        bool is_primary = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                          reply->element[0]->type == REDIS_REPLY_STRING &&
                          strcmp(reply->element[0]->str, "master") == 0;
        freeReplyObject(reply);
        if (!is_primary) {
            s = fb_error_set(err, FB_AGAIN,
                             "redis: %s:%u is not the primary (any more, or not yet): fail-over",
                             l->at.name, l->at.port);
        }
    }
    if (s != FB_OK) {
        use_next(r);
    }
    return s;
}
