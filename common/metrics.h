/* SPDX-License-Identifier: Apache-2.0
 *
 * Prometheus metrics (text exposition format 0.0.4) and the health port: /metrics, /healthz,
 * /readyz. Counters and gauges are made on first use and live as long as the process; all calls are
 * thread-safe. Labels are given as they stand in the exposition: `stage="render",outcome="ok"`;
 * never from mail.
 */
#ifndef FB_COMMON_METRICS_H
#define FB_COMMON_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

void fb_metric_add(const char *name, const char *labels,
                   double by); /* counter; name ends in _total */
void fb_metric_set(const char *name, const char *labels, double value);
void fb_metric_observe(const char *name, const char *labels,
                       double seconds); /* histogram, 1 ms to 10 min */
/* A counter that appears with its first event has not grown as Prometheus sees it: rate() and
 * increase() give nothing, and no alert fires.  So counters stand at zero from the start, with each
 * value that their labels can have.  values: divided by '|'; by: the first label without a name
 * ends it.  The labels come in this order, behind `labels` (as above, may be NULL) where some are
 * known only at run time.  The list ends with a name NULL. */
struct fb_counters {
    const char *name;
    struct {
        const char *label, *values;
    } by[2];
};
void fb_metrics_declare(const char *labels, const struct fb_counters *list);
/* Fast path for hot loops: the handle is looked up once. */
struct fb_counter;
struct fb_counter *fb_metric_counter(const char *name, const char *labels);
void fb_counter_add(struct fb_counter *c, double by);

FB_MUST_USE enum fb_status fb_metrics_render(struct fb_buf *out);

/* Called before each scrape, so that gauges are fresh. */
void fb_metrics_on_scrape(void (*collect)(void *ctx), void *ctx);
/* Serves on host:port (a thread of libmicrohttpd); port 0 takes a free one, which is written to
 * port_r. */
struct fb_metrics_server;
FB_MUST_USE enum fb_status fb_metrics_serve(const char *host, uint16_t port,
                                            struct fb_metrics_server **server_r, uint16_t *port_r,
                                            struct fb_error *err);
void fb_metrics_stop(struct fb_metrics_server **server);
/* /readyz answers 503 with this text until is_ready. */
void fb_ready_set(bool is_ready, const char *why);
/* /healthz answers 503 when the last beat is older than 60 s (only once a beat was given). */
void fb_health_beat(void);

#endif
