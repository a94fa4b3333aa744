/* SPDX-License-Identifier: Apache-2.0
 *
 * One message on its way in.  Sealed in the caller's thread, chunk by chunk as it comes, in place:
 * content is copied once and encrypted once.  The committer only writes.
 *
 * A full chunk is sealed when the next byte arrives, because the seal says whether it is the last
 * one.
 */
#include "common/spool/commit.h"
#include "common/spool/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "proto/limits.h"

#define SMALL_PIECE    ((size_t)16384 + FB_TAG_SIZE)
#define MAX_POOL       256U
#define WRITE_BACK     ((uint64_t)8 << 20)
#define MAX_PIECE_SIZE (sizeof(struct fb_spool_piece) + FB_SEALED_CHUNK)

/* NULL without memory. */
static struct fb_spool_piece *piece_new(struct fb_spool_writer *writer, size_t cap)
{
    struct fb_spool_piece *piece = NULL;
    if (cap == FB_SEALED_CHUNK) {
        fb_spool_lock(&writer->lock);
        piece = writer->pool;
        if (piece != NULL) {
            writer->pool = piece->next;
            writer->pool_count--;
        }
        fb_spool_unlock(&writer->lock);
    }
    if (piece == NULL) {
        piece = fb_alloc_bounded(sizeof *piece + cap, MAX_PIECE_SIZE);
    }
    if (piece != NULL) {
        piece->next = NULL;
        piece->len = 0;
        piece->cap = cap;
        atomic_fetch_add_explicit(&writer->memory, cap, memory_order_relaxed);
    }
    return piece;
}

static void piece_free(struct fb_spool_writer *writer, struct fb_spool_piece *piece)
{
    if (piece == NULL) {
        return;
    }
    atomic_fetch_sub_explicit(&writer->memory, piece->cap, memory_order_relaxed);
    if (piece->cap == FB_SEALED_CHUNK) {
        fb_spool_lock(&writer->lock);
        if (writer->pool_count < MAX_POOL) {
            piece->next = writer->pool;
            writer->pool = piece;
            writer->pool_count++;
            piece = NULL;
        }
        fb_spool_unlock(&writer->lock);
    }
    free(piece);
}

void fb_spool_large_name(const struct fb_spool_in *in, const char *suffix,
                         char name[FB_SPOOL_NAME_SIZE])
{
    int n = snprintf(name, FB_SPOOL_NAME_SIZE, "%s%s", in->msg_id, suffix);
    FB_ASSERT(n > 0 && n < (int)FB_SPOOL_NAME_SIZE);
}

enum fb_status fb_spool_in_new(struct fb_spool_writer *writer, const char *msg_id,
                               struct fb_spool_in **in_r, struct fb_error *err)
{
    if (!fb_id_is_valid(msg_id)) {
        return fb_error_set(err, FB_INVALID, "not a message id");
    }
    struct fb_spool_in *in = fb_xcalloc(1, sizeof *in);
    in->writer = writer;
    in->fd = -1;
    in->link = &in->first;
    memcpy(in->msg_id, msg_id, sizeof in->msg_id);
    fb_random(in->key, sizeof in->key);
    *in_r = in;
    return FB_OK;
}

uint64_t fb_spool_in_size(const struct fb_spool_in *in)
{
    return in->size;
}

static void free_pieces(struct fb_spool_in *in)
{
    while (in->first != NULL) {
        struct fb_spool_piece *piece = in->first;
        in->first = piece->next;
        piece_free(in->writer, piece);
    }
    in->link = &in->first;
}

void fb_spool_in_free(struct fb_spool_in **in_ptr)
{
    struct fb_spool_in *in = *in_ptr;
    if (in == NULL) {
        return;
    }
    free_pieces(in);
    if (in->current != NULL) {
        fb_wipe(in->current->bytes, in->current->len); /* plain text */
        piece_free(in->writer, in->current);
    }
    if (in->fd >= 0) {
        if (!in->is_renamed && in->writer->spool->remote == NULL) {
            char name[FB_SPOOL_NAME_SIZE];
            fb_spool_large_name(in, ".tmp", name);
            (void)unlinkat(in->writer->spool->large_fd, name, 0);
        }
        (void)close(in->fd);
    }
    free(in->envelope);
    fb_wipe(in->key, sizeof in->key);
    free(in);
    *in_ptr = NULL;
}

static enum fb_status write_chunk(struct fb_spool_in *in, uint64_t index,
                                  const struct fb_spool_piece *piece, struct fb_error *err)
{
    uint64_t at = FB_SPOOL_HEADER + index * FB_SEALED_CHUNK;
    int e = fb_fs_write_at(in->fd, piece->bytes, piece->len, at);
    if (e != 0) {
        return fb_error_errno(err, fb_fs_errno_status(e), e, "write large message %s", in->msg_id);
    }
    in->unstarted += piece->len;
    if (in->unstarted >= WRITE_BACK) {
        /* So that the committer's fdatasync finds little left to do: others wait behind it.  Only a
         * hint. */
        (void)sync_file_range(in->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        in->unstarted = 0;
    }
    return FB_OK;
}

static enum fb_status spill_pieces(struct fb_spool_in *in, struct fb_error *err)
{
    uint64_t index = 0;
    enum fb_status status = FB_OK;
    for (struct fb_spool_piece *p = in->first; p != NULL && status == FB_OK; p = p->next) {
        status = write_chunk(in, index++, p, err);
    }
    free_pieces(in);
    return status;
}

/* From here on the message streams into a file of its own. */
static enum fb_status spill(struct fb_spool_in *in, struct fb_error *err)
{
    char name[FB_SPOOL_NAME_SIZE];
    if (in->writer->spool->remote != NULL) {
        enum fb_status status = fb_remote_temp(&in->fd, err);
        return status == FB_OK ? spill_pieces(in, err) : status;
    }
    fb_spool_large_name(in, ".tmp", name);
    in->fd = openat(in->writer->spool->large_fd, name,
                    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (in->fd < 0) {
        return fb_error_errno(err, fb_fs_errno_status(errno), errno, "make large message %s", name);
    }
    if (flock(in->fd, LOCK_EX | LOCK_NB) != 0) { /* tells tidy that somebody writes it */
        return fb_error_errno(err, FB_IO, errno, "lock large message %s", name);
    }
    return spill_pieces(in, err);
}

/* A piece to fill; spills first when this message or all together hold too much. */
static enum fb_status next_piece(struct fb_spool_in *in, size_t cap, struct fb_error *err)
{
    struct fb_spool_writer *writer = in->writer;
    bool is_over =
        in->sealed >= FB_SPOOL_MEMORY_CHUNKS ||
        atomic_load_explicit(&writer->memory, memory_order_relaxed) + cap > FB_SPOOL_BUDGET;
    if (in->fd < 0 && is_over) {
        enum fb_status status = spill(in, err);
        if (status != FB_OK) {
            return status;
        }
    }
    in->current = piece_new(writer, cap);
    return in->current != NULL ? FB_OK : fb_error_set(err, FB_NO_SPACE, "no memory for a message");
}

/* Seals CHUNK bytes of plain (may lie in the current piece) as a chunk that is not the last, and
 * puts it away. */
static enum fb_status seal_full(struct fb_spool_in *in, const uint8_t *plain, struct fb_error *err)
{
    struct fb_spool_piece *piece = in->current;
    enum fb_status status = FB_OK;
    fb_seal(in->key, FB_SEAL_CONTENT, in->sealed, false, in->msg_id,
            fb_slice_of(plain, FB_SEAL_CHUNK), piece->bytes);
    piece->len = FB_SEALED_CHUNK;
    in->current = NULL;
    if (in->fd >= 0) {
        status = write_chunk(in, in->sealed, piece, err);
        piece_free(in->writer, piece);
    } else {
        *in->link = piece;
        in->link = &piece->next;
    }
    in->sealed++;
    return status;
}

static enum fb_status grow(struct fb_spool_in *in, struct fb_error *err)
{
    struct fb_spool_piece *old = in->current;
    struct fb_spool_piece *piece = piece_new(in->writer, FB_SEALED_CHUNK);
    if (piece == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "no memory for a message");
    }
    memcpy(piece->bytes, old->bytes, old->len);
    piece->len = old->len;
    fb_wipe(old->bytes, old->len);
    piece_free(in->writer, old);
    in->current = piece;
    return FB_OK;
}

static enum fb_status add_some(struct fb_spool_in *in, const uint8_t *from, size_t len,
                               size_t *used_r, struct fb_error *err)
{
    enum fb_status status = FB_OK;
    if (in->current != NULL && in->current->len == FB_SEAL_CHUNK) {
        status = seal_full(in, in->current->bytes, err);
        if (status != FB_OK) {
            return status;
        }
    }
    if (in->current == NULL) {
        bool is_small = in->sealed == 0 && len <= SMALL_PIECE - FB_TAG_SIZE;
        status = next_piece(in, is_small ? SMALL_PIECE : FB_SEALED_CHUNK, err);
        if (status != FB_OK) {
            return status;
        }
    }
    struct fb_spool_piece *piece = in->current;
    if (piece->len == 0 && len > FB_SEAL_CHUNK) {
        *used_r = FB_SEAL_CHUNK; /* straight from the caller's memory, without the copy */
        return seal_full(in, from, err);
    }
    size_t room = piece->cap - FB_TAG_SIZE - piece->len;
    if (room == 0) {
        *used_r = 0;
        return grow(in, err);
    }
    size_t take = len < room ? len : room;
    memcpy(piece->bytes + piece->len, from, take);
    piece->len += take;
    *used_r = take;
    return FB_OK;
}

enum fb_status fb_spool_in_add(struct fb_spool_in *in, const void *ptr, size_t len,
                               struct fb_error *err)
{
    const uint8_t *from = ptr;
    if (in->failed != FB_OK) {
        return fb_error_set(err, in->failed, "the message failed before");
    }
    if (len > FB_SPOOL_MAX_CONTENT - in->size) {
        in->failed = FB_TOO_BIG;
        return fb_error_set(err, FB_TOO_BIG, "message larger than the spool can hold");
    }
    while (len > 0) {
        size_t used = 0;
        enum fb_status status = add_some(in, from, len, &used, err);
        if (status != FB_OK) {
            in->failed = status;
            return status;
        }
        from += used;
        len -= used;
        in->size += used;
    }
    return FB_OK;
}

static enum fb_status seal_last(struct fb_spool_in *in)
{
    if (in->current == NULL) { /* no content at all: the only chunk is empty */
        in->current = piece_new(in->writer, SMALL_PIECE);
        if (in->current == NULL) {
            return FB_NO_SPACE;
        }
    }
    struct fb_spool_piece *piece = in->current;
    fb_seal(in->key, FB_SEAL_CONTENT, in->sealed, true, in->msg_id,
            fb_slice_of(piece->bytes, piece->len), piece->bytes);
    piece->len += FB_TAG_SIZE;
    *in->link = piece;
    in->link = &piece->next;
    in->current = NULL;
    in->sealed++;
    return FB_OK;
}

static enum fb_status seal_end(struct fb_spool_in *in, struct fb_slice envelope)
{
    enum fb_status status = seal_last(in);
    if (status != FB_OK) {
        return status;
    }
    if (envelope.len > FB_MAX_ENVELOPE) {
        return FB_TOO_BIG;
    }
    in->envelope_len = (uint32_t)envelope.len;
    in->envelope =
        fb_alloc_bounded(envelope.len + FB_TAG_SIZE, (size_t)FB_MAX_ENVELOPE + FB_TAG_SIZE);
    if (in->envelope == NULL) {
        return FB_NO_SPACE;
    }
    fb_seal(in->key, FB_SEAL_ENVELOPE, 0, true, in->msg_id, envelope, in->envelope);
    struct fb_spool_header header = {
        .content_len = in->size,
        .envelope_len = in->envelope_len,
        .created_ms = fb_now_ms(),
    };
    memcpy(header.msg_id, in->msg_id, sizeof header.msg_id);
    fb_spool_header_encode(in->writer->spool, &header, in->key, in->header);
    fb_wipe(in->key, sizeof in->key);
    in->record_len = fb_spool_record_min(in->size, in->envelope_len);
    return FB_OK;
}

/* The rest of a large file; its header comes last, without it the file is nothing. */
static enum fb_status write_end(struct fb_spool_in *in)
{
    enum fb_status status = write_chunk(in, in->sealed - 1, in->first, NULL);
    free_pieces(in);
    if (status != FB_OK) {
        return status;
    }
    uint64_t least = in->record_len;
    in->record_len = (least + FB_SPOOL_ALIGN - 1) / FB_SPOOL_ALIGN * FB_SPOOL_ALIGN;
    size_t pad = (size_t)(in->record_len - least) + FB_SPOOL_TRAILER;
    fb_spool_header_finish(in->header, in->record_len, 0);
    uint64_t at = FB_SPOOL_HEADER + fb_sealed_len(in->size);
    size_t envelope_len = (size_t)in->envelope_len + FB_TAG_SIZE;
    int e = fb_fs_write_at(in->fd, in->envelope, envelope_len, at);
    if (e == 0) {
        e = fb_fs_write_at(in->fd, fb_spool_pad() + FB_SPOOL_PAD_SIZE - pad, pad,
                           at + envelope_len);
    }
    if (e == 0) {
        e = fb_fs_write_at(in->fd, in->header, FB_SPOOL_HEADER, 0);
    }
    return e == 0 ? FB_OK : fb_fs_errno_status(e);
}

void fb_spool_in_submit(struct fb_spool_in **in_ptr, struct fb_slice envelope,
                        fb_spool_done_fn *done, void *ctx)
{
    struct fb_spool_in *in = *in_ptr;
    *in_ptr = NULL;
    in->done = done;
    in->ctx = ctx;
    if (in->failed == FB_OK) {
        in->failed = seal_end(in, envelope);
    }
    if (in->failed == FB_OK && in->fd >= 0) {
        in->failed = write_end(in);
    }
    fb_spool_writer_enqueue(in->writer, in);
}
