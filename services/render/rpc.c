/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/rpc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static enum fb_status wait_for(int fd, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - fb_mono_ms();
        if (deadline >= 0 && left <= 0) {
            return FB_NETWORK;
        }
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0) {
            return FB_OK;
        }
        if (n < 0 && errno != EINTR) {
            return FB_NETWORK;
        }
    }
}

static enum fb_status send_all(int fd, struct fb_slice s, int64_t deadline)
{
    while (s.len > 0) {
        ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            s.ptr += n;
            s.len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (wait_for(fd, POLLOUT, deadline) != FB_OK) {
                return FB_NETWORK;
            }
        } else if (n == 0 || errno != EINTR) {
            return FB_NETWORK;
        }
    }
    return FB_OK;
}

static enum fb_status receive_all(int fd, void *out, size_t len, int64_t deadline)
{
    uint8_t *at = out;
    while (len > 0) {
        ssize_t n = recv(fd, at, len, MSG_DONTWAIT);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (wait_for(fd, POLLIN, deadline) != FB_OK) {
                return FB_NETWORK;
            }
        } else if (n == 0 || errno != EINTR) {
            return FB_NETWORK;
        }
    }
    return FB_OK;
}

enum fb_status render_rpc_send(int fd, enum render_rpc_type type, struct fb_slice a,
                               struct fb_slice b, int timeout_ms)
{
    int64_t deadline = timeout_ms < 0 ? -1 : fb_mono_ms() + timeout_ms;
    const struct render_rpc_frame frame = {type, (uint32_t)(a.len + b.len)};
    enum fb_status s = send_all(fd, fb_slice_of(&frame, sizeof frame), deadline);
    if (s == FB_OK) {
        s = send_all(fd, a, deadline);
    }
    return s == FB_OK ? send_all(fd, b, deadline) : s;
}

enum fb_status render_rpc_receive(int fd, int timeout_ms, size_t max,
                                  struct render_rpc_frame *frame_r, struct fb_buf *payload)
{
    int64_t deadline = timeout_ms < 0 ? -1 : fb_mono_ms() + timeout_ms;
    fb_buf_clear(payload);
    enum fb_status s = receive_all(fd, frame_r, sizeof *frame_r, deadline);
    if (s != FB_OK) {
        return s;
    }
    if (frame_r->len > max) {
        return FB_TOO_BIG;
    }
    s = fb_buf_reserve(payload, frame_r->len);
    if (s == FB_OK) {
        s = receive_all(fd, payload->ptr, frame_r->len, deadline);
    }
    if (s == FB_OK) {
        payload->len = frame_r->len;
        payload->ptr[payload->len] = '\0';
    }
    return s;
}

enum fb_status render_rpc_put_u64(struct fb_buf *b, uint64_t v)
{
    return fb_buf_add(b, &v, sizeof v);
}

enum fb_status render_rpc_put_bytes(struct fb_buf *b, struct fb_slice s)
{
    enum fb_status st = render_rpc_put_u64(b, s.len);
    return st == FB_OK ? fb_buf_add_slice(b, s) : st;
}

bool render_rpc_take_u64(struct fb_slice *s, uint64_t *v_r)
{
    if (s->len < sizeof *v_r) {
        return false;
    }
    memcpy(v_r, s->ptr, sizeof *v_r);
    *s = fb_slice_sub(*s, sizeof *v_r, SIZE_MAX);
    return true;
}

bool render_rpc_take_bytes(struct fb_slice *s, struct fb_slice *bytes_r)
{
    uint64_t len = 0;
    if (!render_rpc_take_u64(s, &len) || len > s->len) {
        return false;
    }
    *bytes_r = fb_slice_sub(*s, 0, (size_t)len);
    *s = fb_slice_sub(*s, (size_t)len, SIZE_MAX);
    return true;
}

enum fb_status render_rpc_failure(struct fb_slice in, struct fb_error *err)
{
    uint64_t status = 0;
    struct fb_slice text;
    if (!render_rpc_take_u64(&in, &status) || !render_rpc_take_bytes(&in, &text) ||
        status == FB_OK || status >= FB_STATUS_COUNT || text.len >= FB_ERROR_MAX) {
        return fb_error_set(err, FB_CRASHED, "the child failed without saying why");
    }
    return fb_error_set(err, (enum fb_status)status, "%.*s", (int)text.len, (const char *)text.ptr);
}
