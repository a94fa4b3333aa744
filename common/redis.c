/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection to Redis over hiredis.  Written for 0.14 (Debian 12) and 1.x (Debian 13): only
 * calls that both have.
 *
 * Rules kept here, each learnt from a bug of others:
 *  - a context that saw an I/O error or time-out is freed: a late reply would be taken for the next
 *    command's (hiredis issue 306);
 *  - the socket's time-out is always longer than the server's BLOCK (hiredis issue 630);
 *  - after READONLY, MASTERDOWN or UNBLOCKED the peer is no primary any more: the connection is
 *    dropped, so that the next call resolves the name again and finds the new one;
 *  - a connection that the server closed while it was idle is noticed before it is used, so that a
 *    restart of Redis does not cost a command whose outcome would be unknown.
 * Whether a command whose reply was lost has run is not known here: the scripts are made to be
 * sent again.
 */
#include "common/redis.h"

#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/redis_url.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000
#define MAX_CALL_ARGS  32
#define MAX_ARGS       (1U << 20) /* Redis' own limit of a multibulk request */

struct fb_redis {
    struct fb_redis_url url;
    int shards;
    int timeout_ms;
    redisContext *ctx;
    int current_timeout_ms; /* what the socket is set to */
    size_t outstanding;     /* replies not yet fetched */
    bool is_stale;          /* drop the connection once the replies are fetched */
    int64_t retry_at_ms;    /* monotonic; no attempt before it */
    int64_t backoff_ms;
};

enum fb_status fb_redis_new(const struct fb_config *config, int timeout_ms,
                            struct fb_redis **redis_r, struct fb_error *err)
{
    FB_ASSERT(timeout_ms > 0);
    struct fb_redis_url url;
    enum fb_status s = fb_redis_url_parse(config->redis.url, &url, err);
    if (s != FB_OK) {
        return s;
    }
    if (url.is_tls) {
        s = fb_redis_tls_check(err);
        if (s != FB_OK) {
            fb_redis_url_deinit(&url);
            return s;
        }
    }
    if (config->redis.password != NULL && config->redis.password[0] != '\0') {
        if (url.password != NULL) {
            explicit_bzero(url.password, strlen(url.password));
            free(url.password);
        }
        url.password = fb_xstrdup(config->redis.password);
    }
    struct fb_redis *r = fb_xcalloc(1, sizeof(*r));
    r->url = url;
    r->timeout_ms = timeout_ms;
    r->shards = config->redis.shards > 0 && config->redis.shards <= INT16_MAX
                    ? (int)config->redis.shards
                    : 1;
    *redis_r = r;
    return FB_OK;
}

static void drop(struct fb_redis *r)
{
    if (r->ctx != NULL) {
        redisFree(r->ctx);
        r->ctx = NULL;
    }
    r->outstanding = 0;
    r->is_stale = false;
}

void fb_redis_reset(struct fb_redis *r)
{
    drop(r);
    r->retry_at_ms = 0;
    r->backoff_ms = 0;
}

void fb_redis_free(struct fb_redis **r)
{
    if (*r == NULL) {
        return;
    }
    drop(*r);
    fb_redis_url_deinit(&(*r)->url);
    free(*r);
    *r = NULL;
}

/* The context is dead: remember why, free it. */
static enum fb_status lost(struct fb_redis *r, const char *doing, struct fb_error *err)
{
    const char *why =
        r->ctx != NULL && r->ctx->errstr[0] != '\0' ? r->ctx->errstr : "connection lost";
    enum fb_status s = fb_error_set(err, FB_NETWORK, "redis: %s: %s", doing, why);
    drop(r);
    return s;
}

static bool word_is(const char *text, const char *word)
{
    size_t len = strlen(word);
    return strncmp(text, word, len) == 0 && (text[len] == ' ' || text[len] == '\0');
}

/* What an error reply means.  The words are those of the Redis 7 sources (server.c, shared
 * objects). */
static enum fb_status classify(const char *text)
{
    static const char *const again[] = {"LOADING",     "READONLY",  "MASTERDOWN", "NOREPLICAS",
                                        "OOM",         "MISCONF",   "BUSY",       "TRYAGAIN",
                                        "CLUSTERDOWN", "UNBLOCKED", "NOGOODSLAVE"};
    static const char *const config[] = {"NOAUTH", "WRONGPASS", "NOPERM"};
    for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
        if (word_is(text, again[i])) {
            return FB_AGAIN;
        }
    }
    for (size_t i = 0; i < sizeof(config) / sizeof(config[0]); i++) {
        if (word_is(text, config[i])) {
            return FB_CONFIG;
        }
    }
    if (strncmp(text, "ERR max number of clients", 25) == 0) {
        return FB_AGAIN;
    }
    if (strncmp(text, "ERR AUTH", 8) == 0 || strncmp(text, "ERR invalid password", 20) == 0 ||
        strncmp(text, "ERR Client sent AUTH", 20) == 0 || strncmp(text, "ERR DB index", 12) == 0) {
        return FB_CONFIG;
    }
    return FB_BUG;
}

bool fb_redis_error_is(const struct fb_error *err, const char *code)
{
    static const char mark[] = "redis: ";
    const char *at = strstr(err->text, mark);
    return at != NULL && word_is(at + sizeof(mark) - 1, code);
}

/* Takes the reply apart: an error becomes a status and is freed. */
static enum fb_status take_reply(struct fb_redis *r, redisReply *reply, redisReply **reply_r,
                                 struct fb_error *err)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        *reply_r = reply;
        return FB_OK;
    }
    const char *text = reply->str != NULL ? reply->str : "";
    enum fb_status s = fb_error_set(err, classify(text), "redis: %.*s", 300, text);
    if (word_is(text, "READONLY") || word_is(text, "UNBLOCKED") || word_is(text, "MASTERDOWN")) {
        r->is_stale = true;
    }
    freeReplyObject(reply);
    return s;
}

static enum fb_status set_timeout(struct fb_redis *r, int timeout_ms, struct fb_error *err)
{
    if (r->current_timeout_ms == timeout_ms) {
        return FB_OK;
    }
    struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = (timeout_ms % 1000) * 1000};
    if (redisSetTimeout(r->ctx, tv) != REDIS_OK) {
        return lost(r, "set time-out", err);
    }
    r->current_timeout_ms = timeout_ms;
    return FB_OK;
}

/* One command of the greeting (AUTH, SELECT), before anything else is sent. */
static enum fb_status greet(struct fb_redis *r, int argc, const char **argv, struct fb_error *err)
{
    redisReply *reply = redisCommandArgv(r->ctx, argc, argv, NULL);
    if (reply == NULL) {
        return lost(r, argv[0], err);
    }
    redisReply *good = NULL;
    enum fb_status s = take_reply(r, reply, &good, err);
    if (s != FB_OK) {
        /* LOADING answers SELECT as well: nothing was lost, but the connection is not usable yet.
         */
        drop(r);
        return s;
    }
    freeReplyObject(good);
    return FB_OK;
}

static enum fb_status open_context(struct fb_redis *r, struct fb_error *err)
{
    struct timeval tv = {.tv_sec = r->timeout_ms / 1000, .tv_usec = (r->timeout_ms % 1000) * 1000};
    r->ctx = redisConnectWithTimeout(r->url.host, r->url.port, tv);
    if (r->ctx == NULL) {
        return fb_error_set(err, FB_NETWORK, "redis: out of memory");
    }
    if (r->ctx->err != 0) {
        return lost(r, "connect", err);
    }
    r->current_timeout_ms = -1;
    enum fb_status s = set_timeout(r, r->timeout_ms, err);
    if (s != FB_OK) {
        return s;
    }
    /* A peer that vanished without a FIN is noticed while we block, too. */
    unsigned int user_timeout_ms = (unsigned int)r->timeout_ms;
    if (redisEnableKeepAlive(r->ctx) != REDIS_OK) {
        return lost(r, "keep-alive", err);
    }
    (void)setsockopt(r->ctx->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
                     sizeof(user_timeout_ms));
    if (r->url.is_tls) {
        s = fb_redis_tls_start(r->ctx, r->url.host, err);
        if (s != FB_OK) {
            drop(r);
            return s;
        }
    }
    if (r->url.password != NULL) {
        const char *with_user[] = {"AUTH", r->url.user, r->url.password};
        const char *without[] = {"AUTH", r->url.password};
        s = r->url.user != NULL ? greet(r, 3, with_user, err) : greet(r, 2, without, err);
        if (s != FB_OK) {
            return s;
        }
    }
    if (r->url.db != 0) {
        char number[16];
        (void)snprintf(number, sizeof(number), "%u", r->url.db);
        const char *select_db[] = {"SELECT", number};
        s = greet(r, 2, select_db, err);
    }
    return s;
}

/* An idle connection has nothing to read; if it has, it is the server's FIN (or a reply that nobody
 * waits for). */
static bool is_closed_by_peer(const struct fb_redis *r)
{
    if (r->url.is_tls) {
        return false; /* TLS 1.3 sends session tickets when it likes */
    }
    struct pollfd p = {.fd = r->ctx->fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

static enum fb_status connect_if_needed(struct fb_redis *r, struct fb_error *err)
{
    if (r->ctx != NULL && r->outstanding == 0 &&
        (r->is_stale || r->ctx->err != 0 || is_closed_by_peer(r))) {
        drop(r);
    }
    if (r->ctx != NULL) {
        return FB_OK;
    }
    int64_t now = fb_mono_ms();
    if (now < r->retry_at_ms) {
        return fb_error_set(err, FB_NETWORK, "redis: away, next attempt in %d ms",
                            (int)(r->retry_at_ms - now));
    }
    enum fb_status s = open_context(r, err);
    if (s == FB_OK) {
        r->backoff_ms = 0;
        r->retry_at_ms = 0;
        return FB_OK;
    }
    r->backoff_ms = r->backoff_ms == 0 ? BACKOFF_MIN_MS : r->backoff_ms * 2;
    if (r->backoff_ms > BACKOFF_MAX_MS) {
        r->backoff_ms = BACKOFF_MAX_MS;
    }
    r->retry_at_ms = fb_mono_ms() + r->backoff_ms;
    return s;
}

/* hiredis wants two arrays. */
static enum fb_status append_argv(struct fb_redis *r, size_t argc, const struct fb_slice *argv,
                                  struct fb_error *err)
{
    if (argc == 0 || argc > MAX_ARGS) {
        return fb_error_set(err, FB_BUG, "redis: %zu arguments", argc);
    }
    const char *small_ptr[MAX_CALL_ARGS];
    size_t small_len[MAX_CALL_ARGS];
    const char **ptr = small_ptr;
    size_t *len = small_len;
    void *heap = NULL;
    if (argc > MAX_CALL_ARGS) {
        heap = fb_alloc_bounded(argc * (sizeof(*ptr) + sizeof(*len)), (size_t)MAX_ARGS * 16);
        if (heap == NULL) {
            return fb_error_set(err, FB_NO_SPACE, "redis: out of memory");
        }
        ptr = heap;
        len = (size_t *)(void *)((char *)heap + argc * sizeof(*ptr));
    }
    for (size_t i = 0; i < argc; i++) {
        ptr[i] = argv[i].ptr != NULL ? (const char *)argv[i].ptr : "";
        len[i] = argv[i].len;
    }
    int rc = redisAppendCommandArgv(r->ctx, (int)argc, ptr, len);
    free(heap);
    if (rc != REDIS_OK) {
        return lost(r, "send", err);
    }
    r->outstanding++;
    return FB_OK;
}

static enum fb_status fetch_one(struct fb_redis *r, redisReply **reply_r, struct fb_error *err)
{
    void *reply = NULL;
    if (redisGetReply(r->ctx, &reply) != REDIS_OK || reply == NULL) {
        return lost(r, "wait for a reply", err);
    }
    r->outstanding--;
    return take_reply(r, reply, reply_r, err);
}

enum fb_status fb_redis_command_blocking(struct fb_redis *r, int block_ms, size_t argc,
                                         const struct fb_slice *argv, struct redisReply **reply_r,
                                         struct fb_error *err)
{
    if (r->outstanding > 0) { /* the reply would be somebody else's */
        drop(r);
        return fb_error_set(err, FB_BUG, "redis: command inside a pipeline");
    }
    enum fb_status s = connect_if_needed(r, err);
    if (s == FB_OK) {
        s = set_timeout(r, r->timeout_ms + (block_ms > 0 ? block_ms : 0), err);
    }
    if (s == FB_OK) {
        s = append_argv(r, argc, argv, err);
    }
    return s == FB_OK ? fetch_one(r, reply_r, err) : s;
}

enum fb_status fb_redis_command(struct fb_redis *r, size_t argc, const struct fb_slice *argv,
                                struct redisReply **reply_r, struct fb_error *err)
{
    return fb_redis_command_blocking(r, 0, argc, argv, reply_r, err);
}

enum fb_status fb_redis_call(struct fb_redis *r, struct redisReply **reply_r, struct fb_error *err,
                             ...)
{
    struct fb_slice argv[MAX_CALL_ARGS];
    size_t argc = 0;
    va_list list;
    va_start(list, err);
    const char *arg = va_arg(list, const char *);
    while (arg != NULL && argc < MAX_CALL_ARGS) {
        argv[argc++] = fb_slice_str(arg);
        arg = va_arg(list, const char *);
    }
    va_end(list);
    FB_ASSERT(arg == NULL);
    return fb_redis_command(r, argc, argv, reply_r, err);
}

enum fb_status fb_redis_append(struct fb_redis *r, size_t argc, const struct fb_slice *argv,
                               struct fb_error *err)
{
    enum fb_status s = connect_if_needed(r, err);
    if (s == FB_OK && r->outstanding == 0) {
        s = set_timeout(r, r->timeout_ms, err);
    }
    return s == FB_OK ? append_argv(r, argc, argv, err) : s;
}

enum fb_status fb_redis_fetch(struct fb_redis *r, struct redisReply **reply_r, struct fb_error *err)
{
    if (r->ctx == NULL || r->outstanding == 0) {
        return fb_error_set(err, FB_NETWORK, "redis: connection lost within a pipeline");
    }
    return fetch_one(r, reply_r, err);
}

/* ---- scripts ---- */

void fb_redis_script_prepare(struct fb_script *script)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    /* SHA-1 names the script, it protects nothing.  Where OpenSSL refuses it (FIPS), sha stays
     * empty: always EVAL. */
    if (EVP_Digest(script->source, strlen(script->source), digest, &len, EVP_sha1(), NULL) == 1 &&
        len == 20) {
        fb_hex(digest, len, script->sha);
        script->sha[40] = '\0';
    }
}

enum fb_status fb_redis_append_script(struct fb_redis *r, const struct fb_script *script,
                                      bool is_eval, size_t key_count, const struct fb_slice *keys,
                                      size_t arg_count, const struct fb_slice *args,
                                      struct fb_error *err)
{
    if (key_count > MAX_ARGS || arg_count > MAX_ARGS) {
        return fb_error_set(err, FB_BUG, "redis: script %s: too many arguments", script->name);
    }
    size_t argc = 3 + key_count + arg_count;
    struct fb_slice *argv =
        fb_alloc_bounded(argc * sizeof(*argv), (size_t)MAX_ARGS * 3 * sizeof(*argv));
    if (argv == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "redis: out of memory");
    }
    char count[24];
    (void)snprintf(count, sizeof(count), "%zu", key_count);
    bool by_source = is_eval || script->sha[0] == '\0';
    argv[0] = fb_slice_str(by_source ? "EVAL" : "EVALSHA");
    argv[1] = fb_slice_str(by_source ? script->source : script->sha);
    argv[2] = fb_slice_str(count);
    if (key_count > 0) {
        memcpy(argv + 3, keys, key_count * sizeof(*argv));
    }
    if (arg_count > 0) {
        memcpy(argv + 3 + key_count, args, arg_count * sizeof(*argv));
    }
    enum fb_status s = fb_redis_append(r, argc, argv, err);
    free(argv);
    return s;
}

enum fb_status fb_redis_script(struct fb_redis *r, const struct fb_script *script, size_t key_count,
                               const struct fb_slice *keys, size_t arg_count,
                               const struct fb_slice *args, struct redisReply **reply_r,
                               struct fb_error *err)
{
    if (r->outstanding > 0) {
        drop(r);
        return fb_error_set(err, FB_BUG, "redis: script %s inside a pipeline", script->name);
    }
    struct fb_error own = {.status = FB_OK};
    enum fb_status s = FB_OK;
    for (int round = 0; round < 2; round++) {
        s = fb_redis_append_script(r, script, round == 1, key_count, keys, arg_count, args, &own);
        if (s == FB_OK) {
            s = fb_redis_fetch(r, reply_r, &own);
        }
        if (s == FB_OK || !fb_redis_error_is(&own, "NOSCRIPT")) {
            break;
        }
    }
    if (s != FB_OK && err != NULL) {
        *err = own;
        (void)fb_error_prefix(err, "%s", script->name);
    }
    return s;
}

enum fb_status fb_redis_time(struct fb_redis *r, int64_t *ms_r, struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "TIME", NULL);
    if (s != FB_OK) {
        return s;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[0]->type == REDIS_REPLY_STRING &&
        reply->element[1]->type == REDIS_REPLY_STRING) {
        *ms_r = strtoll(reply->element[0]->str, NULL, 10) * 1000 +
                strtoll(reply->element[1]->str, NULL, 10) / 1000;
    } else {
        s = fb_error_set(err, FB_BUG, "redis: TIME answered something else");
    }
    freeReplyObject(reply);
    return s;
}

/* ---- shards ---- */

int fb_redis_shard_count(const struct fb_redis *r)
{
    return r->shards;
}

/* CRC-32 of IEEE 802.3, reflected (as zlib's): 26 characters do not need a table. */
int fb_redis_shard(const struct fb_redis *r, const char *msg_id)
{
    uint32_t crc = 0xffffffffU;
    for (const char *p = msg_id; *p != '\0'; p++) {
        crc ^= (uint8_t)*p;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xedb88320U & (0U - (crc & 1U)));
        }
    }
    return (int)((crc ^ 0xffffffffU) % (uint32_t)r->shards);
}
