/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls per Box user and minute: a bucket in Redis for each user, shared by all workers; while
 * Redis is away, a bucket
 * of this process with half the rate, since the others do the same and Box's 429 corrects the rest.
 *
 * Box allows 1000 calls and 240 uploads a minute.  In any minute a bucket gives out its size and
 * one minute's refill:
 * 950 and 220.  A caller that must wait takes its place at once (the bucket goes below zero) and
 * sleeps until it is
 * its turn, so that nobody polls.  After a 429 nobody calls before the time that Box named, and the
 * rate falls by a
 * third; it comes back within minutes.
 */
#include <hiredis/hiredis.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "services/upload/box_internal.h"

#define CALLS_SIZE   100.0
#define CALLS_RATE   850.0 /* a minute */
#define UPLOADS_SIZE 20.0
#define UPLOADS_RATE 200.0
#define FACTOR_MIN   0.2
#define FACTOR_DOWN  0.67
#define FACTOR_UP    0.1 /* a minute */
#define MAX_WAIT_MS  30000
#define MAX_PAUSE_MS 600000
#define SLICE_MS     200
#define MAX_USERS    512

/* KEYS[1]: the user's bucket.  ARGV: kind (0 calls, 1 uploads), most ms to wait, calls size, calls
 * rate, uploads size,
 * uploads rate, factor gained a minute.  Gives ms to wait (-1 - ms: too long, nothing taken) and
 * the calls left. */
static struct fb_script take_script = {
    .name = "box_limit_take",
    .source =
        "local now=redis.call('TIME') now=now[1]*1000+math.floor(now[2]/1000)\n"
        "local b=redis.call('HMGET',KEYS[1],'c','u','t','p','f')\n"
        "local "
        "cs,cr,us,ur=tonumber(ARGV[3]),tonumber(ARGV[4]),tonumber(ARGV[5]),tonumber(ARGV[6])\n"
        "local t=tonumber(b[3]) or now\n"
        "local gone=math.max(0,now-t)/60000\n"
        "local f=math.min(1,(tonumber(b[5]) or 1)+gone*tonumber(ARGV[7]))\n"
        "local c=math.min(cs,(tonumber(b[1]) or cs)+gone*cr*f)\n"
        "local u=math.min(us,(tonumber(b[2]) or us)+gone*ur*f)\n"
        "local p=tonumber(b[4]) or 0\n"
        "local wait=math.max(0,(1-c)*60000/(cr*f))\n"
        "if ARGV[1]=='1' then wait=math.max(wait,(1-u)*60000/(ur*f)) end\n"
        "wait=math.ceil(math.max(wait,p-now))\n"
        "local ok=wait<=tonumber(ARGV[2])\n"
        "if ok then c=c-1 if ARGV[1]=='1' then u=u-1 end end\n"
        "redis.call('HSET',KEYS[1],'c',tostring(c),'u',tostring(u),'t',now,'f',tostring(f))\n"
        "redis.call('PEXPIRE',KEYS[1],3600000)\n"
        "return {ok and wait or -1-wait,math.floor(c)}\n"};

/* ARGV: ms, lowest factor, factor by which it falls, ms in which it falls once. */
static struct fb_script pause_script = {
    .name = "box_limit_pause",
    .source = "local now=redis.call('TIME') now=now[1]*1000+math.floor(now[2]/1000)\n"
              "local b=redis.call('HMGET',KEYS[1],'p','f','d')\n"
              "local p=math.max(tonumber(b[1]) or 0,now+tonumber(ARGV[1]))\n"
              "redis.call('HSET',KEYS[1],'p',p)\n"
              "if now-(tonumber(b[3]) or 0)>=tonumber(ARGV[4]) then\n"
              "  local f=math.max(tonumber(ARGV[2]),(tonumber(b[2]) or 1)*tonumber(ARGV[3]))\n"
              "  redis.call('HSET',KEYS[1],'f',tostring(f),'d',now)\n"
              "end\n"
              "redis.call('PEXPIRE',KEYS[1],3600000)\n"
              "return 1\n"};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&take_script);
    fb_redis_script_prepare(&pause_script);
}

/* The service account is one user too, but its id is not known: its app stands for it. */
static void name_user(const struct storage_session *s, const char *user, char *out, size_t size)
{
    (void)snprintf(out, size, "%.160s", user[0] != '\0' ? user : box_auth_client_id(s->auth));
}

bool box_sleep(int64_t ms)
{
    int64_t until = fb_mono_ms() + ms;
    for (int64_t left = ms; left > 0; left = until - fb_mono_ms()) {
        if (fb_service_stopping()) {
            return false;
        }
        (void)poll(NULL, 0, (int)(left < SLICE_MS ? left : SLICE_MS));
    }
    return !fb_service_stopping();
}

/* ---- without Redis ---- */

static struct bucket {
    char user[161];
    double calls, uploads;
    int64_t at_ms, paused_until_ms;
} buckets[MAX_USERS];
static size_t bucket_count;
static pthread_mutex_t bucket_lock = PTHREAD_MUTEX_INITIALIZER;

static struct bucket *find_bucket(const char *user)
{
    for (size_t i = 0; i < bucket_count; i++) {
        if (strcmp(buckets[i].user, user) == 0) {
            return &buckets[i];
        }
    }
    /* More users than a policy has: they share the last one, which is only slower. */
    struct bucket *b = &buckets[bucket_count < MAX_USERS ? bucket_count++ : MAX_USERS - 1];
    *b = (struct bucket){
        .calls = CALLS_SIZE / 2, .uploads = UPLOADS_SIZE / 2, .at_ms = fb_mono_ms()};
    (void)snprintf(b->user, sizeof b->user, "%s", user);
    return b;
}

static int64_t take_here(const char *user, enum box_limit kind, int64_t *left_r)
{
    (void)pthread_mutex_lock(&bucket_lock);
    struct bucket *b = find_bucket(user);
    int64_t now = fb_mono_ms();
    double minutes = (double)(now - b->at_ms) / 60000.0;
    b->calls = fmin(CALLS_SIZE / 2, b->calls + minutes * CALLS_RATE / 2);
    b->uploads = fmin(UPLOADS_SIZE / 2, b->uploads + minutes * UPLOADS_RATE / 2);
    b->at_ms = now;
    double wait = fmax(0, (1 - b->calls) * 60000.0 / (CALLS_RATE / 2));
    if (kind == BOX_LIMIT_UPLOADS) {
        wait = fmax(wait, (1 - b->uploads) * 60000.0 / (UPLOADS_RATE / 2));
    }
    int64_t ms = (int64_t)ceil(fmax(wait, (double)(b->paused_until_ms - now)));
    if (ms <= MAX_WAIT_MS) {
        b->calls -= 1;
        b->uploads -= kind == BOX_LIMIT_UPLOADS ? 1 : 0;
    } else {
        ms = -1 - ms;
    }
    *left_r = (int64_t)floor(b->calls);
    (void)pthread_mutex_unlock(&bucket_lock);
    return ms;
}

static void pause_here(const char *user, int64_t ms)
{
    (void)pthread_mutex_lock(&bucket_lock);
    struct bucket *b = find_bucket(user);
    int64_t until = fb_mono_ms() + ms;
    b->paused_until_ms = until > b->paused_until_ms ? until : b->paused_until_ms;
    (void)pthread_mutex_unlock(&bucket_lock);
}

/* ---- with Redis ---- */

static bool ask_redis(struct storage_session *s, struct fb_script *script, const char *user,
                      size_t arg_count, const struct fb_slice *args, struct redisReply **reply_r)
{
    struct fb_error own = {0};
    char key[200];
    (void)pthread_once(&once, prepare);
    (void)snprintf(key, sizeof key, "fb:box:limit:{%s}", user);
    const struct fb_slice keys[] = {fb_slice_str(key)};
    if (s->redis == NULL ||
        fb_redis_script(s->redis, script, 1, keys, arg_count, args, reply_r, &own) != FB_OK) {
        return false;
    }
    return true;
}

static bool take_there(struct storage_session *s, const char *user, enum box_limit kind,
                       int64_t *wait_r, int64_t *left_r)
{
    char text[6][24];
    const double numbers[6] = {MAX_WAIT_MS,  CALLS_SIZE,   CALLS_RATE,
                               UPLOADS_SIZE, UPLOADS_RATE, FACTOR_UP};
    struct fb_slice args[7] = {fb_slice_str(kind == BOX_LIMIT_UPLOADS ? "1" : "0")};
    struct redisReply *reply = NULL;
    for (size_t i = 0; i < 6; i++) {
        (void)snprintf(text[i], sizeof text[i], "%.3f", numbers[i]);
        args[i + 1] = fb_slice_str(text[i]);
    }
    if (!ask_redis(s, &take_script, user, 7, args, &reply)) {
        return false;
    }
    bool ok = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
              reply->element[0]->type == REDIS_REPLY_INTEGER &&
              reply->element[1]->type == REDIS_REPLY_INTEGER;
    if (ok) {
        *wait_r = reply->element[0]->integer;
        *left_r = reply->element[1]->integer;
    }
    freeReplyObject(reply);
    return ok;
}

enum fb_status box_limit_take(struct storage_session *s, const char *user, enum box_limit kind,
                              struct fb_error *err)
{
    char name[161];
    char storage[100];
    char labels[300];
    int64_t wait_ms = 0;
    int64_t left = 0;
    name_user(s, user, name, sizeof name);
    if (!take_there(s, name, kind, &wait_ms, &left)) {
        wait_ms = take_here(name, kind, &left);
    }
    box_label(s->storage->name, storage, sizeof storage);
    box_label(user[0] != '\0' ? user : "service account", name, sizeof name);
    (void)snprintf(labels, sizeof labels, "storage=\"%s\",user=\"%s\"", storage, name);
    fb_metric_set("fumibako_storage_limit_remaining", labels, left > 0 ? (double)left : 0);
    if (wait_ms < 0) {
        return fb_error_set(
            err, FB_AGAIN,
            "Box's limit of calls is used up for %lld s; more Box users in the storage's "
            "`users` raise it",
            (long long)((-1 - wait_ms + 999) / 1000));
    }
    if (wait_ms > 0 && !box_sleep(wait_ms)) {
        return fb_error_set(err, FB_AGAIN, "stopping");
    }
    return FB_OK;
}

void box_limit_pause(struct storage_session *s, const char *user, int64_t ms)
{
    char name[161];
    char text[3][24];
    struct redisReply *reply = NULL;
    ms = ms < 0 ? 0 : ms < MAX_PAUSE_MS ? ms : MAX_PAUSE_MS;
    name_user(s, user, name, sizeof name);
    pause_here(name, ms);
    (void)snprintf(text[0], sizeof text[0], "%lld", (long long)ms);
    (void)snprintf(text[1], sizeof text[1], "%.3f", FACTOR_MIN);
    (void)snprintf(text[2], sizeof text[2], "%.3f", FACTOR_DOWN);
    const struct fb_slice args[] = {fb_slice_str(text[0]), fb_slice_str(text[1]),
                                    fb_slice_str(text[2]), FB_SLICE_LITERAL("10000")};
    if (ask_redis(s, &pause_script, name, 4, args, &reply)) {
        freeReplyObject(reply);
    }
    fb_log(FB_INFO, "Box asks for a pause of %lld ms", (long long)ms);
}
