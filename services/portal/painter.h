/* SPDX-License-Identifier: Apache-2.0
 *
 * Page images for those who may read and not download: a page of a PDF, or an image, painted as PNG with the reader's
 * address and the time across it.  What is painted may come from anywhere, and the libraries that read it are large:
 * each image is made by a fresh child in the sandbox of common/sandbox.h, forked by a zygote that was started before
 * the portal gave up forking.  The child gets the file's bytes and nothing else, and its answer is checked as a
 * stranger's (painter_wire.h).
 */
#ifndef FB_PORTAL_PAINTER_H
#define FB_PORTAL_PAINTER_H

#include <stdbool.h>

#include "common/config.h"
#include "services/portal/painter_wire.h"

#define PAINTER_MAX_INPUT  (64U << 20) /* of a file that is painted: it lies in the child's memory */
#define PAINTER_MAX_PNG    (8U << 20)
#define PAINTER_MAX_PAGES  500U /* shown of one file */
#define PAINTER_TIMEOUT_MS 15000

/* What is asked. */
struct painter_job {
    enum painter_kind kind;
    uint32_t page;    /* from 1; 0: only how many there are, and how large */
    const char *mark; /* written across the page; "": nothing */
    uint64_t size;    /* of the file */
    /* As fb_vault_file_read. */
    enum fb_status (*read)(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                           struct fb_error *err);
    void *ctx;
};

/* fb_service.prepare: forks the zygote. */
FB_MUST_USE enum fb_status painter_prepare(const struct fb_config *config, struct fb_error *err);
void painter_stop(void);
/* The zygote was killed: no image can be made until the service is started again. */
bool painter_is_dead(void);

/* Whether files of this type can be shown as images, and as which kind. */
bool painter_knows(const char *type, enum painter_kind *kind_r);

/* Waits for a turn, and paints; png gets the image (none with page 0).  FB_INVALID: not a file of that kind, encrypted,
 * or there is no such page; FB_TOO_BIG; FB_CRASHED: the child died or took too long; FB_AGAIN: too many at once; or
 * what read said. */
FB_MUST_USE enum fb_status painter_paint(const struct painter_job *job,
                                         struct painter_answer *answer_r, struct fb_buf *png,
                                         struct fb_error *err);

/* painter_child.c: the child, in its sandbox, and what is loaded before there are children. */
void painter_child_warm(void);
void painter_child_run(int fd);

#endif
