/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

struct queue_test q;

int queue_test_start(void **state)
{
    (void)state;
    fb_log_init("test", getenv("FB_TEST_VERBOSE") != NULL ? FB_DEBUG : FB_FATAL, false);
    redis_fixture_start(&q.redis, 1);
    return 0;
}

int queue_test_stop(void **state)
{
    (void)state;
    redis_fixture_stop(&q.redis);
    return 0;
}

int queue_test_wipe(void **state)
{
    (void)state;
    memset(&q.err, 0, sizeof(q.err));
    if (redis_fixture_int(&q.redis, "FLUSHALL", NULL) != 0) {
        return -1;
    }
    q.r = redis_fixture_connect(&q.redis);
    return fb_queue_prepare(q.r, &q.err) == FB_OK ? 0 : -1;
}

int queue_test_close(void **state)
{
    (void)state;
    fb_redis_free(&q.r);
    return 0;
}

void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

struct fb_job render_job(void)
{
    struct fb_job job = {.stage = FB_STAGE_RENDER, .first_ms = fb_now_ms()};
    fb_id_new(job.msg_id);
    fb_trace_new(job.trace);
    (void)snprintf(job.spool_ref, sizeof(job.spool_ref), "w1/00000001/0/100");
    return job;
}

struct fb_job enqueue(void)
{
    struct fb_job job = render_job();
    enum fb_status s = FB_BUG;
    assert_status(FB_OK, fb_queue_enqueue(q.r, &job, NULL, 1, &s, &q.err));
    assert_status(FB_OK, s);
    return job;
}

size_t take_all(enum fb_stage stage, const char *consumer, struct fb_claim *claims, size_t max)
{
    size_t count = 0;
    assert_status(FB_OK, fb_queue_read(q.r, stage, 0, consumer, max, 0, claims, &count, &q.err));
    return count;
}

struct fb_claim take(enum fb_stage stage, const char *consumer)
{
    struct fb_claim claim;
    if (take_all(stage, consumer, &claim, 1) != 1) {
        fail_msg("no %s job for %s", fb_stage_name(stage), consumer);
    }
    return claim;
}

struct fb_job rendered(uint32_t branches)
{
    struct fb_job job = enqueue();
    struct fb_claim claim = take(FB_STAGE_RENDER, "renderer");
    struct fb_job *next = calloc(branches, sizeof(*next));
    assert_non_null(next);
    for (uint32_t b = 0; b < branches; b++) {
        fb_job_follow(&claim, FB_STAGE_UPLOAD, b, &next[b]);
    }
    assert_status(FB_OK, fb_queue_advance(q.r, "renderer", &claim, next, branches, NULL, &q.err));
    free(next);
    return job;
}

struct fb_queue_stats stats(enum fb_stage stage)
{
    struct fb_queue_stats got;
    assert_status(FB_OK, fb_queue_stats(q.r, stage, &got, &q.err));
    return got;
}

long long message_field(const char *msg_id, const char *field)
{
    char key[128];
    (void)snprintf(key, sizeof(key), "fb:{s%d}:m:%s", fb_redis_shard(q.r, msg_id), msg_id);
    return redis_fixture_int(&q.redis, "HGET", key, field, NULL);
}

bool message_has(const char *msg_id, const char *field)
{
    char key[128];
    (void)snprintf(key, sizeof(key), "fb:{s%d}:m:%s", fb_redis_shard(q.r, msg_id), msg_id);
    return redis_fixture_int(&q.redis, "HEXISTS", key, field, NULL) == 1;
}

enum fb_status recall(struct fb_redis *r, const char *msg_id, const uint32_t *recipients,
                      size_t count, bool takes_content, const char *actor, bool *was_out_r,
                      struct fb_error *err)
{
    struct fb_recall_request request = {.recipients = recipients,
                                        .count = count,
                                        .takes_content = takes_content,
                                        .actor = actor,
                                        .source = "fumibako"};
    return fb_ledger_recall(r, msg_id, &request, was_out_r, err);
}
