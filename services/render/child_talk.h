/* SPDX-License-Identifier: Apache-2.0
 *
 * The child's side of rpc.h: the source and the sink that MIME parsing uses, and questions to the parent.  Every call
 * ends the process when the parent is gone: there is nobody left to tell. */
#ifndef FB_RENDER_CHILD_TALK_H
#define FB_RENDER_CHILD_TALK_H

#include "services/render/glyphs.h"
#include "services/render/mime.h"
#include "services/render/rpc.h"

struct child_start {
    uint64_t size;
    int64_t first_ms;
    bool is_tagged, is_archive; /* render.tagged, render.pdfa */
    uint64_t mail_max;          /* larger mails are not attached to an archive */
    char *msg_id, *paper, *engine, *policy_version;
    struct fb_slice envelope, policy; /* lent from `bytes` */
    struct fb_buf bytes;
};

struct child_talk {
    int fd;
    struct fb_buf in;
    struct child_start start;
};

void child_talk_init(struct child_talk *t, int fd);
FB_MUST_USE enum fb_status child_receive_start(struct child_talk *t, struct fb_error *err);
struct render_source child_source(struct child_talk *t);
struct render_sink child_sink(struct child_talk *t);
/* What the parent stored last with commit or print. */
bool child_verify(struct child_talk *t, struct fb_slice value, const uint8_t body_hash[32]);
/* Stores bytes as a derived object and learns its size and SHA-1. */
FB_MUST_USE enum fb_status child_put(struct child_talk *t, const char *name, struct fb_slice bytes,
                                     struct render_rpc_stored *stored_r, struct fb_error *err);
/* Has the parent fetch images; bytes[i], initialised by the caller, is what urls[i] gave, or stays empty. */
void child_fetch(struct child_talk *t, const char *const *urls, struct fb_buf *bytes, size_t count);
/* Has the prepared HTML printed as the object body.pdf. */
FB_MUST_USE enum fb_status child_print(struct child_talk *t, struct fb_slice html,
                                       const struct render_image *images, size_t image_count,
                                       int64_t date_ms, struct render_rpc_stored *stored_r,
                                       struct fb_error *err);
/* Has it printed, and given back: appended to pdf_r. */
FB_MUST_USE enum fb_status child_print_back(struct child_talk *t, struct fb_slice html,
                                            const struct render_image *images, size_t image_count,
                                            int64_t date_ms, struct fb_buf *pdf_r,
                                            struct fb_error *err);
/* Tells of characters that no font has; nothing when there are none. */
void child_tell_missing(struct child_talk *t, const struct render_glyphs *g);
void child_done(struct child_talk *t, struct fb_slice plan);
void child_fail(struct child_talk *t, enum fb_status status, const char *text);

#endif
