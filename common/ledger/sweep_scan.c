/* SPDX-License-Identifier: Apache-2.0
 *
 * Which jobs ought to be there, and which of them are.
 *
 * What is suspected is kept small before anything is searched: a message whose stage's stream still
 * begins with an entry older than its last progress is waiting its turn.  What is left is looked for
 * in all places a job can be.  Jobs move while we look (a retry from stream to delayed set, a
 * promotion back, always to the stream's end), so the stream's end is read once more at the end; a
 * job that slips through all the same is found by the second look that every decision needs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/sweep_internal.h"

#define PAGE         500
#define MAX_LOOKED   20000U /* messages of one look: the next one goes on behind them */
#define BRANCH_WORDS 5      /* fields asked for a branch */
#define BRANCHES     100    /* asked for in one command */

static const enum fb_stage stages[] = {FB_STAGE_RENDER, FB_STAGE_UPLOAD, FB_STAGE_REWRITE};
#define STAGES (sizeof stages / sizeof stages[0])

/* ---- what ought to be there ---- */

static void suspect(struct fb_sweeper *s, const char *msg_id, const char *score,
                    enum fb_stage stage, uint32_t branch)
{
    if (s->count < FB_SWEEP_MAX_SUSPECTS) {
        struct fb_suspect *x = &s->suspects[s->count++];
        *x = (struct fb_suspect){.stage = stage, .branch = branch};
        (void)snprintf(x->msg_id, sizeof x->msg_id, "%s", msg_id);
        (void)snprintf(x->score, sizeof x->score, "%s", score);
    }
}

/* Milliseconds of the stream's oldest entry; INT64_MAX when it is empty. */
static enum fb_status oldest_ms(struct fb_redis *r, int shard, enum fb_stage stage,
                                enum fb_lane lane, int64_t *ms_r, struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    redisReply *reply = NULL;
    fb_stream_key(key, shard, stage, lane);
    enum fb_status s = fb_redis_call(r, &reply, err, "XRANGE", key, "-", "+", "COUNT", "1", NULL);
    if (s != FB_OK) {
        return s;
    }
    *ms_r = INT64_MAX;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
        reply->element[0]->type == REDIS_REPLY_ARRAY && reply->element[0]->elements == 2) {
        struct fb_slice id = fb_reply_slice(reply->element[0]->element[0]);
        const uint8_t *dash = id.len > 0 ? memchr(id.ptr, '-', id.len) : NULL;
        *ms_r = fb_slice_int(fb_slice_sub(id, 0, dash != NULL ? (size_t)(dash - id.ptr) : id.len));
    }
    freeReplyObject(reply);
    return s;
}

/* Held: its job is among the dead letters and nowhere else. */
static void suspect_held(struct fb_sweeper *s, const char *msg_id, const char *score,
                         enum fb_stage stage, uint32_t branch)
{
    size_t before = s->count;
    suspect(s, msg_id, score, stage, branch);
    if (s->count > before) {
        s->suspects[before].is_held = true;
    }
}

static bool is_there(const redisReply *reply, size_t i)
{
    return reply->type == REDIS_REPLY_ARRAY && i < reply->elements &&
           reply->element[i]->type == REDIS_REPLY_STRING;
}

static bool begins(const redisReply *reply, size_t i, const char *head)
{
    return is_there(reply, i) && strncmp(reply->element[i]->str, head, strlen(head)) == 0;
}

/* With a dead letter by right: one that nobody released in time is held without. */
static bool is_buried(const redisReply *reply, size_t held, size_t done)
{
    return is_there(reply, held) && !is_there(reply, done) && !begins(reply, held, "expired|");
}

struct message {
    const char *msg_id, *score;
    int64_t at_ms; /* its score */
    int shard;
    enum fb_lane lane;
    int64_t (*oldest)[STAGES]; /* of the streams, by lane and place in `stages` */
};

static void suspect_unless_waiting(struct fb_sweeper *s, const struct message *m, size_t stage,
                                   uint32_t branch)
{
    if (m->oldest[m->lane][stage] >= m->at_ms) {
        suspect(s, m->msg_id, m->score, stages[stage], branch);
    }
}

/* Kind, marks, hold and decision of some branches. */
static enum fb_status suspect_branches(struct fb_sweeper *s, const struct message *m,
                                       uint32_t first, uint32_t count, struct fb_error *err)
{
    static const char *const fields[BRANCH_WORDS] = {"b:", "d:upload:", "d:rewrite:", "h:", "f:"};
    char key[FB_KEY_SIZE];
    char words[BRANCHES * BRANCH_WORDS][24];
    struct fb_slice argv[2 + BRANCHES * BRANCH_WORDS];
    size_t argc = 0;
    redisReply *reply = NULL;
    fb_key(key, m->shard, "m:%s", m->msg_id);
    argv[argc++] = FB_SLICE_LITERAL("HMGET");
    argv[argc++] = fb_slice_str(key);
    for (uint32_t b = 0; b < count; b++) {
        for (size_t i = 0; i < BRANCH_WORDS; i++) {
            char *word = words[b * BRANCH_WORDS + i];
            (void)snprintf(word, sizeof words[0], "%s%" PRIu32, fields[i], first + b);
            argv[argc++] = fb_slice_str(word);
        }
    }
    enum fb_status st = fb_redis_command(s->redis, argc, argv, &reply, err);
    if (st != FB_OK) {
        return st;
    }
    for (uint32_t b = 0; b < count; b++) {
        size_t at = (size_t)b * BRANCH_WORDS;
        bool is_over = is_there(reply, at + 2) || is_there(reply, at + 3);
        bool is_upload =
            begins(reply, at, "secure|") && !is_there(reply, at + 1) && !is_there(reply, at + 4);
        if (!is_over) {
            suspect_unless_waiting(s, m, is_upload ? 1 : 2, first + b);
        } else if (is_buried(reply, at + 3, at + 2)) {
            suspect_held(s, m->msg_id, m->score, stages[is_upload ? 1 : 2], first + b);
        }
    }
    freeReplyObject(reply);
    return st;
}

static enum fb_status suspect_message(struct fb_sweeper *s, struct message *m, struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    redisReply *reply = NULL;
    fb_key(key, m->shard, "m:%s", m->msg_id);
    enum fb_status st = fb_redis_call(s->redis, &reply, err, "HMGET", key, "state", "branches",
                                      "d:render:0", "f:all", "h:0", "d:rewrite:0", "lane", NULL);
    if (st != FB_OK) {
        return st;
    }
    bool is_over = !is_there(reply, 0) || begins(reply, 0, "done");
    bool is_planned = is_there(reply, 2);
    bool is_decided = is_there(reply, 3); /* by the operator, for the message as a whole */
    bool is_held = is_there(reply, 4) || is_there(reply, 5);
    bool has_letter = is_buried(reply, 4, 5);
    m->lane = begins(reply, 6, "bulk") ? FB_LANE_BULK : FB_LANE_NORMAL;
    int64_t branches = is_there(reply, 1) ? fb_reply_int(reply->element[1]) : 0;
    freeReplyObject(reply);
    if (is_over) {
        /* Not in the set of open ones by right: the script takes it out. */
        suspect(s, m->msg_id, m->score, FB_STAGE_RENDER, 0);
    } else if (is_decided && branches == 0) {
        if (!is_held) {
            suspect_unless_waiting(s, m, 2, 0);
        } else if (has_letter) {
            suspect_held(s, m->msg_id, m->score, FB_STAGE_REWRITE, 0);
        }
    } else if (!is_planned) {
        if (!is_held || branches > 0) {
            suspect_unless_waiting(s, m, 0, 0);
        } else if (has_letter) {
            suspect_held(s, m->msg_id, m->score, FB_STAGE_RENDER, 0);
        }
    } else {
        for (int64_t b = 0; b < branches && st == FB_OK; b += BRANCHES) {
            int64_t n = branches - b < BRANCHES ? branches - b : BRANCHES;
            st = suspect_branches(s, m, (uint32_t)b, (uint32_t)n, err);
        }
    }
    return st;
}

static int by_job(const void *a, const void *b)
{
    const struct fb_suspect *x = a, *y = b;
    int c = strcmp(x->msg_id, y->msg_id);
    c = c != 0 ? c : (int)x->stage - (int)y->stage;
    return c != 0 ? c : (x->branch > y->branch) - (x->branch < y->branch);
}

/* One page of open messages, by last progress. */
static enum fb_status suspect_page(struct fb_sweeper *s, struct message *m, int64_t before_ms,
                                   size_t skip, size_t *count_r, struct fb_error *err)
{
    char key[FB_KEY_SIZE], from[24], to[24], offset[24], page[24];
    redisReply *reply = NULL;
    fb_key(key, m->shard, "open");
    (void)snprintf(from, sizeof from, "%" PRId64, s->cursor[m->shard]);
    (void)snprintf(to, sizeof to, "%" PRId64, before_ms);
    (void)snprintf(offset, sizeof offset, "%zu", skip);
    (void)snprintf(page, sizeof page, "%d", PAGE);
    enum fb_status st = fb_redis_call(s->redis, &reply, err, "ZRANGEBYSCORE", key, from, to,
                                      "WITHSCORES", "LIMIT", offset, page, NULL);
    if (st != FB_OK) {
        return st;
    }
    *count_r = reply->type == REDIS_REPLY_ARRAY ? reply->elements / 2 : 0;
    for (size_t i = 0; i < *count_r && st == FB_OK; i++) {
        char msg_id[FB_ID_SIZE], score[32];
        (void)snprintf(msg_id, sizeof msg_id, "%s", reply->element[i * 2]->str);
        (void)snprintf(score, sizeof score, "%s", reply->element[i * 2 + 1]->str);
        m->msg_id = msg_id;
        m->score = score;
        m->at_ms = fb_reply_int(reply->element[i * 2 + 1]);
        bool is_waiting = true;
        for (size_t k = 0; k < STAGES; k++) {
            is_waiting = is_waiting && m->oldest[FB_LANE_NORMAL][k] < m->at_ms;
        }
        if (!is_waiting && fb_id_is_valid(msg_id)) {
            s->result->looked++;
            st = suspect_message(s, m, err);
        }
    }
    freeReplyObject(reply);
    return st;
}

enum fb_status fb_sweep_suspect(struct fb_sweeper *s, int shard, struct fb_error *err)
{
    int64_t oldest[FB_LANE_COUNT][STAGES], now = 0;
    struct message m = {.shard = shard, .oldest = oldest};
    enum fb_status st = fb_redis_time(s->redis, &now, err);
    for (size_t i = 0; i < STAGES * FB_LANE_COUNT && st == FB_OK; i++) {
        enum fb_lane lane = (enum fb_lane)(i / STAGES);
        st = oldest_ms(s->redis, shard, stages[i % STAGES], lane, &oldest[lane][i % STAGES], err);
    }
    s->count = 0;
    size_t seen = 0, page = PAGE;
    while (st == FB_OK && page == PAGE && seen < MAX_LOOKED && s->count < FB_SWEEP_MAX_SUSPECTS) {
        st = suspect_page(s, &m, now - s->patience_ms, seen, &page, err);
        seen += page;
        st = st == FB_OK ? fb_sweep_pause(s, err) : st;
    }
    if (st == FB_OK) {
        s->cursor[shard] = page == PAGE ? m.at_ms : 0; /* all seen: from the start again */
        qsort(s->suspects, s->count, sizeof *s->suspects, by_job);
    }
    return st;
}

/* ---- what is there ---- */

/* A job of a newer version waits for an upgraded worker: its message is under way, at whatever stage. */
static void found_newer(struct fb_sweeper *s, struct fb_slice job_bytes)
{
    char msg_id[FB_ID_SIZE];
    bool is_job = fb_job_peek(job_bytes, msg_id);
    for (size_t i = 0; is_job && i < s->count; i++) {
        s->suspects[i].is_found |= strcmp(s->suspects[i].msg_id, msg_id) == 0;
    }
}

static void found(struct fb_sweeper *s, struct fb_slice job_bytes)
{
    struct fb_job job;
    enum fb_status st = fb_job_decode(job_bytes, &job, NULL);
    if (st != FB_OK) {
        if (st == FB_AGAIN) {
            found_newer(s, job_bytes);
        }
        return;
    }
    struct fb_suspect want = {.stage = job.stage, .branch = job.branch};
    memcpy(want.msg_id, job.msg_id, sizeof want.msg_id);
    struct fb_suspect *x = bsearch(&want, s->suspects, s->count, sizeof want, by_job);
    if (x != NULL) {
        x->is_found = true;
    }
    /* Of a held branch any letter counts: its stage is only guessed. */
    for (size_t i = 0; i < STAGES; i++) {
        want.stage = stages[i];
        x = bsearch(&want, s->suspects, s->count, sizeof want, by_job);
        if (x != NULL && x->is_held) {
            x->is_found = true;
        }
    }
}

/* A stream of jobs behind *last, which is moved on.  Name: what its key ends with. */
static enum fb_status scan_stream(struct fb_sweeper *s, int shard, const char *name, char last[64],
                                  struct fb_error *err)
{
    char key[FB_KEY_SIZE], page[24];
    enum fb_status st = FB_OK;
    fb_key(key, shard, "%s", name);
    (void)snprintf(page, sizeof page, "%d", PAGE);
    for (size_t count = PAGE; count == PAGE && st == FB_OK;) {
        redisReply *reply = NULL;
        st = fb_redis_call(s->redis, &reply, err, "XRANGE", key, last, "+", "COUNT", page, NULL);
        if (st != FB_OK) {
            return st;
        }
        count = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
        for (size_t i = 0; i < count; i++) {
            const redisReply *entry = reply->element[i];
            if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
                entry->element[1]->type != REDIS_REPLY_ARRAY) {
                continue;
            }
            (void)snprintf(last, 64, "(%s", entry->element[0]->str);
            const redisReply *fields = entry->element[1];
            for (size_t f = 0; f + 1 < fields->elements; f += 2) {
                if (fb_slice_eq_str(fb_reply_slice(fields->element[f]), "j")) {
                    found(s, fb_reply_slice(fields->element[f + 1]));
                }
            }
        }
        freeReplyObject(reply);
        st = fb_sweep_pause(s, err);
    }
    return st;
}

/* From the latest to the next due: those that are promoted meanwhile shorten the end that is read
 * last, so that none is skipped. */
static enum fb_status scan_delayed(struct fb_sweeper *s, int shard, enum fb_stage stage,
                                   enum fb_lane lane, struct fb_error *err)
{
    char key[FB_KEY_SIZE], from[24], to[24];
    enum fb_status st = FB_OK;
    fb_key(key, shard, "delayed:%s%s", fb_stage_name(stage), fb_lane_suffix(stage, lane));
    size_t count = PAGE;
    for (size_t at = 0; count == PAGE && st == FB_OK; at += PAGE) {
        redisReply *reply = NULL;
        (void)snprintf(from, sizeof from, "%zu", at);
        (void)snprintf(to, sizeof to, "%zu", at + PAGE - 1);
        st = fb_redis_call(s->redis, &reply, err, "ZREVRANGE", key, from, to, NULL);
        if (st != FB_OK) {
            return st;
        }
        count = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
        for (size_t i = 0; i < count; i++) { /* "<first>:<job>" */
            struct fb_slice member = fb_reply_slice(reply->element[i]);
            const uint8_t *colon = member.len > 0 ? memchr(member.ptr, ':', member.len) : NULL;
            if (colon != NULL) {
                found(s, fb_slice_sub(member, (size_t)(colon + 1 - member.ptr), SIZE_MAX));
            }
        }
        freeReplyObject(reply);
        st = fb_sweep_pause(s, err);
    }
    return st;
}

static enum fb_status scan_lane(struct fb_sweeper *s, int shard, enum fb_stage stage,
                                enum fb_lane lane, struct fb_error *err)
{
    char last[64] = "-", name[32];
    (void)snprintf(name, sizeof name, "%s%s", fb_stage_name(stage), fb_lane_suffix(stage, lane));
    enum fb_status st = scan_stream(s, shard, name, last, err);
    if (st == FB_OK) {
        st = scan_delayed(s, shard, stage, lane, err);
    }
    return st == FB_OK ? scan_stream(s, shard, name, last, err) : st;
}

enum fb_status fb_sweep_confirm(struct fb_sweeper *s, int shard, struct fb_error *err)
{
    enum fb_status st = FB_OK;
    for (size_t i = 0; i < STAGES && st == FB_OK; i++) {
        bool is_wanted = false;
        for (size_t k = 0; k < s->count && !is_wanted; k++) {
            is_wanted = s->suspects[k].stage == stages[i] && !s->suspects[k].is_held;
        }
        if (!is_wanted) {
            continue;
        }
        for (int lane = 0; lane < FB_LANE_COUNT && st == FB_OK; lane++) {
            st = scan_lane(s, shard, stages[i], (enum fb_lane)lane, err);
        }
    }
    char last[64] = "-";
    return st == FB_OK ? scan_stream(s, shard, "dead", last, err) : st;
}
