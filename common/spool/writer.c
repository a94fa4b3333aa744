/* SPDX-License-Identifier: Apache-2.0
 *
 * The committer: a thread that takes all messages that wait, writes them with as few calls as it
 * can, calls fdatasync once, and only then tells their submitters.  Under load the next batch
 * gathers while this one is being synced, so that batches grow by themselves and nobody waits for a
 * timer.
 *
 * Invariants:
 *
 * - done(FB_OK) only after fdatasync of the file and, for a new file, fsync of its directory had
 *   returned 0.
 * - After a failed write or sync nothing is written to that file again and it is never synced
 *   again: the kernel may have dropped the pages and a second fsync would lie.  It is cut back to
 *   what was durable.
 * - Every batch begins on a block of its own.
 * - done(FB_OK) only while the file still has its name: what was removed or moved away under us, by
 *   hand or by a restored back-up, keeps taking bytes that nobody will find.
 */
#include "common/spool/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define DIRECT_MIN ((uint64_t)256 << 10) /* batches from here on go past the page cache */

void fb_spool_writer_enqueue(struct fb_spool_writer *writer, struct fb_spool_in *in)
{
    struct fb_spool_lane *lane = &writer->lanes[in->fd >= 0 ? writer->lane_count - 1 : 0];
    fb_spool_lock(&writer->lock);
    in->next = NULL;
    *lane->queue_end = in;
    lane->queue_end = &in->next;
    if (lane->is_waiting) { /* one call spared for each mail that comes while it works */
        FB_ASSERT(pthread_cond_signal(&lane->wake) == 0);
    }
    fb_spool_unlock(&writer->lock);
}

/* Copies pieces together and writes them in large, aligned blocks. */
struct out {
    int fd;
    int error;
    uint64_t offset; /* of the stage's first byte */
    size_t len;
    uint8_t *stage;
};

static void flush(struct out *o)
{
    if (o->len > 0 && o->error == 0) {
        o->error = fb_fs_write_at(o->fd, o->stage, o->len, o->offset);
    }
    o->offset += o->len;
    o->len = 0;
}

static void put(struct out *o, const void *ptr, size_t len)
{
    const uint8_t *from = ptr;
    while (len > 0) {
        size_t n = len < FB_SPOOL_STAGE - o->len ? len : FB_SPOOL_STAGE - o->len;
        memcpy(o->stage + o->len, from, n);
        o->len += n;
        from += n;
        len -= n;
        if (o->len == FB_SPOOL_STAGE) {
            flush(o);
        }
    }
}

/* Large batches go past the page cache: it would cost a second copy and memory that others need,
 * and what is as large is read back piece by piece over minutes.  Small mail stays in it, because
 * render reads it a moment later.  Where the file system has no O_DIRECT all goes through the
 * cache. */
static void choose_way(struct fb_spool_writer *writer, uint64_t len)
{
    bool is_direct = len >= DIRECT_MIN;
    int flags = is_direct != writer->is_direct ? fcntl(writer->fd, F_GETFL) : -1;
    if (flags >= 0) {
        flags = is_direct ? flags | O_DIRECT : flags & ~O_DIRECT;
        writer->is_direct = fcntl(writer->fd, F_SETFL, flags) == 0 ? is_direct : writer->is_direct;
    }
}

bool fb_spool_in_is_small(const struct fb_spool_in *in)
{
    return in->failed == FB_OK && in->fd < 0;
}

/* Gives every small message its place; returns the end of the batch. */
uint64_t fb_spool_writer_place(struct fb_spool_writer *writer, struct fb_spool_in *batch)
{
    uint64_t at = writer->offset;
    struct fb_spool_in *last = NULL;
    for (struct fb_spool_in *in = batch; in != NULL; in = in->next) {
        if (fb_spool_in_is_small(in)) {
            in->offset = at;
            at += in->record_len;
            at = (at + FB_SPOOL_ALIGN - 1) / FB_SPOOL_ALIGN * FB_SPOOL_ALIGN;
            last = in;
        }
    }
    if (last != NULL) {
        at = (at + FB_SPOOL_BLOCK - 1) / FB_SPOOL_BLOCK * FB_SPOOL_BLOCK;
    }
    return at;
}

/* Where the record behind in begins. */
static uint64_t end_of(const struct fb_spool_in *in, uint64_t batch_end)
{
    for (const struct fb_spool_in *next = in->next; next != NULL; next = next->next) {
        if (fb_spool_in_is_small(next)) {
            return next->offset;
        }
    }
    return batch_end;
}

struct fb_slice fb_spool_writer_finish(const struct fb_spool_writer *writer, struct fb_spool_in *in,
                                       uint64_t batch_end)
{
    uint64_t least = in->record_len;
    in->record_len = end_of(in, batch_end) - in->offset;
    fb_spool_header_finish(in->header, in->record_len, writer->offset);
    size_t pad = (size_t)(in->record_len - least) + FB_SPOOL_TRAILER;
    return fb_slice_of(fb_spool_pad() + FB_SPOOL_PAD_SIZE - pad, pad);
}

static int write_batch(struct fb_spool_writer *writer, struct fb_spool_in *batch, uint64_t end)
{
    struct out o = {.fd = writer->fd, .offset = writer->offset, .stage = writer->stage};
    choose_way(writer, end - writer->offset);
    for (struct fb_spool_in *in = batch; in != NULL; in = in->next) {
        if (!fb_spool_in_is_small(in)) {
            continue;
        }
        struct fb_slice pad = fb_spool_writer_finish(writer, in, end);
        put(&o, in->header, FB_SPOOL_HEADER);
        for (const struct fb_spool_piece *p = in->first; p != NULL; p = p->next) {
            put(&o, p->bytes, p->len);
        }
        put(&o, in->envelope, (size_t)in->envelope_len + FB_TAG_SIZE);
        put(&o, pad.ptr, pad.len);
    }
    flush(&o);
    return o.error;
}

void fb_spool_writer_fail_small(struct fb_spool_in *batch, enum fb_status status)
{
    for (struct fb_spool_in *in = batch; in != NULL; in = in->next) {
        if (fb_spool_in_is_small(in)) {
            in->failed = status;
        }
    }
}

/* Cuts off what was not promised, so that no scan takes it for a message: the MTA will send it
 * again.  When even that fails, the records may come back after a restart: a duplicate, not a loss.
 */
static void abandon(struct fb_spool_writer *writer)
{
    if (ftruncate(writer->fd, (off_t)writer->offset) != 0) {
        errno = 0;
    }
    fb_spool_log_close(writer->spool->segments_fd, writer->segment, &writer->fd);
}

static bool has_its_name(const struct fb_spool_writer *writer)
{
    struct stat ours, named;
    bool is_there =
        fstat(writer->fd, &ours) == 0 &&
        fstatat(writer->spool->segments_fd, writer->segment, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
    if (!is_there) {
        fb_log(
            FB_ERROR,
            "segments/%s was removed or replaced while it was written: its last mail was refused,"
            " earlier mail in it must come from where it was moved to",
            writer->segment);
    }
    return is_there;
}

static void commit_small(struct fb_spool_writer *writer, struct fb_spool_in *batch)
{
    bool is_any = false;
    for (struct fb_spool_in *in = batch; in != NULL && !is_any; in = in->next) {
        is_any = fb_spool_in_is_small(in);
    }
    if (!is_any) {
        return;
    }
    if (writer->fd < 0) {
        writer->offset = 0;
        enum fb_status status =
            fb_spool_log_new(writer->spool->segments_fd, writer->name, ".seg", FB_SPOOL_SEGMENT,
                             writer->segment, &writer->fd, NULL);
        if (status != FB_OK) {
            fb_spool_writer_fail_small(batch, status);
            return;
        }
        writer->is_new = true;
        writer->is_direct = false;
    }
    uint64_t end = fb_spool_writer_place(writer, batch);
    int e = write_batch(writer, batch, end);
    if (e == 0 && fdatasync(writer->fd) != 0) {
        e = errno;
    }
    if (e == 0 && writer->is_new && fsync(writer->spool->segments_fd) != 0) {
        e = errno;
    }
    if (e == 0 && !has_its_name(writer)) {
        e = EIO;
    }
    if (e != 0) {
        fb_spool_writer_fail_small(batch, fb_fs_errno_status(e));
        abandon(writer);
        return;
    }
    writer->is_new = false;
    writer->offset = end;
    if (writer->offset >= FB_SPOOL_SEGMENT) {
        fb_spool_log_close(writer->spool->segments_fd, writer->segment, &writer->fd);
    }
}

static void commit_large(struct fb_spool_writer *writer, struct fb_spool_in *batch)
{
    int dir_fd = writer->spool->large_fd;
    bool is_any = false;
    for (struct fb_spool_in *in = batch; in != NULL; in = in->next) {
        if (in->fd < 0 || in->failed != FB_OK) {
            continue;
        }
        char from[FB_SPOOL_NAME_SIZE];
        char to[FB_SPOOL_NAME_SIZE];
        fb_spool_large_name(in, ".tmp", from);
        fb_spool_large_name(in, ".seg", to);
        if (fdatasync(in->fd) != 0 || renameat(dir_fd, from, dir_fd, to) != 0) {
            in->failed = fb_fs_errno_status(errno);
            continue; /* freeing it removes the temporary file */
        }
        in->is_renamed = true;
        is_any = true;
    }
    if (!is_any || fsync(dir_fd) == 0) {
        return;
    }
    enum fb_status status = fb_fs_errno_status(errno);
    for (struct fb_spool_in *in = batch; in != NULL; in = in->next) {
        if (in->is_renamed) {
            char name[FB_SPOOL_NAME_SIZE];
            fb_spool_large_name(in, ".seg", name);
            (void)unlinkat(dir_fd, name, 0);
            in->failed = status;
        }
    }
}

static void tell(struct fb_spool_writer *writer, struct fb_spool_in *batch)
{
    size_t count = 0;
    while (batch != NULL) {
        struct fb_spool_in *in = batch;
        char ref[FB_REF_SIZE] = "";
        batch = in->next;
        if (in->failed == FB_OK) {
            fb_spool_ref_make(writer->spool, in->fd >= 0 ? NULL : writer->segment, in->offset,
                              in->msg_id, ref);
        }
        /* The duty for this mail passes to us here: the 250 may go out. */
        in->done(in->ctx, in->failed, ref);
        fb_spool_in_free(&in);
        count++;
    }
    if (writer->on_batch != NULL) {
        writer->on_batch(writer->batch_ctx, count);
    }
}

static void commit(struct fb_spool_lane *lane, struct fb_spool_in *batch)
{
    struct fb_spool_writer *writer = lane->writer;
    if (writer->spool->remote == NULL) {
        commit_large(writer, batch);
        commit_small(writer, batch);
    } else if (lane == writer->lanes) {
        fb_remote_commit_small(writer, batch);
    } else {
        fb_remote_commit_large(writer, batch);
    }
}

static void *run(void *arg)
{
    struct fb_spool_lane *lane = arg;
    struct fb_spool_writer *writer = lane->writer;
    for (;;) {
        fb_spool_lock(&writer->lock);
        /* No time-out: whoever submits or stops signals under the same lock. */
        while (lane->queue == NULL && !writer->is_stopping) {
            lane->is_waiting = true;
            FB_ASSERT(pthread_cond_wait(&lane->wake, &writer->lock) == 0);
            lane->is_waiting = false;
        }
        struct fb_spool_in *batch = lane->queue;
        lane->queue = NULL;
        lane->queue_end = &lane->queue;
        fb_spool_unlock(&writer->lock);
        if (batch == NULL) {
            break;
        }
        commit(lane, batch);
        tell(writer, batch);
    }
    return NULL;
}

/* Ends the threads that were started, after what they have in their queues. */
static void stop(struct fb_spool_writer *writer)
{
    fb_spool_lock(&writer->lock);
    writer->is_stopping = true;
    for (size_t i = 0; i < writer->lane_count; i++) {
        FB_ASSERT(pthread_cond_signal(&writer->lanes[i].wake) == 0);
    }
    fb_spool_unlock(&writer->lock);
    for (size_t i = 0; i < writer->lane_count; i++) {
        FB_ASSERT(pthread_join(writer->lanes[i].thread, NULL) == 0);
        FB_ASSERT(pthread_cond_destroy(&writer->lanes[i].wake) == 0);
    }
}

static void release(struct fb_spool_writer *writer)
{
    while (writer->pool != NULL) {
        struct fb_spool_piece *piece = writer->pool;
        writer->pool = piece->next;
        free(piece);
    }
    FB_ASSERT(pthread_mutex_destroy(&writer->lock) == 0);
    free(writer->stage);
    free(writer);
}

static int start(struct fb_spool_writer *writer)
{
    size_t wanted = writer->spool->remote != NULL ? 2 : 1;
    /* Signals are the main thread's business. */
    sigset_t all;
    sigset_t before;
    int e = 0;
    (void)sigfillset(&all);
    FB_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    for (size_t i = 0; i < wanted && e == 0; i++) {
        struct fb_spool_lane *lane = &writer->lanes[i];
        lane->writer = writer;
        lane->queue_end = &lane->queue;
        FB_ASSERT(pthread_cond_init(&lane->wake, NULL) == 0);
        e = pthread_create(&lane->thread, NULL, run, lane);
        if (e == 0) {
            writer->lane_count++;
        } else {
            FB_ASSERT(pthread_cond_destroy(&lane->wake) == 0);
        }
    }
    FB_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return e;
}

enum fb_status fb_spool_writer_new(struct fb_spool *spool, const char *name,
                                   fb_spool_batch_fn *on_batch, void *batch_ctx,
                                   struct fb_spool_writer **writer_r, struct fb_error *err)
{
    if (!fb_spool_writer_name_is_valid(name)) {
        return fb_error_set(err, FB_CONFIG,
                            "the writer's name must be 1 to 48 of A-Z a-z 0-9 . _ -");
    }
    struct fb_spool_writer *writer = fb_xcalloc(1, sizeof *writer);
    writer->spool = spool;
    writer->fd = -1;
    writer->on_batch = on_batch;
    writer->batch_ctx = batch_ctx;
    memcpy(writer->name, name, strlen(name) + 1);
    writer->stage = aligned_alloc(FB_SPOOL_BLOCK, FB_SPOOL_STAGE);
    FB_ASSERT(writer->stage != NULL);
    atomic_init(&writer->memory, 0);
    FB_ASSERT(pthread_mutex_init(&writer->lock, NULL) == 0);
    int e = start(writer);
    if (e != 0) {
        stop(writer);
        release(writer);
        return fb_error_errno(err, FB_NO_SPACE, e, "start the spool's committer");
    }
    *writer_r = writer;
    return FB_OK;
}

void fb_spool_writer_free(struct fb_spool_writer **writer_ptr)
{
    struct fb_spool_writer *writer = *writer_ptr;
    if (writer == NULL) {
        return;
    }
    stop(writer);
    fb_spool_log_close(writer->spool->segments_fd, writer->segment, &writer->fd);
    release(writer);
    *writer_ptr = NULL;
}
