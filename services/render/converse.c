/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/converse.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/tracing.h"
#include "proto/limits.h"
#include "services/render/pdf_archive.h"
#include "services/render/print.h"
#include "services/render/remote.h"
#include "services/render/rpc.h"
#include "services/render/store.h"
#include "services/render/verify.h"

#define POLL_MS        100         /* how often time and memory are looked at */
#define BYTES_PER_MS   (20U << 10) /* time grows with size: 20 MB a second on a busy core */
#define ANSWER_WAIT_MS 10000
#define MAIL_SHARE     16 /* of the memory, for a mail that goes into its PDF, see pdf_archive.h */

struct talk {
    const struct render_service *service;
    struct render_request *request;
    struct fb_child child;
    int64_t deadline_ms;
    struct fb_buf in;  /* payload of the frame at hand */
    struct fb_buf out; /* bytes read for the child */
    struct render_store store;
    struct render_print print;
    struct fb_plan *plan_r;
    bool is_done;
    bool has_fetched;
};

static int64_t resident_bytes(int pid)
{
    char path[64], text[128] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    char *end = NULL;
    (void)strtoll(text, &end, 10);
    return end != NULL ? strtoll(end, NULL, 10) * sysconf(_SC_PAGESIZE) : 0;
}

/* Waits for the child's next frame, with an eye on time and memory. */
static enum fb_status wait_for_frame(struct talk *t, struct fb_error *err)
{
    for (;;) {
        if (fb_mono_ms() >= t->deadline_ms) {
            return fb_error_set(err, FB_CRASHED, "rendering took longer than its time limit");
        }
        struct pollfd p[2] = {{.fd = t->child.fd, .events = POLLIN},
                              {.fd = t->child.pidfd, .events = POLLIN}};
        int n = poll(p, 2, POLL_MS);
        if (n < 0 && errno != EINTR) {
            return fb_error_errno(err, FB_IO, errno, "poll");
        }
        if (n > 0 && (p[0].revents & POLLIN) != 0) {
            return FB_OK;
        }
        if (n > 0) {
            return fb_error_set(err, FB_CRASHED,
                                "the sandboxed child died (killed, out of memory, or a fault)");
        }
        if (resident_bytes(t->child.pid) > t->service->config->render.memory) {
            return fb_error_set(err, FB_CRASHED, "rendering needed more than %lld bytes of memory",
                                (long long)t->service->config->render.memory);
        }
    }
}

static enum fb_status answer(struct talk *t, enum render_rpc_type type, struct fb_slice payload,
                             struct fb_error *err)
{
    if (render_rpc_send(t->child.fd, type, payload, (struct fb_slice){0}, ANSWER_WAIT_MS) !=
        FB_OK) {
        return fb_error_set(err, FB_CRASHED, "the sandboxed child does not listen any more");
    }
    return FB_OK;
}

static enum fb_status answer_stored(struct talk *t, enum render_rpc_type type, enum fb_status s,
                                    struct render_rpc_stored *stored, const struct fb_error *why,
                                    struct fb_error *err)
{
    stored->status = (int32_t)s;
    if (s != FB_OK) {
        (void)snprintf(stored->text, sizeof stored->text, "%.255s", why->text);
    }
    return answer(t, type, fb_slice_of(stored, sizeof *stored), err);
}

/* ---- what the child may ask ---- */

static enum fb_status on_read(struct talk *t, struct fb_slice in, struct fb_error *err)
{
    uint64_t offset = 0;
    uint64_t len = 0;
    if (!render_rpc_take_u64(&in, &offset) || !render_rpc_take_u64(&in, &len) ||
        len > RENDER_RPC_READ) {
        return fb_error_set(err, FB_CRASHED, "the child asked for a range beyond all bounds");
    }
    fb_buf_clear(&t->out);
    enum fb_status s = fb_buf_reserve(&t->out, (size_t)len);
    size_t n = 0;
    if (s == FB_OK) {
        s = fb_spool_msg_read(t->request->msg, offset, t->out.ptr, (size_t)len, &n, err);
    }
    if (s != FB_OK) {
        return s;
    }
    t->out.len = n;
    return answer(t, RENDER_RPC_READ_RANGE, fb_slice_buf(&t->out), err);
}

static enum fb_status on_begin(struct talk *t, struct fb_slice in, struct fb_error *err)
{
    char name[65] = "";
    if (in.len == 0 || in.len >= sizeof name) {
        return fb_error_set(err, FB_CRASHED, "the child named an object beyond all bounds");
    }
    memcpy(name, in.ptr, in.len);
    /* These are ours: a child must not pre-empt them. */
    if (strcmp(name, "plan") == 0 || strcmp(name, "policy") == 0 ||
        strncmp(name, "parcel", 6) == 0) {
        return fb_error_set(err, FB_CRASHED, "the child named a reserved object");
    }
    struct render_rpc_stored stored = {0};
    struct fb_error why = {0};
    enum fb_status s = render_store_begin(&t->store, t->request->msg, name, &why);
    return answer_stored(t, RENDER_RPC_BEGIN, s, &stored, &why, err);
}

static enum fb_status on_commit(struct talk *t, struct fb_error *err)
{
    struct render_rpc_stored stored = {0};
    struct fb_error why = {0};
    enum fb_status s = render_store_commit(&t->store, &stored, &why);
    return answer_stored(t, RENDER_RPC_COMMIT, s, &stored, &why, err);
}

static enum fb_status on_verify(struct talk *t, struct fb_slice in, struct fb_error *err)
{
    struct fb_slice value, hash;
    uint64_t is_ours = 0;
    if (render_rpc_take_bytes(&in, &value) && render_rpc_take_bytes(&in, &hash) && hash.len == 32) {
        is_ours =
            render_verify(t->service->config->rewrite.key, t->request, value, hash.ptr) ? 1 : 0;
    }
    return answer(t, RENDER_RPC_VERIFY, fb_slice_of(&is_ours, sizeof is_ours), err);
}

/* Once: fifty questions and their time are all that a child has, whoever it works for by then. */
static enum fb_status on_fetch(struct talk *t, struct fb_slice in, struct fb_error *err)
{
    if (t->has_fetched) {
        return fb_error_set(err, FB_CRASHED, "the child asked for remote images twice");
    }
    t->has_fetched = true;
    int64_t before = fb_mono_ms();
    const struct fb_config *config = t->request->may_fetch ? t->service->config : NULL;
    enum fb_status s = render_remote_answer(config, t->child.fd, in, ANSWER_WAIT_MS, err);
    t->deadline_ms += fb_mono_ms() - before; /* it has a limit of its own */
    return s;
}

static enum fb_status give_back(struct talk *t, struct fb_slice pdf, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    while (pdf.len > 0 && s == FB_OK) {
        struct fb_slice piece = fb_slice_sub(pdf, 0, RENDER_RPC_MAX);
        s = answer(t, RENDER_RPC_PRINTED, piece, err);
        pdf = fb_slice_sub(pdf, piece.len, SIZE_MAX);
    }
    return s;
}

static enum fb_status keep(struct talk *t, struct fb_slice pdf, struct render_rpc_stored *stored,
                           struct fb_error *why)
{
    enum fb_status s = render_store_begin(&t->store, t->request->msg, "body.pdf", why);
    if (s == FB_OK) {
        s = render_store_add(&t->store, pdf, why);
    }
    return s == FB_OK ? render_store_commit(&t->store, stored, why) : s;
}

static enum fb_status on_print(struct talk *t, struct fb_slice in, struct fb_error *err)
{
    uint64_t date_ms = 0;
    uint64_t comes_back = 0;
    if (!render_rpc_take_u64(&in, &date_ms) || !render_rpc_take_u64(&in, &comes_back)) {
        return fb_error_set(err, FB_CRASHED, "the child wants a page without a date");
    }
    struct render_rpc_stored stored = {0};
    struct fb_error why = {0};
    struct fb_buf pdf;
    fb_buf_init(&pdf, FB_MAX_OBJECT);
    struct render_chromium *chromium = NULL;
    const struct fb_config *config = t->service->config;
    int64_t before = fb_mono_ms();
    struct fb_span span;
    fb_span_begin(&span, NULL);
    enum fb_status s = render_engine_chromium(t->service->engine, &chromium, &why);
    if (s == FB_OK) {
        s = render_print_run(&t->print, chromium, config->render.paper, (int64_t)date_ms,
                             (int)config->render.timeout_ms, &pdf, &why);
    }
    fb_span_end(&span, "print", FB_SPAN_INTERNAL, s == FB_OK ? NULL : fb_status_name(s), NULL);
    t->request->is_unpaintable = s == FB_CONFIG;
    t->deadline_ms +=
        fb_mono_ms() - before; /* Chromium has a limit of its own, waiting for it included */
    enum fb_status given = FB_OK;
    if (s == FB_OK && comes_back == 1) {
        given = give_back(t, fb_slice_buf(&pdf), err);
    } else if (s == FB_OK) {
        s = keep(t, fb_slice_buf(&pdf), &stored, &why);
    }
    fb_buf_deinit(&pdf);
    return given != FB_OK ? given : answer_stored(t, RENDER_RPC_PRINT, s, &stored, &why, err);
}

static enum fb_status on_glyphs(struct talk *t, struct fb_slice in, struct fb_error *err)
{
    struct render_glyphs g = {0};
    if (in.len == sizeof g) {
        memcpy(&g, in.ptr, sizeof g);
    }
    bool is_sound = g.missing > 0 && g.missing <= FB_MAX_OBJECT && g.block_count > 0 &&
                    g.block_count <= RENDER_GLYPH_BLOCKS;
    for (uint32_t i = 0; is_sound && i < g.block_count; i++) {
        is_sound = render_glyphs_block(g.blocks[i]) != NULL;
    }
    if (!is_sound) {
        return fb_error_set(err, FB_CRASHED, "the child misses characters that are none");
    }
    t->request->glyphs = g;
    return FB_OK;
}

static enum fb_status on_done(struct talk *t, struct fb_slice in, struct fb_error *err)
{
    enum fb_status s = fb_plan_decode(in, t->plan_r, err);
    if (s == FB_OK) {
        s = fb_plan_check(t->plan_r, t->request->envelope->recipient_count, err);
        if (s == FB_OK && strcmp(t->plan_r->msg_id, fb_spool_msg_id(t->request->msg)) != 0) {
            s = fb_error_set(err, FB_INVALID, "the plan is for another message");
        }
        if (s != FB_OK) {
            fb_plan_deinit(t->plan_r);
        }
    }
    if (s != FB_OK) {
        (void)fb_error_prefix(err, "the child's plan is refused");
        err->status =
            FB_CRASHED; /* a child that lies is a child that was taken over, or a bug of ours */
        return FB_CRASHED;
    }
    t->is_done = true;
    return FB_OK;
}

static enum fb_status dispatch(struct talk *t, uint32_t type, struct fb_slice in,
                               struct fb_error *err)
{
    switch (type) {
    case RENDER_RPC_READ_RANGE:
        return on_read(t, in, err);
    case RENDER_RPC_BEGIN:
        return on_begin(t, in, err);
    case RENDER_RPC_DATA:
        return render_store_add(&t->store, in, err);
    case RENDER_RPC_COMMIT:
        return on_commit(t, err);
    case RENDER_RPC_VERIFY:
        return on_verify(t, in, err);
    case RENDER_RPC_FETCH:
        return on_fetch(t, in, err);
    case RENDER_RPC_PRINT_PART:
        return render_print_add(&t->print, in, err);
    case RENDER_RPC_GLYPHS:
        return on_glyphs(t, in, err);
    case RENDER_RPC_PRINT:
        return on_print(t, in, err);
    case RENDER_RPC_DONE:
        return on_done(t, in, err);
    case RENDER_RPC_FAIL:
        return render_rpc_failure(in, err);
    default:
        return fb_error_set(err, FB_CRASHED, "the child said something unknown");
    }
}

/* ---- the whole ---- */

/* For the child: render.engine, or Chromium where a child that painted this mail itself may have died
 * of it. */
static const char *engine_of(const struct talk *t)
{
    const char *engine = t->service->config->render.engine;
    struct render_chromium *chromium = NULL;
    struct fb_error why = {0};
    bool is_second = t->request->is_retry && strcmp(engine, "auto") == 0 &&
                     render_engine_chromium(t->service->engine, &chromium, &why) == FB_OK;
    return is_second ? RENDER_ENGINE_SECOND : engine;
}

static enum fb_status send_start(struct talk *t, struct fb_error *err)
{
    const struct render_request *q = t->request;
    struct fb_buf b;
    fb_buf_init(&b, FB_MAX_ENVELOPE + (8U << 20));
    const struct fb_config *c = t->service->config;
    enum fb_status s = render_rpc_put_u64(&b, fb_spool_msg_size(q->msg));
    bool is_archive = strcmp(c->render.pdfa, "true") == 0;
    uint64_t share = (uint64_t)c->render.memory / MAIL_SHARE;
    const uint64_t numbers[] = {
        (uint64_t)q->first_ms,
        (strcmp(c->render.tagged, "true") == 0 ? RENDER_RPC_TAGGED : 0) |
            (is_archive ? RENDER_RPC_ARCHIVE : 0),
        share < RENDER_PDF_MAIL_MAX ? share : RENDER_PDF_MAIL_MAX,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && s == FB_OK; i++) {
        s = render_rpc_put_u64(&b, numbers[i]);
    }
    const struct fb_slice texts[] = {fb_slice_str(fb_spool_msg_id(q->msg)),
                                     fb_slice_str(c->render.paper),
                                     fb_slice_str(engine_of(t)),
                                     fb_slice_str(q->policy_version),
                                     fb_spool_msg_envelope(q->msg),
                                     q->policy_document};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && s == FB_OK; i++) {
        s = render_rpc_put_bytes(&b, texts[i]);
    }
    s = s == FB_OK
            ? answer(t, RENDER_RPC_START, fb_slice_buf(&b), err)
            : fb_error_set(err, s, "envelope and policy are too large to be handed to the sandbox");
    fb_buf_deinit(&b);
    return s;
}

enum fb_status render_converse(const struct render_service *service, struct render_request *request,
                               struct fb_plan *plan_r, struct fb_error *err)
{
    struct talk t = {.service = service, .request = request, .plan_r = plan_r};
    fb_buf_init(&t.in, FB_MAX_PLAN);
    fb_buf_init(&t.out, RENDER_RPC_READ);
    render_print_init(&t.print);
    enum fb_status s = fb_zygote_spawn(service->zygote, &t.child, err);
    if (s != FB_OK) {
        goto cleanup;
    }
    t.deadline_ms = fb_mono_ms() + service->config->render.timeout_ms +
                    (int64_t)(fb_spool_msg_size(request->msg) / BYTES_PER_MS);
    s = send_start(&t, err);
    while (s == FB_OK && !t.is_done) {
        struct render_rpc_frame frame = {0};
        s = wait_for_frame(&t, err);
        if (s == FB_OK) {
            int64_t left = t.deadline_ms - fb_mono_ms();
            s = render_rpc_receive(t.child.fd, left > 0 ? (int)left : 1, FB_MAX_PLAN, &frame,
                                   &t.in);
            if (s != FB_OK) {
                s = fb_error_set(err, FB_CRASHED,
                                 "the sandboxed child died in the middle of a word");
            }
        }
        if (s == FB_OK) {
            s = dispatch(&t, frame.type, fb_slice_buf(&t.in), err);
        }
    }
    fb_child_end(&t.child);

cleanup:
    render_store_abort(&t.store);
    render_print_deinit(&t.print);
    fb_buf_deinit(&t.out);
    fb_buf_deinit(&t.in);
    return s;
}
