/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of sealed chunks: a header of the caller's, then chunks to the end of the file.  The last
 * chunk says that it is the last one, so that a file cut at any place fails its check without a
 * length in the header.
 */
#include <stdlib.h>
#include <string.h>

#include "common/fs.h"
#include "common/sealed/sealed.h"

enum fb_status fb_sealed_begin(struct fb_sealed_out *out, struct fb_sealed_dst dst, uint64_t start,
                               uint64_t max, enum fb_seal_kind kind, const char *id,
                               const uint8_t key[FB_KEY_SIZE], struct fb_error *err)
{
    *out = (struct fb_sealed_out){.dst = dst, .start = start, .max = max, .kind = kind};
    memcpy(out->id, id, strnlen(id, sizeof out->id - 1));
    memcpy(out->key, key, FB_KEY_SIZE);
    out->chunk = fb_alloc_bounded(FB_SEALED_CHUNK, FB_SEALED_CHUNK);
    if (out->chunk == NULL) {
        fb_wipe(out->key, sizeof out->key);
        return fb_error_set(err, FB_NO_SPACE, "no memory for a chunk");
    }
    return FB_OK;
}

void fb_sealed_deinit(struct fb_sealed_out *out)
{
    if (out->chunk != NULL) {
        fb_wipe(out->chunk, FB_SEALED_CHUNK);
        free(out->chunk);
    }
    out->chunk = NULL;
    fb_wipe(out->key, sizeof out->key);
}

/* Seals what is in the chunk; size counts it already. */
static enum fb_status write_chunk(struct fb_sealed_out *out, bool is_last, struct fb_error *err)
{
    uint64_t index = fb_seal_chunk_count(out->size) - 1;
    fb_seal(out->key, out->kind, index, is_last, out->id, fb_slice_of(out->chunk, out->len),
            out->chunk);
    size_t len = out->len + FB_TAG_SIZE;
    out->len = 0;
    if (out->dst.upload != NULL) {
        out->failed = fb_s3_upload_add(out->dst.upload, out->chunk, len, err);
        return out->failed;
    }
    int e = fb_fs_write_at(out->dst.fd, out->chunk, len, out->start + index * FB_SEALED_CHUNK);
    if (e != 0) {
        out->failed = fb_fs_errno_status(e);
        return fb_error_errno(err, out->failed, e, "write sealed file");
    }
    return FB_OK;
}

enum fb_status fb_sealed_add(struct fb_sealed_out *out, const void *ptr, size_t len,
                             struct fb_error *err)
{
    const uint8_t *from = ptr;
    if (out->failed != FB_OK) {
        return fb_error_set(err, out->failed, "the file failed before");
    }
    if (len > out->max - out->size) {
        out->failed = FB_TOO_BIG;
        return fb_error_set(err, FB_TOO_BIG, "larger than %llu bytes",
                            (unsigned long long)out->max);
    }
    while (len > 0) {
        if (out->len == FB_SEAL_CHUNK) {
            enum fb_status status = write_chunk(out, false, err);
            if (status != FB_OK) {
                return status;
            }
        }
        size_t room = FB_SEAL_CHUNK - out->len;
        size_t take = len < room ? len : room;
        memcpy(out->chunk + out->len, from, take);
        out->len += take;
        out->size += take;
        from += take;
        len -= take;
    }
    return FB_OK;
}

enum fb_status fb_sealed_end(struct fb_sealed_out *out, struct fb_error *err)
{
    if (out->failed != FB_OK) {
        return fb_error_set(err, out->failed, "the file failed before");
    }
    return write_chunk(out, true, err);
}

enum fb_status fb_sealed_open(struct fb_sealed_chunks *c, struct fb_sealed_src src,
                              uint64_t file_size, uint64_t start, enum fb_seal_kind kind,
                              const char *id, const uint8_t key[FB_KEY_SIZE], struct fb_error *err)
{
    uint64_t body = file_size > start ? file_size - start : 0;
    uint64_t full = body / FB_SEALED_CHUNK;
    uint64_t rest = body % FB_SEALED_CHUNK;
    /* Only the sole chunk of an empty file is empty. */
    if (body == 0 || (rest > 0 && rest < FB_TAG_SIZE) || (rest == FB_TAG_SIZE && full > 0)) {
        fb_sealed_src_close(&src);
        return fb_error_set(err, FB_CORRUPT, "sealed file of %s is cut", id);
    }
    uint64_t size = full * FB_SEAL_CHUNK + (rest > 0 ? rest - FB_TAG_SIZE : 0);
    fb_sealed_chunks_init(c, src, start, size, kind, id, key);
    /* A byte of the last chunk; for an empty file the read does not come to the seal. */
    uint8_t byte = 0;
    size_t got = 0;
    enum fb_status status = FB_OK;
    if (size > 0) {
        status = fb_sealed_chunks_read(c, size - 1, &byte, 1, &got, err);
    } else {
        uint8_t tag[FB_TAG_SIZE];
        int e = fb_sealed_src_read(&src, tag, sizeof tag, start, &got);
        if (e != 0 || got < sizeof tag ||
            fb_unseal(key, kind, 0, true, id, fb_slice_of(tag, sizeof tag), &byte) != FB_OK) {
            status = fb_error_set(err, FB_CORRUPT, "sealed file of %s fails its check", id);
        }
    }
    fb_wipe(&byte, sizeof byte);
    if (status != FB_OK) {
        fb_sealed_chunks_deinit(c);
    }
    return status;
}

enum fb_status fb_sealed_read_all(struct fb_sealed_chunks *c, size_t max, struct fb_buf *out,
                                  struct fb_error *err)
{
    size_t got = 0;
    fb_buf_init(out, max);
    if (c->content_len > max) {
        return fb_error_set(err, FB_TOO_BIG, "sealed file of %s is larger than %zu bytes", c->id,
                            max);
    }
    size_t size = (size_t)c->content_len;
    enum fb_status status = fb_buf_reserve(out, size);
    if (status != FB_OK) {
        return fb_error_set(err, status, "no memory for %zu bytes", size);
    }
    status = fb_sealed_chunks_read(c, 0, out->ptr, size, &got, err);
    if (status != FB_OK) {
        fb_wipe(out->ptr, out->cap);
        fb_buf_deinit(out);
        return status;
    }
    out->len = got;
    out->ptr[got] = '\0';
    return FB_OK;
}
