/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection under the SMTP client: connect, send, replies by line, each with a deadline. */
#ifndef FB_REWRITE_SMTP_WIRE_H
#define FB_REWRITE_SMTP_WIRE_H

#include "common/buf.h"

struct smtp_wire {
    int fd; /* -1 = not connected */
    struct fb_buf in;
    size_t in_at;
};

struct smtp_reply {
    int code;
    char text[512]; /* last line behind the code, cleaned */
    char enhanced[12];
};

void smtp_wire_init(struct smtp_wire *w);
void smtp_wire_close(struct smtp_wire *w);
FB_MUST_USE enum fb_status smtp_wire_connect(struct smtp_wire *w, const char *host, uint16_t port,
                                             int timeout_ms, struct fb_error *err);
FB_MUST_USE enum fb_status smtp_wire_send(struct smtp_wire *w, struct fb_slice bytes,
                                          int timeout_ms, struct fb_error *err);
/* One whole reply (all lines of a multi-line one); each line but the last is handed to line() when
 * given. */
FB_MUST_USE enum fb_status smtp_wire_reply(struct smtp_wire *w, int timeout_ms,
                                           struct smtp_reply *reply_r,
                                           void (*line)(void *ctx, struct fb_slice text), void *ctx,
                                           struct fb_error *err);
/* Whether an idle connection is still good: nothing to read and not closed. */
bool smtp_wire_is_idle(const struct smtp_wire *w);

#endif
