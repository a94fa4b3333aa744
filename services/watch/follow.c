/* SPDX-License-Identifier: Apache-2.0 */
#include "services/watch/follow.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/access.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "services/watch/apply.h"
#include "services/watch/pending.h"

#define REDIS_TIMEOUT_MS 5000
#define STEP_MS          200
#define PENDING_EVERY_MS 5000
#define PARKED_EVERY_MS  15000
#define MAX_PAGES        1000 /* of one stream, before the next one has its turn */
#define FIRST_PAUSE_MS   1000
#define MAX_STREAMS      1001 /* the policy allows 1,000 pool users */
#define MAX_PAUSE_MS     (5 * 60 * 1000)

/* Why a stream is not read just now. */
struct pause {
    int64_t next_ms; /* monotonic */
    int64_t pause_ms;
};

struct follow {
    struct watch_follower *follower;
    struct fb_redis *redis;
    struct storage_sessions *sessions;
    struct pause streams[MAX_STREAMS];
    struct pause pending, parked;
    int64_t ended_ms[MAX_STREAMS]; /* in this round: read to its end by a read that began then */
    int64_t next_ms;
    int64_t wake_seen;
};

static void put_off(struct pause *p, bool is_good, int64_t interval_ms)
{
    int64_t doubled = p->pause_ms > 0 ? p->pause_ms * 2 : FIRST_PAUSE_MS;
    p->pause_ms = is_good ? 0 : doubled < MAX_PAUSE_MS ? doubled : MAX_PAUSE_MS;
    p->next_ms = fb_mono_ms() + (is_good ? interval_ms : p->pause_ms);
}

static void tell_failure(const struct watch_round *w, const char *what, const struct fb_error *err)
{
    char labels[200];
    (void)snprintf(labels, sizeof labels, "storage=\"%s\"", w->label);
    fb_metric_add("fumibako_watch_failures_total", labels, 1);
    fb_log_fields(FB_WARN, what, "storage", w->name, "reason", err->text, NULL);
}

/* Without what the exposition format would have to escape. */
static void make_label(const char *name, char *out, size_t size)
{
    (void)snprintf(out, size, "%s", name);
    for (char *p = out; *p != '\0'; p++) {
        *p = *p == '"' || *p == '\\' || (unsigned char)*p < 0x20 ? '_' : *p;
    }
}

/* ---- one stream ---- */

/* From the oldest that is kept, so that nothing is missed and a rebuilt ledger learns again what it
 * lost.  Not so when the storage was followed by its other stream before: what that one told comes
 * here with other ids, and would be counted twice. */
static enum fb_status first_position(struct watch_round *w, const struct fb_policy_storage *st,
                                     char position_r[FB_POSITION_SIZE], struct fb_error *err)
{
    char other[FB_STREAM_NAME];
    char there[FB_POSITION_SIZE];
    fb_ledger_stream_name(st->name, !st->follows_enterprise, "", other);
    enum fb_status s = fb_ledger_position(w->redis, other, there, err);
    (void)snprintf(position_r, FB_POSITION_SIZE, "%s",
                   s == FB_OK && there[0] != '\0' ? "now" : "0");
    return s;
}

static enum fb_status read_page(struct watch_round *w, const struct fb_policy_storage *st,
                                const char *user, const char *stream, bool *is_end_r,
                                struct fb_error *err)
{
    char stored[FB_POSITION_SIZE];
    char position[FB_POSITION_SIZE];
    struct storage_events page = {0};
    enum fb_status s = fb_ledger_position(w->redis, stream, stored, err);
    (void)snprintf(position, sizeof position, "%s", stored);
    if (s == FB_OK && stored[0] == '\0') {
        s = first_position(w, st, position, err);
    }
    if (s == FB_OK) {
        s = w->storage->events(w->session, user, position, &page, err);
    }
    *is_end_r = page.is_end;
    /* Noted before the position moves, so that no crash hides it. */
    if (s == FB_OK && (page.has_gap || strcmp(position, "now") == 0)) {
        s = fb_ledger_seen_from(w->redis, w->token, stream, fb_now_ms(), err);
    }
    if (s == FB_OK && (page.count > 0 || strcmp(page.position, stored) != 0)) {
        s = watch_apply(w, &page, stream, stored, err);
    }
    storage_events_deinit(&page);
    return s;
}

/* Read to its end, it is complete until the moment at which the last page was asked for. */
static enum fb_status read_stream(struct watch_round *w, const struct fb_policy_storage *st,
                                  const char *user, int64_t *ended_ms_r, struct fb_error *err)
{
    char stream[FB_STREAM_NAME];
    bool is_end = false;
    enum fb_status s = FB_OK;
    int64_t asked_ms = 0;
    fb_ledger_stream_name(st->name, st->follows_enterprise, st->follows_enterprise ? "" : user,
                          stream);
    for (int pages = 0; s == FB_OK && !is_end && pages < MAX_PAGES; pages++) {
        if (fb_service_stopping()) {
            return FB_OK;
        }
        asked_ms = fb_now_ms();
        s = read_page(w, st, user, stream, &is_end, err);
    }
    *ended_ms_r = s == FB_OK && is_end ? asked_ms : 0;
    return s;
}

/* ---- a round ---- */

static bool was_woken(struct follow *f)
{
    redisReply *reply = NULL;
    struct fb_error err = {0};
    int64_t n = f->wake_seen;
    if (fb_redis_call(f->redis, &reply, &err, "GET", WATCH_WAKE_KEY, NULL) == FB_OK) {
        n = reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
        freeReplyObject(reply);
    }
    bool is_new = n != f->wake_seen;
    f->wake_seen = n;
    return is_new;
}

static void after(struct follow *f, struct watch_round *w, struct pause *p, enum fb_status s,
                  int64_t interval_ms, const char *what, const struct fb_error *err)
{
    if (s == FB_LOST) {
        watch_token_lost(w->service, w->token);
    }
    bool is_good = s == FB_OK || s == FB_LOST;
    if (!is_good && !fb_service_stopping()) {
        tell_failure(w, what, err);
    }
    if (s == FB_CONFIG) { /* may be mended meanwhile */
        storage_sessions_forget(f->sessions);
    }
    put_off(p, is_good, s == FB_LOST ? STEP_MS : interval_ms);
}

static bool is_due(const struct pause *p)
{
    return fb_mono_ms() >= p->next_ms && !fb_service_stopping();
}

static enum fb_status open_storage(struct follow *f, struct watch_round *w,
                                   const struct fb_policy *policy, struct fb_error *err)
{
    return storage_sessions_get(f->sessions, policy, w->name, f->redis, &w->storage, &w->session,
                                err);
}

static void read_streams(struct follow *f, struct watch_round *w, const struct fb_policy *policy,
                         const struct fb_policy_storage *st)
{
    size_t count = st->follows_enterprise ? 1 : 1 + st->user_count;
    int64_t interval_ms = w->service->config->watch.interval_ms;
    bool is_whole = true;
    for (size_t i = 0; i < count && i < MAX_STREAMS; i++) {
        struct fb_error err = {0};
        const char *user = i == 0 ? "" : st->users[i - 1].id;
        f->ended_ms[i] = 0;
        if (!is_due(&f->streams[i])) {
            is_whole = is_whole && f->streams[i].pause_ms == 0;
            continue;
        }
        enum fb_status s = open_storage(f, w, policy, &err);
        s = s == FB_OK && w->storage->events != NULL
                ? read_stream(w, st, user, &f->ended_ms[i], &err)
                : s;
        after(f, w, &f->streams[i], s, interval_ms,
              "the storage's events cannot be read, they are asked for again", &err);
        is_whole = is_whole && s == FB_OK;
    }
    if (is_whole) {
        char labels[200];
        (void)snprintf(labels, sizeof labels, "storage=\"%s\"", w->label);
        fb_metric_set("fumibako_watch_read_timestamp_seconds", labels, (double)fb_now_ms() / 1000);
    }
}

/* Only when what was put by is looked at, too: it was read and is not recorded. */
static void tell_seen(struct follow *f, struct watch_round *w, const struct fb_policy_storage *st)
{
    size_t count = st->follows_enterprise ? 1 : 1 + st->user_count;
    struct fb_error err = {0};
    enum fb_status s = FB_OK;
    bool is_first = true;
    for (size_t i = 0; i < count && i < MAX_STREAMS && s == FB_OK; i++) {
        char stream[FB_STREAM_NAME];
        if (f->ended_ms[i] == 0) {
            continue;
        }
        s = is_first ? watch_apply_parked(w, &err) : s;
        is_first = false;
        fb_ledger_stream_name(st->name, st->follows_enterprise, i == 0 ? "" : st->users[i - 1].id,
                              stream);
        s = s == FB_OK ? fb_ledger_seen_set(w->redis, w->token, stream, f->ended_ms[i], &err) : s;
        f->ended_ms[i] = 0;
    }
    if (s == FB_LOST) {
        watch_token_lost(w->service, w->token);
    } else if (s != FB_OK && !fb_service_stopping()) {
        tell_failure(w, "events that were put by wait on", &err);
    }
}

static void round_once(struct follow *f, struct watch_round *w, const struct fb_policy *policy,
                       const struct fb_policy_storage *st)
{
    if (was_woken(f)) {
        for (size_t i = 0; i < MAX_STREAMS; i++) { /* but not those that had to pause */
            f->streams[i].next_ms = f->streams[i].pause_ms == 0 ? 0 : f->streams[i].next_ms;
        }
    }
    read_streams(f, w, policy, st);
    tell_seen(f, w, st);
    if (is_due(&f->parked)) {
        struct fb_error err = {0};
        enum fb_status s = open_storage(f, w, policy, &err);
        s = s == FB_OK ? watch_apply_parked(w, &err) : s;
        after(f, w, &f->parked, s, PARKED_EVERY_MS, "events that were put by wait on", &err);
    }
    if (is_due(&f->pending)) {
        struct fb_error err = {0};
        enum fb_status s = open_storage(f, w, policy, &err);
        s = s == FB_OK && w->storage->grant_state != NULL ? watch_ask_pending(w, &err) : s;
        after(f, w, &f->pending, s, PENDING_EVERY_MS, "pending grants cannot be asked about", &err);
    }
}

/* False: the policy has this storage no more. */
static bool step(struct follow *f)
{
    struct watch_service *s = f->follower->service;
    struct watch_round w = {.service = s, .redis = f->redis, .name = f->follower->name};
    make_label(w.name, w.label, sizeof w.label);
    struct fb_policy *policy = fb_policy_follow_get(s->policy);
    const struct fb_policy_storage *st =
        policy != NULL ? fb_policy_find_storage(policy, f->follower->name) : NULL;
    bool is_ours = policy == NULL || (st != NULL && st->type == FB_STORAGE_BOX);
    if (st != NULL && is_ours && watch_token(s, w.token)) {
        w.source = st->follows_enterprise ? "enterprise events" : "events";
        round_once(f, &w, policy, st);
    }
    fb_policy_unref(&policy);
    return is_ours;
}

/* From the start, as of now: of a storage that was never read the age is known, too. */
static void show_from_start(const char *name)
{
    static const struct fb_counters counters[] = {
        {"fumibako_watch_failures_total", {{NULL, NULL}}},
        {"fumibako_foreign_links_total", {{"outcome", "removed|gone|allowed|failed"}}},
        {"fumibako_accesses_total",
         {{"event", "preview|download|accepted|link"}, {"by", "recipient|other"}}},
        {NULL, {{NULL, NULL}}}};
    char label[sizeof((struct watch_round *)0)->label];
    char labels[200];
    make_label(name, label, sizeof label);
    (void)snprintf(labels, sizeof labels, "storage=\"%s\"", label);
    fb_metrics_declare(labels, counters);
    fb_metric_set("fumibako_watch_read_timestamp_seconds", labels, (double)fb_now_ms() / 1000);
}

static void *follow(void *arg)
{
    struct watch_follower *follower = arg;
    struct follow *f = fb_xcalloc(1, sizeof *f);
    struct fb_error err = {0};
    f->follower = follower;
    f->sessions = storage_sessions_new(follower->service->config);
    show_from_start(follower->name);
    if (fb_redis_new(follower->service->config, REDIS_TIMEOUT_MS, &f->redis, &err) != FB_OK) {
        fb_log(FB_ERROR, "a storage is not followed, it is tried again: %s", err.text);
        (void)poll(NULL, 0, FIRST_PAUSE_MS);
    }
    while (f->redis != NULL && !fb_service_stopping() && step(f)) {
        struct pollfd p = {.fd = fb_service_stop_fd(), .events = POLLIN};
        (void)poll(&p, 1, STEP_MS);
    }
    storage_sessions_free(&f->sessions);
    fb_redis_free(&f->redis);
    free(f);
    atomic_store(&follower->is_over, true);
    return NULL;
}

/* ---- threads ---- */

void watch_follower_start(struct watch_service *s, struct watch_follower **list, const char *name)
{
    for (const struct watch_follower *f = *list; f != NULL; f = f->next) {
        if (strcmp(f->name, name) == 0) {
            return;
        }
    }
    struct watch_follower *f = fb_xcalloc(1, sizeof *f);
    f->service = s;
    f->name = fb_xstrdup(name);
    if (pthread_create(&f->thread, NULL, follow, f) != 0) {
        fb_log(FB_ERROR, "a thread for a storage cannot be started, it is tried again");
        free(f->name);
        free(f);
        return;
    }
    f->next = *list;
    *list = f;
}

static void end_one(struct watch_follower **at)
{
    struct watch_follower *f = *at;
    *at = f->next;
    (void)pthread_join(f->thread, NULL);
    free(f->name);
    free(f);
}

void watch_followers_reap(struct watch_follower **list)
{
    for (struct watch_follower **at = list; *at != NULL;) {
        if (atomic_load(&(*at)->is_over)) {
            end_one(at);
        } else {
            at = &(*at)->next;
        }
    }
}

void watch_followers_end(struct watch_follower **list)
{
    while (*list != NULL) {
        end_one(list);
    }
}
