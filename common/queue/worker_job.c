/* SPDX-License-Identifier: Apache-2.0
 *
 * One job in a worker's hands: is there anything to do, do it, decide by the outcome and the retry
 * rules, end the claim.  Ending is tried as long as the claim is surely ours (three heartbeats, more
 * where Redis answers but refuses); then it is dropped and the reaper gives the job to somebody
 * else, which the idempotent effects allow.
 *
 *   check -> handle -> decide -> (bury: before_bury) -> end -> message_done, metrics, one closing
 * line
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/ledger.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/queue/worker_internal.h"
#include "common/tracing.h"

#define CONFIG_DELAY_MS 60000 /* a wrong setting is not mended within seconds */
#define END_FIRST_MS    50
#define END_STEP_MS     1000
#define END_TELL_MS     30000
#define RELEASE_REST_MS 1000
#define SOON_MS         3000
#define SOON_AGE_MS                                                                                \
    60000 /* then a setting is wrong, and a backlog is not to be asked for at that pace */

struct job_run {
    struct fb_worker_thread *t;
    const struct fb_claim *claim;
    struct fb_outcome out;
    bool is_deferred; /* retry without counting an attempt */
    bool is_given_up; /* a letter that could not be sent in time */
    bool is_last;
};

static const char *stage_of(const struct job_run *j)
{
    return fb_stage_name(j->claim->stage);
}

static bool is_letter(const struct fb_job *job)
{
    return job->letter != FB_LETTER_NONE;
}

/* A code is of no use any more when it is over. */
static int64_t life_of(enum fb_letter letter)
{
    return letter == FB_LETTER_CODE ? FB_LETTER_CODE_LIFE_MS : FB_LETTER_LIFE_MS;
}

/* A letter that cannot be sent in time is no mail that got lost: it is dropped with a word in the
 * log.  It is retried as if it were new until then, whatever the stage's own limits are. */
static void decide_letter(struct job_run *j)
{
    const struct fb_job *job = &j->claim->job;
    struct fb_outcome *out = &j->out;
    if (fb_now_ms() + out->delay_ms <= job->first_ms + life_of(job->letter)) {
        return;
    }
    j->is_given_up = true;
    out->kind = FB_OUTCOME_FINISH;
    out->delay_ms = 0;
    fb_ops_free(&out->ops);
    if (job->letter == FB_LETTER_CODE) {
        fb_log(FB_ERROR,
               "a code could not be mailed to its reader while it was valid, and is given up: the "
               "reader has to ask for another one.  Last try: %s",
               out->reason.text);
        return;
    }
    fb_log(FB_ERROR,
           "a letter to the sender (%s) could not be sent for 24 hours and is given up; state and "
           "evidence: fumibako message show %s.  Last try: %s",
           fb_letter_name(job->letter), job->msg_id, out->reason.text);
}

/* The retry rules (worker.h). */
static void decide(struct job_run *j)
{
    const struct fb_worker_config *w = j->t->worker->w;
    struct fb_outcome *out = &j->out;
    const struct fb_job *job = &j->claim->job;
    if (out->kind == FB_OUTCOME_BURY && out->reason.status == FB_OK) {
        (void)fb_error_set(&out->reason, FB_BUG, "buried without a reason");
    }
    if (out->kind == FB_OUTCOME_RETRY && out->reason.status == FB_OK) {
        (void)fb_error_set(&out->reason, FB_AGAIN, "again, without a reason");
    }
    if (out->kind != FB_OUTCOME_RETRY && out->kind != FB_OUTCOME_BURY) {
        return;
    }
    if (out->reason.status == FB_LOST) {
        out->kind = FB_OUTCOME_DROP;
        return;
    }
    if (out->kind == FB_OUTCOME_BURY) {
        return;
    }
    if (fb_status_class(out->reason.status) != FB_CLASS_RETRY) {
        out->kind = FB_OUTCOME_BURY;
        return;
    }
    if (out->reason.status == FB_CONFIG && !(out->is_uncounted && out->delay_ms > 0)) {
        int64_t delay = CONFIG_DELAY_MS + (int64_t)fb_random_below(CONFIG_DELAY_MS);
        j->is_deferred = true;
        out->delay_ms = out->delay_ms > delay ? out->delay_ms : delay;
    } else if (out->is_uncounted) {
        j->is_deferred = true;
        out->delay_ms = out->delay_ms > 0 ? out->delay_ms : fb_queue_backoff_ms(0);
    } else {
        out->delay_ms = out->delay_ms > 0 ? out->delay_ms : fb_queue_backoff_ms(job->attempt);
        if (w->max_attempts > 0 && job->attempt + 1 >= w->max_attempts && !is_letter(job)) {
            out->kind = FB_OUTCOME_BURY;
            (void)fb_error_prefix(&out->reason, "gave up after %" PRIu32 " attempts",
                                  job->attempt + 1);
            return;
        }
    }
    if (is_letter(job)) {
        decide_letter(j);
        return;
    }
    if (w->lifetime_ms > 0 && fb_now_ms() + out->delay_ms > job->first_ms + w->lifetime_ms) {
        out->kind = FB_OUTCOME_BURY;
        (void)fb_error_prefix(&out->reason, "gave up after %" PRId64 " s", w->lifetime_ms / 1000);
    }
}

static enum fb_status end_once(struct job_run *j, struct fb_error *err)
{
    struct fb_redis *r = j->t->redis;
    const char *me = fb_worker_consumer();
    const struct fb_claim *claim = j->claim;
    const struct fb_outcome *out = &j->out;
    switch (out->kind) {
    case FB_OUTCOME_ADVANCE:
        return fb_queue_advance(r, me, claim, out->next, out->next_count, out->ops, err);
    case FB_OUTCOME_FINISH:
        return fb_queue_finish(r, me, claim, out->ops, &j->is_last, err);
    case FB_OUTCOME_RETRY:
        return j->is_deferred
                   ? fb_queue_defer(r, me, claim, out->delay_ms, &out->reason, out->ops, err)
                   : fb_queue_retry(r, me, claim, out->delay_ms, &out->reason, out->ops, err);
    case FB_OUTCOME_BURY:
        return fb_queue_bury(r, me, claim, &out->reason, out->ops, err);
    case FB_OUTCOME_RELEASE:
        return out->delay_ms > 0 ? fb_queue_defer(r, me, claim, out->delay_ms, NULL, out->ops, err)
                                 : fb_queue_release(r, me, claim, err);
    case FB_OUTCOME_RESTART:
        return fb_queue_restart(r, me, claim, err);
    case FB_OUTCOME_DROP:
        return fb_error_set(err, FB_LOST, "dropped");
    default:
        return fb_error_set(err, FB_BUG, "unknown outcome %d", (int)out->kind);
    }
}

/* Until it is ended, is not ours any more, or Redis was away so long that it may be another's.  A
 * Redis that answers and refuses (full, loading, a replica) is waited for: the heartbeat keeps the
 * claim, and to let go would hand the job from worker to worker as if it crashed them, until it is
 * held.  A drain ends that wait, too. */
static enum fb_status end_claim(struct job_run *j, struct fb_error *err)
{
    struct fb_worker *worker = j->t->worker;
    int64_t until = fb_mono_ms() + worker->min_idle_ms;
    int64_t told_ms = fb_mono_ms();
    int64_t pause = END_FIRST_MS;
    for (;;) {
        struct fb_error own = {.status = FB_OK};
        enum fb_status s = end_once(j, &own);
        *err = own;
        int64_t now = fb_mono_ms();
        bool is_refused = s == FB_AGAIN && !fb_worker_stopping(worker);
        until = is_refused ? now + worker->min_idle_ms : until;
        if (s == FB_OK || fb_status_class(s) != FB_CLASS_RETRY ||
            (!is_refused && now + pause > until)) {
            return s;
        }
        if (now - told_ms >= END_TELL_MS) {
            told_ms = now;
            fb_log(FB_WARN, "Redis refuses the end of a job, it is tried again: %s", own.text);
        }
        fb_worker_sleep(worker, pause, true);
        pause = pause * 2 < END_STEP_MS ? pause * 2 : END_STEP_MS;
    }
}

/* Everything that ends in the dead stream comes through here, with a chance for the service to do
 * better. */
static void before_bury(struct job_run *j)
{
    const struct fb_worker_config *w = j->t->worker->w;
    struct fb_outcome *out = &j->out;
    if (w->before_bury != NULL && !is_letter(&j->claim->job)) { /* it decides over branches */
        w->before_bury(w->ctx, j->t->thread, j->t->redis, j->claim, out);
    }
    if (out->kind == FB_OUTCOME_BURY && !fb_job_is_side(&j->claim->job)) {
        out->ops = out->ops == NULL ? fb_ops_new() : out->ops;
        fb_ledger_held(j->t->redis, out->ops, j->claim->job.msg_id, j->claim->job.branch,
                       &out->reason);
    }
}

/* The outcome could not be carried out for a reason that will not pass. */
static void turn_to_bury(struct job_run *j, const struct fb_error *why)
{
    bool is_second = j->out.kind == FB_OUTCOME_BURY;
    j->out.kind = FB_OUTCOME_BURY;
    j->out.reason = *why;
    free(j->out.next);
    j->out.next = NULL;
    j->out.next_count = 0;
    fb_ops_free(&j->out.ops);
    if (!is_second) {
        before_bury(j);
    }
}

static enum fb_status end_somehow(struct job_run *j, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (int round = 0; round < 3; round++) {
        s = end_claim(j, err);
        if (s == FB_OK || s == FB_EXISTS || s == FB_LOST || fb_status_class(s) == FB_CLASS_RETRY) {
            break;
        }
        fb_log(FB_ERROR, "the job cannot be ended as wanted, it is buried: %s", err->text);
        turn_to_bury(j, err);
    }
    return s;
}

static const char *label_of(const struct job_run *j, enum fb_status ended)
{
    if (ended == FB_EXISTS) {
        return "dup";
    }
    if (ended != FB_OK) {
        return "lost";
    }
    if (j->is_given_up) {
        return "lost";
    }
    switch (j->out.kind) {
    case FB_OUTCOME_ADVANCE:
    case FB_OUTCOME_FINISH:
        return j->out.reason.status == FB_RECALLED ? "recalled" : "ok";
    case FB_OUTCOME_BURY:
        return "held";
    case FB_OUTCOME_RETRY:
    case FB_OUTCOME_RELEASE:
    case FB_OUTCOME_RESTART:
    case FB_OUTCOME_DROP:
    default:
        return "retry";
    }
}

void fb_outcome_without_mail(const struct fb_claim *claim, struct fb_outcome *out)
{
    char label[48];
    (void)snprintf(label, sizeof(label), "stage=\"%s\"", fb_stage_name(claim->stage));
    fb_metric_add("fumibako_jobs_without_mail_total", label, 1);
    fb_log(FB_WARN, "the mail of this job is not in the spool: it was delivered and erased before, "
                    "or the spool has lost it; see fumibako message show");
    out->kind = claim->stage == FB_STAGE_REWRITE ? FB_OUTCOME_FINISH : FB_OUTCOME_ADVANCE;
}

void fb_worker_counters(enum fb_stage stage)
{
    static const struct fb_counters counters[] = {
        {"fumibako_jobs_total", {{"outcome", "ok|retry|held|lost|dup|recalled"}}},
        {"fumibako_deleted_pending_total", {{NULL, NULL}}},
        {"fumibako_jobs_without_mail_total", {{NULL, NULL}}},
        {NULL, {{NULL, NULL}}}};
    char label[48];
    (void)snprintf(label, sizeof(label), "stage=\"%s\"", fb_stage_name(stage));
    fb_metrics_declare(label, counters);
}

static void report(const struct job_run *j, const char *label, int64_t started_ms,
                   const struct fb_error *err)
{
    char labels[96];
    char delay[24];
    char duration[24];
    char again[24];
    int64_t took = fb_mono_ms() - started_ms;
    (void)snprintf(labels, sizeof(labels), "stage=\"%s\",outcome=\"%s\"", stage_of(j), label);
    fb_metric_add("fumibako_jobs_total", labels, 1);
    (void)snprintf(labels, sizeof(labels), "stage=\"%s\"", stage_of(j));
    fb_metric_observe("fumibako_job_seconds", labels, (double)took / 1000.0);
    (void)snprintf(delay, sizeof(delay), "%" PRId64, fb_now_ms() - j->claim->job.first_ms);
    (void)snprintf(duration, sizeof(duration), "%" PRId64, took);
    (void)snprintf(again, sizeof(again), "%" PRId64, j->out.delay_ms);
    bool is_ended = err->status == FB_OK || err->status == FB_EXISTS;
    const char *reason = !is_ended                       ? err->text
                         : j->out.reason.status != FB_OK ? j->out.reason.text
                                                         : "";
    enum fb_level level = is_ended && j->out.is_uncounted && j->out.reason.status != FB_CONFIG
                              ? FB_DEBUG
                          : strcmp(label, "held") == 0                                ? FB_ERROR
                          : strcmp(label, "retry") == 0 || strcmp(label, "lost") == 0 ? FB_WARN
                                                                                      : FB_INFO;
    fb_log_fields(level, "job ended", "result", label, "delay_ms", delay, "duration_ms", duration,
                  "again_in_ms", again, "reason", reason, NULL);
}

void fb_outcome_soon(const struct fb_claim *claim, struct fb_outcome *out)
{
    if (fb_now_ms() - claim->job.first_ms < SOON_AGE_MS) {
        out->is_uncounted = true;
        out->delay_ms = SOON_MS / 2 + (int64_t)fb_random_below(SOON_MS);
    }
}

/* The jobs that follow, and a further try, lie below this one's span. */
static void begin_span(const struct fb_claim *taken, struct fb_claim *claim, struct fb_span *span)
{
    *claim = *taken;
    fb_span_begin(span, taken->job.trace);
    if (fb_span_is_on(span)) {
        memcpy(claim->job.trace, span->trace, sizeof claim->job.trace);
        fb_span_enter(span);
    }
}

static void end_span(const struct job_run *j, const char *parcel_id, const char *label,
                     const struct fb_span *span)
{
    char attempt[16];
    bool is_bad =
        strcmp(label, "held") == 0 || strcmp(label, "lost") == 0 || strcmp(label, "retry") == 0;
    (void)snprintf(attempt, sizeof(attempt), "%" PRIu32, j->claim->job.attempt);
    fb_span_enter(NULL);
    fb_span_end(span, stage_of(j), FB_SPAN_CONSUMER, is_bad ? label : NULL, "fumibako.msg_id",
                j->claim->job.msg_id, "fumibako.parcel_id", parcel_id, "fumibako.outcome", label,
                "fumibako.attempt", attempt, "messaging.system", "redis",
                "messaging.destination.name", stage_of(j), NULL);
}

void fb_worker_job(struct fb_worker_thread *t, const struct fb_claim *taken)
{
    const struct fb_worker_config *w = t->worker->w;
    struct fb_claim own;
    struct fb_span span;
    const struct fb_claim *claim = &own;
    struct job_run j = {.t = t, .claim = claim};
    struct fb_error err = {.status = FB_OK};
    int64_t started = fb_mono_ms();
    char parcel_id[FB_PARCEL_ID_SIZE] = "";
    begin_span(taken, &own, &span);
    if (claim->stage != FB_STAGE_RENDER) {
        fb_parcel_id_make(claim->job.msg_id, claim->job.branch, parcel_id);
    }
    fb_log_context(claim->job.msg_id, parcel_id[0] != '\0' ? parcel_id : NULL, stage_of(&j),
                   claim->job.trace, claim->job.attempt);
    /* With Redis away the work is begun all the same: it is idempotent, and the end of the claim is
     * fenced. */
    enum fb_status s = fb_queue_check(t->redis, fb_worker_consumer(), claim, &err);
    if (s != FB_EXISTS && s != FB_LOST) {
        err.status = FB_OK;
        if (claim->deliveries > w->max_deliveries) {
            j.out.kind = FB_OUTCOME_BURY;
            (void)fb_error_set(&j.out.reason, FB_CRASHED,
                               "crash-loop: delivered %" PRIu32 " times and never ended",
                               claim->deliveries);
        } else {
            w->handle(w->ctx, t->thread, t->redis, claim, &j.out);
        }
        decide(&j);
        if (j.out.kind == FB_OUTCOME_BURY) {
            before_bury(&j);
        }
        fb_worker_tell_late(t, claim, &j.out);
        s = end_somehow(&j, &err);
        if ((s == FB_OK || s == FB_EXISTS) && j.is_last && w->message_done != NULL) {
            w->message_done(w->ctx, t->thread, claim);
        }
    }
    report(&j, label_of(&j, s), started, &err);
    end_span(&j, parcel_id, label_of(&j, s), &span);
    if (s == FB_OK && j.out.kind == FB_OUTCOME_RELEASE && j.out.delay_ms <= 0) {
        fb_worker_sleep(t->worker, RELEASE_REST_MS, false); /* or it would be read again at once */
    }
    free(j.out.next);
    fb_ops_free(&j.out.ops);
    fb_log_context_clear();
}

void fb_worker_hand_back(struct fb_worker_thread *t, const struct fb_claim *claim)
{
    struct job_run j = {.t = t, .claim = claim, .out = {.kind = FB_OUTCOME_RELEASE}};
    struct fb_error err = {.status = FB_OK};
    fb_log_context(claim->job.msg_id, NULL, stage_of(&j), claim->job.trace, claim->job.attempt);
    if (end_claim(&j, &err) != FB_OK) {
        fb_log(FB_WARN, "a job could not be handed back, another worker claims it later: %s",
               err.text);
    }
    fb_log_context_clear();
}
