/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/pdf_flate.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <zlib.h>

#define QUICK       4 /* of zlib: two thirds of the time that 6 takes */
#define LEVEL       4 /* of libdeflate: two fifths of the time of zlib's 6, for one byte in a hundred */
#define FRAME_BITS  9 /* a window of 512 bytes: nothing is looked for in it */
#define FRAME_LEVEL 1 /* of memory */
#define HEAD        2
#define CHECKSUM    4
#define BLOCK_HEAD  5 /* of a stored block: final or not; length; its complement */
#define SPARE       (64U << 10)

static _Thread_local enum render_flate current;

void render_flate_set(enum render_flate how)
{
    current = how;
}

/* In place of zlib's own for all libraries of this program; what deflateInit() calls. */
int deflateInit_(z_streamp strm, int level, const char *version, int stream_size)
{
    bool is_frame = level == Z_DEFAULT_COMPRESSION && current == RENDER_FLATE_FRAME;
    bool is_quick = level == Z_DEFAULT_COMPRESSION && current == RENDER_FLATE_QUICK;
    return deflateInit2_(strm,
                         is_frame   ? Z_NO_COMPRESSION
                         : is_quick ? QUICK
                                    : level,
                         Z_DEFLATED, is_frame ? FRAME_BITS : MAX_WBITS, is_frame ? FRAME_LEVEL : 8,
                         Z_DEFAULT_STRATEGY, version, stream_size);
}

static bool is_zlib_head(struct fb_slice s)
{
    return s.len >= HEAD + CHECKSUM && (s.ptr[0] & 0x0F) == Z_DEFLATED &&
           ((unsigned)s.ptr[0] << 8 | s.ptr[1]) % 31 == 0 && (s.ptr[1] & 0x20) == 0;
}

bool render_flate_unframe(struct fb_slice stream, struct fb_buf *out)
{
    fb_buf_clear(out);
    if (!is_zlib_head(stream)) {
        return false;
    }
    bool is_last = false;
    struct fb_slice rest = fb_slice_sub(stream, HEAD, SIZE_MAX);
    while (!is_last) {
        if (rest.len < BLOCK_HEAD || rest.ptr[0] > 1) { /* a block of another type */
            return false;
        }
        const uint8_t *p = rest.ptr;
        unsigned len = (unsigned)p[2] << 8 | p[1];
        unsigned complement = (unsigned)p[4] << 8 | p[3];
        is_last = p[0] == 1;
        rest = fb_slice_sub(rest, BLOCK_HEAD, SIZE_MAX);
        if ((len ^ complement) != 0xFFFF || len > rest.len ||
            fb_buf_add(out, rest.ptr, len) != FB_OK) {
            return false;
        }
        rest = fb_slice_sub(rest, len, SIZE_MAX);
    }
    return rest.len == CHECKSUM;
}

struct render_flate_press {
    struct libdeflate_compressor *compressor;
    uint8_t *bytes;
    size_t room;
};

struct render_flate_press *render_flate_press_new(void)
{
    return fb_xcalloc(1, sizeof(struct render_flate_press));
}

void render_flate_press_free(struct render_flate_press **p)
{
    if (*p != NULL) {
        libdeflate_free_compressor((*p)->compressor);
        free((*p)->bytes);
        free(*p);
        *p = NULL;
    }
}

enum fb_status render_flate_press(struct render_flate_press *p, struct fb_slice in,
                                  struct fb_slice *stream_r)
{
    if (p->compressor == NULL) {
        p->compressor = libdeflate_alloc_compressor(LEVEL);
    }
    if (p->compressor == NULL) {
        return FB_TOO_BIG;
    }
    size_t room = libdeflate_zlib_compress_bound(p->compressor, in.len);
    if (room > p->room) {
        free(p->bytes);
        p->bytes = fb_alloc_bounded(room + SPARE, SIZE_MAX);
        p->room = p->bytes != NULL ? room + SPARE : 0;
    }
    size_t len = p->bytes != NULL
                     ? libdeflate_zlib_compress(p->compressor, in.ptr, in.len, p->bytes, p->room)
                     : 0;
    *stream_r = fb_slice_of(p->bytes, len);
    return len > 0 ? FB_OK : FB_TOO_BIG;
}
