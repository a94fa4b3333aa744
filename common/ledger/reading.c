/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/reading.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "common/ledger/stats.h"

#define ACTOR_SIZE 200
#define AGENT_SIZE 201

/* What is written lives as long as the parcel's record (left, in ms), and where Redis has lost that, as long as lost
 * keys do.  How long that is, is asked before: the portal may not write to the record, and a script's keys are all
 * written to. */
#define LUA_KEEP                                                                                   \
    "local function keep(key, left)\n"                                                             \
    "  if tonumber(left) > 0 then redis.call('PEXPIRE', key, left)\n"                              \
    "  elseif redis.call('PTTL', key) == -1 then redis.call('EXPIRE', key, " FB_LEDGER_LOST_TTL    \
    ") end\n"                                                                                      \
    "end\n"

/* Of a parcel that an older program uploaded, w has the counts; else they are in g.
 * KEYS m g h w day
 * ARGV recipient want now actor count first max head tail left field
 * answers 0, or why not: 1 recalled, 2 ended, 3 used up */
static const char record_lua[] = LUA_KEEP
    "local rank = {pending = 1, active = 2, opened = 3, downloaded = 4}\n"
    "local m, g, h, w = KEYS[1], KEYS[2], KEYS[3], KEYS[4]\n"
    "local is_whole = redis.call('HEXISTS', g, 'at') == 1\n"
    "if is_whole then w = g end\n"
    "local i, want, now, count, max = ARGV[1], ARGV[2], ARGV[3], ARGV[5], tonumber(ARGV[7])\n"
    "if redis.call('HEXISTS', m, 'x:' .. i) == 1 or redis.call('HEXISTS', m, 'recalled') == 1 "
    "then return 1 end\n"
    "local from, id = string.match(redis.call('HGET', g, i) or '', '^([^|]*)|([^|]*)|')\n"
    "from, id = from or '', id or ''\n"
    "if from == 'recalled' then return 1 end\n"
    "if from == 'expired' or from == 'purged' then return 2 end\n"
    "if max > 0 and tonumber(redis.call('HGET', w, count) or '0') >= max then return 3 end\n"
    "local to = from\n"
    "if rank[from] and rank[want] > rank[from] then\n"
    "  to = want\n"
    "  if rank[from] < 3 then\n"
    "    redis.call('HINCRBY', KEYS[5], ARGV[11], 1)\n"
    "    redis.call('EXPIRE', KEYS[5], " FB_STATS_TTL ")\n"
    "  end\n"
    "  local value = table.concat({to, id, now, ARGV[4], 'portal'}, '|')\n"
    "  if #value > " FB_LEDGER_COMPACT " then\n"
    "    value = table.concat({to, id, now, '', 'portal'}, '|')\n"
    "  end\n"
    "  redis.call('HSET', g, i, value)\n"
    "end\n"
    "redis.call('HINCRBY', w, count, 1)\n"
    "redis.call('HSETNX', w, ARGV[6], now)\n"
    "if not is_whole then keep(w, ARGV[10]) end\n"
    "redis.call('RPUSH', h, ARGV[8] .. '\"from\":\"' .. from .. '\",\"to\":\"' .. to .. '\",' .. "
    "ARGV[9])\n"
    "redis.call('LTRIM', h, -10000, -1)\n"
    "keep(h, ARGV[10])\n"
    "return 0\n";

/* KEYS h  ARGV line left */
static const char attempt_lua[] = LUA_KEEP "redis.call('RPUSH', KEYS[1], ARGV[1])\n"
                                           "redis.call('LTRIM', KEYS[1], -10000, -1)\n"
                                           "keep(KEYS[1], ARGV[2])\n"
                                           "return 0\n";

static struct fb_script record_script = {"reading", record_lua, ""};
static struct fb_script attempt_script = {"attempt", attempt_lua, ""};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&record_script);
    fb_redis_script_prepare(&attempt_script);
}

static enum fb_status run(struct fb_redis *r, const struct fb_script *script,
                          const struct fb_call *c, int64_t *code_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s =
        fb_redis_script(r, script, c->key_count, c->keys, c->arg_count, c->args, &reply, err);
    if (s == FB_OK) {
        *code_r = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
        freeReplyObject(reply);
    }
    return s;
}

/* Stands between '|' in a grant, in JSON and on terminals. */
static void clean(char *out, size_t size, const char *in)
{
    size_t n = 0;
    for (; in != NULL && in[n] != '\0' && n + 1 < size; n++) {
        unsigned char c = (unsigned char)in[n];
        out[n] = c == '|' || c < 0x20 || c >= 0x7f ? '?' : in[n];
    }
    out[n] = '\0';
}

static enum fb_status split(struct fb_redis *r, const char *parcel_id, char msg_id_r[FB_ID_SIZE],
                            int *shard_r, struct fb_error *err)
{
    uint32_t branch = 0;
    if (!fb_parcel_id_split(parcel_id, msg_id_r, &branch)) {
        return fb_error_set(err, FB_INVALID, "not a parcel's id");
    }
    *shard_r = fb_redis_shard(r, msg_id_r);
    return FB_OK;
}

static enum fb_reading reading_of(struct fb_slice grant)
{
    struct fb_slice state = fb_slice_sub(grant, 0, fb_slice_find(grant, FB_SLICE_LITERAL("|")));
    return fb_slice_eq_str(state, "recalled") ? FB_READING_RECALLED
           : fb_slice_eq_str(state, "expired") || fb_slice_eq_str(state, "purged")
               ? FB_READING_ENDED
               : FB_READING_ALLOWED;
}

static bool is_there(const redisReply *list, size_t i)
{
    return list->element[i]->type == REDIS_REPLY_STRING;
}

enum fb_status fb_ledger_reading_check(struct fb_redis *r, const char *msg_id,
                                       const char *parcel_id, uint32_t recipient,
                                       enum fb_reading *reading_r, struct fb_error *err)
{
    char m[FB_LEDGER_KEY], g[FB_LEDGER_KEY], index[16], recalled[24];
    redisReply *message = NULL, *grant = NULL;
    int shard = fb_redis_shard(r, msg_id);
    fb_ledger_key(m, shard, "m", msg_id);
    fb_ledger_key(g, shard, "g", parcel_id);
    (void)snprintf(index, sizeof index, "%" PRIu32, recipient);
    (void)snprintf(recalled, sizeof recalled, "x:%" PRIu32, recipient);
    enum fb_status s = fb_redis_call(r, &message, err, "HMGET", m, "v", "recalled", recalled, NULL);
    if (s == FB_OK) {
        s = fb_redis_call(r, &grant, err, "HGET", g, index, NULL);
    }
    if (s == FB_OK && (message->type != REDIS_REPLY_ARRAY || message->elements != 3)) {
        s = fb_error_set(err, FB_BUG, "Redis' answer is no list of three");
    } else if (s == FB_OK && is_there(message, 0) &&
               fb_reply_int(message->element[0]) > FB_LEDGER_VERSION) {
        s = fb_error_set(err, FB_AGAIN, "a newer version of Fumibako wrote the message's record");
    } else if (s == FB_OK) {
        *reading_r = is_there(message, 1) || is_there(message, 2)
                         ? FB_READING_RECALLED
                         : reading_of(fb_reply_slice(grant));
    }
    if (message != NULL) {
        freeReplyObject(message);
    }
    if (grant != NULL) {
        freeReplyObject(grant);
    }
    return s;
}

/* How long the parcel's record lives; -2: there is none. */
static enum fb_status add_left(struct fb_redis *r, struct fb_call *c, int shard,
                               const char *parcel_id, struct fb_error *err)
{
    static const char *const kinds[] = {"p", "g"}; /* p: of older programs */
    int64_t left = -2;
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < 2 && s == FB_OK && left == -2; i++) {
        char key[FB_LEDGER_KEY];
        redisReply *reply = NULL;
        fb_ledger_key(key, shard, kinds[i], parcel_id);
        s = fb_redis_call(r, &reply, err, "PTTL", key, NULL);
        if (s == FB_OK) {
            left = fb_reply_int(reply);
            freeReplyObject(reply);
        }
    }
    if (s == FB_OK) {
        fb_call_arg_int(c, left);
    }
    return s;
}

/* The line of an access: the script puts the states between the two halves. */
static enum fb_status add_line(struct fb_call *c, int64_t now_ms, uint32_t recipient,
                               const char *actor, const char *event, struct fb_error *err)
{
    char head[96];
    (void)snprintf(head, sizeof head, "{\"at\":%" PRId64 ",\"recipient\":%" PRIu32 ",", now_ms,
                   recipient);
    json_t *rest = json_pack("{s:s,s:s,s:s}", "actor", actor, "source", "portal", "event", event);
    char *text = rest != NULL ? json_dumps(rest, JSON_COMPACT) : NULL;
    if (text != NULL) {
        fb_call_arg_copy(c, head);
        fb_call_arg_copy(c, text + 1); /* without its brace */
    }
    json_decref(rest);
    bool is_made = text != NULL;
    free(text);
    return is_made ? FB_OK : fb_error_set(err, FB_NO_SPACE, "memory");
}

enum fb_status fb_ledger_reading_record(struct fb_redis *r, const char *parcel_id,
                                        uint32_t recipient, enum fb_ledger_event_kind kind,
                                        const char *actor, int64_t max_downloads,
                                        enum fb_reading *reading_r, struct fb_error *err)
{
    bool is_download = kind == FB_EVENT_DOWNLOAD;
    const char *event = is_download ? "download" : "preview";
    char msg_id[FB_ID_SIZE], index[16], count[48], first[24], who[ACTOR_SIZE];
    struct fb_call c;
    char day[FB_STATS_KEY], figure[FB_STATS_FIELD];
    int shard = 0;
    int64_t code = -1;
    int64_t now_ms = fb_now_ms();
    FB_ASSERT(is_download || kind == FB_EVENT_PREVIEW);
    enum fb_status s = split(r, parcel_id, msg_id, &shard, err);
    if (s != FB_OK) {
        return s;
    }
    (void)pthread_once(&once, prepare);
    clean(who, sizeof who, actor);
    (void)snprintf(index, sizeof index, "%" PRIu32, recipient);
    (void)snprintf(count, sizeof count, "n:%" PRIu32 ":%s", recipient, event);
    (void)snprintf(first, sizeof first, "%s:%" PRIu32, is_download ? "l" : "o", recipient);
    fb_call_init(&c);
    fb_call_key(&c, shard, "m:%s", msg_id);
    fb_call_key(&c, shard, "g:%.40s", parcel_id);
    fb_call_key(&c, shard, "h:%.40s", parcel_id);
    fb_call_key(&c, shard, "w:%.40s", parcel_id);
    fb_ledger_stats_key(day, shard, now_ms);
    fb_call_key(&c, shard, "%s", day + strcspn(day, "}") + 2);
    fb_call_arg_str(&c, index);
    fb_call_arg_str(&c, is_download ? "downloaded" : "opened");
    fb_call_arg_int(&c, now_ms);
    fb_call_arg_str(&c, who);
    fb_call_arg_str(&c, count);
    fb_call_arg_str(&c, first);
    fb_call_arg_int(&c, is_download ? max_downloads : 0);
    s = add_line(&c, now_ms, recipient, who, event, err);
    if (s == FB_OK) {
        s = add_left(r, &c, shard, parcel_id, err);
    }
    fb_ledger_stats_field(figure, FB_STAT_OPENED, now_ms);
    fb_call_arg_str(&c, figure);
    if (s == FB_OK) {
        s = run(r, &record_script, &c, &code, err);
    }
    fb_call_deinit(&c);
    if (s == FB_OK && (code < 0 || code > FB_READING_USED_UP)) {
        s = fb_error_set(err, FB_BUG, "the script answered something else");
    }
    if (s == FB_OK) {
        *reading_r = (enum fb_reading)code;
    }
    return s;
}

enum fb_status fb_ledger_reading_downloads(struct fb_redis *r, const char *parcel_id,
                                           uint32_t recipient, int64_t *count_r,
                                           struct fb_error *err)
{
    static const char *const kinds[] = {"g", "w"}; /* w: of older programs */
    char msg_id[FB_ID_SIZE], key[FB_LEDGER_KEY], field[48];
    int64_t count = 0;
    int shard = 0;
    enum fb_status s = split(r, parcel_id, msg_id, &shard, err);
    if (s != FB_OK) {
        return s;
    }
    (void)snprintf(field, sizeof field, "n:%" PRIu32 ":download", recipient);
    for (size_t i = 0; i < 2 && s == FB_OK; i++) {
        redisReply *reply = NULL;
        fb_ledger_key(key, shard, kinds[i], parcel_id);
        s = fb_redis_call(r, &reply, err, "HGET", key, field, NULL);
        if (s == FB_OK) {
            count += fb_reply_int(reply);
            freeReplyObject(reply);
        }
    }
    if (s == FB_OK) {
        *count_r = count;
    }
    return s;
}

enum fb_status fb_ledger_reading_attempt(struct fb_redis *r, const char *parcel_id,
                                         uint32_t recipient,
                                         const struct fb_reading_attempt *attempt,
                                         struct fb_error *err)
{
    char msg_id[FB_ID_SIZE], address[ACTOR_SIZE], agent[AGENT_SIZE];
    struct fb_call c;
    int shard = 0;
    int64_t code = -1;
    enum fb_status s = split(r, parcel_id, msg_id, &shard, err);
    if (s != FB_OK) {
        return s;
    }
    (void)pthread_once(&once, prepare);
    clean(address, sizeof address, attempt->address);
    clean(agent, sizeof agent, attempt->agent);
    json_t *line = json_pack("{s:I,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "at", (json_int_t)fb_now_ms(),
                             "recipient", (json_int_t)recipient, "from", "", "to", "", "actor",
                             address, "source", "portal", "event", attempt->event, "network",
                             attempt->network, "agent", agent);
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    if (text == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "memory");
    }
    fb_call_init(&c);
    fb_call_key(&c, shard, "h:%.40s", parcel_id);
    fb_call_arg_str(&c, text);
    s = add_left(r, &c, shard, parcel_id, err);
    s = s != FB_OK ? s : run(r, &attempt_script, &c, &code, err);
    fb_call_deinit(&c);
    free(text);
    return s;
}
