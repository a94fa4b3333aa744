/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the sent journal share; nobody else includes this.
 */
#ifndef FB_COMMON_SPOOL_JOURNAL_INTERNAL_H
#define FB_COMMON_SPOOL_JOURNAL_INTERNAL_H

#include "common/spool/internal.h"
#include "common/spool/journal_index.h"

#define FB_JOURNAL_ENTRY         64U
#define FB_JOURNAL_MAX_GROUP     ((size_t)64 << 20)
#define FB_JOURNAL_MAX_FORGOTTEN 1000U /* of one group, so that commits stay quick */

/* Of a reader of a bucket: an object may be seen so long after its name says (clocks, slow puts). */
#define FB_JOURNAL_LOOK_BACK_MS 120000

struct waiter {
    struct waiter *next;
    struct fb_buf entries;
    bool is_done;
    enum fb_status status;
    struct fb_error err;
};

struct forgotten {
    struct forgotten *next;
    char msg_id[FB_ID_SIZE];
    int64_t due_ms; /* monotonic */
};

struct fb_journal_tail {
    char name[FB_SPOOL_NAME_SIZE];
    uint64_t offset; /* read up to here */
};

struct fb_journal {
    struct fb_spool *spool;
    char writer[FB_SPOOL_NAME_SIZE];
    /* committing */
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_led;
    struct waiter *queue;
    struct waiter **queue_end;
    struct forgotten *forgotten; /* oldest first */
    struct forgotten **forgotten_end;
    /* the leader's own */
    int fd;
    bool is_new;
    char file[FB_SPOOL_NAME_SIZE];
    uint64_t offset; /* all before is durable */
    /* reading */
    pthread_mutex_t index_lock;
    struct fb_journal_index *index;
    struct fb_journal_tail *tails; /* sorted by name */
    size_t tail_count;
    bool has_moved;            /* an object that was listed was gone: merged with others */
    int64_t read_ms;           /* monotonic: when the last listing of a bucket began */
    char read_for[FB_ID_SIZE]; /* the message that was asked about since, and the kinds */
    unsigned read_kinds;
};

struct fb_journal_entry {
    unsigned kind;
    uint32_t branch;
    uint32_t recipient;
    char msg_id[FB_ID_SIZE];
};

struct fb_journal_live {
    const struct fb_spool_ids *live;
    bool is_found;
};

/* False for what is no good entry. */
bool fb_journal_decode(const uint8_t in[FB_JOURNAL_ENTRY], struct fb_journal_entry *entry_r);
/* One that decode does not take, of a newer version: whoever reads the journal must stop there. */
bool fb_journal_is_newer(const uint8_t in[FB_JOURNAL_ENTRY]);
/* Call-back for each entry: into the index ctx. */
bool fb_journal_add(void *ctx, const struct fb_journal_entry *entry);

/* ---- journal_remote.c ---- */

/* Reads what others wrote to the bucket before called_ms, for a question about msg_id and kind (NULL
 * and 0: at the opening).  index_lock is held. */
FB_MUST_USE enum fb_status fb_journal_remote_read(struct fb_journal *journal, const char *msg_id,
                                                  unsigned kind, int64_t called_ms,
                                                  struct fb_error *err);
/* The bytes of an object (out is initialised by the call); FB_NOT_FOUND, FB_CORRUPT. */
FB_MUST_USE enum fb_status fb_journal_remote_get(const struct fb_spool *spool, const char *key,
                                                 struct fb_buf *bytes, struct fb_error *err);
/* Writes a group, and takes it into the index. */
FB_MUST_USE enum fb_status fb_journal_remote_commit(struct fb_journal *journal,
                                                    const struct fb_buf *group,
                                                    struct fb_error *err);

/* ---- journal_merge.c ---- */

/* Merges objects that are older than any reader looks back, and leaves out what belongs to messages
 * that are gone: live are those that were there at live_ms (the store's time), NULL: only merges.
 * What is younger than keep_ms (an hour at most) stays whole. */
FB_MUST_USE enum fb_status fb_journal_remote_tidy(const struct fb_spool *spool,
                                                  const struct fb_spool_ids *live, int64_t live_ms,
                                                  int64_t keep_ms, struct fb_error *err);

#endif
