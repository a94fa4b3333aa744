/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers as processes: they are stopped, killed and robbed of their Redis, and no message may be
 * lost.  What the handlers did is written into Redis and read by the test.
 */
#include "tests/unit/queue/queue_test.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/metrics.h"
#include "common/service.h"

struct plan {
    struct fb_worker_config w;
    long work_ms;
    void (*handle)(struct fb_redis *redis, const struct fb_claim *claim, struct fb_outcome *out);
};

static struct plan plan; /* of the child */

static void note(struct fb_redis *redis, const char *what)
{
    redisReply *reply = NULL;
    if (fb_redis_call(redis, &reply, NULL, "HINCRBY", "fb:{s0}:test", what, "1", NULL) == FB_OK) {
        freeReplyObject(reply);
    }
}

static long long noted(const char *what)
{
    long long n = redis_fixture_int(&q.redis, "HGET", "fb:{s0}:test", what, NULL);
    return n < 0 ? 0 : n;
}

static void go_on(const struct fb_claim *claim, struct fb_outcome *out, enum fb_stage stage,
                  uint32_t count)
{
    out->kind = FB_OUTCOME_ADVANCE;
    out->next = calloc(count, sizeof(*out->next));
    out->next_count = count;
    for (uint32_t b = 0; b < count; b++) {
        fb_job_follow(claim, stage, count > 1 ? b : claim->job.branch, &out->next[b]);
    }
}

/* The pipeline in small: two branches a message. */
static void pipeline(struct fb_redis *redis, const struct fb_claim *claim, struct fb_outcome *out)
{
    note(redis, fb_stage_name(claim->stage));
    if (claim->stage == FB_STAGE_RENDER) {
        go_on(claim, out, FB_STAGE_UPLOAD, 2);
    } else if (claim->stage == FB_STAGE_UPLOAD) {
        go_on(claim, out, FB_STAGE_REWRITE, 1);
    } else {
        out->kind = FB_OUTCOME_FINISH;
    }
}

static void handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out)
{
    (void)ctx;
    (void)thread;
    redisReply *reply = NULL;
    if (fb_redis_call(redis, &reply, NULL, "INCR", "fb:{s0}:begun", NULL) == FB_OK) {
        freeReplyObject(reply);
    }
    pause_ms(plan.work_ms);
    plan.handle(redis, claim, out);
}

static void message_done(void *ctx, void *thread, const struct fb_claim *claim)
{
    (void)ctx;
    (void)thread;
    struct fb_redis *r = redis_fixture_connect(&q.redis);
    note(r, "done");
    note(r, claim->job.msg_id);
    fb_redis_free(&r);
}

static void on_term(int number)
{
    (void)number;
    fb_service_stop(); /* NOLINT(bugprone-signal-handler,cert-sig30-c): one atomic store, one write() */
}

static pid_t start(struct plan p)
{
    (void)fflush(NULL);
    pid_t parent = getpid();
    void (*before)(int) = signal(SIGTERM, on_term); /* from the child's first moment */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        (void)signal(SIGTERM, before);
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _Exit(1);
    }
    fb_redis_free(&q.r);
    plan = p;
    plan.w.threads = plan.w.threads > 0 ? plan.w.threads : 3;
    plan.w.heartbeat_ms = plan.w.heartbeat_ms > 0 ? plan.w.heartbeat_ms : 200;
    plan.w.max_deliveries = plan.w.max_deliveries > 0 ? plan.w.max_deliveries : 3;
    plan.w.handle = handle;
    plan.w.message_done = message_done;
    struct fb_error err = {.status = FB_OK};
    enum fb_status s = fb_worker_run(&q.redis.config, &plan.w, &err);
    if (s != FB_OK) {
        (void)fprintf(stderr, "worker: %s\n", err.text);
    }
    exit(s == FB_OK ? 0 : 1); /* sanitizers report at exit */
}

static int stop(pid_t pid)
{
    int status = 0;
    (void)kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void kill_hard(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Until cond or 300 s. */
#define wait_until(cond)                                                                           \
    do {                                                                                           \
        int64_t until_ = fb_mono_ms() + 300000;                                                    \
        while (!(cond) && fb_mono_ms() < until_) {                                                 \
            pause_ms(20);                                                                          \
        }                                                                                          \
        if (!(cond)) {                                                                             \
            fail_msg("never: %s", #cond);                                                          \
        }                                                                                          \
    } while (0)

static void nothing_is_left(void)
{
    for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
        struct fb_queue_stats s = stats((enum fb_stage)stage);
        assert_int_equal(s.waiting + s.inflight + s.delayed + s.dead, 0);
    }
    assert_int_equal(redis_fixture_int(&q.redis, "ZCARD", "fb:{s0}:open", NULL), 0);
}

static long long consumers(const char *stream)
{
    redisReply *reply = NULL;
    assert_status(FB_OK,
                  fb_redis_call(q.r, &reply, &q.err, "XINFO", "CONSUMERS", stream, FB_GROUP, NULL));
    long long n = (long long)reply->elements;
    freeReplyObject(reply);
    return n;
}

static void start_pipeline(pid_t pids[3])
{
    for (int stage = 0; stage < 3; stage++) {
        /* An end whose answer was lost is asked for again as long as a claim lives. */
        pids[stage] = start((struct plan){
            .w = {.stage = (enum fb_stage)stage, .heartbeat_ms = 5000}, .handle = pipeline});
    }
}

static void five_hundred_messages_pass_three_stages_once_each(void **state)
{
    (void)state;
    enum { N = 500 };
    pid_t pids[3];
    start_pipeline(pids);
    for (int i = 0; i < N; i++) {
        (void)enqueue();
    }
    wait_until(noted("done") == N);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stop(pids[i]), 0);
    }
    assert_int_equal(noted("render"), N);
    assert_int_equal(noted("upload"), 2 * N);
    assert_int_equal(noted("rewrite"), 2 * N);
    assert_int_equal(noted("done"), N);
    assert_int_equal(redis_fixture_int(&q.redis, "HLEN", "fb:{s0}:test", NULL),
                     N + 4); /* each message once */
    nothing_is_left();
    assert_int_equal(consumers("fb:{s0}:render"), 0);
}

static void killed_workers_lose_nothing(void **state)
{
    (void)state;
    enum { N = 120 };
    struct plan p = {.w = {.stage = FB_STAGE_RENDER, .threads = 2, .max_deliveries = 100},
                     .work_ms = 4};
    p.handle = pipeline;
    for (int i = 0; i < N; i++) {
        (void)enqueue();
    }
    for (int round = 0; round < 5; round++) {
        pid_t pid = start(p);
        long long before = noted("render");
        wait_until(noted("render") > before + 3);
        kill_hard(pid);
    }
    pid_t pid = start(p);
    wait_until(stats(FB_STAGE_UPLOAD).waiting == 2 * N);
    wait_until(stats(FB_STAGE_RENDER).inflight == 0);
    assert_int_equal(stop(pid), 0);
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, 0);
    assert_int_equal(stats(FB_STAGE_UPLOAD).waiting, 2 * N); /* no twins either */
    assert_in_range(noted("render"), N, N + 5 * 2);
}

static void a_drain_finishes_what_runs_and_leaves_the_rest(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        (void)enqueue();
    }
    struct plan p = {
        .w = {.stage = FB_STAGE_RENDER, .threads = 2}, .work_ms = 3000, .handle = pipeline};
    pid_t pid = start(p);
    wait_until(stats(FB_STAGE_RENDER).inflight == 2);
    wait_until(redis_fixture_int(&q.redis, "GET", "fb:{s0}:begun", NULL) >=
               1); /* what was taken and not begun is handed back */
    int64_t started = fb_mono_ms();
    assert_int_equal(stop(pid), 0);
    assert_in_range(fb_mono_ms() - started, 0, 30000);
    struct fb_queue_stats s = stats(FB_STAGE_RENDER);
    assert_int_equal(s.inflight, 0);
    assert_int_equal(s.waiting + noted("render"), 10);
    assert_in_range(noted("render"), 1, 4);
    assert_int_equal(consumers("fb:{s0}:render"), 0);
    struct fb_claim claim = take(FB_STAGE_RENDER, "next");
    assert_int_equal(claim.job.attempt, 0);
    assert_int_equal(claim.deliveries, 1);
}

static void again(struct fb_redis *redis, const struct fb_claim *claim, struct fb_outcome *out)
{
    note(redis, "tries");
    if (claim->job.attempt < 2) {
        out->kind = FB_OUTCOME_RETRY;
        out->delay_ms = 30;
        (void)fb_error_set(&out->reason, FB_NETWORK, "Box is away");
        return;
    }
    pipeline(redis, claim, out);
}

static void a_failure_is_tried_again(void **state)
{
    (void)state;
    (void)enqueue();
    pid_t pid =
        start((struct plan){.w = {.stage = FB_STAGE_RENDER, .max_attempts = 5}, .handle = again});
    wait_until(stats(FB_STAGE_UPLOAD).waiting == 2);
    assert_int_equal(stop(pid), 0);
    assert_int_equal(noted("tries"), 3);
}

static void failures_end_in_the_dead_letters_after_max_attempts(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    pid_t pid =
        start((struct plan){.w = {.stage = FB_STAGE_RENDER, .max_attempts = 2}, .handle = again});
    wait_until(stats(FB_STAGE_RENDER).dead == 1);
    assert_int_equal(stop(pid), 0);
    assert_int_equal(noted("tries"), 2);
    struct fb_ledger_message m;
    assert_status(FB_OK, fb_ledger_get(q.r, job.msg_id, &m, &q.err));
    assert_string_equal(m.state, "held");
    assert_non_null(strstr(m.branches[0].reason, "gave up after 2 attempts: Box is away"));
    fb_ledger_message_deinit(&m);
}

static void a_job_past_its_lifetime_is_held(void **state)
{
    (void)state;
    struct fb_job job = render_job();
    enum fb_status s = FB_BUG;
    job.first_ms -= 3600000;
    assert_status(FB_OK, fb_queue_enqueue(q.r, &job, NULL, 1, &s, &q.err));
    pid_t pid = start(
        (struct plan){.w = {.stage = FB_STAGE_RENDER, .lifetime_ms = 3000000}, .handle = again});
    wait_until(stats(FB_STAGE_RENDER).dead == 1);
    assert_int_equal(stop(pid), 0);
    assert_int_equal(noted("tries"), 1);
}

/* Far past the stage's own limits, and without what the service does for branches. */
static void a_letter_is_given_up_after_a_day_and_holds_nothing(void **state)
{
    (void)state;
    struct fb_job about = render_job();
    struct fb_job letter;
    fb_job_letter(FB_LETTER_RECEIPT, &about, 0, &letter);
    letter.attempt = 1; /* `again` fails once more and then goes on */
    letter.first_ms -= FB_LETTER_LIFE_MS - 3600000;
    assert_status(FB_OK, fb_queue_add(q.r, &letter, NULL, &q.err));
    letter.first_ms -= 3600000;
    assert_status(FB_OK, fb_queue_add(q.r, &letter, NULL, &q.err));
    pid_t pid = start((struct plan){
        .w = {.stage = FB_STAGE_REWRITE, .max_attempts = 1, .lifetime_ms = 1}, .handle = again});
    wait_until(noted("rewrite") == 1); /* the younger one was tried again */
    wait_until(stats(FB_STAGE_REWRITE).inflight == 0);
    assert_int_equal(stop(pid), 0);
    assert_int_equal(noted("tries"), 3);
    assert_int_equal(noted("done"), 0);
    nothing_is_left();
    assert_int_equal(redis_fixture_int(&q.redis, "XLEN", "fb:{s0}:dead", NULL), 0);
}

/* A code that is over helps nobody. */
static void a_code_is_given_up_after_ten_minutes(void **state)
{
    (void)state;
    struct fb_job about = render_job();
    struct fb_job letter;
    fb_job_letter(FB_LETTER_CODE, &about, 0, &letter);
    letter.attempt = 1;
    letter.first_ms -= FB_LETTER_CODE_LIFE_MS;
    assert_status(FB_OK, fb_queue_add(q.r, &letter, NULL, &q.err));
    pid_t pid = start((struct plan){.w = {.stage = FB_STAGE_REWRITE}, .handle = again});
    wait_until(noted("tries") == 1 && stats(FB_STAGE_REWRITE).inflight == 0);
    assert_int_equal(stop(pid), 0);
    assert_int_equal(noted("tries"), 1);
    nothing_is_left();
    assert_int_equal(redis_fixture_int(&q.redis, "XLEN", "fb:{s0}:dead", NULL), 0);
}

static void never_for_letters(void *ctx, void *thread, struct fb_redis *redis,
                              const struct fb_claim *claim, struct fb_outcome *out)
{
    (void)ctx;
    (void)thread;
    note(redis, claim->job.letter != FB_LETTER_NONE ? "letter" : "mail");
    out->kind = FB_OUTCOME_FINISH;
}

static void too_big(struct fb_redis *redis, const struct fb_claim *claim, struct fb_outcome *out)
{
    (void)claim;
    note(redis, "tries");
    out->kind = FB_OUTCOME_BURY;
    (void)fb_error_set(&out->reason, FB_TOO_BIG, "x");
}

static void a_letter_that_cannot_be_made_is_buried_without_holding_the_branch(void **state)
{
    (void)state;
    struct fb_job job = rendered(1);
    struct fb_job letter;
    fb_job_letter(FB_LETTER_HELD, &job, 0, &letter);
    assert_status(FB_OK, fb_queue_add(q.r, &letter, NULL, &q.err));
    pid_t pid = start((struct plan){
        .w = {.stage = FB_STAGE_REWRITE, .before_bury = never_for_letters}, .handle = too_big});
    wait_until(stats(FB_STAGE_REWRITE).dead == 1);
    assert_int_equal(stop(pid), 0);
    assert_int_equal(noted("tries"), 1);
    assert_int_equal(noted("letter"), 0);
    assert_false(message_has(job.msg_id, "h:0"));
    assert_int_equal(stats(FB_STAGE_REWRITE).waiting, 0);
}

static void by_first_letter(struct fb_redis *redis, const struct fb_claim *claim,
                            struct fb_outcome *out)
{
    /* Tells cases apart by the spool reference. */
    note(redis, claim->job.spool_ref);
    out->kind = FB_OUTCOME_RETRY;
    if (strcmp(claim->job.spool_ref, "reject") == 0) {
        (void)fb_error_set(&out->reason, FB_TOO_BIG, "2 GiB");
    } else if (strcmp(claim->job.spool_ref, "config") == 0) {
        (void)fb_error_set(&out->reason, FB_CONFIG, "no credential");
    } else if (strcmp(claim->job.spool_ref, "bug") == 0) {
        out->kind = FB_OUTCOME_ADVANCE;
        out->ops = fb_ops_new();
        fb_ops_add(out->ops, "FLUSHALL", "fb:{s0}:m", NULL);
    } else if (strcmp(claim->job.spool_ref, "restart") == 0) {
        out->kind = FB_OUTCOME_RESTART;
        (void)fb_error_set(&out->reason, FB_NOT_FOUND, "no plan");
    } else if (strcmp(claim->job.spool_ref, "release") == 0) {
        out->kind = FB_OUTCOME_RELEASE;
        out->delay_ms = 60000;
    } else {
        out->kind = FB_OUTCOME_FINISH;
    }
}

static void add(const char *kind)
{
    struct fb_job job = render_job();
    enum fb_status s = FB_BUG;
    job.stage = FB_STAGE_UPLOAD;
    (void)snprintf(job.spool_ref, sizeof(job.spool_ref), "%s", kind);
    assert_status(FB_OK, fb_queue_enqueue(q.r, &job, NULL, 1, &s, &q.err));
    assert_status(FB_OK, s);
}

static void each_outcome_goes_its_way(void **state)
{
    (void)state;
    add("reject");
    add("config");
    add("bug");
    add("restart");
    add("release");
    add("finish");
    pid_t pid = start((struct plan){.w = {.stage = FB_STAGE_UPLOAD, .max_attempts = 5},
                                    .handle = by_first_letter});
    wait_until(stats(FB_STAGE_UPLOAD).dead == 2);    /* reject, bug */
    wait_until(stats(FB_STAGE_UPLOAD).delayed == 2); /* config, release */
    wait_until(stats(FB_STAGE_RENDER).waiting == 1); /* restart */
    wait_until(noted("done") == 1);                  /* finish */
    assert_int_equal(stop(pid), 0);
    assert_int_equal(stats(FB_STAGE_UPLOAD).waiting + stats(FB_STAGE_UPLOAD).inflight, 0);
    assert_int_equal(noted("config"), 1);
    /* Not counted as an attempt. */
    redisReply *reply = NULL;
    assert_status(FB_OK, fb_redis_call(q.r, &reply, &q.err, "ZRANGE", "fb:{s0}:delayed:upload", "0",
                                       "-1", NULL));
    for (size_t i = 0; i < reply->elements; i++) {
        const char *colon = memchr(reply->element[i]->str, ':', (size_t)reply->element[i]->len);
        assert_non_null(colon);
        struct fb_job job;
        size_t skip = (size_t)(colon + 1 - reply->element[i]->str);
        assert_status(FB_OK,
                      fb_job_decode(fb_slice_of(colon + 1, (size_t)reply->element[i]->len - skip),
                                    &job, &q.err));
        assert_int_equal(job.attempt, 0);
    }
    freeReplyObject(reply);
}

static void bounce(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out)
{
    (void)ctx;
    (void)thread;
    note(redis, "before_bury");
    go_on(claim, out, FB_STAGE_REWRITE, 1);
}

static void a_service_may_do_better_than_bury(void **state)
{
    (void)state;
    add("reject");
    pid_t pid = start((struct plan){.w = {.stage = FB_STAGE_UPLOAD, .before_bury = bounce},
                                    .handle = by_first_letter});
    wait_until(stats(FB_STAGE_REWRITE).waiting == 1);
    assert_int_equal(stop(pid), 0);
    assert_int_equal(noted("before_bury"), 1);
    assert_int_equal(stats(FB_STAGE_UPLOAD).dead, 0);
}

static void crash(struct fb_redis *redis, const struct fb_claim *claim, struct fb_outcome *out)
{
    (void)claim;
    (void)out;
    note(redis, "crashes");
    _Exit(9);
}

static void a_poison_job_is_held_after_three_crashes(void **state)
{
    (void)state;
    struct fb_job job = enqueue();
    struct plan p = {.w = {.stage = FB_STAGE_RENDER, .threads = 1, .heartbeat_ms = 100},
                     .handle = crash};
    for (int i = 0; i < 3; i++) {
        int status = 0;
        pid_t pid = start(p);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 9);
    }
    pid_t pid = start(p);
    wait_until(stats(FB_STAGE_RENDER).dead == 1);
    assert_int_equal(stop(pid), 0);
    assert_int_equal(noted("crashes"), 3);
    assert_true(message_has(job.msg_id, "h:0"));
}

static void a_long_job_is_not_taken_away_from_its_worker(void **state)
{
    (void)state;
    (void)enqueue();
    /* Longer than three heartbeats, and none of them is late on a busy machine. */
    struct plan p = {.w = {.stage = FB_STAGE_RENDER, .heartbeat_ms = 3000},
                     .work_ms = 12000,
                     .handle = pipeline};
    pid_t first = start(p);
    pid_t second = start(p);
    wait_until(stats(FB_STAGE_UPLOAD).waiting == 2);
    assert_int_equal(stop(first), 0);
    assert_int_equal(stop(second), 0);
    assert_int_equal(noted("render"), 1);
}

static void workers_go_on_after_a_wipe(void **state)
{
    (void)state;
    pid_t pid = start((struct plan){.w = {.stage = FB_STAGE_RENDER}, .handle = pipeline});
    (void)enqueue();
    wait_until(stats(FB_STAGE_UPLOAD).waiting == 2);
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    (void)enqueue();
    wait_until(stats(FB_STAGE_UPLOAD).waiting == 2);
    redis_fixture_kill(&q.redis); /* nothing was on disk: a wipe with a cut */
    pause_ms(300);
    redis_fixture_again(&q.redis);
    fb_redis_reset(q.r);
    (void)enqueue();
    wait_until(stats(FB_STAGE_UPLOAD).waiting == 2);
    assert_int_equal(redis_fixture_int(&q.redis, "CLIENT", "KILL", "TYPE", "normal", NULL) > 0, 1);
    (void)enqueue();
    wait_until(stats(FB_STAGE_UPLOAD).waiting == 4);
    assert_int_equal(stop(pid), 0);
}

/* Redis without memory refuses what ends a job, but goes on handing jobs out and counting: that must
 * not look like a job that crashes its workers. */
static void a_full_redis_makes_nobody_hold_a_job(void **state)
{
    (void)state;
    enum { N = 6 };
    struct plan p = {
        .w = {.stage = FB_STAGE_RENDER, .heartbeat_ms = 300}, .work_ms = 6000, .handle = pipeline};
    pid_t first = start(p);
    pid_t second = start(p);
    struct fb_job jobs[N];
    enum fb_status taken[N];
    for (int i = 0; i < N; i++) {
        jobs[i] = render_job();
    }
    assert_status(FB_OK, fb_queue_enqueue(q.r, jobs, NULL, N, taken, &q.err));
    wait_until(stats(FB_STAGE_RENDER).inflight == N);
    assert_int_equal(redis_fixture_int(&q.redis, "CONFIG", "SET", "maxmemory", "1", NULL), 0);
    pause_ms(11000); /* twelve times as long as a claim lives without a heartbeat */
    struct fb_queue_stats full = stats(FB_STAGE_RENDER);
    int ended = stop(second); /* a drain does not wait for memory */
    assert_int_equal(redis_fixture_int(&q.redis, "CONFIG", "SET", "maxmemory", "0", NULL), 0);
    assert_int_equal(full.dead + ended, 0);
    wait_until(stats(FB_STAGE_UPLOAD).waiting == 2 * N);
    assert_int_equal(stop(first), 0);
}

static void a_worker_waits_for_redis_and_can_be_stopped_while_it_waits(void **state)
{
    (void)state;
    redis_fixture_kill(&q.redis);
    pid_t pid = start((struct plan){.w = {.stage = FB_STAGE_RENDER}, .handle = pipeline});
    pid_t other = start((struct plan){.w = {.stage = FB_STAGE_RENDER}, .handle = pipeline});
    pause_ms(500);
    assert_int_equal(stop(other), 0);
    redis_fixture_again(&q.redis);
    fb_redis_reset(q.r);
    (void)enqueue();
    wait_until(stats(FB_STAGE_UPLOAD).waiting == 2);
    assert_int_equal(stop(pid), 0);
}

static void several_shards_are_all_served(void **state)
{
    (void)state;
    enum { SHARDS = 5, N = 60 };
    q.redis.config.redis.shards = SHARDS;
    struct fb_redis *wide = redis_fixture_connect(&q.redis);
    assert_status(FB_OK, fb_queue_prepare(wide, &q.err));
    pid_t pid =
        start((struct plan){.w = {.stage = FB_STAGE_RENDER, .threads = 2}, .handle = pipeline});
    struct fb_queue_stats up = {0};
    for (int i = 0; i < N; i++) {
        struct fb_job job = render_job();
        enum fb_status s = FB_BUG;
        assert_status(FB_OK, fb_queue_enqueue(wide, &job, NULL, 1, &s, &q.err));
    }
    int64_t until = fb_mono_ms() + 60000;
    while (up.waiting < 2 * N && fb_mono_ms() < until) {
        pause_ms(20);
        assert_status(FB_OK, fb_queue_stats(wide, FB_STAGE_UPLOAD, &up, &q.err));
    }
    q.redis.config.redis.shards = 1;
    assert_int_equal(stop(pid), 0);
    assert_int_equal(up.waiting, 2 * N);
    assert_int_equal(noted("render"), N);
    fb_redis_free(&wide);
}

static void measured(struct fb_redis *redis, const struct fb_claim *claim, struct fb_outcome *out)
{
    static atomic_int calls;
    if (atomic_fetch_add(&calls, 1) == 1) { /* the first one is counted by now */
        static const char *const wanted[] = {
            "fumibako_jobs_total{stage=\"rewrite\",outcome=\"ok\"} 1",
            "fumibako_job_seconds_count{stage=\"rewrite\"} 1",
            "fumibako_queue_depth{stage=\"rewrite\",state=\"inflight\"} 1",
            "fumibako_queue_depth{stage=\"rewrite\",state=\"dead\"} 0",
            "fumibako_queue_oldest_age_seconds{stage=\"rewrite\"}"};
        struct fb_buf text;
        fb_buf_init(&text, 1U << 20);
        if (fb_metrics_render(&text) == FB_OK) {
            for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
                note(redis, strstr(fb_buf_str(&text), wanted[i]) != NULL ? "found" : wanted[i]);
            }
        }
        fb_buf_deinit(&text);
    }
    pipeline(redis, claim, out);
}

static void metrics_tell_jobs_time_and_depth(void **state)
{
    (void)state;
    struct fb_job job = render_job();
    pid_t pid =
        start((struct plan){.w = {.stage = FB_STAGE_REWRITE, .threads = 1}, .handle = measured});
    for (int i = 0; i < 2; i++) {
        job = render_job();
        job.stage = FB_STAGE_REWRITE;
        enum fb_status s = FB_BUG;
        assert_status(FB_OK, fb_queue_enqueue(q.r, &job, NULL, 1, &s, &q.err));
        wait_until(noted("done") == i + 1);
        pause_ms(100);
    }
    assert_int_equal(stop(pid), 0);
    assert_int_equal(noted("found"), 5);
}

static enum fb_status no_thread(void *ctx, void **thread_r, struct fb_error *err)
{
    (void)ctx;
    (void)thread_r;
    return fb_error_set(err, FB_CONFIG, "no storage");
}

static void a_thread_that_cannot_start_ends_the_worker(void **state)
{
    (void)state;
    struct plan p = {.w = {.stage = FB_STAGE_RENDER, .thread_init = no_thread}, .handle = pipeline};
    int status = 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct fb_error err = {.status = FB_OK};
        p.w.threads = 3;
        p.w.heartbeat_ms = 100;
        p.w.max_deliveries = 3;
        p.w.handle = handle;
        _Exit(fb_worker_run(&q.redis.config, &p.w, &err) == FB_CONFIG &&
                      strcmp(err.text, "no storage") == 0
                  ? 42
                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 42);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, queue_test_close)
    const struct CMUnitTest tests[] = {
        PROMISE(five_hundred_messages_pass_three_stages_once_each),
        PROMISE(killed_workers_lose_nothing),
        PROMISE(a_drain_finishes_what_runs_and_leaves_the_rest),
        PROMISE(a_failure_is_tried_again),
        PROMISE(failures_end_in_the_dead_letters_after_max_attempts),
        PROMISE(a_job_past_its_lifetime_is_held),
        PROMISE(a_letter_is_given_up_after_a_day_and_holds_nothing),
        PROMISE(a_code_is_given_up_after_ten_minutes),
        PROMISE(a_letter_that_cannot_be_made_is_buried_without_holding_the_branch),
        PROMISE(each_outcome_goes_its_way),
        PROMISE(a_service_may_do_better_than_bury),
        PROMISE(a_poison_job_is_held_after_three_crashes),
        PROMISE(a_long_job_is_not_taken_away_from_its_worker),
        PROMISE(workers_go_on_after_a_wipe),
        PROMISE(a_full_redis_makes_nobody_hold_a_job),
        PROMISE(a_worker_waits_for_redis_and_can_be_stopped_while_it_waits),
        PROMISE(several_shards_are_all_served),
        PROMISE(metrics_tell_jobs_time_and_depth),
        PROMISE(a_thread_that_cannot_start_ends_the_worker),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
