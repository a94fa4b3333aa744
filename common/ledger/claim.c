/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is first: sending or recall.  Both are one script on the message's hash, so exactly one of
 * them wins for each recipient.
 *
 * Recall before the parcel exists: the revoke job waits in the message's hash (v:<branch>:<k>) and
 * upload's advance moves it to the stream in the step that makes the parcel known.  So there is no
 * moment between "not yet uploaded" and "uploaded" in which a recall gets lost.  Upload still looks
 * at the flags before and after its effect, to grant nothing that it knows to be recalled.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"

#define MAX_ROUNDS                                                                                 \
    5 /* the plan appears once; more than two rounds would take a restart in between */

static void read_bits(const redisReply *reply, size_t count, bool *bits_r)
{
    struct fb_slice bits = {NULL, 0};
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        bits = fb_reply_slice(reply->element[1]);
    }
    for (size_t i = 0; i < count; i++) {
        bits_r[i] = i < bits.len && bits.ptr[i] == '1';
    }
}

enum fb_status fb_ledger_claim_sending(struct fb_redis *r, const char *consumer,
                                       const struct fb_claim *claim, const uint32_t *recipients,
                                       size_t count, bool *may_r, struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    fb_call_key(&c, claim->shard, "%s", fb_stage_name(claim->stage));
    fb_call_key(&c, claim->shard, "m:%s", claim->job.msg_id);
    fb_call_arg_str(&c, FB_GROUP);
    fb_call_arg_str(&c, consumer);
    fb_call_arg_str(&c, claim->id);
    for (size_t i = 0; i < count; i++) {
        fb_call_arg_int(&c, recipients[i]);
    }
    redisReply *reply = NULL;
    enum fb_status s = fb_call_run(r, FB_SCRIPT_CLAIM_SENDING, &c, &reply, err);
    if (s == FB_OK) {
        read_bits(reply, count, may_r);
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_ledger_recalled(struct fb_redis *r, const char *msg_id,
                                  const uint32_t *recipients, size_t count, bool *recalled_r,
                                  struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    fb_key(key, fb_redis_shard(r, msg_id), "m:%s", msg_id);
    struct fb_slice *argv = fb_xcalloc(count + 3, sizeof(*argv));
    char(*names)[24] = fb_xcalloc(count + 1, sizeof(*names));
    argv[0] = fb_slice_str("HMGET");
    argv[1] = fb_slice_str(key);
    argv[2] = fb_slice_str("recalled");
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "x:%" PRIu32, recipients[i]);
        argv[3 + i] = fb_slice_str(names[i]);
    }
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_command(r, count + 3, argv, &reply, err);
    if (s == FB_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != count + 1)) {
        s = fb_error_set(err, FB_BUG, "HMGET: odd answer");
    }
    for (size_t i = 0; s == FB_OK && i < count; i++) {
        recalled_r[i] = reply->element[0]->type == REDIS_REPLY_STRING ||
                        reply->element[1 + i]->type == REDIS_REPLY_STRING;
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    free(argv);
    free(names);
    return s;
}

/* ---- recall ---- */

struct recall {
    const struct fb_ledger_message *m;
    bool *wants; /* by recipient index */
    int shard;
    bool is_all, takes_content;
    const char *actor;
    int64_t now;
    struct fb_call jobs;  /* only its arguments are used: branch, job, ... */
    struct fb_call lines; /* the same: key, line */
    size_t job_count, line_count;
};

static enum fb_status add_job(struct recall *rc, uint32_t branch, const uint32_t *recipients,
                              uint32_t count, struct fb_error *err)
{
    struct fb_job job = {
        .stage = FB_STAGE_REVOKE, .branch = branch, .first_ms = rc->now, .op = FB_REVOKE_RECALL};
    memcpy(job.msg_id, rc->m->msg_id, sizeof(job.msg_id));
    fb_trace_new(job.trace);
    job.takes_content = rc->takes_content;
    job.recipient_count = count;
    if (count > 0) {
        memcpy(job.recipients, recipients, count * sizeof(*recipients));
    }
    fb_call_arg_int(&rc->jobs, branch);
    rc->job_count++;
    return fb_call_arg_job(&rc->jobs, &job, err);
}

static void add_line(struct recall *rc, uint32_t branch, const uint32_t *recipients, uint32_t count)
{
    json_t *list = count > 0 ? json_array() : json_null();
    for (uint32_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, json_integer(recipients[i]));
    }
    json_t *line =
        json_pack("{s:I, s:o, s:s, s:s, s:s, s:s}", "at", (json_int_t)rc->now, "recipients", list,
                  "from", "", "to", "recalling", "actor", rc->actor, "source", "recall");
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text != NULL) {
        fb_call_key(&rc->lines, rc->shard, "h:%s", rc->m->branches[branch].parcel_id);
        fb_call_arg_copy(&rc->lines, text);
        rc->line_count++;
    }
    free(text);
    json_decref(line);
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
    }
    for (uint32_t from = 0; s == FB_OK && !is_whole && from < count; from += FB_MAX_JOB_RCPT) {
        uint32_t n = count - from < FB_MAX_JOB_RCPT ? count - from : FB_MAX_JOB_RCPT;
        s = add_job(rc, branch, wanted + from, n, err);
        add_line(rc, branch, wanted + from, n);
    }
    free(wanted);
    return s;
}

static enum fb_status run_recall(struct fb_redis *r, struct recall *rc, uint32_t planned,
                                 const uint32_t *recipients, size_t count, bool *was_out_r,
                                 struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    fb_call_key(&c, rc->shard, "m:%s", rc->m->msg_id);
    fb_call_key(&c, rc->shard, "%s", fb_stage_name(FB_STAGE_REVOKE));
    fb_call_arg_int(&c, rc->now);
    fb_call_arg_str(&c, rc->is_all ? "1" : "0");
    fb_call_arg_int(&c, planned);
    fb_call_arg_int(&c, (int64_t)count);
    fb_call_arg_int(&c, (int64_t)rc->job_count);
    fb_call_arg_int(&c, (int64_t)rc->line_count);
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
    enum fb_status s = fb_call_run(r, FB_SCRIPT_RECALL, &c, &reply, err);
    if (s == FB_OK) {
        if (was_out_r != NULL) {
            read_bits(reply, count, was_out_r);
        }
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}

static enum fb_status recall_once(struct fb_redis *r, const char *msg_id,
                                  const uint32_t *recipients, size_t count, bool takes_content,
                                  const char *actor, bool *was_out_r, struct fb_error *err)
{
    struct fb_ledger_message m;
    uint32_t planned = 0;
    enum fb_status s = fb_ledger_load(r, msg_id, &m, &planned, err);
    if (s != FB_OK) {
        return s;
    }
    struct recall rc = {.m = &m,
                        .shard = fb_redis_shard(r, msg_id),
                        .is_all = count == 0,
                        .takes_content = takes_content,
                        .actor = actor,
                        .now = fb_now_ms()};
    fb_call_init(&rc.jobs);
    fb_call_init(&rc.lines);
    rc.wants = fb_xcalloc(m.recipient_count + 1, sizeof(*rc.wants));
    uint32_t *all = fb_xcalloc(m.recipient_count + 1, sizeof(*all));
    for (uint32_t i = 0; i < m.recipient_count; i++) {
        all[i] = i;
        rc.wants[i] = rc.is_all;
    }
    for (size_t i = 0; s == FB_OK && i < count; i++) {
        if (recipients[i] >= m.recipient_count) {
            s = fb_error_set(err, FB_NOT_FOUND, "message %s has no recipient %" PRIu32, msg_id,
                             recipients[i]);
        } else {
            rc.wants[recipients[i]] = true;
        }
    }
    for (uint32_t b = 0; s == FB_OK && b < planned; b++) {
        if (m.branches[b].parcel_id[0] != '\0') {
            s = add_branch(&rc, b, err);
        }
    }
    if (s == FB_OK) {
        s = run_recall(r, &rc, planned, rc.is_all ? all : recipients,
                       rc.is_all ? m.recipient_count : count, was_out_r, err);
    }
    fb_call_deinit(&rc.jobs);
    fb_call_deinit(&rc.lines);
    free(rc.wants);
    free(all);
    fb_ledger_message_deinit(&m);
    return s;
}

enum fb_status fb_ledger_recall(struct fb_redis *r, const char *msg_id, const uint32_t *recipients,
                                size_t count, bool takes_content, const char *actor,
                                bool *was_out_r, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (int round = 0; round < MAX_ROUNDS; round++) {
        struct fb_error own = {.status = FB_OK};
        s = recall_once(r, msg_id, recipients, count, takes_content, actor, was_out_r, &own);
        if (s != FB_OK && err != NULL) {
            *err = own;
        }
        if (s != FB_AGAIN || strncmp(own.text, "recall: not now", 15) != 0) {
            break; /* AGAIN of the script: render was faster, look at its plan */
        }
    }
    return s;
}
