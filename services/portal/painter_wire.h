/* SPDX-License-Identifier: Apache-2.0
 *
 * What the portal and a painting child say to each other, over a stream socket: one request, the file's bytes, one
 * answer, the image's bytes.  Numbers are little-endian and of fixed width.
 *
 *   request  "FBP1" | kind u32 | page u32 | size u64 | length of mark u32 | mark
 *   answer   "FBA1" | status u32 | pages u32 | width u32 | height u32 | length of image u32
 */
#ifndef FB_PORTAL_PAINTER_WIRE_H
#define FB_PORTAL_PAINTER_WIRE_H

#include "common/buf.h"

#define PAINTER_REQUEST_SIZE 28
#define PAINTER_ANSWER_SIZE  24
#define PAINTER_MAX_MARK     480U  /* an address of 320 bytes, a time */
#define PAINTER_MAX_SIDE     4000U /* of an image, in pixels */
#define PAINTER_MAX_COUNT    1000000U

enum painter_kind { PAINTER_PDF, PAINTER_IMAGE };

struct painter_request {
    enum painter_kind kind;
    uint32_t page, mark_len;
    uint64_t size;
};
void painter_request_write(const struct painter_request *r, uint8_t out[PAINTER_REQUEST_SIZE]);
/* False: not such a request, or beyond a limit. */
bool painter_request_read(const uint8_t in[PAINTER_REQUEST_SIZE], struct painter_request *r);

struct painter_answer {
    enum fb_status status;
    uint32_t pages;         /* of the file; an image has one */
    uint32_t width, height; /* of the image, in pixels; with page 0 of the first page's */
    uint32_t image_len;
};
void painter_answer_write(const struct painter_answer *a, uint8_t out[PAINTER_ANSWER_SIZE]);
/* False: not such an answer, or beyond a limit. */
bool painter_answer_read(const uint8_t in[PAINTER_ANSWER_SIZE], struct painter_answer *a);

/* Whether the bytes are a PNG of that size, as far as its head says it. */
bool painter_is_png(struct fb_slice image, uint32_t width, uint32_t height);

#endif
