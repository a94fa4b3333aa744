/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/painter_wire.h"

#include <string.h>

#include "services/portal/painter.h"

#define REQUEST_MARK "FBP1"
#define ANSWER_MARK  "FBA1"
#define PNG_HEAD     24 /* signature, and the head up to width and height */

static void put(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t take(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes; i > 0; i--) {
        value = value << 8 | in[i - 1];
    }
    return value;
}

void painter_request_write(const struct painter_request *r, uint8_t out[PAINTER_REQUEST_SIZE])
{
    memcpy(out, REQUEST_MARK, 4);
    put(out + 4, r->kind, 4);
    put(out + 8, r->page, 4);
    put(out + 12, r->size, 8);
    put(out + 20, r->mark_len, 4);
    put(out + 24, 0, 4);
}

bool painter_request_read(const uint8_t in[PAINTER_REQUEST_SIZE], struct painter_request *r)
{
    uint64_t kind = take(in + 4, 4);
    *r = (struct painter_request){.kind = kind == PAINTER_IMAGE ? PAINTER_IMAGE : PAINTER_PDF,
                                  .page = (uint32_t)take(in + 8, 4),
                                  .size = take(in + 12, 8),
                                  .mark_len = (uint32_t)take(in + 20, 4)};
    return memcmp(in, REQUEST_MARK, 4) == 0 && kind <= PAINTER_IMAGE && take(in + 24, 4) == 0 &&
           r->page <= PAINTER_MAX_PAGES && r->size > 0 && r->size <= PAINTER_MAX_INPUT &&
           r->mark_len <= PAINTER_MAX_MARK;
}

void painter_answer_write(const struct painter_answer *a, uint8_t out[PAINTER_ANSWER_SIZE])
{
    memcpy(out, ANSWER_MARK, 4);
    put(out + 4, (uint64_t)a->status, 4);
    put(out + 8, a->pages, 4);
    put(out + 12, a->width, 4);
    put(out + 16, a->height, 4);
    put(out + 20, a->image_len, 4);
}

bool painter_answer_read(const uint8_t in[PAINTER_ANSWER_SIZE], struct painter_answer *a)
{
    uint64_t status = take(in + 4, 4);
    *a = (struct painter_answer){.status =
                                     status < FB_STATUS_COUNT ? (enum fb_status)status : FB_CRASHED,
                                 .pages = (uint32_t)take(in + 8, 4),
                                 .width = (uint32_t)take(in + 12, 4),
                                 .height = (uint32_t)take(in + 16, 4),
                                 .image_len = (uint32_t)take(in + 20, 4)};
    bool is_bounded = a->pages <= PAINTER_MAX_COUNT && a->width <= PAINTER_MAX_SIDE &&
                      a->height <= PAINTER_MAX_SIDE && a->image_len <= PAINTER_MAX_PNG;
    bool is_whole =
        a->status != FB_OK ? a->image_len == 0 : a->pages > 0 && a->width > 0 && a->height > 0;
    return memcmp(in, ANSWER_MARK, 4) == 0 && status < FB_STATUS_COUNT && is_bounded && is_whole;
}

static uint32_t big_endian(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

bool painter_is_png(struct fb_slice image, uint32_t width, uint32_t height)
{
    static const uint8_t head[16] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                                     0,    0,   0,   13,  'I',  'H',  'D',  'R'};
    return image.len >= PNG_HEAD && memcmp(image.ptr, head, sizeof head) == 0 &&
           big_endian(image.ptr + 16) == width && big_endian(image.ptr + 20) == height;
}
