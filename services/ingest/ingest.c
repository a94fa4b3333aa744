/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads: the SMTP loop (the main thread), two of HTTP, the spool's committer, the enqueue thread,
 * the sweeper, and the housekeeper of this file, which does what may take long: measuring and
 * tidying the spool.
 */
#include "ingest.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "accept.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "enqueue.h"
#include "http.h"
#include "common/netlist.h"
#include "pressure.h"
#include "smtp_server.h"
#include "sweeper.h"
#include "tls.h"

#define MEASURE_EVERY_MS 1000
#define TIDY_EVERY_MS    60000
#define JOURNAL_KEEP_MS                                                                            \
    (7LL * 24 * 3600 * 1000) /* longer than mail is tried (rewrite.lifetime: five days) */
#define HTTP_DRAIN_MS    10000
#define ENQUEUE_DRAIN_MS 5000

struct ingest {
    const struct fb_config *config;
    struct fb_netlist *allow, *xforward;
    struct tls *tls;
    struct fb_spool *spool;
    struct enqueuer *enqueuer;
    struct sweeper *sweeper;
    struct pressure *pressure;
    struct acceptor *acceptor;
    struct smtp_server *smtp;
    struct http_server *http;
    pthread_t housekeeper;
    bool has_housekeeper;
    atomic_bool is_stopping;
};

/* ---- housekeeping ---- */

/* Above the mark no mail is taken, and load balancers are told so. */
static void measure(struct ingest *in)
{
    bool is_full = pressure_measure(in->pressure);
    fb_metric_set("fumibako_ingest_backlog", NULL, (double)enqueuer_backlog(in->enqueuer));
    acceptor_set_full(in->acceptor, is_full);
    if (!atomic_load(&in->is_stopping) && !fb_service_stopping()) {
        fb_ready_set(!is_full, pressure_why());
    }
}

static void *keep_house(void *arg)
{
    struct ingest *in = arg;
    int64_t tidy_next_ms = fb_mono_ms() + TIDY_EVERY_MS;
    int64_t measure_next_ms = 0;
    while (!atomic_load(&in->is_stopping)) {
        int64_t now = fb_mono_ms();
        if (now >= measure_next_ms) {
            measure_next_ms = now + MEASURE_EVERY_MS;
            measure(in);
        }
        if (now >= tidy_next_ms) {
            struct fb_error err = {0};
            if (fb_spool_tidy(in->spool, JOURNAL_KEEP_MS, &err) != FB_OK) {
                fb_log(FB_WARN, "tidying the spool failed: %s", err.text);
            }
            tidy_next_ms = fb_mono_ms() + TIDY_EVERY_MS;
        }
        http_server_tick(in->http);
        (void)usleep(100000);
    }
    return NULL;
}

/* ---- life ---- */

enum fb_status ingest_check(const struct fb_config *config, struct fb_error *err)
{
    struct fb_netlist *allow = NULL, *xforward = NULL;
    struct tls *tls = NULL;
    enum fb_status s = fb_netlist_new(&config->ingest.allow, "ingest.allow", &allow, err);
    if (s == FB_OK) {
        s = fb_netlist_new(&config->ingest.xforward, "ingest.xforward", &xforward, err);
    }
    if (s == FB_OK) {
        s = tls_new(config, &tls, err);
    }
    if (s == FB_OK && access(config->spool.key_file, R_OK) != 0) {
        s = fb_error_errno(err, FB_CONFIG, errno, "spool.key_file: %s", config->spool.key_file);
    }
    tls_free(&tls);
    fb_netlist_free(&xforward);
    fb_netlist_free(&allow);
    return s;
}

static enum fb_status start(struct ingest *in, struct fb_error *err)
{
    const struct fb_config *config = in->config;
    enum fb_status s = fb_netlist_new(&config->ingest.allow, "ingest.allow", &in->allow, err);
    if (s == FB_OK) {
        s = fb_netlist_new(&config->ingest.xforward, "ingest.xforward", &in->xforward, err);
    }
    if (s == FB_OK) {
        s = tls_new(config, &in->tls, err);
    }
    if (s == FB_OK) {
        s = fb_spool_open(config->spool.url, config->spool.key_file, &in->spool, err);
    }
    if (s == FB_OK) {
        s = enqueuer_new(config, in->spool, &in->enqueuer, err);
    }
    if (s == FB_OK) {
        s = sweeper_new(config, in->spool, &in->sweeper, err);
    }
    if (s == FB_OK) {
        s = pressure_new(config, in->spool, &in->pressure, err);
    }
    if (s == FB_OK) {
        s = acceptor_new(config, in->spool, in->enqueuer, &in->acceptor, err);
    }
    if (s == FB_OK) {
        s = smtp_server_new(config, in->acceptor, in->tls, in->allow, in->xforward, &in->smtp, err);
    }
    if (s == FB_OK) {
        measure(in); /* before the first mail, and the first to say "ready" */
        s = http_server_new(config, in->acceptor, in->allow, &in->http, err);
    }
    if (s == FB_OK) {
        int e = pthread_create(&in->housekeeper, NULL, keep_house, in);
        in->has_housekeeper = e == 0;
        s = e == 0 ? FB_OK : fb_error_errno(err, FB_IO, e, "start the housekeeping thread");
    }
    return s;
}

enum fb_status ingest_init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct ingest *in = fb_xcalloc(1, sizeof *in);
    sigset_t all, before;
    in->config = config;
    /* Signals are the main thread's business; threads inherit the mask. */
    (void)sigfillset(&all);
    FB_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    enum fb_status s = start(in, err);
    FB_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (s != FB_OK) {
        ingest_deinit(in);
        return s;
    }
    *ctx_r = in;
    return FB_OK;
}

/* Ends when SMTP is drained; then HTTP's open requests get their time, and what was committed is
 * enqueued. */
enum fb_status ingest_run(void *ctx, struct fb_error *err)
{
    struct ingest *in = ctx;
    enum fb_status s = smtp_server_run(in->smtp, fb_service_stop_fd(), err);
    http_server_drain(in->http);
    for (int64_t until = fb_mono_ms() + HTTP_DRAIN_MS;
         http_server_active(in->http) > 0 && fb_mono_ms() < until;) {
        (void)usleep(10000);
    }
    return s;
}

void ingest_deinit(void *ctx)
{
    struct ingest *in = ctx;
    atomic_store(&in->is_stopping, true);
    if (in->has_housekeeper) {
        (void)pthread_join(in->housekeeper, NULL);
    }
    sweeper_free(&in->sweeper);
    http_server_free(&in->http);
    /* Commits of sessions whose peer has gone are still answered into the void: first the
     * committer, then them. */
    while (in->acceptor != NULL && acceptor_under_way(in->acceptor) > 0) {
        (void)usleep(1000);
    }
    smtp_server_free(&in->smtp);
    acceptor_free(&in->acceptor);
    if (in->enqueuer != NULL) {
        enqueuer_stop(in->enqueuer, ENQUEUE_DRAIN_MS);
    }
    enqueuer_free(&in->enqueuer);
    pressure_free(&in->pressure);
    fb_spool_close(&in->spool);
    tls_free(&in->tls);
    fb_netlist_free(&in->xforward);
    fb_netlist_free(&in->allow);
    free(in);
}
