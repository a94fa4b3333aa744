/* SPDX-License-Identifier: Apache-2.0
 *
 * winmail.dat (MS-OXTNEF): a streaming reader.  Attachment data goes to the receiver as it comes;
 * everything else is collected up to a limit.  Lengths and counts in the file are believed only
 * after a check; nothing recurses.
 */
#ifndef FB_RENDER_TNEF_H
#define FB_RENDER_TNEF_H

#include <stdbool.h>

#include "common/buf.h"

#define TNEF_SMALL_MAX       (16U << 20) /* one attribute other than attachment data, and the body */
#define TNEF_ATTACHMENTS_MAX 500

struct tnef_file {
    char *name; /* decoded, as written; NULL: none */
    char *type; /* from the properties; NULL: unknown */
    char *cid;  /* NULL: none */
};

/* Takes attachments one after the other. */
struct tnef_receiver {
    void *ctx;
    enum fb_status (*begin)(void *ctx, struct fb_error *err);
    enum fb_status (*add)(void *ctx, const uint8_t *bytes, size_t len, struct fb_error *err);
    /* file is lent; its data is complete. */
    enum fb_status (*end)(void *ctx, const struct tnef_file *file, struct fb_error *err);
};

struct tnef;

struct tnef *tnef_new(const struct tnef_receiver *receiver);
void tnef_free(struct tnef **t);
/* Feeds bytes in any cut.  FB_INVALID when it is no TNEF or breaks off its format; FB_TOO_BIG; the
 * receiver's status. */
FB_MUST_USE enum fb_status tnef_add(struct tnef *t, const uint8_t *bytes, size_t len,
                                    struct fb_error *err);
/* The end of the file: FB_INVALID when something is missing. */
FB_MUST_USE enum fb_status tnef_end(struct tnef *t, struct fb_error *err);
/* The body: HTML or text in UTF-8, made from RTF where that is all there is; empty when there is
 * none.  Lent. */
struct fb_slice tnef_get_body(const struct tnef *t, bool *is_html_r);
/* An attachment that is itself a message or an OLE object was left out: the file as a whole should
 * be kept. */
bool tnef_has_unread(const struct tnef *t);

#endif
