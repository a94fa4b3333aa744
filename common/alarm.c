/* SPDX-License-Identifier: Apache-2.0
 *
 * In Redis: hash fb:{s0}:alarm, field "kind|cause|who", value "seen|since|news|text"; and while the
 * postmaster is not to be written to again, fb:{s0}:alarm:told:KIND with a time to live, and what he
 * was told last, fb:{s0}:alarm:last:KIND = news. */
#include "common/alarm.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/metrics.h"

#define KEY         "fb:{s0}:alarm"
#define MAX_CAUSES  64
#define LOG_MS      60000
#define PUBLISH_MS  5000
#define HOUR_S      "3600"
#define DAY_S       "86400"
#define FIELD_SIZE  256
#define VALUE_SIZE  512
#define MAX_ENTRIES 4096

static const char *const names[FB_ALARM_COUNT] = {"held",      "held_ending", "storage",
                                                  "queue_age", "spool",       "repaired",
                                                  "relay",     "policy",      "guessing"};

struct cause {
    enum fb_alarm kind;
    char name[FB_ALARM_CAUSE];
    char text[FB_ALARM_TEXT];
    bool is_on;
    bool is_stored; /* Redis has it */
    int64_t since_ms, news_ms;
    int64_t logged_ms; /* monotonic */
};

static struct {
    pthread_mutex_t lock;
    struct cause causes[MAX_CAUSES];
    size_t count;
    bool is_changed;
    int64_t published_ms; /* monotonic */
    char who[100];
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

const char *fb_alarm_name(enum fb_alarm kind)
{
    return kind < FB_ALARM_COUNT ? names[kind] : "unknown";
}

/* False when it names none. */
static bool parse_kind(const char *name, enum fb_alarm *kind_r)
{
    for (int i = 0; i < FB_ALARM_COUNT; i++) {
        if (strcmp(name, names[i]) == 0) {
            *kind_r = (enum fb_alarm)i;
            return true;
        }
    }
    return false;
}

/* ---- in this process ---- */

static void set_metric(enum fb_alarm kind)
{
    char label[48];
    size_t on = 0;
    for (size_t i = 0; i < all.count; i++) {
        on += all.causes[i].kind == kind && all.causes[i].is_on;
    }
    (void)snprintf(label, sizeof label, "kind=\"%s\"", names[kind]);
    fb_metric_set("fumibako_alarm", label, (double)on);
}

/* A cause that was seen before, or a free place; the last place is shared by what is too much. */
static struct cause *find(enum fb_alarm kind, const char *name, bool makes)
{
    for (size_t i = 0; i < all.count; i++) {
        if (all.causes[i].kind == kind && strcmp(all.causes[i].name, name) == 0) {
            return &all.causes[i];
        }
    }
    if (!makes) {
        return NULL;
    }
    size_t at = all.count < MAX_CAUSES ? all.count++ : MAX_CAUSES - 1;
    all.causes[at] = (struct cause){.kind = kind};
    (void)snprintf(all.causes[at].name, sizeof all.causes[at].name, "%s", name);
    return &all.causes[at];
}

/* "|" parts the fields in Redis. */
static void clean_cause(const char *cause, char out[FB_ALARM_CAUSE])
{
    (void)snprintf(out, FB_ALARM_CAUSE, "%s", cause);
    for (char *p = out; *p != '\0'; p++) {
        *p = *p == '|' || (unsigned char)*p < 0x20 ? '?' : *p;
    }
}

void fb_alarm_raise(enum fb_alarm kind, const char *cause, const char *fmt, ...)
{
    char name[FB_ALARM_CAUSE];
    struct fb_error text = {0};
    char words[FB_ALARM_TEXT];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    (void)fb_error_set(&text, FB_AGAIN, "%s", words); /* no control characters */
    clean_cause(cause, name);
    (void)pthread_mutex_lock(&all.lock);
    struct cause *c = find(kind, name, true);
    bool is_new = !c->is_on;
    bool is_news = is_new || strncmp(c->text, text.text, sizeof c->text - 1) != 0;
    bool is_logged = is_new || (is_news && fb_mono_ms() - c->logged_ms >= LOG_MS);
    if (is_news) {
        (void)snprintf(c->text, sizeof c->text, "%.*s", (int)sizeof c->text - 1, text.text);
        c->news_ms = fb_now_ms();
        c->since_ms = is_new ? c->news_ms : c->since_ms;
        c->is_on = true;
        all.is_changed = true;
    }
    c->logged_ms = is_logged ? fb_mono_ms() : c->logged_ms;
    set_metric(kind);
    (void)pthread_mutex_unlock(&all.lock);
    if (is_logged) {
        fb_log_fields(FB_ERROR, text.text, "alarm", names[kind], "cause", name, NULL);
    }
}

void fb_alarm_clear(enum fb_alarm kind, const char *cause)
{
    char name[FB_ALARM_CAUSE];
    clean_cause(cause, name);
    (void)pthread_mutex_lock(&all.lock);
    struct cause *c = find(kind, name, false);
    bool was_on = c != NULL && c->is_on;
    if (was_on) {
        c->is_on = false;
        all.is_changed = true;
    }
    set_metric(kind);
    (void)pthread_mutex_unlock(&all.lock);
    if (was_on) {
        fb_log_fields(FB_INFO, "the alarm is over", "alarm", names[kind], "cause", name, NULL);
    }
}

void fb_alarm_reset(void)
{
    (void)pthread_mutex_lock(&all.lock);
    all.count = 0;
    all.is_changed = false;
    all.published_ms = 0;
    (void)pthread_mutex_unlock(&all.lock);
}

/* ---- Redis ---- */

static void make_who(void)
{
    char host[48] = "";
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') {
        (void)snprintf(host, sizeof host, "host");
    }
    (void)snprintf(all.who, sizeof all.who, "%.30s@%.40s-%d", program_invocation_short_name, host,
                   (int)getpid());
    for (char *p = all.who; *p != '\0'; p++) {
        *p = *p == '|' ? '?' : *p;
    }
}

static enum fb_status store(struct fb_redis *r, const struct cause *c, const char *who,
                            struct fb_error *err)
{
    char field[FIELD_SIZE];
    char value[VALUE_SIZE];
    struct redisReply *reply = NULL;
    (void)snprintf(field, sizeof field, "%s|%s|%s", names[c->kind], c->name, who);
    (void)snprintf(value, sizeof value, "%" PRId64 "|%" PRId64 "|%" PRId64 "|%s", fb_now_ms(),
                   c->since_ms, c->news_ms, c->text);
    enum fb_status s = c->is_on ? fb_redis_call(r, &reply, err, "HSET", KEY, field, value, NULL)
                                : fb_redis_call(r, &reply, err, "HDEL", KEY, field, NULL);
    if (s == FB_OK) {
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status fb_alarm_publish(struct fb_redis *r, struct fb_error *err)
{
    (void)pthread_mutex_lock(&all.lock);
    bool is_due =
        all.is_changed || (all.count > 0 && fb_mono_ms() - all.published_ms >= PUBLISH_MS);
    struct cause *copy = NULL;
    char who[100];
    size_t count = all.count;
    if (is_due) {
        if (all.who[0] == '\0') {
            make_who();
        }
        memcpy(who, all.who, sizeof who);
        copy = fb_xcalloc(count + 1, sizeof *copy);
        memcpy(copy, all.causes, count * sizeof *copy);
        all.is_changed = false;
        all.published_ms = fb_mono_ms();
    }
    (void)pthread_mutex_unlock(&all.lock);
    enum fb_status s = FB_OK;
    size_t at = 0;
    for (; is_due && at < count && s == FB_OK; at++) {
        if (copy[at].is_on || copy[at].is_stored) {
            s = store(r, &copy[at], who, err);
        }
    }
    if (is_due) {
        (void)pthread_mutex_lock(&all.lock);
        for (size_t i = 0; i < count && i < all.count && s == FB_OK; i++) {
            all.causes[i].is_stored = copy[i].is_on;
        }
        all.is_changed = all.is_changed || s != FB_OK;
        (void)pthread_mutex_unlock(&all.lock);
    }
    free(copy);
    return s;
}

/* The next piece up to '|', or the rest. */
static bool take(struct fb_slice *from, char *out, size_t size)
{
    const uint8_t *bar = from->len > 0 ? memchr(from->ptr, '|', from->len) : NULL;
    size_t n = bar != NULL ? (size_t)(bar - from->ptr) : from->len;
    if (n >= size) {
        return false;
    }
    if (n > 0) {
        memcpy(out, from->ptr, n);
    }
    out[n] = '\0';
    *from = bar != NULL ? fb_slice_of(bar + 1, from->len - n - 1) : fb_slice_of(NULL, 0);
    return true;
}

/* What is none is 0: such an entry is stale. */
static int64_t number(const char *text)
{
    return (int64_t)strtoll(text, NULL, 10);
}

static bool read_entry(struct fb_slice field, struct fb_slice value, struct fb_alarm_entry *e)
{
    char kind[24];
    char seen[24];
    char since[24];
    char news[24];
    struct fb_error text = {0};
    memset(e, 0, sizeof *e);
    if (!take(&field, kind, sizeof kind) || !parse_kind(kind, &e->kind) ||
        !take(&field, e->cause, sizeof e->cause) || !take(&field, e->who, sizeof e->who) ||
        !take(&value, seen, sizeof seen) || !take(&value, since, sizeof since) ||
        !take(&value, news, sizeof news)) {
        return false;
    }
    (void)fb_error_set(&text, FB_AGAIN, "%.*s", (int)(value.len < 400 ? value.len : 400),
                       value.len > 0 ? (const char *)value.ptr : "");
    (void)snprintf(e->text, sizeof e->text, "%.*s", (int)sizeof e->text - 1, text.text);
    e->since_ms = number(since);
    e->news_ms = number(news);
    int64_t age = fb_now_ms() - number(seen);
    return age < FB_ALARM_STALE_MS && age > -FB_ALARM_STALE_MS;
}

static struct fb_slice slice_of(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? fb_slice_of(reply->str, reply->len)
                                             : fb_slice_of(NULL, 0);
}

enum fb_status fb_alarm_list(struct fb_redis *r, struct fb_alarm_entry **list_r, size_t *count_r,
                             struct fb_error *err)
{
    struct redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "HGETALL", KEY, NULL);
    if (s != FB_OK) {
        return s;
    }
    size_t pairs = reply->type == REDIS_REPLY_ARRAY ? reply->elements / 2 : 0;
    pairs = pairs < MAX_ENTRIES ? pairs : MAX_ENTRIES;
    *list_r = fb_xcalloc(pairs + 1, sizeof **list_r);
    *count_r = 0;
    for (size_t i = 0; i < pairs; i++) {
        struct fb_slice field = slice_of(reply->element[2 * i]);
        if (read_entry(field, slice_of(reply->element[2 * i + 1]), &(*list_r)[*count_r])) {
            (*count_r)++;
        }
    }
    freeReplyObject(reply);
    return FB_OK;
}

static bool is_nil(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_NIL;
}

enum fb_status fb_alarm_tell(struct fb_redis *r, enum fb_alarm kind, int64_t news_ms, bool *may_r,
                             struct fb_error *err)
{
    char told[64];
    char last[64];
    char news[24];
    struct redisReply *reply = NULL;
    *may_r = false;
    (void)snprintf(told, sizeof told, KEY ":told:%s", fb_alarm_name(kind));
    (void)snprintf(last, sizeof last, KEY ":last:%s", fb_alarm_name(kind));
    (void)snprintf(news, sizeof news, "%" PRId64, news_ms);
    enum fb_status s = fb_redis_call(r, &reply, err, "GET", last, NULL);
    if (s != FB_OK) {
        return s;
    }
    bool is_old = reply->type == REDIS_REPLY_STRING && number(reply->str) >= news_ms;
    freeReplyObject(reply);
    if (is_old) {
        return FB_OK; /* until `last` ends, a day after the mail */
    }
    s = fb_redis_call(r, &reply, err, "SET", told, news, "NX", "EX", HOUR_S, NULL);
    if (s != FB_OK) {
        return s;
    }
    *may_r = !is_nil(reply);
    freeReplyObject(reply);
    if (*may_r) {
        s = fb_redis_call(r, &reply, err, "SET", last, news, "EX", DAY_S, NULL);
        if (s == FB_OK) {
            freeReplyObject(reply);
        }
    }
    return s;
}

void fb_alarm_untell(struct fb_redis *r, enum fb_alarm kind)
{
    static const char *const what[] = {"told", "last"};
    for (size_t i = 0; i < sizeof what / sizeof what[0]; i++) {
        char key[64];
        struct redisReply *reply = NULL;
        (void)snprintf(key, sizeof key, KEY ":%s:%s", what[i], fb_alarm_name(kind));
        if (fb_redis_call(r, &reply, NULL, "DEL", key, NULL) == FB_OK) {
            freeReplyObject(reply);
        } /* else the next mail of this kind is an hour later */
    }
}
