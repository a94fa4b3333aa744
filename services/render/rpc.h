/* SPDX-License-Identifier: Apache-2.0
 *
 * What child and parent say to each other, over a stream socket: frames of {type, length} and
 * payload, little care for elegance and much for bounds, since the child may be taken over.  The
 * child asks, the parent answers each question with one frame of the same type; DATA, PRINT_PART and
 * GLYPHS have no answer.
 *
 *   START  parent -> child, once: numbers (size, first try, bits, largest mail to attach), envelope, policy document
 *   READ   offset, length                -> bytes of the spooled content
 *   BEGIN  object name                   -> status
 *   DATA   bytes of the object           (no answer)
 *   COMMIT                               -> status, size, SHA-1
 *   VERIFY X-Fumibako-Id value, SHA-256 of the body -> 1 when it is ours and for these recipients
 *   FETCH  URLs of remote images, once   -> as many frames of {index, bytes} as it takes, the pieces of an image one
 *                                           after the other, then an empty one
 *   PRINT_PART image or HTML             (no answer)
 *   GLYPHS characters without a glyph, blocks of them (no answer)
 *   PRINT  the mail's date, 0            -> status, size, SHA-1 of the object body.pdf, text
 *   PRINT  the mail's date, 1            -> as many frames PRINTED as it takes, then the same, of nothing stored:
 *                                           nobody but the child reads what a browser wrote
 *   DONE   plan                          (no answer, the end)
 *   FAIL   status, text                  (no answer, the end)
 */
#ifndef FB_RENDER_RPC_H
#define FB_RENDER_RPC_H

#include "common/buf.h"

#define RENDER_RPC_MAX  (1U << 20) /* payload of one frame, PLAN and START apart */
#define RENDER_RPC_READ (256U << 10)

/* START names render.engine, or this: Chromium, since "native" was tried before. */
#define RENDER_ENGINE_SECOND "chromium, second"

/* Bits of START. */
#define RENDER_RPC_TAGGED  1U
#define RENDER_RPC_ARCHIVE 2U

enum render_rpc_type {
    RENDER_RPC_START = 1,
    RENDER_RPC_READ_RANGE,
    RENDER_RPC_BEGIN,
    RENDER_RPC_DATA,
    RENDER_RPC_COMMIT,
    RENDER_RPC_VERIFY,
    RENDER_RPC_PRINT_PART,
    RENDER_RPC_PRINT,
    RENDER_RPC_DONE,
    RENDER_RPC_FAIL,
    RENDER_RPC_FETCH,
    RENDER_RPC_GLYPHS,
    RENDER_RPC_PRINTED,
};

struct render_rpc_frame {
    uint32_t type;
    uint32_t len;
};

/* Answer to COMMIT and PRINT. */
struct render_rpc_stored {
    int32_t status; /* enum fb_status */
    uint64_t size;
    uint8_t sha1[20];
    char text[256];
};

/* Sends a frame of two pieces (either may be empty); FB_NETWORK when the peer is gone or takes
 * longer than timeout_ms (< 0 = waits as long as it lives). */
FB_MUST_USE enum fb_status render_rpc_send(int fd, enum render_rpc_type type, struct fb_slice a,
                                           struct fb_slice b, int timeout_ms);
/* Receives one frame of at most max bytes into payload (cleared). FB_NETWORK peer gone or timed
 * out, FB_TOO_BIG. */
FB_MUST_USE enum fb_status render_rpc_receive(int fd, int timeout_ms, size_t max,
                                              struct render_rpc_frame *frame_r,
                                              struct fb_buf *payload);

/* Fields of payloads: fixed-width little-endian numbers and length-prefixed byte strings. */
FB_MUST_USE enum fb_status render_rpc_put_u64(struct fb_buf *b, uint64_t v);
FB_MUST_USE enum fb_status render_rpc_put_bytes(struct fb_buf *b, struct fb_slice s);
/* Take from the front of *s; false when it is too short. */
bool render_rpc_take_u64(struct fb_slice *s, uint64_t *v_r);
bool render_rpc_take_bytes(struct fb_slice *s, struct fb_slice *bytes_r);
/* The payload of RENDER_RPC_FAIL as err and its status; FB_CRASHED for one that says nothing. */
FB_MUST_USE enum fb_status render_rpc_failure(struct fb_slice payload, struct fb_error *err);

#endif
