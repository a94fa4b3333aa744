/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the URL of Redis, and as what Redis, sentinels and the nodes of a cluster answer.
 * Octet 0 chooses which; the rest is the URL, or what each connection gets, separated by one octet
 * 0x1e.
 *
 * Checked: a URL that is taken keeps its limits, and, written again, is taken to the same parts; a
 * refusal does not show the password; a slot is that of the hash tag's CRC; every call ends within
 * some connections, a reply is never an error, and an error has words; a redirection goes nowhere
 * but to a node with a name and a port.
 */
#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/redis_internal.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int64_t __wrap_fb_mono_ms(void);
redisContext *__wrap_redisConnectWithTimeout(const char *ip, int port, const struct timeval tv);
int __wrap_redisEnableKeepAlive(redisContext *c);

#define MAX_CONNECTIONS 64

static int64_t now_ms = 1000;
static struct fb_slice left;
static bool has_left;
static bool knows_secret; /* the fuzzer learns it by and by, and writes it into replies */
static unsigned connections;
static int far_ends[MAX_CONNECTIONS];

/* Time goes by when somebody looks: no back-off is waited for. */
int64_t __wrap_fb_mono_ms(void)
{
    now_ms += 15;
    return now_ms;
}

int __wrap_redisEnableKeepAlive(redisContext *c)
{
    FB_ASSERT(c->fd >= 0);
    return REDIS_OK;
}

redisContext *__wrap_redisConnectWithTimeout(const char *ip, int port, const struct timeval tv)
{
    int pair[2];
    FB_ASSERT(ip[0] != '\0' && strcmp(ip, "?") != 0 && port > 0 && port <= UINT16_MAX);
    FB_ASSERT(tv.tv_sec >= 0 && tv.tv_usec < 1000000 && connections < MAX_CONNECTIONS);
    FB_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    if (has_left) {
        const uint8_t *end = left.len > 0 ? memchr(left.ptr, 0x1e, left.len) : NULL;
        size_t n = end != NULL ? (size_t)(end - left.ptr) : left.len;
        FB_ASSERT(n == 0 || send(pair[1], left.ptr, n, MSG_DONTWAIT) == (ssize_t)n);
        has_left = end != NULL;
        left = fb_slice_sub(left, n + 1, SIZE_MAX);
    }
    (void)shutdown(pair[1], SHUT_WR);
    far_ends[connections++] = pair[1];
    redisContext *c = redisConnectFd(pair[0]);
    FB_ASSERT(c != NULL);
    return c;
}

/* ---- the URL ---- */

static void add_escaped(struct fb_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        FB_ASSERT(fb_buf_printf(out, "%%%02X", (unsigned char)*text) == FB_OK);
    }
}

static void write_url(const struct fb_redis_url *u, struct fb_buf *out)
{
    static const char *const kinds[] = {"", "+sentinel", "+cluster"};
    FB_ASSERT(fb_buf_printf(out, "redis%s%s://", u->is_tls ? "s" : "", kinds[u->mode]) == FB_OK);
    if (u->user != NULL || u->password != NULL) {
        add_escaped(out, u->user != NULL ? u->user : "");
        if (u->password != NULL) {
            FB_ASSERT(fb_buf_add_char(out, ':') == FB_OK);
            add_escaped(out, u->password);
        }
        FB_ASSERT(fb_buf_add_char(out, '@') == FB_OK);
    }
    for (size_t i = 0; i < u->host_count; i++) {
        FB_ASSERT(fb_buf_printf(out, "%s[%s]:%u", i > 0 ? "," : "", u->hosts[i].name,
                                u->hosts[i].port) == FB_OK);
    }
    if (u->mode == FB_REDIS_SENTINEL) {
        FB_ASSERT(fb_buf_add_char(out, '/') == FB_OK);
        add_escaped(out, u->primary);
    }
    FB_ASSERT(fb_buf_printf(out, "/%u", u->db) == FB_OK);
}

static bool is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void check_url(const struct fb_redis_url *u)
{
    struct fb_redis_url again;
    struct fb_buf text;
    /* Its name is bounded as it is written, and we write each octet as three. */
    bool is_plain = u->primary == NULL || strlen(u->primary) * 3 <= 128;
    FB_ASSERT(u->host_count > 0 && u->host_count <= FB_REDIS_MAX_HOSTS);
    FB_ASSERT(u->mode != FB_REDIS_SINGLE || u->host_count == 1);
    FB_ASSERT((u->mode == FB_REDIS_SENTINEL) == (u->primary != NULL) && u->db <= 65535);
    for (size_t i = 0; i < u->host_count; i++) {
        FB_ASSERT(u->hosts[i].port > 0 && u->hosts[i].name[0] != '\0');
        is_plain = is_plain && strpbrk(u->hosts[i].name, "[],@/?#") == NULL;
    }
    fb_buf_init(&text, 1U << 20);
    write_url(u, &text);
    if (is_plain && text.len <= 4096) {
        FB_ASSERT(fb_redis_url_parse(fb_buf_str(&text), &again, NULL) == FB_OK);
        FB_ASSERT(again.mode == u->mode && again.is_tls == u->is_tls && again.db == u->db);
        FB_ASSERT(again.host_count == u->host_count && is_same(again.primary, u->primary));
        FB_ASSERT(is_same(again.user, u->user) && is_same(again.password, u->password));
        for (size_t i = 0; i < u->host_count; i++) {
            FB_ASSERT(strcmp(again.hosts[i].name, u->hosts[i].name) == 0 &&
                      again.hosts[i].port == u->hosts[i].port);
        }
        fb_redis_url_deinit(&again);
    }
    fb_buf_deinit(&text);
}

static void try_url(struct fb_slice bytes)
{
    char *url = fb_slice_dup_str(bytes);
    struct fb_redis_url u;
    struct fb_error err = {0};
    if (url == NULL) {
        return;
    }
    enum fb_status s = fb_redis_url_parse(url, &u, &err);
    if (s == FB_OK) {
        check_url(&u);
        fb_redis_url_deinit(&u);
    } else {
        FB_ASSERT(s == FB_CONFIG && strncmp(err.text, "redis.url: ", 11) == 0);
        FB_ASSERT(strstr(err.text, "s3cret") == NULL);
    }
    free(url);
}

/* ---- slots, against the table's form of the same CRC ---- */

static uint16_t slot_of(struct fb_slice key)
{
    size_t open = fb_slice_find(key, FB_SLICE_LITERAL("{"));
    if (open != SIZE_MAX) {
        struct fb_slice rest = fb_slice_sub(key, open + 1, SIZE_MAX);
        size_t end = fb_slice_find(rest, FB_SLICE_LITERAL("}"));
        key = end != SIZE_MAX && end > 0 ? fb_slice_sub(rest, 0, end) : key;
    }
    uint32_t crc = 0;
    for (size_t i = 0; i < key.len; i++) {
        uint32_t x = (crc >> 8 ^ key.ptr[i]) & 0xff;
        x ^= x >> 4;
        crc = (crc << 8 ^ x << 12 ^ x << 5 ^ x) & 0xffff;
    }
    return (uint16_t)(crc % FB_REDIS_SLOTS);
}

/* ---- replies ---- */

static void check(enum fb_status s, const redisReply *reply, const struct fb_error *err)
{
    if (s == FB_OK) {
        FB_ASSERT(reply != NULL && reply->type != REDIS_REPLY_ERROR);
    } else {
        FB_ASSERT(err->status == s && err->text[0] != '\0' &&
                  (knows_secret || strstr(err->text, "s3cret") == NULL));
    }
}

static void call(struct fb_redis *r, const char *key)
{
    redisReply *reply = NULL;
    struct fb_error err = {0};
    enum fb_status s = fb_redis_call(r, &reply, &err, "GET", key, NULL);
    check(s, reply, &err);
    freeReplyObject(reply);
}

static void pipeline(struct fb_redis *r)
{
    struct fb_error err = {0};
    for (int i = 0; i < 3; i++) {
        const struct fb_slice argv[] = {FB_SLICE_LITERAL("GET"),
                                        fb_slice_str(i == 1 ? "{s1}b" : "{s0}a")};
        check(fb_redis_append(r, 2, argv, &err), (redisReply[]){{0}}, &err);
    }
    for (int i = 0; i < 3; i++) {
        redisReply *reply = NULL;
        check(fb_redis_fetch(r, &reply, &err), reply, &err);
        freeReplyObject(reply);
    }
    fb_redis_reset(r);
}

static void talk(const char *url, struct fb_slice bytes)
{
    char *text = fb_xstrdup(url);
    const struct fb_config config = {.redis = {.url = text, .shards = 2}};
    struct fb_redis *r = NULL;
    struct fb_error err = {0};
    int64_t ms = 0;
    left = bytes;
    has_left = true;
    knows_secret = fb_slice_find(bytes, FB_SLICE_LITERAL("s3cret")) != SIZE_MAX;
    connections = 0;
    FB_ASSERT(fb_redis_new(&config, 500, &r, &err) == FB_OK);
    call(r, "{s0}a");
    call(r, "{s1}b");
    pipeline(r);
    enum fb_status s = fb_redis_time(r, &ms, &err);
    FB_ASSERT(s == FB_OK || err.text[0] != '\0');
    call(r, "{s0}a");
    fb_redis_free(&r);
    for (unsigned i = 0; i < connections; i++) {
        (void)close(far_ends[i]);
    }
    free(text);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fb_log_init("fuzz", FB_FATAL, true);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct fb_slice bytes = fb_slice_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        try_url(bytes);
        FB_ASSERT(fb_redis_slot(bytes) == slot_of(bytes));
        break;
    case 1:
        talk("redis://u:s3cret@h1:6379/1", bytes);
        break;
    case 2:
        talk("redis+sentinel://:s3cret@h1,h2/mymaster/0", bytes);
        break;
    default:
        talk("redis+cluster://h1,h2:7001", bytes);
        break;
    }
    return 0;
}
