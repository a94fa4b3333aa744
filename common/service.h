/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a service, once for all: options (--config --check --dump-config --version),
 * configuration, log, health port, signals, draining.  A service's main() fills struct fb_service
 * and returns fb_service_main().
 */
#ifndef FB_COMMON_SERVICE_H
#define FB_COMMON_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/metrics.h"

#define FB_EXIT_FAILED 1
#define FB_EXIT_USAGE  2
#define FB_EXIT_CONFIG 78 /* EX_CONFIG of sysexits.h */

struct fb_service {
    const char *name;      /* "ingest" */
    uint16_t metrics_port; /* default port of /metrics */
    /* Checks what --check checks beyond the configuration itself (key files, policy file...); may
     * be NULL. */
    enum fb_status (*check)(const struct fb_config *config, struct fb_error *err);
    /* Before the process gives up what it never does (common/confine.h), in one thread: forks what has to be able to
     * do more, or less.  May be NULL. */
    enum fb_status (*prepare)(const struct fb_config *config, struct fb_error *err);
    /* Completes or leaves nothing behind.  Threads are started here. */
    enum fb_status (*init)(const struct fb_config *config, void **ctx_r, struct fb_error *err);
    /* Serves until fb_service_stopping(); returns when everything in hand is finished or handed
     * back. */
    enum fb_status (*run)(void *ctx, struct fb_error *err);
    void (*deinit)(void *ctx);
    const struct fb_counters *counters; /* at zero from the start (common/metrics.h); may be NULL */
    unsigned uses; /* enum fb_uses (common/confine.h); everything else is taken away before init */
};

int fb_service_main(const struct fb_service *service, int argc, char **argv);
/* True after SIGTERM or SIGINT.  A second signal ends the process at once. */
bool fb_service_stopping(void);
/* An eventfd that becomes readable at SIGTERM, for poll(). */
int fb_service_stop_fd(void);
void fb_service_stop(void); /* what SIGTERM does, for tests and fatal errors */

#endif
