/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection over hiredis.  Written for 0.14 (Debian 12) and 1.x (Debian 13): only calls that
 * both have.
 *
 * Rules kept here, each learnt from a bug of others:
 *  - a context that saw an I/O error or time-out is freed: a late reply would be taken for the next
 *    command's (hiredis issue 306);
 *  - the socket's time-out is always longer than the server's BLOCK (hiredis issue 630);
 *  - after READONLY, MASTERDOWN or UNBLOCKED the peer is no primary any more, and after NOREPLICAS
 *    it may be one that was left behind: the connection is dropped, so that the next call looks for
 *    the primary again;
 *  - a connection that the server closed while it was idle is noticed before it is used, so that a
 *    restart of Redis does not cost a command whose outcome would be unknown.
 * Whether a command whose reply was lost has run is not known here: the scripts are made to be
 * sent again.
 */
#include "common/redis_link.h"

#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/redis.h"
#include "common/redis_reply.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000

void fb_redis_link_init(struct fb_redis_link *l, const struct fb_redis_url *url,
                        const struct fb_redis_host *at, int timeout_ms)
{
    *l = (struct fb_redis_link){
        .url = url, .at = *at, .timeout_ms = timeout_ms, .is_database = true};
}

void fb_redis_link_drop(struct fb_redis_link *l)
{
    if (l->context != NULL) {
        redisFree(l->context);
        l->context = NULL;
    }
    l->outstanding = 0;
    l->is_stale = false;
    l->generation++;
}

void fb_redis_link_reset(struct fb_redis_link *l)
{
    fb_redis_link_drop(l);
    l->retry_at_ms = 0;
    l->backoff_ms = 0;
}

/* The context is dead: remember why, free it. */
static enum fb_status lost(struct fb_redis_link *l, const char *doing, struct fb_error *err)
{
    const char *why = l->context != NULL && l->context->errstr[0] != '\0' ? l->context->errstr
                                                                          : "connection lost";
    enum fb_status s = fb_error_set(err, FB_NETWORK, "redis: %s: %s", doing, why);
    fb_redis_link_drop(l);
    return s;
}

static bool word_is(const char *text, const char *word)
{
    size_t len = strlen(word);
    return strncmp(text, word, len) == 0 && (text[len] == ' ' || text[len] == '\0');
}

static bool word_in(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (word_is(text, words[i])) {
            return true;
        }
    }
    return false;
}

/* What an error reply means.  The words are those of the Redis 7 sources (server.c, shared
 * objects). */
static enum fb_status classify(const char *text)
{
    static const char *const again[] = {"LOADING",     "READONLY",  "MASTERDOWN", "NOREPLICAS",
                                        "OOM",         "MISCONF",   "BUSY",       "TRYAGAIN",
                                        "CLUSTERDOWN", "UNBLOCKED", "NOGOODSLAVE"};
    static const char *const config[] = {"NOAUTH", "WRONGPASS", "NOPERM"};
    if (word_in(text, again, sizeof(again) / sizeof(again[0]))) {
        return FB_AGAIN;
    }
    if (word_in(text, config, sizeof(config) / sizeof(config[0]))) {
        return FB_CONFIG;
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
static enum fb_status take_reply(struct fb_redis_link *l, redisReply *reply, redisReply **reply_r,
                                 struct fb_error *err)
{
    static const char *const not_primary[] = {"READONLY", "UNBLOCKED", "MASTERDOWN"};
    if (reply->type != REDIS_REPLY_ERROR) {
        *reply_r = reply;
        return FB_OK;
    }
    const char *text = reply->str != NULL ? reply->str : "";
    enum fb_status s = fb_error_set(err, classify(text), "redis: %.*s", 300, text);
    if (word_in(text, not_primary, 3) || (l->locate != NULL && word_is(text, "NOREPLICAS"))) {
        l->is_stale = true;
    }
    freeReplyObject(reply);
    return s;
}

static enum fb_status set_timeout(struct fb_redis_link *l, int timeout_ms, struct fb_error *err)
{
    if (l->current_timeout_ms == timeout_ms) {
        return FB_OK;
    }
    struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = (timeout_ms % 1000) * 1000};
    if (redisSetTimeout(l->context, tv) != REDIS_OK) {
        return lost(l, "set time-out", err);
    }
    l->current_timeout_ms = timeout_ms;
    return FB_OK;
}

enum fb_status fb_redis_link_ask(struct fb_redis_link *l, int argc, const char **argv,
                                 redisReply **reply_r, struct fb_error *err)
{
    void *reply = NULL;
    if (redisAppendCommandArgv(l->context, argc, argv, NULL) != REDIS_OK ||
        fb_redis_reply_get(l->context, &reply) != REDIS_OK) {
        return lost(l, argv[0], err);
    }
    return take_reply(l, reply, reply_r, err);
}

/* One command of the greeting (AUTH, SELECT), before anything else is sent.  LOADING answers SELECT
 * as well: nothing was lost, but the connection is not usable yet. */
static enum fb_status greet(struct fb_redis_link *l, int argc, const char **argv,
                            struct fb_error *err)
{
    redisReply *good = NULL;
    enum fb_status s = fb_redis_link_ask(l, argc, argv, &good, err);
    if (s != FB_OK) {
        fb_redis_link_drop(l);
        return s;
    }
    freeReplyObject(good);
    return FB_OK;
}

enum fb_status fb_redis_link_auth(struct fb_redis_link *l, struct fb_error *err)
{
    const char *user = l->own_password != NULL ? l->own_user : l->url->user;
    const char *password = l->own_password != NULL ? l->own_password : l->url->password;
    const char *with_user[] = {"AUTH", user, password};
    const char *without[] = {"AUTH", password};
    if (password == NULL) {
        return fb_error_set(err, FB_CONFIG, "redis: NOAUTH a password is asked for, and none set");
    }
    return user != NULL ? greet(l, 3, with_user, err) : greet(l, 2, without, err);
}

static enum fb_status greet_all(struct fb_redis_link *l, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    if (l->url->password != NULL && !l->is_plain) {
        s = fb_redis_link_auth(l, err);
    }
    if (s == FB_OK && l->url->db != 0 && l->is_database) {
        char number[16];
        (void)snprintf(number, sizeof(number), "%u", l->url->db);
        const char *select_db[] = {"SELECT", number};
        s = greet(l, 2, select_db, err);
    }
    if (s == FB_OK && l->check != NULL) {
        s = l->check(l->ctx, l, err);
        if (s != FB_OK) {
            fb_redis_link_drop(l);
        }
    }
    return s;
}

static enum fb_status open_context(struct fb_redis_link *l, struct fb_error *err)
{
    struct timeval tv = {.tv_sec = l->timeout_ms / 1000, .tv_usec = (l->timeout_ms % 1000) * 1000};
    l->context = redisConnectWithTimeout(l->at.name, l->at.port, tv);
    if (l->context == NULL) {
        return fb_error_set(err, FB_NETWORK, "redis: out of memory");
    }
    if (l->context->err != 0) {
        return lost(l, "connect", err);
    }
    fb_redis_reply_bound(l->context);
    l->current_timeout_ms = -1;
    enum fb_status s = set_timeout(l, l->timeout_ms, err);
    if (s != FB_OK) {
        return s;
    }
    /* A peer that vanished without a FIN is noticed while we block, too. */
    unsigned int user_timeout_ms = (unsigned int)l->timeout_ms;
    if (redisEnableKeepAlive(l->context) != REDIS_OK) {
        return lost(l, "keep-alive", err);
    }
    (void)setsockopt(l->context->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
                     sizeof(user_timeout_ms));
    if (l->url->is_tls) {
        s = fb_redis_tls_start(l->context, l->at.name, err);
        if (s != FB_OK) {
            fb_redis_link_drop(l);
            return s;
        }
    }
    return greet_all(l, err);
}

/* An idle connection has nothing to read; if it has, it is the server's FIN (or a reply that nobody
 * waits for). */
static bool is_closed_by_peer(const struct fb_redis_link *l)
{
    if (l->url->is_tls) {
        return false; /* TLS 1.3 sends session tickets when it likes */
    }
    struct pollfd p = {.fd = l->context->fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

enum fb_status fb_redis_link_open(struct fb_redis_link *l, struct fb_error *err)
{
    if (l->context != NULL && l->outstanding == 0 &&
        (l->is_stale || l->context->err != 0 || is_closed_by_peer(l) ||
         (l->is_right != NULL && !l->is_right(l->ctx, l)))) {
        fb_redis_link_drop(l);
    }
    if (l->context != NULL) {
        return FB_OK;
    }
    int64_t now = fb_mono_ms();
    if (now < l->retry_at_ms) {
        return fb_error_set(err, FB_NETWORK, "redis: away, next attempt in %d ms",
                            (int)(l->retry_at_ms - now));
    }
    enum fb_status s = l->locate != NULL ? l->locate(l->ctx, l, err) : FB_OK;
    if (s == FB_OK) {
        s = open_context(l, err);
    }
    if (s == FB_OK) {
        l->backoff_ms = 0;
        l->retry_at_ms = 0;
        if (l->connections != NULL) {
            (*l->connections)++;
        }
        return FB_OK;
    }
    l->backoff_ms = l->backoff_ms == 0 ? BACKOFF_MIN_MS : l->backoff_ms * 2;
    if (l->backoff_ms > BACKOFF_MAX_MS) {
        l->backoff_ms = BACKOFF_MAX_MS;
    }
    l->retry_at_ms = fb_mono_ms() + l->backoff_ms;
    return s;
}

enum fb_status fb_redis_link_send(struct fb_redis_link *l, const char *bytes, size_t len,
                                  int wait_ms, struct fb_error *err)
{
    enum fb_status s = l->outstanding == 0 ? set_timeout(l, wait_ms, err) : FB_OK;
    if (s != FB_OK) {
        return s;
    }
    if (redisAppendFormattedCommand(l->context, bytes, len) != REDIS_OK) {
        return lost(l, "send", err);
    }
    l->outstanding++;
    return FB_OK;
}

enum fb_status fb_redis_link_fetch(struct fb_redis_link *l, redisReply **reply_r,
                                   struct fb_error *err)
{
    void *reply = NULL;
    if (l->context == NULL || l->outstanding == 0) {
        return fb_error_set(err, FB_NETWORK, "redis: connection lost within a pipeline");
    }
    if (fb_redis_reply_get(l->context, &reply) != REDIS_OK) {
        return lost(l, "wait for a reply", err);
    }
    l->outstanding--;
    return take_reply(l, reply, reply_r, err);
}
