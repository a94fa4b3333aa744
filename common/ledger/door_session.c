/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "common/ledger/door_internal.h"

static void add_field(struct fb_call *c, const char *name, const char *value)
{
    fb_call_arg_str(c, name);
    fb_call_arg_str(c, value);
}

static void add_number(struct fb_call *c, const char *name, int64_t value)
{
    fb_call_arg_str(c, name);
    fb_call_arg_int(c, value);
}

enum fb_status fb_door_session_put(struct fb_redis *r, int shard, const char *name, const char *old,
                                   const struct fb_door_session *s, int64_t idle_ms, int64_t now_ms,
                                   struct fb_error *err)
{
    struct fb_call c;
    int64_t code = 0;
    int64_t left_ms = s->until_ms - now_ms;
    if (left_ms <= 0) {
        return fb_error_set(err, FB_INVALID, "a session that has ended");
    }
    fb_call_init(&c);
    fb_call_key(&c, shard, "ps:%.64s", name);
    fb_call_key(&c, shard, "ps:%.64s", old[0] != '\0' ? old : name);
    fb_call_arg_str(&c, old[0] != '\0' ? "1" : "0");
    fb_call_arg_int(&c, left_ms < idle_ms ? left_ms : idle_ms);
    add_field(&c, "grant", s->grant);
    add_field(&c, "address", s->address);
    add_field(&c, "proof", s->proof);
    add_field(&c, "need", s->need);
    add_field(&c, "form", s->form);
    add_field(&c, "sealed", s->sealed);
    add_field(&c, "replaces", s->replaces ? "1" : "0");
    add_number(&c, "since", s->since_ms);
    add_number(&c, "until", s->until_ms);
    return fb_door_run_code(r, FB_DOOR_SESSION_PUT, &c, &code, err);
}

static bool take_field(struct fb_door_session *s, struct fb_slice name, const redisReply *value)
{
    const struct {
        const char *name;
        char *out;
        size_t size;
    } fields[] = {{"grant", s->grant, sizeof s->grant}, {"address", s->address, sizeof s->address},
                  {"proof", s->proof, sizeof s->proof}, {"need", s->need, sizeof s->need},
                  {"form", s->form, sizeof s->form},    {"sealed", s->sealed, sizeof s->sealed}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fb_slice_eq_str(name, fields[i].name)) {
            return fb_door_copy(value, fields[i].out, fields[i].size);
        }
    }
    if (fb_slice_eq_str(name, "since")) {
        s->since_ms = fb_reply_int(value);
    } else if (fb_slice_eq_str(name, "until")) {
        s->until_ms = fb_reply_int(value);
    } else if (fb_slice_eq_str(name, "replaces")) {
        s->replaces = fb_slice_eq_str(fb_reply_slice(value), "1");
    }
    return true;
}

enum fb_status fb_door_session_get(struct fb_redis *r, int shard, const char *name, int64_t idle_ms,
                                   int64_t now_ms, struct fb_door_session *session_r,
                                   struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    fb_call_init(&c);
    fb_call_key(&c, shard, "ps:%.64s", name);
    fb_call_arg_int(&c, now_ms);
    fb_call_arg_int(&c, idle_ms);
    enum fb_status s = fb_door_run(r, FB_DOOR_SESSION_GET, &c, 1, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    *session_r = (struct fb_door_session){.grant = ""};
    bool is_whole = fb_door_reply_at(reply, 0) == 1 && reply->elements > 2;
    for (size_t i = 2; is_whole && i + 1 < reply->elements; i += 2) {
        is_whole = take_field(session_r, fb_reply_slice(reply->element[i]), reply->element[i + 1]);
    }
    session_r->idle_until_ms = now_ms + fb_door_reply_at(reply, 1);
    freeReplyObject(reply);
    return is_whole ? FB_OK : fb_error_set(err, FB_NOT_FOUND, "no such session");
}

enum fb_status fb_door_session_end(struct fb_redis *r, int shard, const char *name,
                                   struct fb_error *err)
{
    return fb_door_del(r, shard, "ps", name, err);
}

/* ---- devices ---- */

enum fb_status fb_door_device_put(struct fb_redis *r, const char *name,
                                  const struct fb_door_device *d, int64_t ttl_ms,
                                  struct fb_error *err)
{
    struct fb_call c;
    int64_t code = 0;
    if (ttl_ms <= 0) {
        return fb_error_set(err, FB_INVALID, "no time to be trusted for");
    }
    fb_call_init(&c);
    fb_call_key(&c, fb_redis_shard(r, name), "pd:%.64s", name);
    fb_call_arg_int(&c, ttl_ms);
    fb_call_arg_str(&c, d->owner);
    fb_call_arg_str(&c, d->proof);
    fb_call_arg_int(&c, d->since_ms);
    return fb_door_run_code(r, FB_DOOR_DEVICE_PUT, &c, &code, err);
}

enum fb_status fb_door_device_get(struct fb_redis *r, const char *name,
                                  struct fb_door_device *device_r, struct fb_error *err)
{
    char key[FB_LEDGER_KEY];
    redisReply *reply = NULL;
    fb_ledger_key(key, fb_redis_shard(r, name), "pd", name);
    enum fb_status s = fb_redis_call(r, &reply, err, "HMGET", key, "owner", "proof", "since", NULL);
    if (s != FB_OK) {
        return s;
    }
    *device_r = (struct fb_door_device){.owner = ""};
    bool is_there = reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
                    fb_door_copy(reply->element[0], device_r->owner, sizeof device_r->owner) &&
                    fb_door_copy(reply->element[1], device_r->proof, sizeof device_r->proof) &&
                    device_r->owner[0] != '\0';
    device_r->since_ms = fb_door_reply_at(reply, 2);
    freeReplyObject(reply);
    return is_there ? FB_OK : fb_error_set(err, FB_NOT_FOUND, "not a trusted device");
}

enum fb_status fb_door_device_end(struct fb_redis *r, const char *name, struct fb_error *err)
{
    return fb_door_del(r, fb_redis_shard(r, name), "pd", name, err);
}
