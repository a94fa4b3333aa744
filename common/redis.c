/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands, pipelines and scripts: where each goes, and in which order the replies are given.
 *
 * In a cluster each primary has a connection, and a command goes to the one that has its first key;
 * all keys of a command have the same hash tag (that is what shards are for).  Replies are given in
 * the order of the commands, whichever node they come from.  A node that goes takes its own
 * commands with it, not those of the others.
 */
#include "common/redis.h"

#include <hiredis/hiredis.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/redis_internal.h"

#define MAX_CALL_ARGS 32
#define MAX_ARGS      (1U << 20) /* Redis' own limit of a multibulk request */

/* ---- nodes ---- */

struct fb_redis_node *fb_redis_node_new(struct fb_redis *r, const struct fb_redis_host *at)
{
    struct fb_redis_node *node = fb_xcalloc(1, sizeof *node);
    fb_redis_link_init(&node->link, &r->url, at, r->timeout_ms);
    fb_redis_link_init(&node->detour, &r->url, at, r->timeout_ms);
    node->link.connections = &r->connections;
    node->detour.connections = &r->connections;
    return node;
}

void fb_redis_node_free(struct fb_redis_node **node)
{
    if (*node != NULL) {
        fb_redis_link_drop(&(*node)->link);
        fb_redis_link_drop(&(*node)->detour);
        free(*node);
        *node = NULL;
    }
}

static void wipe_text(char **text)
{
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        free(*text);
        *text = NULL;
    }
}

/* What is set replaces what is there. */
static void set_password(char **to, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        wipe_text(to);
        *to = fb_xstrdup(text);
    }
}

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
    set_password(&url.password, config->redis.password);
    struct fb_redis *r = fb_xcalloc(1, sizeof(*r));
    r->url = url;
    r->timeout_ms = timeout_ms;
    r->shards = config->redis.shards > 0 && config->redis.shards <= INT16_MAX
                    ? (int)config->redis.shards
                    : 1;
    if (url.mode == FB_REDIS_CLUSTER) {
        r->cluster.slots = fb_xcalloc(FB_REDIS_SLOTS, sizeof *r->cluster.slots);
    } else {
        r->nodes[0] = fb_redis_node_new(r, &r->url.hosts[0]);
        r->node_count = 1;
    }
    if (url.mode == FB_REDIS_SENTINEL) {
        set_password(&r->sentinel.user, config->redis.sentinel_user);
        set_password(&r->sentinel.password, config->redis.sentinel_password);
        struct fb_redis_link *l = &r->nodes[0]->link;
        l->locate = fb_redis_sentinel_locate;
        l->check = fb_redis_sentinel_check;
        l->is_right = fb_redis_sentinel_is_right;
        l->ctx = r;
    }
    *redis_r = r;
    return FB_OK;
}

/* ---- what waits for a reply ---- */

static struct fb_redis_waiting *waiting_at(struct fb_redis *r, size_t i)
{
    return &r->waiting[(r->first + i) % r->cap];
}

static bool is_lost(const struct fb_redis *r, const struct fb_redis_waiting *w)
{
    return r->nodes[w->node]->link.generation != w->generation;
}

static void pop(struct fb_redis *r)
{
    redisFreeCommand(waiting_at(r, 0)->bytes);
    r->first = (r->first + 1) % r->cap;
    r->count--;
}

static void forget_waiting(struct fb_redis *r)
{
    while (r->count > 0) {
        pop(r);
    }
}

static void push(struct fb_redis *r, const struct fb_redis_waiting *w)
{
    if (r->count == r->cap) {
        size_t more = r->cap == 0 ? 64 : r->cap * 2;
        struct fb_redis_waiting *grown = fb_xcalloc(more, sizeof *grown);
        for (size_t i = 0; i < r->count; i++) {
            grown[i] = *waiting_at(r, i);
        }
        free(r->waiting);
        r->waiting = grown;
        r->first = 0;
        r->cap = more;
    }
    r->count++;
    *waiting_at(r, r->count - 1) = *w;
}

/* A pipeline of which nothing can come any more is over, whether its caller fetched all or not. */
static bool is_waiting(struct fb_redis *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (!is_lost(r, waiting_at(r, i))) {
            return true;
        }
    }
    forget_waiting(r);
    return false;
}

static void drop(struct fb_redis *r)
{
    forget_waiting(r);
    for (size_t i = 0; i < r->node_count; i++) {
        if (r->nodes[i] != NULL) {
            fb_redis_link_drop(&r->nodes[i]->link);
            fb_redis_link_drop(&r->nodes[i]->detour);
        }
    }
}

void fb_redis_reset(struct fb_redis *r)
{
    drop(r);
    for (size_t i = 0; i < r->node_count; i++) {
        if (r->nodes[i] != NULL) {
            fb_redis_link_reset(&r->nodes[i]->link);
            fb_redis_link_reset(&r->nodes[i]->detour);
        }
    }
    r->cluster.retry_at_ms = 0;
}

void fb_redis_free(struct fb_redis **redis)
{
    struct fb_redis *r = *redis;
    if (r == NULL) {
        return;
    }
    drop(r);
    for (size_t i = 0; i < r->node_count; i++) {
        fb_redis_node_free(&r->nodes[i]);
    }
    fb_redis_link_drop(&r->sentinel.link);
    wipe_text(&r->sentinel.user);
    wipe_text(&r->sentinel.password);
    free(r->waiting);
    free(r->cluster.slots);
    fb_redis_url_deinit(&r->url);
    free(r);
    *redis = NULL;
}

uint64_t fb_redis_connections(const struct fb_redis *r)
{
    return r->connections;
}

/* ---- where a command goes ---- */

static bool is_one_of(struct fb_slice word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (word.len == strlen(words[i]) &&
            strncasecmp((const char *)word.ptr, words[i], word.len) == 0) {
            return true;
        }
    }
    return false;
}

/* The first key of a command, of those that are used here; false: it has none. */
static bool find_key(size_t argc, const struct fb_slice *argv, struct fb_slice *key_r)
{
    static const char *const keyless[] = {"TIME",   "INFO", "PING",   "ROLE",    "WAIT",
                                          "CONFIG", "ACL",  "CLIENT", "CLUSTER", "SCRIPT",
                                          "DBSIZE", "ECHO", "SCAN",   "DEBUG",   "FLUSHALL"};
    static const char *const script[] = {"EVAL", "EVALSHA"};
    static const char *const second[] = {"XGROUP", "XINFO", "OBJECT", "MEMORY"};
    static const char *const streams[] = {"XREADGROUP", "XREAD"};
    static const char *const mark[] = {"STREAMS"};
    size_t at = 1;
    if (is_one_of(argv[0], keyless, sizeof keyless / sizeof keyless[0])) {
        return false;
    }
    if (is_one_of(argv[0], script, 2)) {
        bool has_none = argc < 4 || (argv[2].len == 1 && argv[2].ptr[0] == '0');
        at = has_none ? argc : 3;
    } else if (is_one_of(argv[0], second, 4)) {
        at = 2;
    } else if (is_one_of(argv[0], streams, 2)) {
        while (at < argc && !is_one_of(argv[at], mark, 1)) {
            at++;
        }
        at++;
    }
    if (at >= argc) {
        return false;
    }
    *key_r = argv[at];
    return true;
}

static enum fb_status route(struct fb_redis *r, size_t argc, const struct fb_slice *argv,
                            uint16_t *node_r, struct fb_error *err)
{
    char tag[32];
    struct fb_slice key;
    *node_r = 0;
    if (r->url.mode != FB_REDIS_CLUSTER) {
        return FB_OK;
    }
    if (!find_key(argc, argv, &key)) {
        (void)snprintf(tag, sizeof tag, "{s%d}", r->shard_of_keyless);
        key = fb_slice_str(tag);
    }
    return fb_redis_cluster_node(r, fb_redis_slot(key), node_r, err);
}

/* hiredis wants two arrays.  *bytes_r: redisFreeCommand(). */
static enum fb_status format(size_t argc, const struct fb_slice *argv, char **bytes_r,
                             size_t *len_r, struct fb_error *err)
{
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
    long long n = redisFormatCommandArgv(bytes_r, (int)argc, ptr, len);
    free(heap);
    if (n < 0) {
        return fb_error_set(err, FB_NO_SPACE, "redis: out of memory");
    }
    *len_r = (size_t)n;
    return FB_OK;
}

static enum fb_status append(struct fb_redis *r, int wait_ms, size_t argc,
                             const struct fb_slice *argv, struct fb_error *err)
{
    struct fb_redis_waiting w = {.wait_ms = wait_ms};
    if (argc == 0 || argc > MAX_ARGS) {
        return fb_error_set(err, FB_BUG, "redis: %zu arguments", argc);
    }
    struct fb_error own = {.status = FB_OK};
    enum fb_status s = route(r, argc, argv, &w.node, &own);
    if (s == FB_OK) {
        s = fb_redis_link_open(&r->nodes[w.node]->link, &own);
    }
    if (s == FB_OK) {
        s = format(argc, argv, &w.bytes, &w.len, &own);
    }
    if (s == FB_OK) {
        struct fb_redis_link *l = &r->nodes[w.node]->link;
        s = fb_redis_link_send(l, w.bytes, w.len, wait_ms, &own);
        w.generation = l->generation;
        if (s != FB_OK || r->url.mode != FB_REDIS_CLUSTER) {
            redisFreeCommand(w.bytes);
            w.bytes = NULL;
        }
    }
    if (s == FB_OK) {
        push(r, &w);
        return FB_OK;
    }
    fb_redis_cluster_doubt(r, &own);
    if (err != NULL) {
        *err = own;
    }
    return s;
}

enum fb_status fb_redis_append(struct fb_redis *r, size_t argc, const struct fb_slice *argv,
                               struct fb_error *err)
{
    if (r->count > 0 && is_lost(r, waiting_at(r, 0))) {
        (void)is_waiting(r);
    }
    return append(r, r->timeout_ms, argc, argv, err);
}

enum fb_status fb_redis_fetch(struct fb_redis *r, struct redisReply **reply_r, struct fb_error *err)
{
    if (r->count == 0 || is_lost(r, waiting_at(r, 0))) {
        if (r->count > 0) {
            pop(r);
        }
        return fb_error_set(err, FB_NETWORK, "redis: connection lost within a pipeline");
    }
    struct fb_redis_waiting *w = waiting_at(r, 0);
    struct fb_error own = {.status = FB_OK};
    enum fb_status s = fb_redis_link_fetch(&r->nodes[w->node]->link, reply_r, &own);
    if (s != FB_OK && r->url.mode == FB_REDIS_CLUSTER) {
        fb_redis_cluster_doubt(r, &own);
        s = fb_redis_cluster_redirect(r, w, reply_r, &own);
    }
    pop(r);
    if (s != FB_OK && err != NULL) {
        *err = own;
        err->status = s;
    }
    return s;
}

enum fb_status fb_redis_command_blocking(struct fb_redis *r, int block_ms, size_t argc,
                                         const struct fb_slice *argv, struct redisReply **reply_r,
                                         struct fb_error *err)
{
    if (is_waiting(r)) { /* the reply would be somebody else's */
        drop(r);
        return fb_error_set(err, FB_BUG, "redis: command inside a pipeline");
    }
    enum fb_status s = append(r, r->timeout_ms + (block_ms > 0 ? block_ms : 0), argc, argv, err);
    return s == FB_OK ? fb_redis_fetch(r, reply_r, err) : s;
}

enum fb_status fb_redis_command(struct fb_redis *r, size_t argc, const struct fb_slice *argv,
                                struct redisReply **reply_r, struct fb_error *err)
{
    return fb_redis_command_blocking(r, 0, argc, argv, reply_r, err);
}

static size_t list_args(struct fb_slice argv[MAX_CALL_ARGS], va_list list)
{
    size_t argc = 0;
    const char *arg = va_arg(list, const char *);
    while (arg != NULL && argc < MAX_CALL_ARGS) {
        argv[argc++] = fb_slice_str(arg);
        arg = va_arg(list, const char *);
    }
    FB_ASSERT(arg == NULL);
    return argc;
}

enum fb_status fb_redis_call(struct fb_redis *r, struct redisReply **reply_r, struct fb_error *err,
                             ...)
{
    struct fb_slice argv[MAX_CALL_ARGS];
    va_list list;
    va_start(list, err);
    size_t argc = list_args(argv, list);
    va_end(list);
    return fb_redis_command(r, argc, argv, reply_r, err);
}

enum fb_status fb_redis_call_at(struct fb_redis *r, int shard, struct redisReply **reply_r,
                                struct fb_error *err, ...)
{
    struct fb_slice argv[MAX_CALL_ARGS];
    va_list list;
    va_start(list, err);
    size_t argc = list_args(argv, list);
    va_end(list);
    r->shard_of_keyless = shard;
    enum fb_status s = fb_redis_command(r, argc, argv, reply_r, err);
    r->shard_of_keyless = 0;
    return s;
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
    if (is_waiting(r)) {
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

bool fb_redis_may_fail_over(const struct fb_redis *r)
{
    return r->url.mode != FB_REDIS_SINGLE;
}

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
