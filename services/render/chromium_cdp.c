/* SPDX-License-Identifier: Apache-2.0
 *
 * The DevTools protocol as Chromium speaks it with --remote-debugging-pipe: JSON texts, each ended
 * by NUL, flat sessions. Both directions are polled at once: Chromium stops reading when nobody
 * reads what it says. While waiting, time and the browser's memory are watched. */
#include "services/render/chromium_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_IN   (64U << 20)  /* one message of the browser; a request's URL may be long */
#define MAX_OUT  (384U << 20) /* all images of a mail in base64, unsent */
#define CHUNK    65536
#define SLICE_MS 100
#define LOOK_MS  1000 /* how often memory is looked at: reading /proc is not free */

void render_cdp_init(struct render_cdp *c, const struct render_chromium_process *process,
                     int64_t memory_bytes)
{
    *c = (struct render_cdp){.process = process, .memory_bytes = memory_bytes, .next_id = 1};
    fb_buf_init(&c->in, MAX_IN);
    fb_buf_init(&c->out, MAX_OUT);
}

void render_cdp_deinit(struct render_cdp *c)
{
    json_decref(c->answer);
    fb_buf_deinit(&c->in);
    fb_buf_deinit(&c->out);
    *c = (struct render_cdp){0};
}

/* ---- sending ---- */

enum fb_status render_cdp_send_text(struct render_cdp *c, const char *method,
                                    const struct fb_buf *params, struct fb_error *err)
{
    enum fb_status s = fb_buf_printf(&c->out, "{\"id\":%d,", c->next_id);
    if (s == FB_OK && c->session[0] != '\0') {
        s = fb_buf_printf(&c->out, "\"sessionId\":\"%s\",", c->session);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(&c->out, "\"method\":\"%s\",\"params\":", method);
    }
    if (s == FB_OK) {
        s = fb_buf_add_slice(&c->out, fb_slice_buf(params));
    }
    if (s == FB_OK) {
        s = fb_buf_add(&c->out, "}", 2); /* with its NUL */
    }
    if (s != FB_OK) {
        /* Half a message may be queued: the connection is of no use any more, and a failure of
         * this kind ends the browser. */
        return fb_error_set(err, s, "Chromium: what is to be sent is too large");
    }
    c->next_id++;
    return FB_OK;
}

static int add_to_buf(const char *text, size_t len, void *ctx)
{
    return fb_buf_add(ctx, text, len) == FB_OK ? 0 : -1;
}

enum fb_status render_cdp_send(struct render_cdp *c, const char *method, json_t *params,
                               struct fb_error *err)
{
    struct fb_buf text;
    fb_buf_init(&text, MAX_OUT);
    enum fb_status s = params == NULL ? fb_buf_add_str(&text, "{}") : FB_OK;
    if (params != NULL && json_dump_callback(params, add_to_buf, &text, JSON_COMPACT) != 0) {
        s = fb_error_set(err, FB_NO_SPACE, "Chromium: out of memory for %s", method);
    }
    if (s == FB_OK) {
        s = render_cdp_send_text(c, method, &text, err);
    }
    json_decref(params);
    fb_buf_deinit(&text);
    return s;
}

static enum fb_status write_some(struct render_cdp *c, struct fb_error *err)
{
    while (c->sent < c->out.len) {
        ssize_t n = write(c->process->commands, c->out.ptr + c->sent, c->out.len - c->sent);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return FB_OK;
        }
        if (n < 0) {
            return fb_error_set(err, FB_CRASHED, "Chromium died");
        }
        c->sent += (size_t)n;
    }
    fb_buf_clear(&c->out);
    c->sent = 0;
    return FB_OK;
}

/* ---- receiving ---- */

static enum fb_status take(struct render_cdp *c, struct fb_slice text, struct fb_error *err)
{
    json_error_t why;
    json_t *m = json_loadb((const char *)text.ptr, text.len, JSON_ALLOW_NUL, &why);
    if (!json_is_object(m)) {
        json_decref(m);
        return fb_error_set(err, FB_CRASHED, "Chromium said something that is not JSON");
    }
    enum fb_status s = FB_OK;
    const json_t *id = json_object_get(m, "id");
    const char *method = json_string_value(json_object_get(m, "method"));
    if (json_is_integer(id)) {
        if (c->wanted_id != 0 && json_integer_value(id) == c->wanted_id) {
            json_decref(c->answer);
            c->answer = json_incref(m);
        }
    } else if (method != NULL && c->on_event != NULL) {
        s = c->on_event(c->ctx, method, json_object_get(m, "params"), err);
    }
    json_decref(m);
    return s;
}

static enum fb_status take_all(struct render_cdp *c, struct fb_error *err)
{
    size_t start = 0;
    enum fb_status s = FB_OK;
    while (s == FB_OK && c->scanned < c->in.len) {
        const uint8_t *nul = memchr(c->in.ptr + c->scanned, 0, c->in.len - c->scanned);
        if (nul == NULL) {
            c->scanned = c->in.len;
            break;
        }
        size_t end = (size_t)(nul - c->in.ptr);
        s = take(c, fb_slice_of(c->in.ptr + start, end - start), err);
        start = c->scanned = end + 1;
    }
    fb_buf_consume(&c->in, start);
    c->scanned -= start;
    return s;
}

static enum fb_status read_some(struct render_cdp *c, struct fb_error *err)
{
    for (int i = 0; i < 16; i++) { /* then it is time to write again */
        if (fb_buf_reserve(&c->in, CHUNK) != FB_OK) {
            return fb_error_set(err, FB_CRASHED, "Chromium said more than %u bytes at once",
                                MAX_IN);
        }
        ssize_t n = read(c->process->events, c->in.ptr + c->in.len, CHUNK);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n <= 0) {
            return fb_error_set(err, FB_CRASHED, "Chromium died");
        }
        c->in.len += (size_t)n;
    }
    return take_all(c, err);
}

/* ---- both ---- */

static enum fb_status look_around(struct render_cdp *c, struct fb_error *err)
{
    int64_t now = fb_mono_ms();
    if (now >= c->deadline_ms) {
        return fb_error_set(err, FB_CRASHED, "Chromium took longer than its time limit");
    }
    if (now < c->next_look_ms) {
        return FB_OK;
    }
    c->next_look_ms = now + LOOK_MS;
    int64_t bytes = c->memory_bytes > 0 ? render_chromium_tree_bytes(c->process->keeper) : 0;
    if (bytes > c->memory_bytes) {
        return fb_error_set(err, FB_CRASHED, "Chromium needed more than %lld bytes of memory",
                            (long long)c->memory_bytes);
    }
    return FB_OK;
}

enum fb_status render_cdp_pump(struct render_cdp *c, struct fb_error *err)
{
    enum fb_status s = look_around(c, err);
    if (s != FB_OK) {
        return s;
    }
    bool has_out = c->sent < c->out.len;
    struct pollfd p[2] = {{.fd = c->process->events, .events = POLLIN},
                          {.fd = has_out ? c->process->commands : -1, .events = POLLOUT}};
    int n = poll(p, 2, SLICE_MS);
    if (n < 0 && errno != EINTR) {
        return fb_error_errno(err, FB_IO, errno, "Chromium: poll");
    }
    if (n > 0 && has_out && p[1].revents != 0) {
        s = write_some(c, err);
    }
    if (n > 0 && s == FB_OK && p[0].revents != 0) {
        s = read_some(c, err);
    }
    return s;
}

enum fb_status render_cdp_call(struct render_cdp *c, const char *method, json_t *params,
                               json_t **result_r, struct fb_error *err)
{
    int id = c->next_id;
    enum fb_status s = render_cdp_send(c, method, params, err);
    c->wanted_id = id;
    while (s == FB_OK && c->answer == NULL) {
        s = render_cdp_pump(c, err);
    }
    c->wanted_id = 0;
    if (s == FB_OK) {
        json_t *result = json_object_get(c->answer, "result");
        const char *text =
            json_string_value(json_object_get(json_object_get(c->answer, "error"), "message"));
        if (result == NULL) {
            s = fb_error_set(err, FB_CRASHED, "Chromium refused %s: %.200s", method,
                             text != NULL ? text : "no reason given");
        } else if (result_r != NULL) {
            *result_r = json_incref(result);
        }
    }
    json_decref(c->answer);
    c->answer = NULL;
    return s;
}
