/* SPDX-License-Identifier: Apache-2.0
 *
 * GIF (GIF89a), by giflib: its first frame.  Lines are read one by one, so that a file is worth no more memory than
 * its picture, and no more work than RENDER_PICTURE_PIXELS_MAX. */
#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/picture.h"

struct frame {
    GifFileType *file;
    cairo_surface_t *surface;
    int transparent; /* index, or -1 */
    uint8_t *line;
};

static int read_bytes(GifFileType *file, GifByteType *out, int wanted)
{
    struct fb_slice *rest = file->UserData;
    size_t n = wanted < 0 ? 0 : (size_t)wanted < rest->len ? (size_t)wanted : rest->len;
    if (n > 0) {
        memcpy(out, rest->ptr, n);
    }
    *rest = fb_slice_sub(*rest, n, SIZE_MAX);
    return (int)n;
}

/* Graphic control (23.): which index is transparent.  Other extensions are passed over. */
static bool read_extension(struct frame *f)
{
    int code = 0;
    GifByteType *block = NULL;
    bool is_read = DGifGetExtension(f->file, &code, &block) == GIF_OK;
    while (is_read && block != NULL) {
        if (code == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4) {
            f->transparent = (block[1] & 1) != 0 ? block[4] : -1;
        }
        is_read = DGifGetExtensionNext(f->file, &block) == GIF_OK;
    }
    return is_read;
}

/* Up to the first frame's description. */
static bool find_frame(struct frame *f)
{
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    while (DGifGetRecordType(f->file, &type) == GIF_OK) {
        if (type == IMAGE_DESC_RECORD_TYPE) {
            return DGifGetImageDesc(f->file) == GIF_OK;
        }
        if (type != EXTENSION_RECORD_TYPE || !read_extension(f)) {
            return false;
        }
    }
    return false;
}

static void put_line(const struct frame *f, const ColorMapObject *map, int y)
{
    const GifImageDesc *d = &f->file->Image;
    if (y >= f->file->SHeight) {
        return;
    }
    uint8_t *row = cairo_image_surface_get_data(f->surface) +
                   (size_t)y * (size_t)cairo_image_surface_get_stride(f->surface);
    for (int i = 0; i < d->Width && d->Left + i < f->file->SWidth; i++) {
        int index = f->line[i];
        if (index != f->transparent && index < map->ColorCount) {
            const GifColorType *c = &map->Colors[index];
            uint32_t pixel =
                0xFF000000U | (uint32_t)c->Red << 16 | (uint32_t)c->Green << 8 | c->Blue;
            memcpy(row + 4 * (size_t)(d->Left + i), &pixel, sizeof pixel);
        }
    }
}

/* Lines come in four passes where they are interlaced (Appendix E).  What is missing at the end of a torn file
 * stays transparent, as browsers have it; false: there is nothing at all. */
static bool read_lines(const struct frame *f, const ColorMapObject *map)
{
    static const int first[] = {0, 4, 2, 1, 0};
    static const int step[] = {8, 8, 4, 2, 1};
    const GifImageDesc *d = &f->file->Image;
    bool has_line = false;
    for (int pass = d->Interlace ? 0 : 4; pass < (d->Interlace ? 4 : 5); pass++) {
        for (int y = first[pass]; y < d->Height; y += step[pass]) {
            if (DGifGetLine(f->file, f->line, d->Width) != GIF_OK) {
                return has_line;
            }
            put_line(f, map, d->Top + y);
            has_line = true;
        }
    }
    return has_line;
}

static bool read_frame(struct frame *f)
{
    if (!find_frame(f)) {
        return false;
    }
    const GifImageDesc *d = &f->file->Image;
    const ColorMapObject *map = d->ColorMap != NULL ? d->ColorMap : f->file->SColorMap;
    if (map == NULL || d->Width <= 0 || d->Height <= 0 || d->Left < 0 || d->Top < 0 ||
        (uint64_t)d->Width * (uint64_t)d->Height > RENDER_PICTURE_PIXELS_MAX) {
        return false;
    }
    f->surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, f->file->SWidth, f->file->SHeight);
    f->line = fb_alloc_bounded((size_t)d->Width, UINT16_MAX);
    if (f->line == NULL || cairo_surface_status(f->surface) != CAIRO_STATUS_SUCCESS) {
        return false;
    }
    cairo_surface_flush(f->surface);
    bool is_read = read_lines(f, map);
    cairo_surface_mark_dirty(f->surface);
    return is_read;
}

cairo_surface_t *render_picture_gif(struct fb_slice bytes)
{
    int error = 0;
    struct frame f = {.file = DGifOpen(&bytes, read_bytes, &error), .transparent = -1};
    bool is_read =
        f.file != NULL && f.file->SWidth > 0 && f.file->SHeight > 0 &&
        (uint64_t)f.file->SWidth * (uint64_t)f.file->SHeight <= RENDER_PICTURE_PIXELS_MAX &&
        read_frame(&f);
    if (!is_read && f.surface != NULL) {
        cairo_surface_destroy(f.surface);
        f.surface = NULL;
    }
    free(f.line);
    if (f.file != NULL) {
        (void)DGifCloseFile(f.file, &error); /* nothing is written that could fail */
    }
    return f.surface;
}
