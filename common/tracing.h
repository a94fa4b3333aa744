/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans of what is done for a message, handed over to an OpenTelemetry collector: OTLP/HTTP with JSON
 * (opentelemetry.io/docs/specs/otlp, 1.x), one POST to <tracing.otlp_url>/v1/traces every few seconds.
 * Without tracing.otlp_url nothing is measured and nothing kept.
 *
 * The context is W3C's traceparent, which every job carries.  ingest makes it (or goes on with that of
 * the HTTP client); each job's span is a child of the context it came with, and the jobs that follow it
 * carry its own: so a trace shows ingest, render, upload and rewrite one below the other, and the time
 * between them is time in the queue.  A trace that was not chosen (tracing.sample; flag 00) costs nothing.
 *
 * Spans hold ids, stages, outcomes and numbers, as log lines do; never an address, a name, a subject.
 * They are let go when the collector does not take them: a mail never waits for one.
 */
#ifndef FB_COMMON_TRACING_H
#define FB_COMMON_TRACING_H

#include "common/config.h"
#include "common/id.h"

#define FB_SPAN_ID_SIZE 17 /* 16 hex digits and NUL */

/* As OTLP numbers them. */
enum fb_span_kind {
    FB_SPAN_INTERNAL = 1,
    FB_SPAN_SERVER = 2,
    FB_SPAN_CLIENT = 3,
    FB_SPAN_CONSUMER = 5,
};

struct fb_span {
    char trace[FB_TRACE_SIZE];    /* its own context; "" when it is not measured */
    char parent[FB_SPAN_ID_SIZE]; /* "" for the first one of a trace */
    int64_t begun_us;             /* since 1970 */
    int64_t begun_mono_us;
};

/* Starts the thread that hands spans over; service is kept by reference.  FB_OK, and nothing else, when
 * tracing is off. */
FB_MUST_USE enum fb_status fb_tracing_start(const char *service, const struct fb_config *config,
                                            struct fb_error *err);
/* Hands over what is there, for at most two seconds, and ends the thread. */
void fb_tracing_stop(void);

/* The context of a new message: chosen or not, as tracing.sample says.  parent: a valid traceparent of
 * whoever hands the message in, whose trace and choice are kept; NULL or "": a trace of its own. */
void fb_tracing_context(const char *parent, char trace_r[FB_TRACE_SIZE]);

/* The first span of a message in this system: `trace` is its own context, made by fb_tracing_context
 * from `parent`. */
void fb_span_begin_root(struct fb_span *span, const char *trace, const char *parent);
/* A span below the context `trace`; NULL: below what fb_span_enter made this thread's.  Not measured when
 * tracing is off, there is no such context, or its trace was not chosen. */
void fb_span_begin(struct fb_span *span, const char *trace);
/* What begins without a context of its own in this thread lies below this span, until NULL is entered.
 * The span is lent. */
void fb_span_enter(const struct fb_span *span);
bool fb_span_is_on(const struct fb_span *span);
/* Ends it, and gives it over.  name and problem are fixed words or numbers, problem NULL when it went
 * well; then pairs of key and value as log lines have them, up to 12, ended by NULL; a value NULL or ""
 * is left out. */
void fb_span_end(const struct fb_span *span, const char *name, enum fb_span_kind kind,
                 const char *problem, ...) __attribute__((sentinel));

#endif
