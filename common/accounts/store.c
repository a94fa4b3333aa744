/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys, all in the first shard: hash fb:{s0}:console:users name = account, fb:{s0}:console:handles handle = name,
 * counter fb:{s0}:console:changes.  Times come from the caller, so that what is written is the same on every
 * replica. */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/store.h"

#define STRING(x)  STRING_(x)
#define STRING_(x) #x

enum script { SCRIPT_PUT, SCRIPT_END, SCRIPT_COUNT };

/* An account counts as an administrator that can sign in when it has a password, a passkey or a provider behind it. */
static struct fb_script scripts[SCRIPT_COUNT] = {
    /* KEYS users handles changes  ARGV name expected text handle keeps_admin now: {code} */
    [SCRIPT_PUT] =
        {"account put",
         "local old = redis.call('HGET', KEYS[1], ARGV[1])\n"
         "local was = old and cjson.decode(old) or nil\n"
         "local changed = was and string.format('%.0f', was.changed) or '0'\n"
         "if ARGV[2] == '0' then\n"
         "  if was and not was.removed then return {1} end\n"
         "  if not was and redis.call('HLEN', KEYS[1]) >= " STRING(
             FB_ACCOUNTS_MAX) " then return {3} end\n"
                              "elseif changed ~= ARGV[2] then return {2} end\n"
                              "if ARGV[5] == '1' then\n"
                              "  local left = false\n"
                              "  local all = redis.call('HGETALL', KEYS[1])\n"
                              "  for i = 1, #all, 2 do\n"
                              "    local a = cjson.decode(all[i] == ARGV[1] and ARGV[3] or all[i + "
                              "1])\n"
                              "    if a.role == 'admin' and not a.removed and not a.off and\n"
                              "      (a.password ~= '' or a.oidc ~= '' or #a.passkeys > 0) then\n"
                              "      left = true\n"
                              "      break\n"
                              "    end\n"
                              "  end\n"
                              "  if not left then return {4} end\n"
                              "end\n"
                              "if was then redis.call('HDEL', KEYS[2], was.handle) end\n"
                              "redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])\n"
                              "if ARGV[4] ~= '' then redis.call('HSET', KEYS[2], ARGV[4], ARGV[1]) "
                              "end\n"
                              "redis.call('INCR', KEYS[3])\n"
                              "return {0}\n",
         ""},
    /* KEYS index  ARGV prefix keep: the sessions of one account end, each a key of the same shard */
    [SCRIPT_END] = {"account end sessions",
                    "for _, h in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do\n"
                    "  if h ~= ARGV[2] then\n"
                    "    redis.call('DEL', ARGV[1] .. h)\n"
                    "    redis.call('ZREM', KEYS[1], h)\n"
                    "  end\n"
                    "end\n"
                    "return {0}\n",
                    ""}};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        fb_redis_script_prepare(&scripts[i]);
    }
}

enum fb_status fb_accounts_script(struct fb_redis *r, const struct fb_script *script,
                                  size_t key_count, const char *const *keys, size_t arg_count,
                                  const char *const *args, size_t least,
                                  struct redisReply **reply_r, struct fb_error *err)
{
    struct fb_slice key_slices[ACCOUNTS_KEYS], arg_slices[ACCOUNTS_ARGS];
    FB_ASSERT(key_count <= ACCOUNTS_KEYS && arg_count <= ACCOUNTS_ARGS);
    for (size_t i = 0; i < key_count; i++) {
        key_slices[i] = fb_slice_str(keys[i]);
    }
    for (size_t i = 0; i < arg_count; i++) {
        arg_slices[i] = fb_slice_str(args[i]);
    }
    enum fb_status s =
        fb_redis_script(r, script, key_count, key_slices, arg_count, arg_slices, reply_r, err);
    if (s == FB_OK && ((*reply_r)->type != REDIS_REPLY_ARRAY || (*reply_r)->elements < least)) {
        freeReplyObject(*reply_r);
        *reply_r = NULL;
        s = fb_error_set(err, FB_BUG, "an answer of script %s", script->name);
    }
    return s;
}

int64_t fb_accounts_int(const struct redisReply *reply, size_t i)
{
    const redisReply *item = i < reply->elements ? reply->element[i] : NULL;
    return item == NULL                        ? 0
           : item->type == REDIS_REPLY_INTEGER ? item->integer
           : item->type == REDIS_REPLY_STRING  ? strtoll(item->str, NULL, 10)
                                               : 0;
}

/* ---- reading ---- */

static enum fb_status decode(const redisReply *reply, bool with_removed,
                             struct fb_account **account_r, struct fb_error *err)
{
    if (reply->type != REDIS_REPLY_STRING) {
        return fb_error_set(err, FB_NOT_FOUND, "no such account");
    }
    enum fb_status s = fb_account_decode(fb_slice_of(reply->str, reply->len), account_r, err);
    if (s == FB_OK && (*account_r)->is_removed && !with_removed) {
        fb_account_free(account_r);
        s = fb_error_set(err, FB_NOT_FOUND, "no such account");
    }
    return s;
}

enum fb_status fb_account_get(struct fb_redis *r, const char *name, struct fb_account **account_r,
                              struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "HGET", ACCOUNTS_USERS, name, NULL);
    if (s == FB_OK) {
        s = decode(reply, false, account_r, err);
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_account_by_handle(struct fb_redis *r, const char *handle,
                                    struct fb_account **account_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "HGET", ACCOUNTS_HANDLES, handle, NULL);
    if (s != FB_OK) {
        return s;
    }
    if (reply->type == REDIS_REPLY_STRING) {
        s = fb_account_get(r, reply->str, account_r, err);
    } else {
        s = fb_error_set(err, FB_NOT_FOUND, "no such account");
    }
    freeReplyObject(reply);
    if (s == FB_OK && strcmp((*account_r)->handle, handle) != 0) {
        fb_account_free(account_r);
        s = fb_error_set(err, FB_NOT_FOUND, "no such account");
    }
    return s;
}

static int by_name(const void *a, const void *b)
{
    const struct fb_account *const *x = a;
    const struct fb_account *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

enum fb_status fb_accounts_list(struct fb_redis *r, bool with_removed, struct fb_accounts *list_r,
                                struct fb_error *err)
{
    redisReply *reply = NULL;
    *list_r = (struct fb_accounts){0};
    enum fb_status s = fb_redis_call(r, &reply, err, "HVALS", ACCOUNTS_USERS, NULL);
    if (s != FB_OK) {
        return s;
    }
    size_t count = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
    if (count > 2 * FB_ACCOUNTS_MAX) {
        freeReplyObject(reply);
        return fb_error_set(err, FB_CORRUPT, "there are %zu accounts", count);
    }
    list_r->items = fb_xcalloc(count + 1, sizeof(struct fb_account *));
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        s = decode(reply->element[i], with_removed, &list_r->items[list_r->count], err);
        if (s == FB_OK) {
            list_r->count++;
        } else if (s == FB_NOT_FOUND) {
            s = FB_OK; /* a mark */
        }
    }
    freeReplyObject(reply);
    if (s != FB_OK) {
        fb_accounts_deinit(list_r);
        return s;
    }
    qsort(list_r->items, list_r->count, sizeof(struct fb_account *), by_name);
    return FB_OK;
}

void fb_accounts_deinit(struct fb_accounts *list)
{
    for (size_t i = 0; i < list->count; i++) {
        fb_account_free(&list->items[i]);
    }
    free(list->items);
    *list = (struct fb_accounts){0};
}

/* ---- writing ---- */

static enum fb_status status_of(int64_t code, const char *name, struct fb_error *err)
{
    switch (code) {
    case 0:
        return FB_OK;
    case 1:
        return fb_error_set(err, FB_EXISTS, "there is an account %s already", name);
    case 2:
        return fb_error_set(err, FB_AGAIN, "somebody else changed the account %s meanwhile", name);
    case 3:
        return fb_error_set(err, FB_TOO_BIG, "there are %d accounts already", FB_ACCOUNTS_MAX);
    case 4:
        return fb_error_set(err, FB_DENIED,
                            "%s is the last administrator who can sign in: make another one first",
                            name);
    default:
        return fb_error_set(err, FB_BUG, "an answer of the accounts' script");
    }
}

enum fb_status fb_account_put(struct fb_redis *r, struct fb_account *a, bool keeps_admin,
                              struct fb_error *err)
{
    static const char *const keys[] = {ACCOUNTS_USERS, ACCOUNTS_HANDLES, ACCOUNTS_CHANGES};
    char expected[24];
    redisReply *reply = NULL;
    struct fb_buf text;
    int64_t before = a->changed_ms;
    int64_t now = fb_now_ms();
    (void)pthread_once(&once, prepare);
    (void)snprintf(expected, sizeof expected, "%lld", (long long)before);
    a->changed_ms = now > before ? now : before + 1; /* also where clocks differ */
    fb_buf_init(&text, ACCOUNTS_TEXT);
    enum fb_status s = fb_account_encode(a, &text);
    if (s == FB_OK) {
        const char *const args[] = {a->name, expected, fb_buf_str(&text),
                                    a->is_removed ? "" : a->handle, keeps_admin ? "1" : "0"};
        s = fb_accounts_script(r, &scripts[SCRIPT_PUT], 3, keys, 5, args, 1, &reply, err);
    } else {
        (void)fb_error_set(err, s, "an account has no room");
    }
    if (s == FB_OK) {
        s = status_of(fb_accounts_int(reply, 0), a->name, err);
        freeReplyObject(reply);
    }
    if (text.ptr != NULL) {
        fb_wipe(text.ptr, text.len);
    }
    fb_buf_deinit(&text);
    if (s != FB_OK) {
        a->changed_ms = before;
    }
    return s;
}

enum fb_status fb_account_remove(struct fb_redis *r, struct fb_account *a, bool keeps_admin,
                                 struct fb_error *err)
{
    struct fb_error ignored = {0};
    a->is_removed = true;
    enum fb_status s = fb_account_put(r, a, keeps_admin, err);
    if (s == FB_OK) {
        /* They open nothing any more: their account has gone. */
        s = fb_account_end_sessions(r, a->handle, "", &ignored);
        return FB_OK;
    }
    return s;
}

enum fb_status fb_account_end_sessions(struct fb_redis *r, const char *handle, const char *keep,
                                       struct fb_error *err)
{
    char key[ACCOUNTS_KEY];
    redisReply *reply = NULL;
    (void)pthread_once(&once, prepare);
    (void)snprintf(key, sizeof key, ACCOUNTS_OF "%.32s", handle);
    const char *const keys[] = {key};
    const char *const args[] = {ACCOUNTS_SESSION, keep};
    enum fb_status s =
        fb_accounts_script(r, &scripts[SCRIPT_END], 1, keys, 2, args, 1, &reply, err);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return s;
}
