/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/child_talk.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/limits.h"
#include "services/render/print.h"

#define MAX_START (FB_MAX_ENVELOPE + (8U << 20))

void child_talk_init(struct child_talk *t, int fd)
{
    *t = (struct child_talk){.fd = fd};
    fb_buf_init(&t->in, RENDER_RPC_MAX);
    fb_buf_init(&t->start.bytes, MAX_START);
}

static void ask(struct child_talk *t, enum render_rpc_type type, struct fb_slice a,
                struct fb_slice b)
{
    if (render_rpc_send(t->fd, type, a, b, -1) != FB_OK) {
        _exit(1);
    }
}

static struct fb_slice hear(struct child_talk *t, enum render_rpc_type type)
{
    struct render_rpc_frame frame = {0};
    if (render_rpc_receive(t->fd, -1, RENDER_RPC_MAX, &frame, &t->in) != FB_OK ||
        frame.type != (uint32_t)type) {
        _exit(1);
    }
    return fb_slice_buf(&t->in);
}

static enum fb_status take_stored(struct fb_slice in, struct render_rpc_stored *stored_r,
                                  struct fb_error *err)
{
    if (in.len != sizeof *stored_r) {
        _exit(1);
    }
    memcpy(stored_r, in.ptr, sizeof *stored_r);
    stored_r->text[sizeof stored_r->text - 1] = '\0';
    if (stored_r->status != FB_OK) {
        return fb_error_set(err, (enum fb_status)stored_r->status, "%s", stored_r->text);
    }
    return FB_OK;
}

static enum fb_status hear_stored(struct child_talk *t, enum render_rpc_type type,
                                  struct render_rpc_stored *stored_r, struct fb_error *err)
{
    return take_stored(hear(t, type), stored_r, err);
}

static bool take_text(struct fb_slice *s, char **text_r)
{
    struct fb_slice bytes;
    if (!render_rpc_take_bytes(s, &bytes)) {
        return false;
    }
    *text_r = fb_slice_dup_str(bytes);
    return *text_r != NULL;
}

enum fb_status child_receive_start(struct child_talk *t, struct fb_error *err)
{
    struct render_rpc_frame frame = {0};
    struct child_start *start = &t->start;
    enum fb_status s = render_rpc_receive(t->fd, -1, MAX_START, &frame, &start->bytes);
    if (s != FB_OK || frame.type != RENDER_RPC_START) {
        _exit(1);
    }
    struct fb_slice in = fb_slice_buf(&start->bytes);
    uint64_t first = 0;
    uint64_t bits = 0;
    if (!render_rpc_take_u64(&in, &start->size) || !render_rpc_take_u64(&in, &first) ||
        !render_rpc_take_u64(&in, &bits) || !render_rpc_take_u64(&in, &start->mail_max) ||
        !take_text(&in, &start->msg_id) || !take_text(&in, &start->paper) ||
        !take_text(&in, &start->engine) || !take_text(&in, &start->policy_version) ||
        !render_rpc_take_bytes(&in, &start->envelope) ||
        !render_rpc_take_bytes(&in, &start->policy)) {
        return fb_error_set(err, FB_BUG, "the parent's first word cannot be read");
    }
    start->first_ms = (int64_t)first;
    start->is_tagged = (bits & RENDER_RPC_TAGGED) != 0;
    start->is_archive = (bits & RENDER_RPC_ARCHIVE) != 0;
    return FB_OK;
}

/* ---- source ---- */

static enum fb_status source_read(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    (void)err;
    struct child_talk *t = ctx;
    uint64_t range[2] = {offset, len < RENDER_RPC_READ ? len : RENDER_RPC_READ};
    ask(t, RENDER_RPC_READ_RANGE, fb_slice_of(range, sizeof range), (struct fb_slice){0});
    struct fb_slice in = hear(t, RENDER_RPC_READ_RANGE);
    if (in.len > range[1]) {
        _exit(1);
    }
    if (in.len > 0) {
        memcpy(out, in.ptr, in.len);
    }
    *read_r = in.len;
    return FB_OK;
}

struct render_source child_source(struct child_talk *t)
{
    return (struct render_source){.ctx = t, .read = source_read, .size = t->start.size};
}

/* ---- sink ---- */

static enum fb_status sink_begin(void *ctx, const char *name, struct fb_error *err)
{
    struct render_rpc_stored stored;
    ask(ctx, RENDER_RPC_BEGIN, fb_slice_str(name), (struct fb_slice){0});
    return hear_stored(ctx, RENDER_RPC_BEGIN, &stored, err);
}

static enum fb_status sink_add(void *ctx, const void *bytes, size_t len, struct fb_error *err)
{
    (void)err;
    const uint8_t *at = bytes;
    while (len > 0) {
        size_t n = len < RENDER_RPC_MAX ? len : RENDER_RPC_MAX;
        ask(ctx, RENDER_RPC_DATA, fb_slice_of(at, n), (struct fb_slice){0});
        at += n;
        len -= n;
    }
    return FB_OK;
}

static enum fb_status sink_commit(void *ctx, struct fb_error *err)
{
    struct render_rpc_stored stored;
    ask(ctx, RENDER_RPC_COMMIT, (struct fb_slice){0}, (struct fb_slice){0});
    return hear_stored(ctx, RENDER_RPC_COMMIT, &stored, err);
}

static void sink_abandon(void *ctx)
{
    (void)ctx; /* the parent drops it at the next begin, or at our end */
}

struct render_sink child_sink(struct child_talk *t)
{
    return (struct render_sink){.ctx = t,
                                .begin = sink_begin,
                                .add = sink_add,
                                .commit = sink_commit,
                                .abandon = sink_abandon};
}

/* ---- questions ---- */

bool child_verify(struct child_talk *t, struct fb_slice value, const uint8_t body_hash[32])
{
    struct fb_buf b;
    fb_buf_init(&b, 4096);
    uint64_t is_ours = 0;
    if (render_rpc_put_bytes(&b, value) == FB_OK &&
        render_rpc_put_bytes(&b, fb_slice_of(body_hash, 32)) == FB_OK) {
        ask(t, RENDER_RPC_VERIFY, fb_slice_buf(&b), (struct fb_slice){0});
        struct fb_slice in = hear(t, RENDER_RPC_VERIFY);
        if (in.len == sizeof is_ours) {
            memcpy(&is_ours, in.ptr, sizeof is_ours);
        }
    }
    fb_buf_deinit(&b);
    return is_ours == 1;
}

enum fb_status child_put(struct child_talk *t, const char *name, struct fb_slice bytes,
                         struct render_rpc_stored *stored_r, struct fb_error *err)
{
    enum fb_status s = sink_begin(t, name, err);
    if (s == FB_OK) {
        s = sink_add(t, bytes.ptr, bytes.len, err);
    }
    if (s == FB_OK) {
        ask(t, RENDER_RPC_COMMIT, (struct fb_slice){0}, (struct fb_slice){0});
        s = hear_stored(t, RENDER_RPC_COMMIT, stored_r, err);
    }
    return s;
}

void child_fetch(struct child_talk *t, const char *const *urls, struct fb_buf *bytes, size_t count)
{
    struct fb_buf b;
    enum fb_status s = FB_OK;
    fb_buf_init(&b, RENDER_RPC_MAX);
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        s = render_rpc_put_bytes(&b, fb_slice_str(urls[i]));
    }
    if (s == FB_OK) {
        ask(t, RENDER_RPC_FETCH, fb_slice_buf(&b), (struct fb_slice){0});
    }
    while (s == FB_OK) {
        struct fb_slice in = hear(t, RENDER_RPC_FETCH);
        uint64_t index = 0;
        if (in.len == 0) {
            break;
        }
        if (!render_rpc_take_u64(&in, &index) || index >= count ||
            fb_buf_add_slice(&bytes[index], in) != FB_OK) {
            _exit(1);
        }
    }
    fb_buf_deinit(&b);
}

static void send_pieces(struct child_talk *t, enum render_print_kind kind, struct fb_slice bytes)
{
    const uint8_t head = (uint8_t)kind;
    while (bytes.len > 0) {
        struct fb_slice piece = fb_slice_sub(bytes, 0, RENDER_RPC_MAX - 1);
        ask(t, RENDER_RPC_PRINT_PART, fb_slice_of(&head, 1), piece);
        bytes = fb_slice_sub(bytes, piece.len, SIZE_MAX);
    }
}

static void ask_print(struct child_talk *t, struct fb_slice html, const struct render_image *images,
                      size_t image_count, int64_t date_ms, bool comes_back)
{
    const uint64_t numbers[2] = {(uint64_t)date_ms, comes_back ? 1 : 0};
    send_pieces(t, RENDER_PRINT_HTML, html);
    for (size_t i = 0; i < image_count; i++) {
        const uint8_t head = RENDER_PRINT_IMAGE;
        ask(t, RENDER_RPC_PRINT_PART, fb_slice_of(&head, 1), fb_slice_str(images[i].type));
        send_pieces(t, RENDER_PRINT_IMAGE_DATA, fb_slice_buf(&images[i].bytes));
    }
    ask(t, RENDER_RPC_PRINT, fb_slice_of(numbers, sizeof numbers), (struct fb_slice){0});
}

enum fb_status child_print(struct child_talk *t, struct fb_slice html,
                           const struct render_image *images, size_t image_count, int64_t date_ms,
                           struct render_rpc_stored *stored_r, struct fb_error *err)
{
    ask_print(t, html, images, image_count, date_ms, false);
    return hear_stored(t, RENDER_RPC_PRINT, stored_r, err);
}

enum fb_status child_print_back(struct child_talk *t, struct fb_slice html,
                                const struct render_image *images, size_t image_count,
                                int64_t date_ms, struct fb_buf *pdf_r, struct fb_error *err)
{
    ask_print(t, html, images, image_count, date_ms, true);
    for (;;) {
        struct render_rpc_frame frame = {0};
        struct render_rpc_stored stored;
        if (render_rpc_receive(t->fd, -1, RENDER_RPC_MAX, &frame, &t->in) != FB_OK) {
            _exit(1);
        }
        if (frame.type == RENDER_RPC_PRINT) {
            return take_stored(fb_slice_buf(&t->in), &stored, err);
        }
        if (frame.type != RENDER_RPC_PRINTED ||
            fb_buf_add_slice(pdf_r, fb_slice_buf(&t->in)) != FB_OK) {
            _exit(1);
        }
    }
}

void child_tell_missing(struct child_talk *t, const struct render_glyphs *g)
{
    if (g->missing > 0) {
        ask(t, RENDER_RPC_GLYPHS, fb_slice_of(g, sizeof *g), (struct fb_slice){0});
    }
}

void child_done(struct child_talk *t, struct fb_slice plan)
{
    ask(t, RENDER_RPC_DONE, plan, (struct fb_slice){0});
}

void child_fail(struct child_talk *t, enum fb_status status, const char *text)
{
    struct fb_buf b;
    fb_buf_init(&b, 4096);
    if (render_rpc_put_u64(&b, (uint64_t)status) == FB_OK &&
        render_rpc_put_bytes(&b, fb_slice_str(text)) == FB_OK) {
        ask(t, RENDER_RPC_FAIL, fb_slice_buf(&b), (struct fb_slice){0});
    }
    fb_buf_deinit(&b);
}
