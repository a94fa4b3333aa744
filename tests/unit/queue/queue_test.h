/* SPDX-License-Identifier: Apache-2.0
 *
 * What the queue's tests share: a Redis, jobs, short words for the usual steps.
 */
#ifndef FB_TESTS_UNIT_QUEUE_QUEUE_TEST_H
#define FB_TESTS_UNIT_QUEUE_QUEUE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/ledger/ledger.h"
#include "common/queue/queue.h"
#include "common/queue/worker.h"
#include "tests/support/redis_fixture.h"

struct queue_test {
    struct redis_fixture redis;
    struct fb_redis *r;
    struct fb_error err;
};

extern struct queue_test q; /* one program, one Redis; wiped before each test */

int queue_test_start(void **state); /* group set-up: one shard */
int queue_test_stop(void **state);
int queue_test_wipe(void **state); /* set-up: FLUSHALL, groups, a fresh connection */
int queue_test_close(void **state);

struct fb_job render_job(void);
/* Enqueues a fresh message. */
struct fb_job enqueue(void);
/* The job that this consumer gets from the stage; fails when there is none. */
struct fb_claim take(enum fb_stage stage, const char *consumer);
/* How many it gets (and keeps) within no time. */
size_t take_all(enum fb_stage stage, const char *consumer, struct fb_claim *claims, size_t max);
/* A message that is rendered into `branches` upload jobs. */
struct fb_job rendered(uint32_t branches);
/* fb_ledger_recall by the command line, without a reason or an id. */
enum fb_status recall(struct fb_redis *r, const char *msg_id, const uint32_t *recipients,
                      size_t count, bool takes_content, const char *actor, bool *was_out_r,
                      struct fb_error *err);
struct fb_queue_stats stats(enum fb_stage stage);
/* The fields of the message hash: as integer, -1 when it is not there. */
long long message_field(const char *msg_id, const char *field);
bool message_has(const char *msg_id, const char *field);
void pause_ms(long ms);

#define assert_status(want, call)                                                                  \
    do {                                                                                           \
        enum fb_status got_ = (call);                                                              \
        if (got_ != (want)) {                                                                      \
            fail_msg("%s: got %s (%s), want %s", #call, fb_status_name(got_), q.err.text,          \
                     fb_status_name(want));                                                        \
        }                                                                                          \
    } while (0)

#endif
