/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages on their way in (in.c) and the committer that makes them durable (writer.c).  Private to
 * both.
 *
 * Life of a message: in_new, in_add (waits in memory), in_submit (queue), commit, done, freed.
 * When it is too large, or all that wait hold too much memory, in_add streams it into
 * large/<msg_id>.tmp instead, and the commit renames that to <msg_id>.seg.
 */
#ifndef FB_COMMON_SPOOL_COMMIT_H
#define FB_COMMON_SPOOL_COMMIT_H

#include <stdatomic.h>

#include "common/spool/internal.h"

#define FB_SPOOL_MEMORY_CHUNKS 20U /* 1.25 MiB: a mail of 1 MB is one writev */
/* What is written is copied together here first, in whole blocks. */
#define FB_SPOOL_STAGE ((size_t)1 << 20)
/* All messages of a writer that wait in memory. */
#define FB_SPOOL_BUDGET ((size_t)128 << 20)

/* Up to one chunk, sealed or being filled. */
struct fb_spool_piece {
    struct fb_spool_piece *next;
    size_t len;
    size_t cap;
    uint8_t bytes[];
};

struct fb_spool_in {
    struct fb_spool_in *next; /* in the queue */
    struct fb_spool_writer *writer;
    char msg_id[FB_ID_SIZE];
    uint8_t key[FB_KEY_SIZE];
    uint64_t size;                  /* content so far */
    uint64_t sealed;                /* chunks so far */
    struct fb_spool_piece *first;   /* sealed chunks that wait in memory */
    struct fb_spool_piece **link;   /* where the next one goes */
    struct fb_spool_piece *current; /* plain text, not yet a whole chunk or perhaps the last one */
    int fd;                         /* of the large file, or -1 */
    bool is_renamed;
    uint64_t unstarted; /* bytes whose write-back was not asked for yet */
    enum fb_status failed;
    uint8_t header[FB_SPOOL_HEADER];
    uint8_t *envelope; /* sealed */
    uint32_t envelope_len;
    uint64_t offset; /* in the segment */
    uint64_t record_len;
    fb_spool_done_fn *done;
    void *ctx;
};

/* What waits for one committer thread; of a bucket there are two, so that small messages do not wait
 * for the upload of a large one.  The writer's lock is of both queues. */
struct fb_spool_lane {
    struct fb_spool_writer *writer;
    pthread_t thread;
    pthread_cond_t wake;
    struct fb_spool_in *queue;
    struct fb_spool_in **queue_end;
    bool is_waiting; /* the committer sleeps */
};

struct fb_spool_writer {
    struct fb_spool *spool;
    char name[FB_SPOOL_NAME_SIZE];
    fb_spool_batch_fn *on_batch;
    void *batch_ctx;
    pthread_mutex_t lock;          /* queues and pool */
    struct fb_spool_lane lanes[2]; /* the second: of a bucket, for large messages */
    size_t lane_count;
    bool is_stopping;
    struct fb_spool_piece *pool; /* chunks to use again: fresh pages cost more than sealing */
    size_t pool_count;
    atomic_size_t memory;
    /* the committer's own */
    int fd;
    bool is_new;    /* the directory entry is not durable yet */
    bool is_direct; /* fd has O_DIRECT now */
    uint8_t *stage;
    char segment[FB_SPOOL_NAME_SIZE];
    uint64_t offset; /* all before is durable */
};

/* in.c */
void fb_spool_large_name(const struct fb_spool_in *in, const char *suffix,
                         char name[FB_SPOOL_NAME_SIZE]);
/* remote_writer.c: the same for a bucket; batch: what waits, in order. */
void fb_remote_commit_small(struct fb_spool_writer *writer, struct fb_spool_in *batch);
void fb_remote_commit_large(struct fb_spool_writer *writer, struct fb_spool_in *batch);
/* writer.c */
bool fb_spool_in_is_small(const struct fb_spool_in *in);
/* Gives every small message of the batch its place from the writer's offset on; the end of it. */
uint64_t fb_spool_writer_place(struct fb_spool_writer *writer, struct fb_spool_in *batch);
/* Ends the header of a small message that has its place; the padding behind its envelope. */
struct fb_slice fb_spool_writer_finish(const struct fb_spool_writer *writer, struct fb_spool_in *in,
                                       uint64_t batch_end);
void fb_spool_writer_fail_small(struct fb_spool_in *batch, enum fb_status status);
void fb_spool_writer_enqueue(struct fb_spool_writer *writer, struct fb_spool_in *in);

#endif
