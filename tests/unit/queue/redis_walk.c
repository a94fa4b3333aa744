/* SPDX-License-Identifier: Apache-2.0
 *
 * A client under test: redis_walk URL SHARDS SECONDS [PASSWORD [SENTINEL_USER
 * SENTINEL_PASSWORD]].  Counts up fb:{sN}:walk of every
 * shard, in one pipeline a round, by a script of two keys, for so long or until SIGTERM; and says at the
 * end, as JSON, what it saw:
 * by shard the acknowledged steps and the longest time without one, and how calls failed.  What is
 * no retry (FB_BUG and the like) is "wrong", with its text.
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/redis.h"

#define MAX_SHARDS 64

static struct fb_script step = {
    "step",
    "redis.call('INCR', KEYS[2])\n"
    "return redis.call('INCR', KEYS[1])\n",
    "",
};

struct shard {
    char key[64], twin[64];
    uint64_t done, unknown;
    int64_t last_ms, pause_ms;
    bool needs_source, is_sent;
};

static struct shard shards[MAX_SHARDS];
static uint64_t again, network, wrong;
static struct fb_error last_wrong;
static volatile sig_atomic_t is_told;

static void on_term(int signal)
{
    (void)signal;
    is_told = 1;
}

static void note(struct shard *s, enum fb_status status, const struct fb_error *err)
{
    if (status == FB_AGAIN) {
        again++;
    } else if (status == FB_NETWORK) {
        network++;
        s->unknown += s->is_sent;
    } else if (fb_redis_error_is(err, "NOSCRIPT")) {
        s->needs_source = true;
    } else {
        wrong++;
        last_wrong = *err;
    }
}

static void one_round(struct fb_redis *r, int count)
{
    for (int i = 0; i < count; i++) {
        struct shard *s = &shards[i];
        struct fb_error err = {.status = FB_OK};
        const struct fb_slice keys[] = {fb_slice_str(s->key), fb_slice_str(s->twin)};
        enum fb_status st =
            fb_redis_append_script(r, &step, s->needs_source, 2, keys, 0, NULL, &err);
        s->is_sent = st == FB_OK;
        s->needs_source = false;
        if (st != FB_OK) {
            note(s, st, &err);
        }
    }
    for (int i = 0; i < count; i++) {
        struct shard *s = &shards[i];
        struct fb_error err = {.status = FB_OK};
        redisReply *reply = NULL;
        if (!s->is_sent) {
            continue;
        }
        enum fb_status st = fb_redis_fetch(r, &reply, &err);
        if (st != FB_OK) {
            note(s, st, &err);
            continue;
        }
        int64_t now = fb_mono_ms();
        s->pause_ms = now - s->last_ms > s->pause_ms ? now - s->last_ms : s->pause_ms;
        s->last_ms = now;
        s->done++;
        freeReplyObject(reply);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fprintf(stderr, "usage: redis_walk URL SHARDS SECONDS [PASSWORD [USER PASSWORD]]\n");
        return 2;
    }
    int count = (int)strtol(argv[2], NULL, 10);
    int64_t until = fb_mono_ms() + strtol(argv[3], NULL, 10) * 1000;
    struct fb_config config = {.redis = {.url = argv[1],
                                         .shards = count,
                                         .password = argc > 4 ? argv[4] : NULL,
                                         .sentinel_user = argc > 6 ? argv[5] : NULL,
                                         .sentinel_password = argc > 6 ? argv[6] : NULL}};
    struct fb_redis *r = NULL;
    struct fb_error err = {.status = FB_OK};
    if (count < 1 || count > MAX_SHARDS || fb_redis_new(&config, 2000, &r, &err) != FB_OK) {
        (void)fprintf(stderr, "redis_walk: %s\n", err.text);
        return 1;
    }
    fb_redis_script_prepare(&step);
    for (int i = 0; i < count; i++) {
        (void)snprintf(shards[i].key, sizeof shards[i].key, "fb:{s%d}:walk", i);
        (void)snprintf(shards[i].twin, sizeof shards[i].twin, "fb:{s%d}:twin", i);
        shards[i].last_ms = fb_mono_ms();
    }
    const struct sigaction action = {.sa_handler = on_term, .sa_flags = SA_RESTART};
    if (sigaction(SIGTERM, &action, NULL) != 0) {
        return 1;
    }
    while (fb_mono_ms() < until && !is_told) {
        one_round(r, count);
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    (void)printf("{\"again\":%" PRIu64 ",\"network\":%" PRIu64 ",\"wrong\":%" PRIu64
                 ",\"text\":\"%s\",\"connections\":%" PRIu64 ",\"shards\":[",
                 again, network, wrong, last_wrong.text, fb_redis_connections(r));
    for (int i = 0; i < count; i++) {
        (void)printf("%s{\"done\":%" PRIu64 ",\"unknown\":%" PRIu64 ",\"pause\":%" PRId64 "}",
                     i > 0 ? "," : "", shards[i].done, shards[i].unknown, shards[i].pause_ms);
    }
    (void)printf("]}\n");
    fb_redis_free(&r);
    return 0;
}
