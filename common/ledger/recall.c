/* SPDX-License-Identifier: Apache-2.0
 *
 * A recall's request, as one script on the keys of the message (scripts.c): flags, jobs, history
 * and record are written together or not at all.
 *
 * Recall before the parcel exists: one more revoke job waits in the message's hash (v:<branch>:<k>)
 * and upload's advance moves it to the stream in the step that makes the parcel known.  So there is
 * no moment between "not yet uploaded" and "uploaded" in which a recall gets lost.  Upload still
 * looks at the flags before and after its effect, to grant nothing that it knows to be recalled.
 */
#include "common/ledger/recall.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "common/ledger/stats.h"

#define MAX_ROUNDS 5 /* the plan appears once; more than two would take a restart in between */
#define REPORT_MS  5000
#define KEPT_MS    1000 /* a replica answers within milliseconds, if at all */

struct recall {
    const struct fb_ledger_message *m;
    const struct fb_recall_request *q;
    bool *wants; /* by recipient index */
    int shard;
    int64_t now;
    struct fb_call jobs;  /* only its arguments are used: branch, waits, mark, job, ... */
    struct fb_call lines; /* the same: key, line */
    size_t job_count, line_count;
};

/* The name of a job's mark: "<branch>.<first recipient>", "<branch>.a" for all of the branch.  It
 * is the same for the copy of a job that waits for the upload. */
static void mark_name(const struct fb_job *job, char mark[32])
{
    if (job->recipient_count == 0) {
        (void)snprintf(mark, 32, "%" PRIu32 ".a", job->branch);
    } else {
        (void)snprintf(mark, 32, "%" PRIu32 ".%" PRIu32, job->branch, job->recipients[0]);
    }
}

static enum fb_status add_job(struct recall *rc, uint32_t branch, const uint32_t *recipients,
                              uint32_t count, struct fb_error *err)
{
    struct fb_job job = {
        .stage = FB_STAGE_REVOKE, .branch = branch, .first_ms = rc->now, .op = FB_REVOKE_RECALL};
    char mark[32];
    memcpy(job.msg_id, rc->m->msg_id, sizeof(job.msg_id));
    memcpy(job.recall_id, rc->q->id, sizeof(job.recall_id));
    fb_trace_new(job.trace);
    job.takes_content = rc->q->takes_content;
    job.recipient_count = count;
    if (count > 0) {
        memcpy(job.recipients, recipients, count * sizeof(*recipients));
    }
    mark_name(&job, mark);
    bool has_parcel = branch < rc->m->branch_count && rc->m->branches[branch].parcel_id[0] != '\0';
    fb_call_arg_int(&rc->jobs, branch);
    fb_call_arg_str(&rc->jobs, has_parcel ? "1" : "0");
    fb_call_arg_copy(&rc->jobs, mark);
    rc->job_count++;
    return fb_call_arg_job(&rc->jobs, &job, err);
}

static json_t *index_list(const uint32_t *recipients, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, json_integer(recipients[i]));
    }
    return list;
}

static void add_line(struct recall *rc, uint32_t branch, const uint32_t *recipients, uint32_t count)
{
    if (rc->m->branches[branch].parcel_id[0] == '\0') {
        return; /* the history is a parcel's */
    }
    json_t *line = json_pack("{s:I, s:o, s:s, s:s, s:s, s:s, s:s, s:s}", "at", (json_int_t)rc->now,
                             "recipients", count > 0 ? index_list(recipients, count) : json_null(),
                             "from", "", "to", "recalling", "actor", rc->q->actor, "source",
                             "recall", "through", rc->q->source, "recall", rc->q->id);
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text != NULL) {
        fb_call_key(&rc->lines, rc->shard, "h:%s", rc->m->branches[branch].parcel_id);
        fb_call_arg_copy(&rc->lines, text);
        rc->line_count++;
    }
    free(text);
    json_decref(line);
}

static enum fb_status add_chunks(struct recall *rc, uint32_t branch, const uint32_t *recipients,
                                 uint32_t count, bool has_plan, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (uint32_t from = 0; s == FB_OK && from < count; from += FB_MAX_JOB_RCPT) {
        uint32_t n = count - from < FB_MAX_JOB_RCPT ? count - from : FB_MAX_JOB_RCPT;
        s = add_job(rc, branch, recipients + from, n, err);
        if (has_plan) {
            add_line(rc, branch, recipients + from, n);
        }
    }
    return s;
}

/* The branch's recipients that are wanted; a whole branch is said by an empty list. */
static enum fb_status add_branch(struct recall *rc, uint32_t branch, struct fb_error *err)
{
    const struct fb_ledger_message *m = rc->m;
    uint32_t *wanted = fb_xcalloc(m->recipient_count + 1, sizeof(*wanted));
    uint32_t count = 0;
    bool is_whole = true;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].branch == branch && rc->wants[i]) {
            wanted[count++] = i;
        } else if (m->recipients[i].branch == branch) {
            is_whole = false;
        }
    }
    enum fb_status s = FB_OK;
    if (count > 0 && is_whole) {
        s = add_job(rc, branch, NULL, 0, err);
        add_line(rc, branch, NULL, 0);
    } else {
        s = add_chunks(rc, branch, wanted, count, true, err);
    }
    free(wanted);
    return s;
}

/* Nothing is planned, or the wanted ones belong to no branch that is known (a rebuilt ledger). */
static enum fb_status add_anyhow(struct recall *rc, struct fb_error *err)
{
    return rc->q->count == 0
               ? add_job(rc, 0, NULL, 0, err)
               : add_chunks(rc, 0, rc->q->recipients, (uint32_t)rc->q->count, false, err);
}

static enum fb_status add_jobs(struct recall *rc, uint32_t planned, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (uint32_t b = 0; s == FB_OK && b < planned; b++) {
        s = add_branch(rc, b, err);
    }
    if (s == FB_OK && rc->job_count == 0) {
        s = add_anyhow(rc, err);
    }
    return s;
}

/* ---- the call ---- */

static enum fb_status add_record(const struct recall *rc, struct fb_call *c, struct fb_error *err)
{
    const struct fb_recall_request *q = rc->q;
    json_t *o =
        json_pack("{s:I, s:s, s:s, s:s, s:b, s:b, s:o}", "at", (json_int_t)rc->now, "actor",
                  q->actor, "source", q->source, "reason", q->reason != NULL ? q->reason : "",
                  "all", (int)(q->count == 0), "content", (int)q->takes_content, "rcpts",
                  index_list(q->recipients, q->count));
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (text == NULL) {
        return fb_error_set(err, FB_INVALID, "the recall's actor or reason is not UTF-8");
    }
    fb_call_arg_copy(c, text);
    free(text);
    return FB_OK;
}

static enum fb_status run_recall(struct fb_redis *r, struct recall *rc, uint32_t planned,
                                 const uint32_t *recipients, size_t count, bool *was_out_r,
                                 struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    fb_call_key(&c, rc->shard, "m:%s", rc->m->msg_id);
    fb_call_key(&c, rc->shard, "%s", fb_stage_name(FB_STAGE_REVOKE));
    fb_call_key(&c, rc->shard, "rc:%s", rc->m->msg_id);
    fb_call_key(&c, rc->shard, "%s", "due");
    fb_call_arg_int(&c, rc->now);
    fb_call_arg_str(&c, rc->q->count == 0 ? "1" : "0");
    fb_call_arg_int(&c, planned);
    fb_call_arg_int(&c, (int64_t)count);
    fb_call_arg_int(&c, (int64_t)rc->job_count);
    fb_call_arg_int(&c, (int64_t)rc->line_count);
    fb_call_arg_str(&c, rc->m->msg_id);
    fb_call_arg_str(&c, rc->q->id);
    fb_call_arg_int(&c, rc->now + REPORT_MS);
    fb_call_arg_int(&c, FB_MAX_RECALLS);
    enum fb_status s = add_record(rc, &c, err);
    for (size_t i = 0; i < count; i++) {
        fb_call_arg_int(&c, recipients[i]);
    }
    for (size_t i = 0; i < rc->jobs.arg_count; i++) {
        fb_call_arg(&c, rc->jobs.args[i]);
    }
    for (size_t i = 0; i < rc->line_count; i++) {
        fb_call_key_slice(&c, rc->lines.keys[i]);
        fb_call_arg_int(&c, (int64_t)c.key_count);
        fb_call_arg(&c, rc->lines.args[i]);
    }
    redisReply *reply = NULL;
    if (s == FB_OK) {
        s = fb_call_run(r, FB_SCRIPT_RECALL, &c, &reply, err);
    }
    if (reply != NULL && was_out_r != NULL) {
        fb_ledger_read_bits(reply, count, was_out_r);
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s == FB_CORRUPT ? fb_error_set(err, FB_TOO_BIG,
                                          "message %s was recalled too often: at most %d times, "
                                          "and 40 times before its upload",
                                          rc->m->msg_id, FB_MAX_RECALLS)
                           : s;
}

static enum fb_status recall_once(struct fb_redis *r, const char *msg_id,
                                  const struct fb_recall_request *q, bool *was_out_r,
                                  struct fb_error *err)
{
    struct fb_ledger_message m;
    uint32_t planned = 0;
    enum fb_status s = fb_ledger_load(r, msg_id, &m, &planned, err);
    if (s != FB_OK) {
        return s;
    }
    struct recall rc = {.m = &m, .q = q, .shard = fb_redis_shard(r, msg_id), .now = fb_now_ms()};
    fb_call_init(&rc.jobs);
    fb_call_init(&rc.lines);
    rc.wants = fb_xcalloc(m.recipient_count + 1, sizeof(*rc.wants));
    uint32_t *all = fb_xcalloc(m.recipient_count + 1, sizeof(*all));
    for (uint32_t i = 0; i < m.recipient_count; i++) {
        all[i] = i;
        rc.wants[i] = q->count == 0;
    }
    for (size_t i = 0; s == FB_OK && i < q->count; i++) {
        if (q->recipients[i] >= m.recipient_count) {
            s = fb_error_set(err, FB_NOT_FOUND, "message %s has no recipient %" PRIu32, msg_id,
                             q->recipients[i]);
        } else {
            rc.wants[q->recipients[i]] = true;
        }
    }
    if (s == FB_OK) {
        s = add_jobs(&rc, planned, err);
    }
    if (s == FB_OK) {
        s = run_recall(r, &rc, planned, q->count == 0 ? all : q->recipients,
                       q->count == 0 ? m.recipient_count : q->count, was_out_r, err);
    }
    fb_call_deinit(&rc.jobs);
    fb_call_deinit(&rc.lines);
    free(rc.wants);
    free(all);
    fb_ledger_message_deinit(&m);
    return s;
}

static enum fb_status check_request(const struct fb_recall_request *q, struct fb_error *err)
{
    if (q->id[0] != '\0' && !fb_id_is_valid(q->id)) {
        return fb_error_set(err, FB_INVALID, "the recall's id is no id");
    }
    if (q->reason != NULL && strlen(q->reason) > FB_MAX_RECALL_REASON) {
        return fb_error_set(err, FB_INVALID, "the recall's reason is longer than %d bytes",
                            FB_MAX_RECALL_REASON);
    }
    if (strlen(q->actor) >= sizeof(((struct fb_recall *)0)->actor) ||
        strlen(q->source) >= sizeof(((struct fb_recall *)0)->source)) {
        return fb_error_set(err, FB_INVALID, "the recall's actor or source is too long");
    }
    return FB_OK;
}

static enum fb_status recall_planned(struct fb_redis *r, const char *msg_id,
                                     const struct fb_recall_request *q, bool *was_out_r,
                                     struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (int round = 0; round < MAX_ROUNDS; round++) {
        struct fb_error own = {.status = FB_OK};
        s = recall_once(r, msg_id, q, was_out_r, &own);
        if (s != FB_OK && err != NULL) {
            *err = own;
        }
        if (s != FB_AGAIN || strncmp(own.text, "recall: not now", 15) != 0) {
            break; /* AGAIN of the script: render was faster, look at its plan */
        }
    }
    return s;
}

/* A fail-over forgets the last writes, and who asks for a recall must not believe it done then.
 * What no replica confirms is asked for once more: a new primary that did not get it gets it so. */
enum fb_status fb_ledger_recall(struct fb_redis *r, const char *msg_id, struct fb_recall_request *q,
                                bool *was_out_r, struct fb_error *err)
{
    enum fb_status s = check_request(q, err);
    if (s != FB_OK) {
        return s;
    }
    if (q->id[0] == '\0') {
        fb_id_new(q->id);
    }
    int shard = fb_redis_shard(r, msg_id);
    q->is_unsure = false;
    s = recall_planned(r, msg_id, q, was_out_r, err);
    if (s != FB_OK && s != FB_EXISTS) {
        return s;
    }
    uint64_t connections = fb_redis_connections(r);
    q->is_unsure = !fb_ledger_is_kept(r, shard, connections, KEPT_MS);
    if (s == FB_OK) {
        fb_ledger_count_now(r, shard, FB_STAT_RECALLED, q->count > 0 ? (int64_t)q->count : 1);
    }
    if (q->is_unsure) {
        enum fb_status again = recall_planned(r, msg_id, q, NULL, NULL);
        q->is_unsure = (again != FB_OK && again != FB_EXISTS) ||
                       !fb_ledger_is_kept(r, shard, fb_redis_connections(r), KEPT_MS);
    }
    return s;
}

/* ---- what becomes of it ---- */

static void recall_key(struct fb_redis *r, const char *msg_id, char key[FB_KEY_SIZE])
{
    fb_key(key, fb_redis_shard(r, msg_id), "rc:%s", msg_id);
}

/* Its sender is to be told, as soon as somebody looks. */
static void report_now(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job)
{
    char id[2 * FB_ID_SIZE];
    (void)snprintf(id, sizeof(id), "%s/%s", job->msg_id, job->recall_id);
    fb_ledger_due_add(r, ops, FB_DUE_REPORT, id, fb_now_ms());
}

void fb_ledger_recall_record(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                             const bool *is_recalled, size_t count)
{
    char key[FB_KEY_SIZE];
    char due[2 * FB_ID_SIZE];
    json_t *list = json_array();
    for (size_t i = 0; is_recalled != NULL && i < count; i++) {
        if (is_recalled[i]) {
            (void)json_array_append_new(list, json_integer((json_int_t)i));
        }
    }
    json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:b, s:b, s:o}", "at", (json_int_t)fb_now_ms(),
                          "actor", "", "source", "journal", "reason", "", "all",
                          (int)(is_recalled == NULL), "content", 0, "rcpts", list);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    FB_ASSERT(text != NULL);
    recall_key(r, msg_id, key);
    fb_ops_add(ops, "HSET", key, msg_id, text, NULL);
    fb_ops_add(ops, "EXPIRE", key, FB_LEDGER_LOST_TTL, "NX", NULL);
    fb_ledger_recall_told(r, ops, msg_id, msg_id, "interim");
    (void)snprintf(due, sizeof due, "%s/%s", msg_id, msg_id);
    fb_ledger_due_add(r, ops, FB_DUE_REPORT, due, fb_now_ms() + REPORT_MS);
    free(text);
    json_decref(o);
}

void fb_ledger_recall_job_begun(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job)
{
    char key[FB_KEY_SIZE];
    char mark[32];
    char field[80];
    mark_name(job, mark);
    recall_key(r, job->msg_id, key);
    (void)snprintf(field, sizeof(field), "j:%s:%s", job->recall_id, mark);
    fb_ops_add(ops, "HSET", key, field, "1", NULL);
}

void fb_ledger_recall_job_done(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job)
{
    char key[FB_KEY_SIZE];
    char mark[32];
    char pending[80];
    char failed[80];
    if (job->recall_id[0] == '\0') {
        return;
    }
    mark_name(job, mark);
    recall_key(r, job->msg_id, key);
    (void)snprintf(pending, sizeof(pending), "j:%s:%s", job->recall_id, mark);
    (void)snprintf(failed, sizeof(failed), "f:%s:%s", job->recall_id, mark);
    fb_ops_add(ops, "HDEL", key, pending, failed, NULL);
    report_now(r, ops, job);
}

void fb_ledger_recall_job_failed(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job,
                                 const struct fb_error *reason)
{
    char key[FB_KEY_SIZE];
    char mark[32];
    char field[80];
    if (job->recall_id[0] == '\0') {
        return;
    }
    mark_name(job, mark);
    recall_key(r, job->msg_id, key);
    json_t *o =
        json_pack("{s:i, s:o, s:s*}", "branch", (int)job->branch, "rcpts",
                  index_list(job->recipients, job->recipient_count), "reason", reason->text);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    (void)snprintf(field, sizeof(field), "f:%s:%s", job->recall_id, mark);
    fb_ops_add(ops, "HSET", key, field, text != NULL ? text : "{}", NULL);
    (void)snprintf(field, sizeof(field), "j:%s:%s", job->recall_id, mark);
    fb_ops_add(ops, "HDEL", key, field, NULL);
    fb_ops_add(ops, "EXPIRE", key, FB_LEDGER_LOST_TTL, "NX", NULL);
    free(text);
    json_decref(o);
    report_now(r, ops, job);
}

static void set_mark(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, char kind,
                     const char *recall_id, const char *value)
{
    char key[FB_KEY_SIZE];
    char field[40];
    recall_key(r, msg_id, key);
    (void)snprintf(field, sizeof(field), "%c:%.*s", kind, FB_ID_SIZE - 1, recall_id);
    fb_ops_add(ops, "HSET", key, field, value, NULL);
    fb_ops_add(ops, "EXPIRE", key, FB_LEDGER_LOST_TTL, "NX", NULL);
}

void fb_ledger_recall_told(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                           const char *recall_id, const char *told)
{
    set_mark(r, ops, msg_id, 't', recall_id, told);
}

void fb_ledger_recall_sent(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                           const char *recall_id, const char *sent)
{
    set_mark(r, ops, msg_id, 's', recall_id, sent);
}

void fb_ledger_recall_reopen(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job)
{
    set_mark(r, ops, job->msg_id, 't', job->recall_id, "interim");
    report_now(r, ops, job);
}
