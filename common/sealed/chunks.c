/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads sealed content by range.  Whole chunks are opened straight into the caller's memory; for
 * pieces of a chunk the last one is kept, because parsers read a few kilobytes at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "common/sealed/sealed.h"

void fb_sealed_chunks_init(struct fb_sealed_chunks *c, struct fb_sealed_src src, uint64_t start,
                           uint64_t content_len, enum fb_seal_kind kind, const char *id,
                           const uint8_t key[FB_KEY_SIZE])
{
    *c = (struct fb_sealed_chunks){.src = src,
                                   .start = start,
                                   .content_len = content_len,
                                   .kind = kind,
                                   .cached_index = UINT64_MAX};
    memcpy(c->id, id, strnlen(id, sizeof c->id - 1));
    memcpy(c->key, key, FB_KEY_SIZE);
    FB_ASSERT(pthread_mutex_init(&c->lock, NULL) == 0);
}

void fb_sealed_chunks_deinit(struct fb_sealed_chunks *c)
{
    fb_sealed_src_close(&c->src);
    if (c->cached != NULL) {
        fb_wipe(c->cached, FB_SEALED_CHUNK);
        free(c->cached);
    }
    fb_wipe(c->key, sizeof c->key);
    FB_ASSERT(pthread_mutex_destroy(&c->lock) == 0);
    c->cached = NULL;
}

static size_t chunk_len(const struct fb_sealed_chunks *c, uint64_t index)
{
    uint64_t left = c->content_len - index * FB_SEAL_CHUNK;
    return left < FB_SEAL_CHUNK ? (size_t)left : FB_SEAL_CHUNK;
}

/* sealed holds FB_SEALED_CHUNK bytes; out may be sealed. */
static enum fb_status load(const struct fb_sealed_chunks *c, uint64_t index, uint8_t *sealed,
                           uint8_t *out, struct fb_error *err)
{
    size_t len = chunk_len(c, index) + FB_TAG_SIZE;
    size_t got = 0;
    int e = fb_sealed_src_read(&c->src, sealed, len, c->start + index * FB_SEALED_CHUNK, &got);
    if (e != 0) {
        return fb_error_errno(err, FB_IO, e, "read chunk %llu of %s", (unsigned long long)index,
                              c->id);
    }
    bool is_last = index == fb_seal_chunk_count(c->content_len) - 1;
    if (got < len ||
        fb_unseal(c->key, c->kind, index, is_last, c->id, fb_slice_of(sealed, len), out) != FB_OK) {
        return fb_error_set(err, FB_CORRUPT,
                            "the stored bytes of %s were changed (disk or bucket): chunk "
                            "%llu fails its check",
                            c->id, (unsigned long long)index);
    }
    return FB_OK;
}

static enum fb_status read_piece(struct fb_sealed_chunks *c, uint64_t index, size_t from,
                                 uint8_t *out, size_t len, struct fb_error *err)
{
    enum fb_status status = FB_OK;
    FB_ASSERT(pthread_mutex_lock(&c->lock) == 0);
    if (c->cached == NULL) {
        c->cached = fb_alloc_bounded(FB_SEALED_CHUNK, FB_SEALED_CHUNK);
        if (c->cached == NULL) {
            status = fb_error_set(err, FB_NO_SPACE, "no memory for a chunk");
        }
    }
    if (status == FB_OK && c->cached_index != index) {
        c->cached_index = UINT64_MAX;
        status = load(c, index, c->cached, c->cached, err);
        if (status == FB_OK) {
            c->cached_index = index;
        }
    }
    if (status == FB_OK) {
        memcpy(out, c->cached + from, len);
    }
    FB_ASSERT(pthread_mutex_unlock(&c->lock) == 0);
    return status;
}

enum fb_status fb_sealed_chunks_read(struct fb_sealed_chunks *c, uint64_t offset, void *out,
                                     size_t len, size_t *read_r, struct fb_error *err)
{
    enum fb_status status = FB_OK;
    uint8_t *to = out;
    uint8_t *sealed = NULL;
    if (offset >= c->content_len) {
        *read_r = 0;
        return FB_OK;
    }
    if (len > c->content_len - offset) {
        len = (size_t)(c->content_len - offset);
    }
    size_t done = 0;
    while (done < len && status == FB_OK) {
        uint64_t index = (offset + done) / FB_SEAL_CHUNK;
        size_t from = (size_t)((offset + done) % FB_SEAL_CHUNK);
        size_t whole = chunk_len(c, index);
        size_t take = whole - from < len - done ? whole - from : len - done;
        if (take < whole) {
            status = read_piece(c, index, from, to + done, take, err);
        } else {
            if (sealed == NULL) {
                sealed = fb_alloc_bounded(FB_SEALED_CHUNK, FB_SEALED_CHUNK);
            }
            status = sealed != NULL ? load(c, index, sealed, to + done, err)
                                    : fb_error_set(err, FB_NO_SPACE, "no memory for a chunk");
        }
        done += take;
    }
    free(sealed); /* cipher text only */
    if (status == FB_OK) {
        *read_r = len;
    }
    return status;
}
