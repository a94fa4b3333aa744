/* SPDX-License-Identifier: Apache-2.0
 *
 * One look of the sweeper, a shard at a time: who ought to have a job and has none (sweep_scan.c),
 * for the second time, gets it again.
 *
 * The script decides: the message must not have moved since it was read (its place in `open`), the
 * same jobs must have been missing a while ago (`sweep:missing`), and each must still be undone.
 * Adding moves the message in `open`; so of two processes that come to the same end only one adds.
 */
#include "common/ledger/sweep.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/recall_again.h"
#include "common/ledger/sweep_internal.h"
#include "common/log.h"
#include "proto/envelope.h"

#define GAP_MS     5000   /* between the two looks */
#define LEASE_MS   600000 /* of one look at a shard, should its process die */
#define MAX_REDO   1000U  /* messages that are put back in one look */
#define MAX_ITEMS  64U    /* jobs of one message in one look */
#define ITEMS_SIZE (MAX_ITEMS * 20)

/* KEYS m open missing render upload rewrite, the same three of the bulk lane, dead dead:count  ARGV msg
 * score gap items count, then count times: stage branch job first; job "" = only asked; stage
 * "dead:render": a dead letter.  Answers 0 moved on or over, 1 look again, 2 may be put back, 3 is
 * put back. */
static struct fb_script redo_script = {
    "sweep",
    "local m, open, missing = KEYS[1], KEYS[2], KEYS[3]\n"
    "local k = redis.call('HGET', m, 'lane') == 'bulk' and 6 or 3\n"
    "local stream = {render = KEYS[k + 1], upload = KEYS[k + 2], rewrite = KEYS[k + 3]}\n"
    "local msg, score, t = ARGV[1], ARGV[2], redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "local state = redis.call('HGET', m, 'state')\n"
    "if not state or state == 'done' then redis.call('ZREM', open, msg) end\n"
    "if redis.call('ZSCORE', open, msg) ~= score then\n"
    "  redis.call('HDEL', missing, msg)\n"
    "  return 0\n"
    "end\n"
    "local want, seen = score .. ' ' .. ARGV[4], redis.call('HGET', missing, msg)\n"
    "local at = seen and tonumber(string.match(seen, '^%d+'))\n"
    "if not seen or string.sub(seen, string.find(seen, ' ', 1, true) + 1) ~= want then\n"
    "  redis.call('HSET', missing, msg, string.format('%.0f', now) .. ' ' .. want)\n"
    "  redis.call('EXPIRE', missing, 604800)\n"
    "  return 1\n"
    "end\n"
    "if now - at < tonumber(ARGV[3]) then return 1 end\n"
    "if ARGV[8] == '' then return 2 end\n"
    "local n = 0\n"
    "for i = 6, 5 + ARGV[5] * 4, 4 do\n"
    "  local stage, b = ARGV[i], ARGV[i + 1]\n"
    "  local held = string.match(stage, '^dead:(.+)')\n"
    "  local why = redis.call('HGET', m, 'h:' .. b)\n"
    "  if held then\n"
    "    local status, reason = string.match(why or '', '^([^|]*)|(.*)$')\n"
    "    if status and status ~= 'expired' and\n"
    "       redis.call('HEXISTS', m, 'd:rewrite:' .. b) == 0 then\n"
    "      local e = {'j', ARGV[i + 2], 'f', ARGV[i + 3], 'g', held, 's', status, 'r',\n"
    "                 'its dead letter was lost and is written again; held because: ' .. reason,\n"
    "                 't', string.format('%.0f', now), 'i', '0-0'}\n"
    "      if k == 6 then e[15] = 'l'; e[16] = 'bulk' end\n"
    "      redis.call('XADD', KEYS[10], '*', unpack(e))\n"
    "      redis.call('HINCRBY', KEYS[11], held, 1)\n"
    "      n = n + 1\n"
    "    end\n"
    "  elseif redis.call('HEXISTS', m, 'd:' .. stage .. ':' .. b) == 0 and\n"
    "     redis.call('HEXISTS', m, 'd:rewrite:' .. b) == 0 and\n"
    "     (not why or\n"
    "      (stage == 'render' and redis.call('HEXISTS', m, 'branches') == 1)) then\n"
    "    redis.call('XADD', stream[stage], '*', 'j', ARGV[i + 2], 'f', ARGV[i + 3])\n"
    "    n = n + 1\n"
    "  end\n"
    "end\n"
    "redis.call('HDEL', missing, msg)\n"
    "if n == 0 then return 0 end\n"
    "redis.call('ZADD', open, string.format('%.0f', now), msg)\n"
    "return 3\n",
    "",
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&redo_script);
}

struct fb_sweeper *fb_sweeper_new(struct fb_spool *spool, struct fb_redis *redis,
                                  int64_t patience_ms, bool (*pause)(void *ctx), void *ctx)
{
    struct fb_sweeper *s = fb_xcalloc(1, sizeof *s);
    (void)pthread_once(&once, prepare);
    s->spool = spool;
    s->redis = redis;
    s->patience_ms = patience_ms;
    s->pause = pause;
    s->ctx = ctx;
    s->cursor = fb_xcalloc((size_t)fb_redis_shard_count(redis), sizeof *s->cursor);
    s->suspects = fb_xcalloc(FB_SWEEP_MAX_SUSPECTS, sizeof *s->suspects);
    return s;
}

void fb_sweeper_free(struct fb_sweeper **sweeper)
{
    struct fb_sweeper *s = *sweeper;
    if (s != NULL) {
        fb_journal_close(&s->journal);
        free(s->suspects);
        free(s->cursor);
        free(s);
        *sweeper = NULL;
    }
}

enum fb_status fb_sweep_pause(struct fb_sweeper *s, struct fb_error *err)
{
    return s->pause == NULL || s->pause(s->ctx) ? FB_OK : fb_error_set(err, FB_AGAIN, "stopped");
}

/* ---- one message ---- */

/* Its missing jobs: suspects from..from + count. */
struct redo {
    size_t from, count;
    bool is_ready;
    char ref[FB_REF_SIZE]; /* "" = not in the spool */
};

static const char *item_name(const struct fb_suspect *x)
{
    if (!x->is_held) {
        return fb_stage_name(x->stage);
    }
    return x->stage == FB_STAGE_RENDER   ? "dead:render"
           : x->stage == FB_STAGE_UPLOAD ? "dead:upload"
                                         : "dead:rewrite";
}

static enum fb_status call(struct fb_sweeper *s, int shard, const struct redo *redo,
                           const struct fb_job *model, int64_t *answer_r, struct fb_error *err)
{
    const struct fb_suspect *x = &s->suspects[redo->from];
    char items[ITEMS_SIZE];
    size_t used = 0, count = 0;
    struct fb_call c;
    redisReply *reply = NULL;
    enum fb_status st = FB_OK;
    fb_call_init(&c);
    fb_call_key(&c, shard, "m:%s", x->msg_id);
    fb_call_key(&c, shard, "open");
    fb_call_key(&c, shard, "sweep:missing");
    for (int lane = 0; lane < FB_LANE_COUNT; lane++) {
        for (int stage = FB_STAGE_RENDER; stage <= FB_STAGE_REWRITE; stage++) {
            fb_call_stream(&c, shard, (enum fb_stage)stage, (enum fb_lane)lane);
        }
    }
    fb_call_key(&c, shard, "dead");
    fb_call_key(&c, shard, "dead:count");
    items[0] = '\0';
    for (size_t i = 0; i < redo->count && count < MAX_ITEMS; i++) {
        if (!x[i].is_found) {
            int n = snprintf(items + used, sizeof items - used, "%s:%" PRIu32 ",", item_name(&x[i]),
                             x[i].branch);
            FB_ASSERT(n > 0 && (size_t)n < sizeof items - used);
            used += (size_t)n;
            count++;
        }
    }
    fb_call_arg_str(&c, x->msg_id);
    fb_call_arg_str(&c, x->score);
    fb_call_arg_int(&c, GAP_MS);
    fb_call_arg_str(&c, items);
    fb_call_arg_int(&c, (int64_t)count);
    for (size_t i = 0, n = 0; i < redo->count && n < MAX_ITEMS && st == FB_OK; i++) {
        if (x[i].is_found) {
            continue;
        }
        n++;
        fb_call_arg_str(&c, item_name(&x[i]));
        fb_call_arg_int(&c, x[i].branch);
        if (model == NULL) {
            fb_call_arg_str(&c, "");
            fb_call_arg_str(&c, "");
        } else {
            struct fb_job job = *model;
            job.stage = x[i].stage;
            job.branch = x[i].branch;
            st = fb_call_arg_job(&c, &job, err);
            fb_call_arg_int(&c, job.first_ms);
        }
    }
    if (st == FB_OK) {
        st = fb_redis_script(s->redis, &redo_script, c.key_count, c.keys, c.arg_count, c.args,
                             &reply, err);
    }
    if (st == FB_OK) {
        *answer_r = fb_reply_int(reply);
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return st;
}

/* What took its job may have taken a recall: that is back before the job is. */
static enum fb_status recall_again(struct fb_sweeper *s, int shard, struct fb_spool_msg *msg,
                                   const struct fb_envelope *envelope, struct fb_error *err)
{
    struct fb_ops *ops = fb_ops_new();
    enum fb_status st =
        fb_recall_again(s->spool, s->redis, &s->journal, msg, envelope, true, ops, err);
    if (st == FB_OK && fb_ops_count(ops) > 0) {
        st = fb_queue_change(s->redis, shard, ops, err);
        if (st == FB_OK) {
            fb_log_fields(FB_WARN, "a recall that Redis forgot is made again", "msg_id",
                          fb_spool_msg_id(msg), NULL);
        }
    }
    fb_ops_free(&ops);
    return st;
}

/* The mail is read for what its jobs carry; FB_NOT_FOUND when it is gone meanwhile. */
static enum fb_status put_back(struct fb_sweeper *s, int shard, const struct redo *redo,
                               struct fb_error *err)
{
    struct fb_spool_msg *msg = NULL;
    struct fb_envelope envelope = {0};
    struct fb_job model = {.attempt = 0};
    const char *msg_id = s->suspects[redo->from].msg_id;
    int64_t answer = 0;
    enum fb_status st = fb_spool_msg_open(s->spool, redo->ref, &msg, err);
    if (st == FB_OK) {
        st = fb_envelope_decode(fb_spool_msg_envelope(msg), &envelope, err);
    }
    if (st == FB_OK) {
        st = recall_again(s, shard, msg, &envelope, err);
    }
    if (st == FB_OK) {
        (void)snprintf(model.msg_id, sizeof model.msg_id, "%s", msg_id);
        (void)snprintf(model.spool_ref, sizeof model.spool_ref, "%s", redo->ref);
        memcpy(model.trace, envelope.trace, sizeof model.trace);
        model.first_ms = envelope.received_ms;
        st = call(s, shard, redo, &model, &answer, err);
    }
    if (st == FB_OK && answer == 3) {
        s->result->requeued++;
        fb_log_fields(FB_WARN, "a message without a job was put back into the queue", "msg_id",
                      msg_id, "stage", item_name(&s->suspects[redo->from]), NULL);
    }
    fb_envelope_deinit(&envelope);
    fb_spool_msg_close(&msg);
    return st;
}

/* ---- one shard ---- */

struct search {
    struct fb_sweeper *s;
    struct redo *redos; /* sorted by message, as the suspects are */
    size_t count;
    bool is_stopped;
};

static bool on_entry(void *ctx, const struct fb_spool_entry *entry)
{
    struct search *x = ctx;
    size_t low = 0, high = x->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = strcmp(entry->msg_id, x->s->suspects[x->redos[mid].from].msg_id);
        if (c == 0) {
            (void)snprintf(x->redos[mid].ref, sizeof x->redos[mid].ref, "%s", entry->ref);
            break;
        }
        low = c > 0 ? mid + 1 : low;
        high = c < 0 ? mid : high;
    }
    x->is_stopped = x->s->pause != NULL && !x->s->pause(x->s->ctx);
    return !x->is_stopped;
}

static enum fb_status redo_all(struct fb_sweeper *s, int shard, struct redo *redos, size_t count,
                               struct fb_error *err)
{
    struct search x = {.s = s, .redos = redos, .count = count};
    uint64_t damaged = 0;
    enum fb_status st = count > 0 ? fb_spool_scan(s->spool, on_entry, &x, &damaged, err) : FB_OK;
    if (x.is_stopped) {
        return fb_error_set(err, FB_AGAIN, "stopped");
    }
    for (size_t i = 0; i < count && st == FB_OK; i++) {
        const char *msg_id = s->suspects[redos[i].from].msg_id;
        struct fb_error own = {.status = FB_OK};
        st = redos[i].ref[0] == '\0' ? FB_NOT_FOUND : put_back(s, shard, &redos[i], &own);
        if (st == FB_NOT_FOUND) { /* somebody erased it, and not by ending it */
            s->result->orphans++;
            memcpy(s->result->orphan, msg_id, sizeof s->result->orphan);
            st = FB_OK;
        } else if (st != FB_OK && fb_status_class(st) != FB_CLASS_RETRY) {
            fb_log_fields(FB_ERROR, "a message without a job cannot be read", "msg_id", msg_id,
                          "error", own.text, NULL);
            st = FB_OK;
        } else if (st != FB_OK && err != NULL) {
            *err = own;
        }
    }
    return st;
}

/* Which of the missing ones are missing for the second time. */
static enum fb_status decide(struct fb_sweeper *s, int shard, struct redo *redos, size_t *count_r,
                             struct fb_error *err)
{
    enum fb_status st = FB_OK;
    *count_r = 0;
    for (size_t i = 0; i < s->count && st == FB_OK && *count_r < MAX_REDO;) {
        struct redo redo = {.from = i};
        bool is_missing = false;
        for (; i < s->count && strcmp(s->suspects[i].msg_id, s->suspects[redo.from].msg_id) == 0;
             i++) {
            redo.count++;
            is_missing = is_missing || !s->suspects[i].is_found;
        }
        int64_t answer = 0;
        if (!is_missing) {
            continue;
        }
        st = call(s, shard, &redo, NULL, &answer, err);
        s->result->missing += st == FB_OK && answer != 0;
        if (st == FB_OK && answer == 2) {
            redos[(*count_r)++] = redo;
        }
    }
    return st;
}

/* One process a shard; SET NX is the lease, and it is given back. */
static enum fb_status lock(struct fb_sweeper *s, int shard, bool *is_mine_r, struct fb_error *err)
{
    char key[FB_KEY_SIZE], lease[24];
    redisReply *reply = NULL;
    fb_key(key, shard, "sweep:lease");
    (void)snprintf(lease, sizeof lease, "%d", LEASE_MS);
    enum fb_status st =
        fb_redis_call(s->redis, &reply, err, "SET", key, "1", "NX", "PX", lease, NULL);
    if (st == FB_OK) {
        *is_mine_r = reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
    }
    return st;
}

static void unlock(struct fb_sweeper *s, int shard)
{
    char key[FB_KEY_SIZE];
    redisReply *reply = NULL;
    fb_key(key, shard, "sweep:lease");
    if (fb_redis_call(s->redis, &reply, NULL, "DEL", key, NULL) == FB_OK) {
        freeReplyObject(reply);
    }
}

static enum fb_status sweep_shard(struct fb_sweeper *s, int shard, struct fb_error *err)
{
    size_t count = 0;
    struct redo *redos = fb_xcalloc(MAX_REDO, sizeof *redos);
    enum fb_status st = fb_sweep_suspect(s, shard, err);
    if (st == FB_OK && s->count > 0) {
        st = fb_sweep_confirm(s, shard, err);
        if (st == FB_OK) {
            st = decide(s, shard, redos, &count, err);
        }
        if (st == FB_OK) {
            st = redo_all(s, shard, redos, count, err);
        }
    }
    free(redos);
    return st;
}

enum fb_status fb_sweep(struct fb_sweeper *s, struct fb_sweep_result *result_r,
                        struct fb_error *err)
{
    enum fb_status failed =
        FB_OK; /* of one node: the shards of the others are swept all the same */
    *result_r = (struct fb_sweep_result){.looked = 0};
    s->result = result_r;
    for (int shard = 0; shard < fb_redis_shard_count(s->redis); shard++) {
        bool is_mine = false;
        enum fb_status st = fb_sweep_pause(s, err);
        if (st != FB_OK) {
            return st;
        }
        st = lock(s, shard, &is_mine, err);
        if (st == FB_OK && is_mine) {
            st = sweep_shard(s, shard, err);
            unlock(s, shard);
        }
        failed = st != FB_OK ? st : failed;
    }
    return failed;
}
