/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks over the records of a segment, whatever a crash or a bad disk left there.
 *
 * Which records count:
 *
 * - All of a batch behind which another batch stands: its fdatasync had returned, so a bad header
 *   there is damage.
 * - Of the last batch, those that are whole.  A page that was not written before a crash reads as
 *   zeros, and cipher text never does; so "torn" is a sector of zeros or the end of the file, needs
 *   no key, and cannot be mistaken for a damaged message that was promised: that one is reported,
 *   and reading it fails its check.
 */
#include "common/spool/internal.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR      512U
#define WINDOW      ((size_t)1 << 20)
#define AHEAD       ((size_t)4096) /* from header to header: most of a record is stepped over */
#define MIN_EVIDENT 16U            /* so many zero bytes in a row are no accident of cipher text */

struct record {
    uint64_t offset;
    struct fb_spool_header header;
};

struct walk {
    struct fb_sealed_src src;
    uint64_t size;
    fb_spool_walk_fn *each;
    void *ctx;
    struct record *batch; /* of the batch at hand */
    size_t count;
    size_t cap;
    uint64_t damaged_in_batch; /* bad headers inside it that do not look torn */
    uint64_t torn_in_batch;
    uint64_t damaged;
    bool is_promised;
    bool is_stopped;
    uint8_t *window;
    uint64_t window_at;
    size_t window_len;
};

static bool is_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Lends len bytes at offset, reading ahead (at least len) when they are not at hand; NULL at the
 * end of the file or when reading fails (error_r). */
static const uint8_t *look(struct walk *w, uint64_t offset, size_t len, size_t ahead, int *error_r)
{
    if (w->window_len == 0 || offset < w->window_at ||
        offset + len > w->window_at + w->window_len) {
        w->window_at = offset;
        w->window_len = 0;
        size_t got = 0;
        uint64_t left = w->size > offset ? w->size - offset : 0;
        size_t want = left < ahead ? (size_t)left : ahead;
        *error_r = fb_sealed_src_read(&w->src, w->window, want, offset, &got);
        if (*error_r != 0) {
            return NULL;
        }
        w->window_len = got;
    }
    return offset + len <= w->window_at + w->window_len ? w->window + (offset - w->window_at)
                                                        : NULL;
}

/* Is any sector's part of [from, to) all zeros, or beyond the end of the file? */
static bool has_hole(struct walk *w, uint64_t from, uint64_t to, int *error_r)
{
    while (from < to) {
        uint64_t next = (from / SECTOR + 1) * SECTOR;
        size_t len = (size_t)((next < to ? next : to) - from);
        const uint8_t *p = look(w, from, len, WINDOW, error_r);
        if (p == NULL) {
            return *error_r == 0;
        }
        if (len >= MIN_EVIDENT && is_zero(p, len)) {
            return true;
        }
        from += len;
    }
    return false;
}

static bool is_torn(struct walk *w, const struct record *r, int *error_r)
{
    uint64_t end = r->offset + r->header.record_len;
    if (r->header.is_erased) {
        return false; /* promised, delivered and punched */
    }
    uint64_t sealed = fb_spool_record_min(r->header.content_len, r->header.envelope_len);
    return has_hole(w, r->offset, r->offset + sealed - FB_SPOOL_TRAILER, error_r) ||
           (*error_r == 0 && has_hole(w, end - FB_SPOOL_TRAILER, end, error_r));
}

/* Hands the batch at hand on. */
static int end_batch(struct walk *w, bool is_last)
{
    int error = 0;
    for (size_t i = 0; i < w->count && !w->is_stopped; i++) {
        const struct record *r = &w->batch[i];
        if (is_last && !w->is_promised && is_torn(w, r, &error)) {
            continue;
        }
        if (error != 0) {
            return error;
        }
        w->is_stopped = !w->each(w->ctx, r->offset, &r->header);
    }
    w->damaged += w->damaged_in_batch + (is_last && !w->is_promised ? 0 : w->torn_in_batch);
    w->count = 0;
    w->damaged_in_batch = 0;
    w->torn_in_batch = 0;
    return 0;
}

static void keep(struct walk *w, uint64_t offset, const struct fb_spool_header *header)
{
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 64 : w->cap * 2;
        struct record *grown = realloc(w->batch, w->cap * sizeof *grown);
        FB_ASSERT(grown != NULL);
        w->batch = grown;
    }
    w->batch[w->count++] = (struct record){offset, *header};
}

/* The first good header in [offset, offset + range); UINT64_MAX when there is none. */
static uint64_t find_header(struct walk *w, uint64_t offset, uint64_t range,
                            struct fb_spool_header *header_r, int *error_r)
{
    uint64_t stop = w->size - offset < range ? w->size : offset + range;
    for (; offset < stop; offset += FB_SPOOL_ALIGN) {
        const uint8_t *p =
            look(w, offset, FB_SPOOL_HEADER, range > FB_SPOOL_ALIGN ? WINDOW : AHEAD, error_r);
        if (p == NULL) {
            break;
        }
        if (fb_spool_header_decode(p, header_r) == FB_OK) {
            return offset;
        }
    }
    return UINT64_MAX;
}

/* A header that a crash left half written has a sector, here a part of one, of zeros. */
static int note_bad(struct walk *w, uint64_t offset)
{
    int error = 0;
    if (has_hole(w, offset, offset + FB_SPOOL_HEADER, &error)) {
        w->torn_in_batch++;
    } else {
        w->damaged_in_batch++;
    }
    return error;
}

/* No good header at bad, the next good one, next, belongs to a batch that begins at next_batch (all
 * UINT64_MAX when there is none). */
static int step_over(struct walk *w, uint64_t bad, uint64_t next_batch, uint64_t *batch_start)
{
    int error = 0;
    /* Batches begin on a block: with nothing good behind it, this is the head of a batch that never
     * was. */
    bool is_new = next_batch == UINT64_MAX ? bad % FB_SPOOL_BLOCK == 0 && w->count > 0
                                           : next_batch > *batch_start && next_batch <= bad;
    if (is_new) {
        error = end_batch(w, false);
        *batch_start = next_batch == UINT64_MAX ? bad : next_batch;
    }
    return error != 0 || w->is_stopped ? error : note_bad(w, bad);
}

static int walk_all(struct walk *w)
{
    uint64_t offset = 0;
    uint64_t batch_start = 0;
    int error = 0;
    while (offset + FB_SPOOL_HEADER <= w->size && !w->is_stopped && error == 0) {
        struct fb_spool_header header = {.batch_start = UINT64_MAX};
        uint64_t at = find_header(w, offset, FB_SPOOL_ALIGN, &header, &error);
        if (error == 0 && at != offset) {
            at = find_header(w, offset + FB_SPOOL_ALIGN, w->size, &header, &error);
            error = error != 0 ? error : step_over(w, offset, header.batch_start, &batch_start);
        }
        if (error != 0 || at == UINT64_MAX || w->is_stopped) {
            break;
        }
        if (header.batch_start > batch_start) {
            error = end_batch(w, false);
            batch_start = header.batch_start;
        }
        keep(w, at, &header);
        offset = at + header.record_len;
    }
    return error != 0 || w->is_stopped ? error : end_batch(w, true);
}

enum fb_status fb_spool_walk(struct fb_sealed_src src, uint64_t size, bool is_promised,
                             fb_spool_walk_fn *each, void *ctx, uint64_t *damaged,
                             bool *is_stopped_r, struct fb_error *err)
{
    struct walk w = {
        .src = src, .size = size, .is_promised = is_promised, .each = each, .ctx = ctx};
    w.window = fb_alloc_bounded(WINDOW, WINDOW);
    if (w.window == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "no memory to scan");
    }
    int error = walk_all(&w);
    free(w.window);
    free(w.batch);
    if (error != 0) {
        return fb_error_errno(err, FB_IO, error, "scan");
    }
    *damaged += w.damaged;
    *is_stopped_r = w.is_stopped;
    return FB_OK;
}
