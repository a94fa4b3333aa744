/* SPDX-License-Identifier: Apache-2.0
 *
 * One script per parcel, so that a parcel is restored as a whole or not at all, and never over what
 * is there.  The message is written as delivered: its notice may be out, so a recall must say "was
 * out" and take the access away. */
#include "common/ledger/rebuild.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/access.h"
#include "common/ledger/internal.h"
#include "common/ledger/listing.h"
#include "common/log.h"
#include "common/title.h"
#include "proto/limits.h"

/* Set for recipients of whom nothing is known: they belong to no branch that a parcel has. */
#define NO_BRANCH "9999"
#define PIECE     "60" /* FB_LEDGER_PIECE */

/* KEYS m p g due l:t:<hour> f:b:<bucket> pending l:s:<sender> l:hours, then l:a:<address> per grant
 * ARGV branch parcel accepted ttl_s ttl_ms now expires storage user folder access hour
 * from title rule receipt remind purge fallback id folder_field folder_value, then per grant:
 * recipient, address, value
 *
 * A reminder that was due long ago has been sent, or comes too late. */
static const char restore_lua[] =
    "local m, p, g, due, t, f, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], "
    "KEYS[7]\n"
    "local branch, parcel, at, ttl, now, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6], "
    "ARGV[20]\n"
    "if redis.call('EXISTS', p) == 1 or redis.call('HEXISTS', g, 'at') == 1 then return 1 end\n"
    "if redis.call('HEXISTS', m, 'queued') == 1 and redis.call('HGET', m, 'state') ~= 'done' then "
    "return 2 end\n"
    /* Of several parcels of a message the first lists it. */
    "local is_new = redis.call('HSETNX', m, 'at', at) == 1\n"
    "local from, remind, purge = ARGV[13], ARGV[17], ARGV[18]\n"
    "for _, f in ipairs({{'size', '0'}, {'queued', now}, {'done_ms', now}, {'left', '0'}, "
    "{'ttl', ARGV[5]}}) do\n"
    "  redis.call('HSETNX', m, f[1], f[2])\n"
    "end\n"
    "redis.call('HSET', m, 'state', 'done', 'b:' .. branch, 'secure|' .. parcel .. '|' .. "
    "ARGV[15], "
    "'u:' .. branch, now, 'd:rewrite:' .. branch, 'rebuilt')\n"
    "if from ~= '' or not redis.call('HGET', m, 'from') then redis.call('HSET', m, 'from', from) "
    "end\n"
    "for i = 1, #ARGV[14], " PIECE " do\n" /* as write.c */
    "  local name = i == 1 and 'title' or 'title:' .. (i - 1) / " PIECE "\n"
    "  redis.call('HSETNX', m, name, string.sub(ARGV[14], i, i + " PIECE " - 1))\n"
    "end\n"
    "redis.call('HSETNX', m, 'bs:' .. branch, 'sent')\n"
    "if tonumber(redis.call('HGET', m, 'branches') or '0') <= tonumber(branch) then\n"
    "  redis.call('HSET', m, 'branches', tostring(tonumber(branch) + 1))\n"
    "end\n"
    "redis.call('HSET', g, 'storage', ARGV[8], 'user', ARGV[9], 'folder', ARGV[10], 'access', "
    "ARGV[11], 'expires', ARGV[7], 'at', now, 'receipt', ARGV[16], 'remind', remind, 'purge', "
    "purge, "
    "'fallback', ARGV[19], 'rebuilt', now)\n"
    "local function list(key)\n"
    "  redis.call('ZADD', key, '0', id)\n"
    "  if redis.call('TTL', key) < tonumber(ttl) then redis.call('EXPIRE', key, ttl) end\n"
    "end\n"
    "if from ~= '' then list(KEYS[8]) end\n"
    "local most, k = tonumber(redis.call('HGET', m, 'n') or '0'), 10\n"
    "for i = 23, #ARGV, 3 do\n"
    "  local r, a = ARGV[i], KEYS[k]\n"
    "  redis.call('HSET', m, 'r:' .. r, ARGV[i + 1], 'i:' .. r, branch, 's:' .. r, 'sending')\n"
    "  redis.call('HSET', g, r, ARGV[i + 2])\n"
    "  if string.sub(ARGV[i + 2], 1, 8) == 'pending|' then\n"
    "    redis.call('ZADD', pending, now, parcel .. '/' .. r)\n"
    "  end\n"
    "  if string.sub(ARGV[i + 2], 1, 9) == 'recalled|' then redis.call('HSET', m, 'x:' .. r, now) "
    "end\n"
    "  list(a)\n"
    "  if tonumber(r) >= most then most = tonumber(r) + 1 end\n"
    "  k = k + 1\n"
    "end\n"
    "redis.call('HSET', m, 'n', tostring(most))\n"
    "for i = 0, most - 1 do\n"
    "  if redis.call('HSETNX', m, 'r:' .. i, '') == 1 then redis.call('HSET', m, 'i:' .. i, "
    "'" NO_BRANCH "') end\n"
    "end\n"
    "if is_new then redis.call('APPEND', t, id) end\n"
    "redis.call('ZADD', KEYS[9], ARGV[12], ARGV[12])\n"
    "if tonumber(ARGV[7]) > 0 then redis.call('ZADD', due, ARGV[7], parcel) end\n"
    "if tonumber(purge) > 0 then redis.call('ZADD', due, purge, 'purge:' .. parcel) end\n"
    "if tonumber(remind) > tonumber(now) - 86400000 then\n"
    "  redis.call('ZADD', due, remind, 'unopened:' .. parcel)\n"
    "end\n"
    "if ARGV[21] ~= '' then redis.call('HSET', f, ARGV[21], ARGV[22]) end\n"
    "for _, key in ipairs({m, g, t, f, pending, KEYS[9]}) do\n"
    "  if redis.call('TTL', key) < tonumber(ttl) then redis.call('EXPIRE', key, ttl) end\n"
    "end\n"
    "return 0\n";

static struct fb_script restore_script = {"rebuild", restore_lua, ""};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&restore_script);
}

struct rebuild {
    struct fb_spool *spool;
    struct fb_redis *redis;
    int64_t ttl_ms;
    const char *key; /* of titles */
    struct fb_rebuild_result *result;
    struct fb_error *err;
    enum fb_status status;
    char (*live)[FB_ID_SIZE]; /* what lies in the spool, sorted */
    size_t live_count, live_cap;
};

static bool add_live(void *ctx, const struct fb_spool_entry *e)
{
    struct rebuild *r = ctx;
    if (r->live_count == r->live_cap) {
        r->live_cap = r->live_cap == 0 ? 256 : r->live_cap * 2;
        r->live = realloc(r->live, r->live_cap * sizeof *r->live);
        FB_ASSERT(r->live != NULL);
    }
    memcpy(r->live[r->live_count++], e->msg_id, FB_ID_SIZE);
    return true;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, FB_ID_SIZE);
}

/* Also what the replay could not read or enqueue: it is not delivered. */
static bool is_live(const struct rebuild *r, const char *msg_id)
{
    return r->live_count > 0 && bsearch(msg_id, r->live, r->live_count, FB_ID_SIZE, by_id) != NULL;
}

/* The id as the listings have it, and the way from the folder to the parcel. */
static void add_ways(struct fb_call *c, const struct rebuild *r, const struct fb_parcel *p,
                     int64_t now, const uint8_t id[FB_ID_BYTES])
{
    struct fb_folder_entry e;
    char value[FB_PARCEL_ID_SIZE + 32];
    int64_t end = p->expires_ms > p->purge_ms ? p->expires_ms : p->purge_ms;
    bool has_folder =
        fb_ledger_folder_entry(p, (r->ttl_ms + (end > now ? end - now : 0)) / 1000 + 1, &e);
    (void)snprintf(value, sizeof value, "%.32s %.20s", p->parcel_id, has_folder ? e.day : "");
    fb_call_arg(c, fb_slice_of(id, FB_ID_BYTES));
    fb_call_arg_copy(c, has_folder ? e.field : "");
    fb_call_arg_copy(c, value);
}

static void add_grants(struct fb_call *c, int shard, const struct fb_parcel *p, int64_t now,
                       char (*keys)[FB_LEDGER_KEY])
{
    for (uint32_t i = 0; i < p->grant_count; i++) {
        const struct fb_parcel_grant *g = &p->grants[i];
        char value[400];
        fb_listing_recipient_key(keys[i], shard, g->address != NULL ? g->address : "");
        fb_call_key_slice(c, fb_slice_str(keys[i]));
        fb_call_arg_int(c, g->recipient);
        fb_call_arg_copy(c, g->address != NULL ? g->address : "");
        (void)snprintf(value, sizeof value, "%.15s|%.64s|%" PRId64 "||rebuild",
                       g->state != NULL ? g->state : "active",
                       g->grant_id != NULL ? g->grant_id : "", now);
        fb_call_arg_copy(c, value);
    }
}

static const char *text_of(const char *text)
{
    return text != NULL ? text : "";
}

static enum fb_status add_parcel(const struct rebuild *r, struct fb_call *c,
                                 const struct fb_parcel *p, const char *msg_id, const char *hour,
                                 int64_t now)
{
    struct fb_buf title;
    int64_t end = p->expires_ms > p->purge_ms ? p->expires_ms : p->purge_ms;
    fb_call_arg_int(c, p->accepted_ms > 0 ? p->accepted_ms : fb_id_time_ms(msg_id));
    fb_call_arg_int(c, (r->ttl_ms + (end > now ? end - now : 0)) / 1000 + 1);
    fb_call_arg_int(c, r->ttl_ms);
    fb_call_arg_int(c, now);
    fb_call_arg_int(c, p->expires_ms);
    fb_call_arg_str(c, text_of(p->storage));
    fb_call_arg_str(c, text_of(p->user));
    fb_call_arg_str(c, text_of(p->folder_id));
    fb_call_arg_str(c, text_of(p->access));
    fb_call_arg_str(c, hour);
    fb_call_arg_str(c, text_of(p->from));
    fb_buf_init(&title, FB_TITLE_SEALED);
    enum fb_status s = p->subject != NULL || p->language != NULL
                           ? fb_title_seal(r->key, msg_id, p->subject, p->language, &title)
                           : FB_OK;
    /* As text, which write.c turns to bytes: the one is read as the other. */
    fb_call_arg_copy(c, s == FB_OK ? fb_buf_str(&title) : "");
    fb_buf_deinit(&title);
    fb_call_arg_str(c, text_of(p->rule));
    fb_call_arg_str(c, p->sends_receipt ? "1" : "0");
    fb_call_arg_int(c, p->remind_ms);
    fb_call_arg_int(c, p->purge_ms);
    fb_call_arg_str(c, text_of(p->fallback));
    return s;
}

static enum fb_status restore(struct rebuild *r, const struct fb_parcel *p, const char *parcel_id,
                              const char *msg_id, uint32_t branch)
{
    struct fb_call c;
    char(*keys)[FB_LEDGER_KEY] =
        fb_xcalloc((size_t)p->grant_count + 1, sizeof *keys); /* lent to c */
    char pending[FB_LEDGER_KEY];
    char sender[FB_LEDGER_KEY];
    char listed[FB_LEDGER_KEY];
    char folder[FB_LEDGER_KEY];
    char hour[FB_LISTING_HOUR];
    uint8_t id[FB_ID_BYTES];
    int shard = fb_redis_shard(r->redis, msg_id);
    int64_t now = fb_now_ms();
    fb_call_init(&c);
    fb_call_key(&c, shard, "m:%s", msg_id);
    fb_call_key(&c, shard, "p:%s", parcel_id);
    fb_call_key(&c, shard, "g:%s", parcel_id);
    fb_call_key(&c, shard, "%s", "due");
    fb_listing_hour_key(listed, shard, msg_id, hour);
    fb_call_key_slice(&c, fb_slice_str(listed));
    fb_ledger_folder_key(folder, shard, text_of(p->folder_id));
    fb_call_key_slice(&c, fb_slice_str(folder));
    fb_ledger_key(pending, shard, "pending", text_of(p->storage));
    fb_call_key_slice(&c, fb_slice_str(pending));
    fb_listing_sender_key(sender, shard, text_of(p->from), msg_id);
    fb_call_key_slice(&c, fb_slice_str(sender));
    fb_call_key(&c, shard, "%s", "l:hours");
    fb_id_pack(msg_id, id);
    fb_call_arg_int(&c, branch);
    fb_call_arg_str(&c, parcel_id);
    if (add_parcel(r, &c, p, msg_id, hour, now) != FB_OK) {
        fb_log(FB_WARN, "the subject of parcel %s cannot be kept in the ledger", parcel_id);
    }
    add_ways(&c, r, p, now, id);
    add_grants(&c, shard, p, now, keys);
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_script(r->redis, &restore_script, c.key_count, c.keys, c.arg_count,
                                       c.args, &reply, r->err);
    if (s == FB_OK) {
        int64_t how = fb_reply_int(reply);
        r->result->restored += how == 0;
        r->result->known += how == 1;
        r->result->in_flight += how == 2;
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    free(keys);
    return s;
}

/* A manifest that cannot be read is told and does not stop the others. */
static bool take(void *ctx, const char *parcel_id)
{
    struct rebuild *r = ctx;
    struct fb_buf bytes = {0};
    struct fb_parcel parcel = {0};
    struct fb_error why = {0};
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    enum fb_status s = fb_spool_manifest_get(r->spool, parcel_id, &bytes, &why);
    if (s == FB_NOT_FOUND) {
        return true; /* its life ended meanwhile */
    }
    if (s == FB_OK) {
        s = fb_parcel_decode(fb_slice_buf(&bytes), &parcel, &why);
    }
    if (s == FB_OK && (strcmp(parcel.parcel_id, parcel_id) != 0 ||
                       !fb_parcel_id_split(parcel_id, msg_id, &branch))) {
        s = fb_error_set(&why, FB_CORRUPT, "it is of another parcel");
    }
    if (s == FB_OK && is_live(r, msg_id)) {
        r->result->in_flight++;
    } else if (s == FB_OK) {
        r->status = restore(r, &parcel, parcel_id, msg_id, branch);
    } else {
        r->result->damaged++;
        fb_log(FB_ERROR, "the manifest of parcel %s cannot be read: %s", parcel_id, why.text);
    }
    fb_parcel_deinit(&parcel);
    fb_buf_deinit(&bytes);
    return r->status == FB_OK;
}

enum fb_status fb_ledger_rebuild(struct fb_spool *spool, struct fb_redis *redis,
                                 int64_t ledger_ttl_ms, const char *key,
                                 struct fb_rebuild_result *result_r, struct fb_error *err)
{
    struct rebuild r = {.spool = spool,
                        .redis = redis,
                        .ttl_ms = ledger_ttl_ms,
                        .key = key,
                        .result = result_r,
                        .err = err};
    *result_r = (struct fb_rebuild_result){0};
    (void)pthread_once(&once, prepare);
    uint64_t ignored = 0; /* damaged records: the replay told them */
    enum fb_status s = fb_spool_scan(spool, add_live, &r, &ignored, err);
    if (s == FB_OK) {
        if (r.live_count > 1) {
            qsort(r.live, r.live_count, FB_ID_SIZE, by_id);
        }
        s = fb_spool_manifest_each(spool, take, &r, err);
    }
    free(r.live);
    s = s == FB_OK ? r.status : s;
    if (s == FB_OK && result_r->restored > 0) {
        /* What the storage told about these parcels was passed over: it is read again. */
        s = fb_ledger_positions_forget(redis, err);
    }
    return s;
}
