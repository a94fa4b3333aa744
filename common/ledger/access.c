/* SPDX-License-Identifier: Apache-2.0
 *
 * One script writes a page's events of one shard; the one of shard 0 moves the position too, and
 * runs last.  A crash between shards leaves the position where it was: the page comes again, and
 * what is recorded is known by its id. */
#include "common/ledger/access.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "common/ledger/stats.h"

#define KNOWN_MS   INT64_C(7776000000) /* 90 days: Box keeps two weeks to two months */
#define PARKED_MAX "10000"

/* Of a parcel that an older program uploaded, p is the record and w has the counts; else both are in g.
 * KEYS fence pos parked seen, then for each event: e g h w p
 * ARGV token has_position stream old new known_ms parked_max park_count now (id text)... settled_count
 * id..., then for each event: recipient want at actor source user count first head tail
 * answers {code, "012..."}: known (or no parcel), recorded, changed, changed by being opened for the first time */
static const char record_lua[] =
    "local rank = {pending = 1, active = 2, opened = 3, downloaded = 4}\n"
    "local fence, pos, parked = KEYS[1], KEYS[2], KEYS[3]\n"
    "if redis.call('GET', fence) ~= ARGV[1] then return {2, ''} end\n"
    "if ARGV[2] == '1' and (redis.call('HGET', pos, ARGV[3]) or '') ~= ARGV[4] then\n"
    "  return {4, ''}\n"
    "end\n"
    "local at = 10\n"
    "for _ = 1, tonumber(ARGV[8]) do\n"
    "  if redis.call('HLEN', parked) < tonumber(ARGV[7]) then\n"
    "    redis.call('HSET', parked, ARGV[at], ARGV[at + 1])\n"
    "  elseif ARGV[2] == '1' then\n" /* no room: the evidence has to say so */
    "    redis.call('HSET', KEYS[4], 'from:' .. ARGV[3], ARGV[9])\n"
    "  end\n"
    "  at = at + 2\n"
    "end\n"
    "local settled = tonumber(ARGV[at])\n"
    "local first_settled = at + 1\n"
    "at = at + 1 + settled\n"
    "local answer = {}\n"
    "for k = 5, #KEYS, 5 do\n"
    "  local e, g, h, w, p = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4]\n"
    "  local r, want, when, actor, source = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], "
    "ARGV[at + 4]\n"
    "  local user, count, first = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]\n"
    "  local head, tail = ARGV[at + 8], ARGV[at + 9]\n"
    "  at = at + 10\n"
    "  local left, code = redis.call('PTTL', p), '0'\n"
    "  local is_whole = redis.call('HGET', g, 'at')\n"
    "  if is_whole then left, w = redis.call('PTTL', g), g end\n"
    "  if left ~= -2 and redis.call('SET', e, '1', 'NX', 'PX', ARGV[6]) then\n"
    "    local from, to, id = '', '', ''\n"
    "    code = '1'\n"
    "    if r ~= '' then\n"
    "      from, id = string.match(redis.call('HGET', g, r) or '', '^([^|]*)|([^|]*)|')\n"
    "      from, id = from or '', id or ''\n"
    "      to = from\n"
    "      if want ~= '' and rank[from] and rank[want] > rank[from] then\n"
    "        to, code = want, (rank[from] < 3 and rank[want] >= 3) and '3' or '2'\n"
    "        local value = table.concat({to, id, when, actor, source}, '|')\n"
    "        if #value > " FB_LEDGER_COMPACT " then\n"
    "          value = table.concat({to, id, when, '', source}, '|')\n"
    "        end\n"
    "        redis.call('HSET', g, r, value)\n"
    "      end\n"
    "      if user ~= '' then redis.call('HSET', w, 'u:' .. user, r) end\n"
    "    end\n"
    "    redis.call('HINCRBY', w, count, 1)\n"
    /* Events do not come in the order of their times. */
    "    if first ~= '' then\n"
    "      local earliest = tonumber(redis.call('HGET', w, first))\n"
    "      if not earliest or tonumber(when) < earliest then redis.call('HSET', w, first, when) "
    "end\n"
    "    end\n"
    "    redis.call('RPUSH', h, head .. '\"from\":\"' .. from .. '\",\"to\":\"' .. to .. '\",' .. "
    "tail)\n"
    "    redis.call('LTRIM', h, -10000, -1)\n"
    "    if left > 0 then\n"
    "      if not is_whole then redis.call('PEXPIRE', w, left) end\n"
    "      if redis.call('PTTL', h) == -1 then redis.call('PEXPIRE', h, left) end\n"
    "    end\n"
    "  end\n"
    "  answer[#answer + 1] = code\n"
    "end\n"
    "for i = first_settled, first_settled + settled - 1 do redis.call('HDEL', parked, ARGV[i]) "
    "end\n"
    "if ARGV[2] == '1' then redis.call('HSET', pos, ARGV[3], ARGV[5]) end\n"
    "return {0, table.concat(answer)}\n";

/* KEYS g w p  ARGV field state */
static const char two_step_lua[] =
    "local g, w, p = KEYS[1], KEYS[2], KEYS[3]\n"
    "if redis.call('HGET', g, 'at') then\n"
    "  redis.call('HSET', g, ARGV[1], ARGV[2])\n"
    "  return 0\n"
    "end\n"
    "local left = redis.call('PTTL', p)\n"
    "if left == -2 then return 0 end\n" /* the parcel's time in the ledger is over */
    "redis.call('HSET', w, ARGV[1], ARGV[2])\n"
    "if left > 0 then redis.call('PEXPIRE', w, left) end\n"
    "return 0\n";

static struct fb_script record_script = {"record", record_lua, ""};
static struct fb_script two_step_script = {"two_step", two_step_lua, ""};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&record_script);
    fb_redis_script_prepare(&two_step_script);
}

struct kind {
    const char *want;  /* the state that it leads to */
    const char *event; /* in the history, and in the count's name */
    const char *first; /* the field of the first time, "<first>:<i>" */
};

static const struct kind kinds[] = {
    [FB_EVENT_PREVIEW] = {"opened", "preview", "o"},
    [FB_EVENT_DOWNLOAD] = {"downloaded", "download", "l"},
    [FB_EVENT_ACCEPTED] = {"active", "accepted", ""},
    [FB_EVENT_LINK_REMOVED] = {"", "link removed", ""},
    [FB_EVENT_LINK_NOT_OPEN] = {"", "link not open", ""},
    [FB_EVENT_LINK_ALLOWED] = {"", "link allowed", ""},
    [FB_EVENT_LINK_REMAINS] = {"", "link remains", ""},
};

/* Stands between '|' in a grant, and in JSON. */
static void clean(char *out, size_t size, const char *in)
{
    size_t n = 0;
    for (; in[n] != '\0' && n + 1 < size; n++) {
        unsigned char c = (unsigned char)in[n];
        out[n] = c == '|' || c < 0x20 || c >= 0x7f ? '?' : in[n];
    }
    out[n] = '\0';
}

static enum fb_status add_line(struct fb_call *c, const struct fb_ledger_event *e,
                               const char *actor, struct fb_error *err)
{
    char head[96];
    char index[16] = "null";
    if (e->recipient != UINT32_MAX) {
        (void)snprintf(index, sizeof index, "%" PRIu32, e->recipient);
    }
    (void)snprintf(head, sizeof head, "{\"at\":%" PRId64 ",\"recipient\":%s,", e->at_ms, index);
    json_t *rest = json_pack("{s:s,s:s,s:s}", "actor", actor, "source", e->source, "event",
                             kinds[e->kind].event);
    char *text = rest != NULL ? json_dumps(rest, JSON_COMPACT) : NULL;
    if (text != NULL) {
        fb_call_arg_copy(c, head);
        fb_call_arg_copy(c, text + 1); /* without its brace: it goes on behind the states */
    }
    json_decref(rest);
    bool is_made = text != NULL;
    free(text);
    return is_made ? FB_OK : fb_error_set(err, FB_NO_SPACE, "memory");
}

static enum fb_status add_event(struct fb_call *c, int shard, const struct fb_ledger_event *e,
                                struct fb_error *err)
{
    char actor[200];
    char index[16] = "";
    char count[48];
    char first[24] = "";
    clean(actor, sizeof actor, e->actor);
    if (e->recipient != UINT32_MAX) {
        (void)snprintf(index, sizeof index, "%" PRIu32, e->recipient);
    }
    (void)snprintf(count, sizeof count, "n:%s:%s", index[0] != '\0' ? index : "x",
                   kinds[e->kind].event);
    if (kinds[e->kind].first[0] != '\0') {
        (void)snprintf(first, sizeof first, "%s:%s", kinds[e->kind].first,
                       index[0] != '\0' ? index : "x");
    }
    fb_call_key(c, shard, "e:%.64s", e->id);
    fb_call_key(c, shard, "g:%.40s", e->parcel_id);
    fb_call_key(c, shard, "h:%.40s", e->parcel_id);
    fb_call_key(c, shard, "w:%.40s", e->parcel_id);
    fb_call_key(c, shard, "p:%.40s", e->parcel_id);
    fb_call_arg_copy(c, index);
    fb_call_arg_str(c, kinds[e->kind].want);
    fb_call_arg_int(c, e->at_ms);
    fb_call_arg_copy(c, actor);
    fb_call_arg_str(c, e->source);
    fb_call_arg_str(c, e->user_id);
    fb_call_arg_copy(c, count);
    fb_call_arg_copy(c, first);
    return add_line(c, e, actor, err);
}

static int shard_of(struct fb_redis *r, const struct fb_ledger_event *e)
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    return fb_parcel_id_split(e->parcel_id, msg_id, &branch) ? fb_redis_shard(r, msg_id) : -1;
}

static void add_head(struct fb_call *c, int shard, const struct fb_ledger_page *page)
{
    bool has_position = shard == 0 && page->stream != NULL;
    fb_call_key(c, shard, "%s", "watch:fence");
    fb_call_key(c, shard, "%s", "watch:pos");
    fb_call_key(c, shard, "%s", "watch:parked");
    fb_call_key(c, shard, "%s", "watch:seen");
    fb_call_arg_str(c, page->token);
    fb_call_arg_str(c, has_position ? "1" : "0");
    fb_call_arg_str(c, has_position ? page->stream : "");
    fb_call_arg_str(c, has_position ? page->old_position : "");
    fb_call_arg_str(c, has_position ? page->new_position : "");
    fb_call_arg_int(c, KNOWN_MS);
    fb_call_arg_str(c, PARKED_MAX);
    size_t park = shard == 0 ? page->park_count : 0;
    size_t settled = shard == 0 ? page->settled_count : 0;
    fb_call_arg_int(c, (int64_t)park);
    fb_call_arg_int(c, fb_now_ms());
    for (size_t i = 0; i < park; i++) {
        fb_call_arg_str(c, page->park_ids[i]);
        fb_call_arg_str(c, page->park_texts[i]);
    }
    fb_call_arg_int(c, (int64_t)settled);
    for (size_t i = 0; i < settled; i++) {
        fb_call_arg_str(c, page->settled_ids[i]);
    }
}

static enum fb_status run_record(struct fb_redis *r, const struct fb_call *c, struct fb_buf *bits,
                                 struct fb_error *err)
{
    redisReply *reply = NULL;
    (void)pthread_once(&once, prepare);
    enum fb_status s = fb_redis_script(r, &record_script, c->key_count, c->keys, c->arg_count,
                                       c->args, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    int64_t code = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
                       ? fb_reply_int(reply->element[0])
                       : -1;
    if (code == FB_SCRIPT_OK) {
        s = fb_buf_add_slice(bits, fb_reply_slice(reply->element[1]));
    } else if (code == FB_SCRIPT_LOST) {
        s = fb_error_set(err, FB_LOST, "another process is leader now");
    } else if (code == FB_SCRIPT_AGAIN) {
        s = fb_error_set(err, FB_AGAIN, "the position is another one now");
    } else {
        s = fb_error_set(err, FB_BUG, "record: odd answer");
    }
    freeReplyObject(reply);
    return s;
}

static enum fb_status record_shard(struct fb_redis *r, int shard, const struct fb_ledger_page *page,
                                   enum fb_ledger_recorded *recorded_r, struct fb_error *err)
{
    struct fb_call c;
    struct fb_buf bits;
    enum fb_status s = FB_OK;
    size_t count = 0;
    int64_t opened = 0;
    fb_call_init(&c);
    fb_buf_init(&bits, page->count + 1);
    add_head(&c, shard, page);
    for (size_t i = 0; i < page->count && s == FB_OK; i++) {
        if (shard_of(r, &page->events[i]) == shard) {
            s = add_event(&c, shard, &page->events[i], err);
            count++;
        }
    }
    if (s == FB_OK && (count > 0 || shard == 0)) {
        s = run_record(r, &c, &bits, err);
    }
    for (size_t i = 0, k = 0; i < page->count && s == FB_OK; i++) {
        if (shard_of(r, &page->events[i]) == shard && k < bits.len) {
            char code = (char)bits.ptr[k++];
            opened += code == '3';
            recorded_r[i] = (enum fb_ledger_recorded)((code == '3' ? '2' : code) - '0');
        }
    }
    fb_ledger_count_now(r, shard, FB_STAT_OPENED, opened);
    fb_buf_deinit(&bits);
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_ledger_record(struct fb_redis *r, const struct fb_ledger_page *page,
                                enum fb_ledger_recorded *recorded_r, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < page->count; i++) {
        recorded_r[i] = FB_EVENT_KNOWN;
    }
    for (int shard = fb_redis_shard_count(r) - 1; shard >= 0 && s == FB_OK; shard--) {
        s = record_shard(r, shard, page, recorded_r, err);
    }
    return s;
}

/* ---- positions and what was put by ---- */

enum fb_status fb_ledger_position(struct fb_redis *r, const char *stream,
                                  char position_r[FB_POSITION_SIZE], struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    redisReply *reply = NULL;
    fb_key(key, 0, "%s", "watch:pos");
    enum fb_status s = fb_redis_call(r, &reply, err, "HGET", key, stream, NULL);
    if (s != FB_OK) {
        return s;
    }
    struct fb_slice text = fb_reply_slice(reply);
    size_t n = text.len < FB_POSITION_SIZE ? text.len : 0;
    if (n > 0) {
        memcpy(position_r, text.ptr, n);
    }
    position_r[n] = '\0';
    freeReplyObject(reply);
    return FB_OK;
}

/* How far the events were read is forgotten with it, in one step: it says what was recorded until
 * then, and that is to be recorded again. */
enum fb_status fb_ledger_positions_forget(struct fb_redis *r, struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    char seen[FB_KEY_SIZE];
    redisReply *reply = NULL;
    fb_key(key, 0, "%s", "watch:pos");
    fb_key(seen, 0, "%s", "watch:seen");
    enum fb_status s = fb_redis_call(r, &reply, err, "DEL", key, seen, NULL);
    if (s == FB_OK) {
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_ledger_parked(struct fb_redis *r, size_t limit,
                                bool (*each)(void *ctx, const char *id, const char *text),
                                void *ctx, struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    redisReply *reply = NULL;
    fb_key(key, 0, "%s", "watch:parked");
    enum fb_status s = fb_redis_call(r, &reply, err, "HGETALL", key, NULL);
    if (s != FB_OK) {
        return s;
    }
    bool goes_on = true;
    for (size_t i = 0; goes_on && i + 1 < reply->elements && i / 2 < limit; i += 2) {
        if (reply->element[i]->str != NULL && reply->element[i + 1]->str != NULL) {
            goes_on = each(ctx, reply->element[i]->str, reply->element[i + 1]->str);
        }
    }
    freeReplyObject(reply);
    return FB_OK;
}

/* A key of a parcel; false for what is no parcel id. */
static bool parcel_key(struct fb_redis *r, const char *kind, const char *parcel_id,
                       char key[FB_KEY_SIZE])
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    if (!fb_parcel_id_split(parcel_id, msg_id, &branch)) {
        return false;
    }
    fb_key(key, fb_redis_shard(r, msg_id), "%s:%s", kind, parcel_id);
    return true;
}

/* A field of the parcel's counts: in its record, or beside it (older programs).  Nil where it is nowhere. */
static enum fb_status ask_seen(struct fb_redis *r, const char *parcel_id, const char *field,
                               redisReply **reply_r, struct fb_error *err)
{
    static const char *const places[] = {"g", "w"};
    enum fb_status s = FB_OK;
    redisReply *reply = NULL;
    for (size_t i = 0; i < 2 && s == FB_OK; i++) {
        char key[FB_KEY_SIZE];
        if (!parcel_key(r, places[i], parcel_id, key)) {
            return fb_error_set(err, FB_NOT_FOUND, "no such parcel");
        }
        s = fb_redis_call(r, &reply, err, "HGET", key, field, NULL);
        if (s == FB_OK && reply->type == REDIS_REPLY_NIL && i == 0) {
            freeReplyObject(reply);
        } else {
            break;
        }
    }
    if (s == FB_OK) {
        *reply_r = reply;
    }
    return s;
}

enum fb_status fb_ledger_user_recipient(struct fb_redis *r, const char *parcel_id,
                                        const char *user_id, uint32_t *recipient_r,
                                        struct fb_error *err)
{
    char field[48];
    redisReply *reply = NULL;
    (void)snprintf(field, sizeof field, "u:%.40s", user_id);
    enum fb_status s = ask_seen(r, parcel_id, field, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    bool is_there = reply->type == REDIS_REPLY_STRING;
    if (is_there) {
        *recipient_r = (uint32_t)fb_reply_int(reply);
    }
    freeReplyObject(reply);
    return is_there ? FB_OK : fb_error_set(err, FB_NOT_FOUND, "this user was not seen yet");
}

/* ---- pending grants ---- */

enum fb_status fb_ledger_pending_set(struct fb_redis *r, const char *storage, const char *parcel_id,
                                     uint32_t recipient, int64_t at_ms, struct fb_error *err)
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    char key[FB_LEDGER_KEY];
    char member[64];
    char at[24];
    redisReply *reply = NULL;
    if (!fb_parcel_id_split(parcel_id, msg_id, &branch)) {
        return fb_error_set(err, FB_NOT_FOUND, "no such parcel");
    }
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "pending", storage);
    (void)snprintf(member, sizeof member, "%s/%" PRIu32, parcel_id, recipient);
    (void)snprintf(at, sizeof at, "%" PRId64, at_ms);
    enum fb_status s = at_ms > 0
                           ? fb_redis_call(r, &reply, err, "ZADD", key, "XX", at, member, NULL)
                           : fb_redis_call(r, &reply, err, "ZREM", key, member, NULL);
    if (s == FB_OK) {
        freeReplyObject(reply);
    }
    return s;
}

/* "<parcel>/<recipient>" */
static bool read_member(const char *member, char parcel_id[FB_PARCEL_ID_SIZE],
                        uint32_t *recipient_r)
{
    const char *slash = member != NULL ? strchr(member, '/') : NULL;
    size_t n = slash != NULL ? (size_t)(slash - member) : 0;
    if (n == 0 || n >= FB_PARCEL_ID_SIZE) {
        return false;
    }
    memcpy(parcel_id, member, n);
    parcel_id[n] = '\0';
    *recipient_r = (uint32_t)fb_slice_int(fb_slice_str(slash + 1));
    return true;
}

enum fb_status
fb_ledger_pending_due(struct fb_redis *r, const char *storage, int64_t until_ms, size_t limit,
                      bool (*each)(void *ctx, const char *parcel_id, uint32_t recipient), void *ctx,
                      struct fb_error *err)
{
    enum fb_status s = FB_OK;
    bool goes_on = true;
    char until[24];
    char most[24];
    (void)snprintf(until, sizeof until, "%" PRId64, until_ms);
    (void)snprintf(most, sizeof most, "%zu", limit);
    for (int shard = 0; shard < fb_redis_shard_count(r) && s == FB_OK && goes_on; shard++) {
        char key[FB_LEDGER_KEY];
        redisReply *reply = NULL;
        fb_ledger_key(key, shard, "pending", storage);
        s = fb_redis_call(r, &reply, err, "ZRANGEBYSCORE", key, "-inf", until, "LIMIT", "0", most,
                          NULL);
        for (size_t i = 0; s == FB_OK && goes_on && i < reply->elements; i++) {
            char parcel_id[FB_PARCEL_ID_SIZE];
            uint32_t recipient = 0;
            if (read_member(reply->element[i]->str, parcel_id, &recipient)) {
                goes_on = each(ctx, parcel_id, recipient);
            }
        }
        if (s == FB_OK) {
            freeReplyObject(reply);
        }
    }
    return s;
}

enum fb_status fb_ledger_two_step_set(struct fb_redis *r, const char *parcel_id, uint32_t recipient,
                                      const char *state, struct fb_error *err)
{
    struct fb_call c;
    char field[24];
    redisReply *reply = NULL;
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    if (!fb_parcel_id_split(parcel_id, msg_id, &branch)) {
        return fb_error_set(err, FB_NOT_FOUND, "no such parcel");
    }
    int shard = fb_redis_shard(r, msg_id);
    (void)snprintf(field, sizeof field, "2:%" PRIu32, recipient);
    (void)pthread_once(&once, prepare);
    fb_call_init(&c);
    fb_call_key(&c, shard, "g:%s", parcel_id);
    fb_call_key(&c, shard, "w:%s", parcel_id);
    fb_call_key(&c, shard, "p:%s", parcel_id);
    fb_call_arg_str(&c, field);
    fb_call_arg_str(&c, state);
    enum fb_status s =
        fb_redis_script(r, &two_step_script, c.key_count, c.keys, c.arg_count, c.args, &reply, err);
    if (s == FB_OK) {
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}
