/* SPDX-License-Identifier: Apache-2.0 */
#include "accept.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/tracing.h"
#include "proto/limits.h"

struct acceptor {
    struct fb_spool_writer *writer;
    struct enqueuer *enqueuer;
    void (*on_batch)(void *ctx);
    void *on_batch_ctx;
    struct fb_counter *accepted;
    atomic_bool is_full;
    atomic_size_t under_way;
};

struct acceptance {
    struct acceptor *acceptor;
    struct fb_spool_in *in;
    struct pending *pending; /* what the enqueue thread gets */
    accept_done_fn *done;
    void *ctx;
    int64_t begun_us;
    struct fb_span span;
};

static int64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- the committer's side ---- */

static void end_span(const struct acceptance *m, enum fb_status status)
{
    const struct pending *p = m->pending;
    char size[24];
    char recipients[24];
    (void)snprintf(size, sizeof size, "%" PRIu64, p->size);
    (void)snprintf(recipients, sizeof recipients, "%zu", p->envelope.recipient_count);
    fb_span_end(&m->span, "accept", FB_SPAN_SERVER, status == FB_OK ? NULL : fb_status_name(status),
                "fumibako.msg_id", p->msg_id, "fumibako.size", size, "fumibako.recipients",
                recipients, "network.protocol.name", p->envelope.protocol, NULL);
}

static void on_committed(void *ctx, enum fb_status status, const char *ref)
{
    struct acceptance *m = ctx;
    struct acceptor *a = m->acceptor;
    struct pending *p = m->pending;
    if (status == FB_OK) {
        FB_ASSERT(strlen(ref) < sizeof p->ref);
        (void)memcpy(p->ref, ref, strlen(ref) + 1);
        fb_counter_add(a->accepted, 1);
        fb_metric_observe("fumibako_accept_seconds", NULL, (double)(now_us() - m->begun_us) / 1e6);
    } else {
        fb_log_fields(FB_ERROR, "message could not be stored", "msg_id", p->msg_id, "status",
                      fb_status_name(status), NULL);
    }
    end_span(m, status);
    m->done(m->ctx, status, p->msg_id);
    if (status == FB_OK) {
        enqueuer_add(a->enqueuer,
                     p); /* the duty to deliver passes on; the spool remembers it in any case */
    } else {
        pending_free(p);
    }
    free(m);
}

static void on_spool_batch(void *ctx, size_t count)
{
    struct acceptor *a = ctx;
    if (a->on_batch != NULL) {
        a->on_batch(a->on_batch_ctx);
    }
    enqueuer_kick(a->enqueuer);
    atomic_fetch_sub(&a->under_way,
                     count); /* last: who waits for zero may free what on_batch uses */
}

/* ---- life ---- */

/* The writer's name: letters, digits and "-_." only, so that any host name will do. */
static void writer_name(const struct fb_config *config, char *name, size_t size)
{
    if (config->ingest.name != NULL && config->ingest.name[0] != '\0') {
        (void)snprintf(name, size, "%s", config->ingest.name);
        return; /* the spool refuses what it cannot use: the operator's own choice is not bent */
    }
    if (gethostname(name, size) != 0) {
        (void)snprintf(name, size, "ingest");
    }
    name[size - 1] = '\0';
    for (char *c = name; *c != '\0'; c++) {
        bool is_plain =
            (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z');
        if (!is_plain && *c != '-' && *c != '_' && *c != '.') {
            *c = '-';
        }
    }
}

enum fb_status acceptor_new(const struct fb_config *config, struct fb_spool *spool,
                            struct enqueuer *enqueuer, struct acceptor **acceptor_r,
                            struct fb_error *err)
{
    struct acceptor *a = fb_xcalloc(1, sizeof *a);
    char name[49]; /* the spool takes 48 characters */
    a->enqueuer = enqueuer;
    a->accepted = fb_metric_counter("fumibako_messages_accepted_total", NULL);
    writer_name(config, name, sizeof name);
    enum fb_status s = fb_spool_writer_new(spool, name, on_spool_batch, a, &a->writer, err);
    if (s != FB_OK) {
        free(a);
        return s;
    }
    *acceptor_r = a;
    return FB_OK;
}

void acceptor_on_batch(struct acceptor *a, void (*on_batch)(void *ctx), void *ctx)
{
    a->on_batch = on_batch;
    a->on_batch_ctx = ctx;
}

void acceptor_free(struct acceptor **acceptor)
{
    if (*acceptor != NULL) {
        fb_spool_writer_free(&(*acceptor)->writer);
        free(*acceptor);
        *acceptor = NULL;
    }
}

void acceptor_set_full(struct acceptor *a, bool is_full)
{
    atomic_store(&a->is_full, is_full);
}

enum fb_status acceptor_may_accept(const struct acceptor *a)
{
    return atomic_load(&a->is_full) ? FB_NO_SPACE : FB_OK;
}

size_t acceptor_under_way(const struct acceptor *a)
{
    return atomic_load(&a->under_way);
}

/* ---- one message ---- */

enum fb_status accept_open(struct acceptor *a, struct acceptance **m_r, struct fb_error *err)
{
    struct acceptance *m = fb_xcalloc(1, sizeof *m);
    m->acceptor = a;
    m->pending = fb_xcalloc(1, sizeof *m->pending);
    fb_id_new(m->pending->msg_id);
    enum fb_status s = fb_spool_in_new(a->writer, m->pending->msg_id, &m->in, err);
    if (s != FB_OK) {
        accept_abort(&m);
        return s;
    }
    *m_r = m;
    return FB_OK;
}

enum fb_status accept_add(struct acceptance *m, const void *ptr, size_t len)
{
    struct fb_error err = {0};
    enum fb_status s = fb_spool_in_add(m->in, ptr, len, &err);
    if (s != FB_OK) {
        fb_log_fields(FB_ERROR, "message could not be stored", "msg_id", m->pending->msg_id,
                      "error", err.text, NULL);
    }
    return s;
}

void accept_abort(struct acceptance **m)
{
    if (*m != NULL) {
        fb_spool_in_free(&(*m)->in);
        pending_free((*m)->pending);
        free(*m);
        *m = NULL;
    }
}

void accept_commit(struct acceptance **m_ptr, struct fb_envelope *envelope, accept_done_fn *done,
                   void *ctx)
{
    struct acceptance *m = *m_ptr;
    struct pending *p = m->pending;
    struct fb_buf bytes;
    *m_ptr = NULL;
    m->done = done;
    m->ctx = ctx;
    m->begun_us = now_us();
    p->envelope = *envelope;
    *envelope = (struct fb_envelope){0};
    p->envelope.received_ms = fb_now_ms();
    char parent[FB_TRACE_SIZE];
    memcpy(parent, p->envelope.trace, sizeof parent);
    fb_tracing_context(parent, p->envelope.trace);
    fb_span_begin_root(&m->span, p->envelope.trace, parent);
    p->size = fb_spool_in_size(m->in);
    fb_buf_init(&bytes, FB_MAX_ENVELOPE);
    enum fb_status s = fb_envelope_encode(&p->envelope, &bytes);
    atomic_fetch_add(&m->acceptor->under_way, 1);
    if (s == FB_OK) {
        fb_spool_in_submit(&m->in, fb_slice_buf(&bytes), on_committed, m);
    } else {
        struct acceptor *a = m->acceptor;
        fb_spool_in_free(&m->in);
        on_committed(m, s, ""); /* in this thread: done only takes a note */
        on_spool_batch(a, 1);
    }
    fb_buf_deinit(&bytes);
}
