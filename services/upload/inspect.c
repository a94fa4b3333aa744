/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/inspect.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "services/upload/away.h"
#include "services/upload/box_internal.h"
#include "services/upload/sessions.h"

#define STEP_MS          100
#define POLL_MS          500   /* whether somebody asks */
#define FIRST_MS         20000 /* after the start, until the first look without a question */
#define TURN_MS          10000 /* whether it is time for a look */
#define SHOW_MS          60000 /* what others found, as metrics */
#define REDIS_TIMEOUT_MS 5000
#define LABELS           256

struct inspect {
    struct fb_policy_follow *follow;
    struct fb_redis *redis;
    struct storage_sessions *sessions;
    pthread_t thread;
    atomic_bool is_stopping;
};

static bool must_stop(struct inspect *i)
{
    return atomic_load(&i->is_stopping) || fb_service_stopping();
}

/* ---- metrics ---- */

static void show(const char *storage, const struct fb_storage_report *report)
{
    char name[128], labels[LABELS];
    box_label(storage, name, sizeof name);
    (void)snprintf(labels, sizeof labels, "storage=\"%s\"", name);
    fb_metric_set("fumibako_storage_check_ok", labels, report->is_ok ? 1 : 0);
    if (report->space.used >= 0) {
        fb_metric_set("fumibako_storage_used_bytes", labels, (double)report->space.used);
    }
    if (report->space.quota > 0) {
        fb_metric_set("fumibako_storage_quota_bytes", labels, (double)report->space.quota);
    }
    if (report->space.free >= 0) {
        fb_metric_set("fumibako_storage_free_bytes", labels, (double)report->space.free);
    }
}

static void show_all(struct inspect *i, const struct fb_policy *p)
{
    for (size_t n = 0; n < p->storage_count && !must_stop(i); n++) {
        struct fb_storage_report report;
        struct fb_error ignored = {0};
        if (fb_storage_report_get(i->redis, p->storages[n].name, &report, &ignored) == FB_OK) {
            show(p->storages[n].name, &report);
        }
    }
}

/* ---- trying ---- */

static void try_storage(struct inspect *i, const struct fb_policy *p, const char *name,
                        bool is_asked, int64_t now_ms)
{
    struct fb_error err = {0};
    struct fb_storage_report report;
    const struct storage *storage = NULL;
    struct storage_session *session = NULL;
    int64_t since = fb_mono_ms();
    fb_storage_report_init(&report);
    report.is_asked = is_asked;
    report.began_ms = now_ms;
    if (is_asked) {
        storage_sessions_forget(i->sessions); /* what is wrong may have been mended on disk */
    }
    enum fb_status s =
        storage_sessions_get(i->sessions, p, name, i->redis, &storage, &session, &err);
    (void)fb_storage_report_add(&report, FB_STORAGE_OPEN, "", since, s, &err);
    if (s == FB_OK && storage->check != NULL) {
        storage->check(session, is_asked, &report);
    }
    report.at_ms = now_ms + (fb_mono_ms() - since);
    show(name, &report);
    if (!report.is_ok) {
        storage_sessions_forget(i->sessions);
    }
    if (fb_storage_report_put(i->redis, name, &report, &err) != FB_OK) {
        fb_log(FB_DEBUG, "what was found of a storage cannot be written down: %s", err.text);
    }
}

/* Asked ones, and with may_look those whose time has come. */
static void look(struct inspect *i, const struct fb_policy *p, bool may_look)
{
    for (size_t n = 0; n < p->storage_count && !must_stop(i); n++) {
        const char *name = p->storages[n].name;
        struct fb_error ignored = {0};
        bool is_taken = false;
        bool is_asked = false;
        int64_t now_ms = 0;
        bool may = may_look && !storage_away_is_down(name);
        if (fb_storage_take(i->redis, name, may, &is_taken, &is_asked, &now_ms, &ignored) !=
            FB_OK) {
            return; /* Redis is away: the workers say so */
        }
        if (is_taken) {
            try_storage(i, p, name, is_asked, now_ms);
        }
    }
}

/* ---- the thread ---- */

static void *run(void *arg)
{
    struct inspect *i = arg;
    int64_t poll_ms = fb_mono_ms();
    int64_t show_ms = poll_ms + FIRST_MS;
    int64_t turn_ms = poll_ms + FIRST_MS + (int64_t)fb_random_below(TURN_MS);
    while (!must_stop(i)) {
        int64_t now = fb_mono_ms();
        if (now >= poll_ms) {
            struct fb_error ignored = {0};
            bool is_asked = false;
            bool may_look = now >= turn_ms;
            struct fb_policy *p = NULL;
            if (fb_storage_is_asked(i->redis, &is_asked, &ignored) == FB_OK &&
                (is_asked || may_look)) {
                p = fb_policy_follow_get(i->follow);
            }
            if (p != NULL) {
                look(i, p, may_look);
            }
            if (p != NULL && now >= show_ms) {
                show_all(i, p);
                show_ms = now + SHOW_MS;
            }
            turn_ms = may_look ? now + TURN_MS : turn_ms;
            fb_policy_unref(&p);
            poll_ms = fb_mono_ms() + POLL_MS;
        }
        (void)nanosleep(&(struct timespec){0, STEP_MS * 1000000L}, NULL);
    }
    return NULL;
}

enum fb_status inspect_new(const struct fb_config *config, struct fb_policy_follow *policy,
                           struct inspect **inspect_r, struct fb_error *err)
{
    struct inspect *i = fb_xcalloc(1, sizeof *i);
    i->follow = policy;
    i->sessions = storage_sessions_new(config);
    enum fb_status s = fb_redis_new(config, REDIS_TIMEOUT_MS, &i->redis, err);
    if (s == FB_OK) {
        int e = pthread_create(&i->thread, NULL, run, i);
        s = e == 0 ? FB_OK
                   : fb_error_errno(err, FB_AGAIN, e, "start the thread that tries storages");
    }
    if (s != FB_OK) {
        fb_redis_free(&i->redis);
        storage_sessions_free(&i->sessions);
        free(i);
        return s;
    }
    *inspect_r = i;
    return FB_OK;
}

void inspect_free(struct inspect **inspect)
{
    struct inspect *i = *inspect;
    if (i == NULL) {
        return;
    }
    atomic_store(&i->is_stopping, true);
    (void)pthread_join(i->thread, NULL);
    storage_sessions_free(&i->sessions);
    fb_redis_free(&i->redis);
    free(i);
    *inspect = NULL;
}
