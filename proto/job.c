/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/job.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/pack.h"

static const char *const stages[FB_STAGE_COUNT] = {"render", "upload", "rewrite", "revoke"};
static const char *const ops[] = {"", "recall", "restore", "expire", "purge"};
static const char *const letters[] = {"", "receipt", "held", "recall", "unopened", "code"};
#define LETTER_COUNT (sizeof letters / sizeof letters[0])

const char *fb_stage_name(enum fb_stage stage)
{
    return stage < FB_STAGE_COUNT ? stages[stage] : "unknown";
}

bool fb_stage_parse(const char *name, enum fb_stage *stage_r)
{
    for (int i = 0; i < FB_STAGE_COUNT; i++) {
        if (strcmp(name, stages[i]) == 0) {
            *stage_r = (enum fb_stage)i;
            return true;
        }
    }
    return false;
}

static bool is_letter(const struct fb_job *job)
{
    return job->stage == FB_STAGE_REWRITE && job->letter != FB_LETTER_NONE;
}

bool fb_job_is_side(const struct fb_job *job)
{
    return job->stage == FB_STAGE_REVOKE || is_letter(job);
}

const char *fb_letter_name(enum fb_letter letter)
{
    return (size_t)letter < LETTER_COUNT ? letters[letter] : "";
}

/* Whether the key "recall" has a place in this job. */
static bool may_name_recall(const struct fb_job *job)
{
    return (job->stage == FB_STAGE_REVOKE && job->op == FB_REVOKE_RECALL) ||
           (is_letter(job) && job->letter == FB_LETTER_RECALL);
}

enum fb_status fb_job_encode(const struct fb_job *job, struct fb_buf *out)
{
    struct fb_pack p;
    bool is_revoke = job->stage == FB_STAGE_REVOKE;
    bool names_recall = may_name_recall(job) && job->recall_id[0] != '\0';
    bool is_code = is_letter(job) && job->letter == FB_LETTER_CODE;
    uint32_t lowest = is_code ? 3 : is_letter(job) ? 2 : 1;
    fb_pack_init(&p, out);
    fb_pack_map(&p, 8 + (is_revoke ? 3 : 0) + (is_letter(job) ? 1 : 0) + (names_recall ? 1 : 0) +
                        (is_code ? 1 : 0));
    fb_pack_uint(&p, "v", job->version > lowest ? job->version : lowest);
    fb_pack_str(&p, "stage", fb_stage_name(job->stage));
    fb_pack_str(&p, "msg", job->msg_id);
    fb_pack_str(&p, "spool", job->spool_ref);
    fb_pack_uint(&p, "branch", job->branch);
    fb_pack_uint(&p, "attempt", job->attempt);
    fb_pack_uint(&p, "first", job->first_ms > 0 ? (uint64_t)job->first_ms : 0);
    fb_pack_str(&p, "trace", job->trace);
    if (is_revoke) {
        fb_pack_str(&p, "op", ops[job->op]);
        fb_pack_bool(&p, "content", job->takes_content);
        fb_pack_uints(&p, "rcpts", job->recipients, job->recipient_count);
    }
    if (is_letter(job)) {
        fb_pack_str(&p, "letter", fb_letter_name(job->letter));
    }
    if (names_recall) {
        fb_pack_str(&p, "recall", job->recall_id);
    }
    if (is_code) {
        fb_pack_uint(&p, "rcpt", job->reader);
    }
    return p.status;
}

static void read_revoke(struct fb_read *r, struct fb_job *job)
{
    char op[16] = "";
    fb_read_str_into(r, "op", op, sizeof op);
    job->takes_content = fb_read_bool(r, "content");
    uint32_t count = 0;
    uint32_t *list = fb_read_uints(r, "rcpts", FB_MAX_JOB_RCPT, FB_MAX_RECIPIENTS - 1, &count);
    if (list != NULL) {
        memcpy(job->recipients, list, count * sizeof *list);
        job->recipient_count = count;
        free(list);
    }
    for (size_t i = 1; i < sizeof ops / sizeof ops[0]; i++) {
        if (strcmp(op, ops[i]) == 0) {
            job->op = (enum fb_revoke_op)i;
            return;
        }
    }
    (void)fb_read_fail(r, "op", "unknown");
}

static void read_letter(struct fb_read *r, struct fb_job *job)
{
    char *name = fb_read_opt_str(r, "letter", 16);
    if (name == NULL) {
        return; /* a notice or a mail (or an error, which r keeps) */
    }
    for (size_t i = 1; i < LETTER_COUNT; i++) {
        job->letter = strcmp(name, letters[i]) == 0 ? (enum fb_letter)i : job->letter;
    }
    free(name);
    if (job->letter == FB_LETTER_NONE) {
        (void)fb_read_fail(r, "letter", "unknown");
    } else if (job->letter == FB_LETTER_CODE) {
        job->reader = (uint32_t)fb_read_uint(r, "rcpt", FB_MAX_RECIPIENTS - 1);
    }
}

static void read_recall(struct fb_read *r, struct fb_job *job)
{
    if (!may_name_recall(job)) {
        return;
    }
    char *id = fb_read_opt_str(r, "recall", FB_ID_SIZE - 1);
    if (id != NULL && fb_id_is_valid(id)) {
        memcpy(job->recall_id, id, strlen(id) + 1);
    } else if (id != NULL) {
        (void)fb_read_fail(r, "recall", "no id of a recall");
    } else if (job->letter == FB_LETTER_RECALL) {
        (void)fb_read_fail(r, "recall", "missing"); /* it could not say of what it speaks */
    }
    free(id);
}

bool fb_job_peek(struct fb_slice bytes, char msg_id_r[FB_ID_SIZE])
{
    struct fb_read r;
    char msg_id[FB_ID_SIZE] = "";
    fb_read_init(&r, "job", bytes, FB_MAX_JOB, NULL);
    bool has_version = fb_read_uint(&r, "v", UINT32_MAX) > 0;
    fb_read_str_into(&r, "msg", msg_id, sizeof msg_id);
    bool is_good = r.status == FB_OK && has_version && fb_id_is_valid(msg_id);
    fb_read_deinit(&r);
    if (is_good) {
        memcpy(msg_id_r, msg_id, sizeof msg_id);
    }
    return is_good;
}

enum fb_status fb_job_decode(struct fb_slice bytes, struct fb_job *job_r, struct fb_error *err)
{
    struct fb_read r;
    struct fb_job job = {0};
    char stage[16] = "";
    fb_read_init(&r, "job", bytes, FB_MAX_JOB, err);
    job.version = fb_read_version(&r, FB_JOB_OLDEST, FB_JOB_VERSION);
    fb_read_str_into(&r, "stage", stage, sizeof stage);
    fb_read_str_into(&r, "msg", job.msg_id, sizeof job.msg_id);
    fb_read_str_into(&r, "spool", job.spool_ref, sizeof job.spool_ref);
    job.branch = (uint32_t)fb_read_uint(&r, "branch", FB_MAX_BRANCHES - 1);
    job.attempt = (uint32_t)fb_read_uint(&r, "attempt", 1000000);
    job.first_ms = (int64_t)fb_read_uint(&r, "first", INT64_MAX);
    fb_read_str_into(&r, "trace", job.trace, sizeof job.trace);
    if (r.status == FB_OK && !fb_stage_parse(stage, &job.stage)) {
        (void)fb_read_fail(&r, "stage", "unknown");
    }
    if (r.status == FB_OK && !fb_id_is_valid(job.msg_id)) {
        (void)fb_read_fail(&r, "msg", "no message id");
    }
    if (r.status == FB_OK && job.trace[0] != '\0' && !fb_trace_is_valid(job.trace)) {
        (void)fb_read_fail(&r, "trace", "no traceparent");
    }
    if (r.status == FB_OK && job.stage == FB_STAGE_REVOKE) {
        read_revoke(&r, &job);
    }
    if (r.status == FB_OK && job.stage == FB_STAGE_REWRITE) {
        read_letter(&r, &job);
    }
    if (r.status == FB_OK) {
        read_recall(&r, &job);
    }
    enum fb_status s = r.status;
    fb_read_deinit(&r);
    if (s == FB_OK) {
        *job_r = job;
    }
    return s;
}
