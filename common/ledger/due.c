/* SPDX-License-Identifier: Apache-2.0
 *
 * The sorted set fb:{sN}:due.  An expiry's member is the parcel's id alone, as it was before there
 * were other kinds; theirs have the kind's name in front.
 */
#include "common/ledger/due.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/ledger/internal.h"

static const char *const prefixes[FB_DUE_COUNT] = {
    [FB_DUE_EXPIRE] = "",
    [FB_DUE_PURGE] = "purge:",
    [FB_DUE_UNOPENED] = "unopened:",
    [FB_DUE_REPORT] = "report:",
};

/* KEYS due  ARGV now again max: takes what is due.  Answers member, score, member, score, ... */
static const char take_lua[] =
    "local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, "
    "ARGV[3])\n"
    "local set = {}\n"
    "for i = 1, #due, 2 do set[i] = ARGV[2]; set[i + 1] = due[i] end\n"
    "if #set > 0 then redis.call('ZADD', KEYS[1], 'XX', unpack(set)) end\n"
    "return due\n";

static struct fb_script take_script = {"due_take", take_lua, ""};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&take_script);
}

/* A REPORT's "<message id>/<recall id>". */
static bool split_report(const char *id, char msg_id[FB_ID_SIZE])
{
    if (strlen(id) != 2 * (FB_ID_SIZE - 1) + 1 || id[FB_ID_SIZE - 1] != '/') {
        return false;
    }
    memcpy(msg_id, id, FB_ID_SIZE - 1);
    msg_id[FB_ID_SIZE - 1] = '\0';
    return fb_id_is_valid(msg_id) && fb_id_is_valid(id + FB_ID_SIZE);
}

static bool is_id(enum fb_due kind, const char *id, char msg_id[FB_ID_SIZE])
{
    uint32_t branch = 0;
    return kind == FB_DUE_REPORT ? split_report(id, msg_id)
                                 : fb_parcel_id_split(id, msg_id, &branch);
}

void fb_ledger_due_add(struct fb_redis *r, struct fb_ops *ops, enum fb_due kind, const char *id,
                       int64_t at_ms)
{
    char msg_id[FB_ID_SIZE];
    char key[FB_KEY_SIZE];
    char member[96];
    char at[24];
    if (!is_id(kind, id, msg_id)) {
        fb_ops_add(ops, "DEL", "", NULL); /* sticks as FB_BUG */
        return;
    }
    fb_key(key, fb_redis_shard(r, msg_id), "%s", "due");
    (void)snprintf(member, sizeof member, "%s%s", prefixes[kind], id);
    (void)snprintf(at, sizeof at, "%" PRId64, at_ms);
    if (at_ms > 0) {
        fb_ops_add(ops, "ZADD", key, at, member, NULL);
    } else {
        fb_ops_add(ops, "ZREM", key, member, NULL);
    }
}

void fb_ledger_due_set(struct fb_redis *r, struct fb_ops *ops, const char *parcel_id,
                       int64_t expires_ms)
{
    fb_ledger_due_add(r, ops, FB_DUE_EXPIRE, parcel_id, expires_ms);
}

/* False: of a kind that this program does not know (a newer one wrote it). */
static bool read_member(struct fb_slice member, struct fb_due_item *item)
{
    char msg_id[FB_ID_SIZE];
    size_t kind = FB_DUE_COUNT - 1; /* EXPIRE has no prefix: the last one to be tried */
    while (kind > 0 && (member.len < strlen(prefixes[kind]) ||
                        memcmp(member.ptr, prefixes[kind], strlen(prefixes[kind])) != 0)) {
        kind--;
    }
    struct fb_slice id = fb_slice_sub(member, strlen(prefixes[kind]), SIZE_MAX);
    if (id.len == 0 || id.len >= sizeof item->id) {
        return false;
    }
    item->kind = (enum fb_due)kind;
    memcpy(item->id, id.ptr, id.len);
    item->id[id.len] = '\0';
    return is_id(item->kind, item->id, msg_id);
}

enum fb_status fb_ledger_due_take(struct fb_redis *r, int shard, int64_t now_ms, int64_t again_ms,
                                  size_t max, struct fb_due_item *items_r, size_t *count_r,
                                  struct fb_error *err)
{
    struct fb_call c;
    redisReply *reply = NULL;
    *count_r = 0;
    (void)pthread_once(&once, prepare);
    fb_call_init(&c);
    fb_call_key(&c, shard, "%s", "due");
    fb_call_arg_int(&c, now_ms);
    fb_call_arg_int(&c, now_ms + again_ms);
    fb_call_arg_int(&c, (int64_t)(max < FB_MAX_DUE_TAKE ? max : FB_MAX_DUE_TAKE));
    enum fb_status s =
        fb_redis_script(r, &take_script, c.key_count, c.keys, c.arg_count, c.args, &reply, err);
    for (size_t i = 0; s == FB_OK && i + 1 < reply->elements && *count_r < max; i += 2) {
        struct fb_due_item *item = &items_r[*count_r];
        if (read_member(fb_reply_slice(reply->element[i]), item)) {
            item->at_ms = fb_reply_int(reply->element[i + 1]);
            (*count_r)++;
        }
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}

enum fb_status fb_ledger_due_count(struct fb_redis *r, int64_t until_ms, uint64_t *count_r,
                                   struct fb_error *err)
{
    enum fb_status s = FB_OK;
    uint64_t sum = 0;
    char until[24];
    (void)snprintf(until, sizeof until, "%" PRId64, until_ms);
    for (int shard = 0; s == FB_OK && shard < fb_redis_shard_count(r); shard++) {
        char key[FB_KEY_SIZE];
        redisReply *reply = NULL;
        fb_key(key, shard, "%s", "due");
        s = fb_redis_call(r, &reply, err, "ZCOUNT", key, "-inf", until, NULL);
        if (s == FB_OK) {
            sum += (uint64_t)fb_reply_int(reply);
            freeReplyObject(reply);
        }
    }
    if (s == FB_OK) {
        *count_r = sum;
    }
    return s;
}

enum fb_status fb_ledger_due_oldest(struct fb_redis *r, int64_t until_ms, int64_t *at_ms_r,
                                    struct fb_error *err)
{
    enum fb_status s = FB_OK;
    int64_t oldest = until_ms;
    char until[24];
    (void)snprintf(until, sizeof until, "%" PRId64, until_ms);
    for (int shard = 0; s == FB_OK && shard < fb_redis_shard_count(r); shard++) {
        char key[FB_KEY_SIZE];
        redisReply *reply = NULL;
        fb_key(key, shard, "%s", "due");
        s = fb_redis_call(r, &reply, err, "ZRANGEBYSCORE", key, "-inf", until, "WITHSCORES",
                          "LIMIT", "0", "1", NULL);
        if (s == FB_OK) {
            int64_t at = reply->elements == 2 ? fb_reply_int(reply->element[1]) : oldest;
            oldest = at < oldest ? at : oldest;
            freeReplyObject(reply);
        }
    }
    if (s == FB_OK) {
        *at_ms_r = oldest;
    }
    return s;
}
