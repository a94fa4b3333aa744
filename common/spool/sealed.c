/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of sealed chunks: a header of the caller's, then chunks to the end of the file.  The last
 * chunk says that it is the last one, so that a file cut at any place fails its check without a
 * length in the header.
 */
#include "common/spool/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum fb_status fb_sealed_begin(struct fb_sealed_out *out, int fd, uint64_t start, uint64_t max,
                               enum fb_seal_kind kind, const char *id,
                               const uint8_t key[FB_KEY_SIZE], struct fb_error *err)
{
    *out = (struct fb_sealed_out){.fd = fd, .start = start, .max = max, .kind = kind};
    memcpy(out->id, id, strnlen(id, sizeof out->id - 1));
    memcpy(out->key, key, FB_KEY_SIZE);
    out->chunk = fb_alloc_bounded(FB_SPOOL_SEALED_CHUNK, FB_SPOOL_SEALED_CHUNK);
    if (out->chunk == NULL) {
        fb_wipe(out->key, sizeof out->key);
        return fb_error_set(err, FB_NO_SPACE, "no memory for a chunk");
    }
    return FB_OK;
}

void fb_sealed_deinit(struct fb_sealed_out *out)
{
    if (out->chunk != NULL) {
        fb_wipe(out->chunk, FB_SPOOL_SEALED_CHUNK);
        free(out->chunk);
    }
    out->chunk = NULL;
    fb_wipe(out->key, sizeof out->key);
}

/* Seals what is in the chunk; size counts it already. */
static enum fb_status write_chunk(struct fb_sealed_out *out, bool is_last, struct fb_error *err)
{
    uint64_t index = fb_spool_chunk_count(out->size) - 1;
    fb_spool_seal(out->key, out->kind, index, is_last, out->id, fb_slice_of(out->chunk, out->len),
                  out->chunk);
    int e = fb_spool_write_at(out->fd, out->chunk, out->len + FB_TAG_SIZE,
                              out->start + index * FB_SPOOL_SEALED_CHUNK);
    out->len = 0;
    if (e != 0) {
        out->failed = fb_spool_errno_status(e);
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
        if (out->len == FB_SPOOL_CHUNK) {
            enum fb_status status = write_chunk(out, false, err);
            if (status != FB_OK) {
                return status;
            }
        }
        size_t room = FB_SPOOL_CHUNK - out->len;
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

enum fb_status fb_sealed_open(struct fb_spool_chunks *c, struct fb_spool_src src,
                              uint64_t file_size, uint64_t start, enum fb_seal_kind kind,
                              const char *id, const uint8_t key[FB_KEY_SIZE], struct fb_error *err)
{
    uint64_t body = file_size > start ? file_size - start : 0;
    uint64_t full = body / FB_SPOOL_SEALED_CHUNK;
    uint64_t rest = body % FB_SPOOL_SEALED_CHUNK;
    /* Only the sole chunk of an empty file is empty. */
    if (body == 0 || (rest > 0 && rest < FB_TAG_SIZE) || (rest == FB_TAG_SIZE && full > 0)) {
        fb_spool_src_close(&src);
        return fb_error_set(err, FB_CORRUPT, "sealed file of %s is cut", id);
    }
    uint64_t size = full * FB_SPOOL_CHUNK + (rest > 0 ? rest - FB_TAG_SIZE : 0);
    fb_spool_chunks_init(c, src, start, size, kind, id, key);
    /* A byte of the last chunk; for an empty file the read does not come to the seal. */
    uint8_t byte = 0;
    size_t got = 0;
    enum fb_status status = FB_OK;
    if (size > 0) {
        status = fb_spool_chunks_read(c, size - 1, &byte, 1, &got, err);
    } else {
        uint8_t tag[FB_TAG_SIZE];
        int e = fb_spool_src_read(&src, tag, sizeof tag, start, &got);
        if (e != 0 || got < sizeof tag ||
            fb_spool_unseal(key, kind, 0, true, id, fb_slice_of(tag, sizeof tag), &byte) != FB_OK) {
            status = fb_error_set(err, FB_CORRUPT, "sealed file of %s fails its check", id);
        }
    }
    fb_wipe(&byte, sizeof byte);
    if (status != FB_OK) {
        fb_spool_chunks_deinit(c);
    }
    return status;
}

enum fb_status fb_sealed_read_all(struct fb_spool_chunks *c, size_t max, struct fb_buf *out,
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
    status = fb_spool_chunks_read(c, 0, out->ptr, size, &got, err);
    if (status != FB_OK) {
        fb_wipe(out->ptr, out->cap);
        fb_buf_deinit(out);
        return status;
    }
    out->len = got;
    out->ptr[got] = '\0';
    return FB_OK;
}

enum fb_status fb_spool_temp_new(int dir_fd, bool is_hidden, char name_r[FB_SPOOL_NAME_SIZE],
                                 int *fd_r, struct fb_error *err)
{
    uint8_t number[16];
    char hex[2 * sizeof number + 1];
    fb_random(number, sizeof number);
    fb_hex(number, sizeof number, hex);
    int n = snprintf(name_r, FB_SPOOL_NAME_SIZE, "%s%s.tmp", is_hidden ? "." : "", hex);
    FB_ASSERT(n > 0 && n < (int)FB_SPOOL_NAME_SIZE);
    int fd = openat(dir_fd, name_r, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fb_error_errno(err, fb_spool_errno_status(errno), errno, "make a temporary file");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) { /* tidy leaves locked files alone */
        int e = errno;
        (void)unlinkat(dir_fd, name_r, 0);
        (void)close(fd);
        return fb_error_errno(err, FB_IO, e, "lock a temporary file");
    }
    *fd_r = fd;
    return FB_OK;
}
