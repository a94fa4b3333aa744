/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of browsers. An instance belongs to one print at a time; after any failure its browser
 * is ended with all that it started, and the next print starts another one. */
#include "services/render/chromium_internal.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TAGGED_MAX       8000 /* tags, opening and closing ones */
#define MAX_INSTANCES    64
#define MAX_TEST_PDF     (4U << 20)
#define START_TIMEOUT_MS 30000

struct instance {
    struct render_chromium_process process;
    struct render_chromium_page page;
    bool is_running, is_busy;
    int prints;
};

struct render_chromium {
    pthread_mutex_t lock; /* of is_busy; what else an instance has is its user's */
    pthread_cond_t freed;
    struct render_chromium_launch launch;
    int recycle_after;
    bool is_tagged;
    int start_timeout_ms;
    size_t count;
    struct instance *instances;
};

static void stop(struct instance *i)
{
    if (i->is_running) {
        render_chromium_page_close(&i->page);
        render_chromium_process_stop(&i->process);
    }
    i->is_running = false;
    i->prints = 0;
}

static enum fb_status start(struct render_chromium *c, struct instance *i, struct fb_error *err)
{
    enum fb_status s = render_chromium_process_start(&c->launch, &i->process, err);
    if (s != FB_OK) {
        return s;
    }
    i->is_running = true;
    i->prints = 0;
    s = render_chromium_page_open(&i->page, &i->process, c->launch.memory_bytes,
                                  fb_mono_ms() + c->start_timeout_ms, err);
    if (s != FB_OK) {
        stop(i);
        s = fb_error_prefix(err, "starting the browser");
        if (!render_chromium_process_may_sandbox(&c->launch)) {
            s = fb_error_set(
                err, FB_CONFIG,
                "Chromium's sandbox needs user name spaces, which uid %u may not make here. On a "
                "host: sysctl user.max_user_namespaces=10000 (and "
                "kernel.unprivileged_userns_clone=1 where it exists); in a container: a seccomp "
                "profile that allows them (k8s/)",
                (unsigned)c->launch.uid);
        }
    }
    return s;
}

/* ---- one print ---- */

static enum fb_status print_on(struct render_chromium *c, struct instance *i,
                               const struct render_chromium_job *job, int timeout_ms,
                               struct fb_buf *pdf, struct fb_error *err)
{
    size_t before = pdf->len;
    enum fb_status s = FB_OK;
    for (int attempt = 0;; attempt++) {
        if (i->is_running && !render_chromium_process_is_alive(&i->process)) {
            stop(i);
        }
        bool is_fresh = !i->is_running;
        s = is_fresh ? start(c, i, err) : FB_OK;
        if (s != FB_OK) {
            break;
        }
        s = render_chromium_page_print(&i->page, job, fb_mono_ms() + timeout_ms, pdf, err);
        if (s == FB_OK) {
            i->prints++;
            break;
        }
        bool is_innocent = !i->page.is_served;
        stop(i);
        pdf->len = before;
        /* A browser that died in its sleep is not the mail's fault. */
        if (is_fresh || !is_innocent || attempt > 0) {
            break;
        }
    }
    if (i->is_running && c->recycle_after > 0 && i->prints >= c->recycle_after) {
        stop(i);
    }
    return s;
}

static struct timespec monotonic_in(int ms)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* A free instance, a running one if there is; NULL when none becomes free in time. */
static struct instance *acquire(struct render_chromium *c, int timeout_ms)
{
    const struct timespec until = monotonic_in(timeout_ms);
    struct instance *found = NULL;
    int rc = 0;
    (void)pthread_mutex_lock(&c->lock);
    for (;;) {
        for (size_t n = 0; n < c->count; n++) {
            struct instance *i = &c->instances[n];
            if (!i->is_busy && (found == NULL || (i->is_running && !found->is_running))) {
                found = i;
            }
        }
        if (found != NULL || rc == ETIMEDOUT) {
            break;
        }
        rc = pthread_cond_timedwait(&c->freed, &c->lock, &until);
    }
    if (found != NULL) {
        found->is_busy = true;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return found;
}

static void release(struct render_chromium *c, struct instance *i)
{
    (void)pthread_mutex_lock(&c->lock);
    i->is_busy = false;
    (void)pthread_cond_signal(&c->freed);
    (void)pthread_mutex_unlock(&c->lock);
}

/* Chromium's time for the structure grows with the square of the words beside one another: for 20,000 of
 * them a minute, without it two seconds. */
static bool may_be_tagged(struct fb_slice html)
{
    size_t tags = 0;
    for (size_t i = 0; i < html.len && tags <= TAGGED_MAX; i++) {
        tags += html.ptr[i] == '<' ? 1 : 0;
    }
    return tags <= TAGGED_MAX;
}

enum fb_status render_chromium_print(struct render_chromium *c, struct fb_slice html,
                                     const struct render_image *images, size_t image_count,
                                     const char *paper, int64_t date_ms, int timeout_ms,
                                     struct fb_buf *pdf_r, struct fb_error *err)
{
    struct render_chromium_job job = {.html = html,
                                      .images = images,
                                      .image_count = image_count,
                                      .is_tagged = c->is_tagged && may_be_tagged(html)};
    if (!render_chromium_pdf_paper(paper, &job.width_in, &job.height_in)) {
        return fb_error_set(err, FB_CONFIG, "unknown paper: %.32s", paper);
    }
    struct instance *i = acquire(c, timeout_ms);
    if (i == NULL) {
        return fb_error_set(err, FB_AGAIN, "all browsers are busy");
    }
    size_t before = pdf_r->len;
    enum fb_status s = print_on(c, i, &job, timeout_ms, pdf_r, err);
    release(c, i);
    if (s == FB_OK) {
        render_chromium_pdf_date(pdf_r->ptr + before, pdf_r->len - before, date_ms);
        render_chromium_pdf_ids(pdf_r->ptr + before, pdf_r->len - before);
    }
    return s;
}

/* ---- life ---- */

static enum fb_status find_binary(const char *wanted, char **binary_r, struct fb_error *err)
{
    /* The program before Debian's shell script around it. */
    static const char *const places[] = {"/usr/lib/chromium/chromium-headless-shell",
                                         "/usr/lib/chromium/headless_shell",
                                         "/usr/bin/chromium-headless-shell"};
    if (wanted != NULL) {
        if (access(wanted, X_OK) != 0) {
            return fb_error_errno(err, FB_CONFIG, errno, "render.chromium: %.200s", wanted);
        }
        *binary_r = fb_xstrdup(wanted);
        return FB_OK;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], X_OK) == 0) {
            *binary_r = fb_xstrdup(places[i]);
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_CONFIG,
                        "chromium-headless-shell is not installed: install Debian's package of "
                        "that name, or set render.chromium to the program");
}

static enum fb_status find_user(const char *user, struct render_chromium_launch *l,
                                struct fb_error *err)
{
    l->uid = geteuid();
    l->gid = getegid();
    if (l->uid != 0) {
        return FB_OK;
    }
    struct passwd entry, *pw = NULL;
    char text[4096];
    if (user == NULL || getpwnam_r(user, &entry, text, sizeof text, &pw) != 0 || pw == NULL ||
        pw->pw_uid == 0) {
        return fb_error_set(err, FB_CONFIG,
                            "render.chromium_user: no such user (or root): %.64s; Chromium does "
                            "not run as root",
                            user != NULL ? user : "(none)");
    }
    l->drops_user = true;
    l->uid = pw->pw_uid;
    l->gid = pw->pw_gid;
    return FB_OK;
}

static enum fb_status self_test(struct render_chromium *c, struct fb_error *err)
{
    struct fb_buf pdf;
    fb_buf_init(&pdf, MAX_TEST_PDF);
    enum fb_status s =
        render_chromium_print(c, FB_SLICE_LITERAL("<!DOCTYPE html><title>test</title><p>test"),
                              NULL, 0, "A4", 0, c->start_timeout_ms, &pdf, err);
    if (s == FB_OK && (pdf.len < 5 || memcmp(pdf.ptr, "%PDF-", 5) != 0)) {
        s = fb_error_set(err, FB_CONFIG, "Chromium prints something that is not a PDF");
    }
    fb_buf_deinit(&pdf);
    return s;
}

enum fb_status render_chromium_new(const struct render_chromium_config *config,
                                   struct render_chromium **chromium_r, struct fb_error *err)
{
    struct render_chromium *c = fb_xcalloc(1, sizeof *c);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->freed, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&c->lock, NULL);
    int count = config->instances > 0 ? config->instances : 1;
    c->count = (size_t)(count < MAX_INSTANCES ? count : MAX_INSTANCES);
    c->instances = fb_xcalloc(c->count, sizeof *c->instances);
    c->recycle_after = config->recycle_after;
    c->is_tagged = config->is_tagged;
    c->start_timeout_ms = config->timeout_ms > 0 ? config->timeout_ms : START_TIMEOUT_MS;
    c->launch.memory_bytes = config->memory_bytes;
    c->launch.no_namespaces = config->no_namespaces;
    c->launch.fonts_conf = config->fonts_conf;
    enum fb_status s = find_binary(config->binary, &c->launch.binary, err);
    if (s == FB_OK) {
        s = find_user(config->user, &c->launch, err);
    }
    if (s == FB_OK) {
        render_chromium_home_sweep(&c->launch);
        s = self_test(c, err);
    }
    if (s == FB_OK) {
        *chromium_r = c;
    } else {
        render_chromium_free(&c);
    }
    return s;
}

void render_chromium_free(struct render_chromium **chromium)
{
    struct render_chromium *c = *chromium;
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        stop(&c->instances[i]);
    }
    (void)pthread_cond_destroy(&c->freed);
    (void)pthread_mutex_destroy(&c->lock);
    free(c->launch.binary);
    free(c->instances);
    free(c);
    *chromium = NULL;
}
