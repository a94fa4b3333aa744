/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the spool share; nobody else includes this.
 *
 * A record is one message, in a segment at a multiple of 64 or alone in a large file at 0:
 *
 * - header, 256 bytes (layout.c)
 * - content in chunks of 64 KiB, each followed by its tag of 16 bytes; at least one chunk, the last
 *   one may be shorter
 * - envelope and its tag
 * - zeros
 * - trailer, the last 16 bytes of record_len
 *
 * Integers are little-endian.  All records of one group commit carry the offset of its first one
 * (batch_start): when a later batch stands in the file, fdatasync had returned for this one, so
 * only the last batch of a segment can be torn.  Every batch begins on a block of its own (4096),
 * so that a later write never touches a block that was promised.
 */
#ifndef FB_COMMON_SPOOL_INTERNAL_H
#define FB_COMMON_SPOOL_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "common/bytes.h"
#include "common/fs.h"
#include "common/keyring.h"
#include "common/sealed/sealed.h"
#include "common/spool/spool.h"

#define FB_SPOOL_HEADER      256U
#define FB_SPOOL_TRAILER     16U
#define FB_SPOOL_ALIGN       64U
#define FB_SPOOL_BLOCK       4096U
#define FB_SPOOL_MAX_CONTENT ((uint64_t)1 << 40)
#define FB_SPOOL_SEGMENT                                                                           \
    ((uint64_t)64 << 20)                   /* a segment that reached this takes no further batch */
#define FB_SPOOL_NAME_SIZE FB_FS_NAME_SIZE /* of a segment or journal file */

struct fb_remote;

struct fb_spool {
    char id[FB_ID_SIZE];      /* of this spool; every ref names it */
    struct fb_remote *remote; /* the bucket (remote.h); NULL: files, in the directories below */
    int root_fd;
    int segments_fd;
    int large_fd;
    int objects_fd;
    int journal_fd;
    int manifests_fd;
    struct fb_keyring *keys;
    pthread_mutex_t usage_lock;
    int64_t usage_next_ms; /* monotonic: when to count again */
    uint64_t usage_bytes;
    int64_t percent_next_ms;
    int64_t tidy_next_ms;    /* of a bucket */
    uint64_t capacity_bytes; /* of the file system, with percent */
    int percent;
};

/* ---- layout.c ---- */

struct fb_spool_header {
    uint64_t content_len;
    uint64_t record_len;
    uint64_t batch_start;
    int64_t created_ms;
    uint32_t envelope_len;
    char msg_id[FB_ID_SIZE];
    bool is_erased;
    struct fb_key_wrap wrap;
};

/* Header, chunks, envelope and trailer, without padding. */
uint64_t fb_spool_record_min(uint64_t content_len, uint32_t envelope_len);
/* Wraps key; record_len and batch_start are filled in by fb_spool_header_finish. */
void fb_spool_header_encode(const struct fb_spool *spool, struct fb_spool_header *header,
                            const uint8_t key[FB_KEY_SIZE], uint8_t out[FB_SPOOL_HEADER]);
void fb_spool_header_finish(uint8_t header[FB_SPOOL_HEADER], uint64_t record_len,
                            uint64_t batch_start);
/* FB_CORRUPT: not a header, or damaged.  Needs no key; an erased record's header is good. */
FB_MUST_USE enum fb_status fb_spool_header_decode(const uint8_t in[FB_SPOOL_HEADER],
                                                  struct fb_spool_header *header_r);
FB_MUST_USE enum fb_status fb_spool_header_unwrap(const struct fb_spool *spool,
                                                  const struct fb_spool_header *header,
                                                  uint8_t key_r[FB_KEY_SIZE], struct fb_error *err);
/* Whether a record that fb_spool_header_decode does not take is of a newer version. */
bool fb_spool_header_is_newer(const uint8_t in[FB_SPOOL_HEADER]);
/* Where the bytes that erasing overwrites begin in the header, how many, and what they become. */
#define FB_SPOOL_ERASE_OFFSET 128U
#define FB_SPOOL_ERASE_SIZE   64U
void fb_spool_header_erased(uint8_t out[FB_SPOOL_ERASE_SIZE]);
/* A block of zeros with the trailer behind: the padding of any record is an end of this. */
#define FB_SPOOL_PAD_SIZE (FB_SPOOL_BLOCK + FB_SPOOL_TRAILER)
const uint8_t *fb_spool_pad(void);

/* ---- fs.c ---- */

/* Makes and locks "<writer>-<number><suffix>", with blocks reserved ahead. */
FB_MUST_USE enum fb_status fb_spool_log_new(int dir_fd, const char *writer, const char *suffix,
                                            uint64_t reserve, char name_r[FB_SPOOL_NAME_SIZE],
                                            int *fd_r, struct fb_error *err);
/* Gives reserved blocks back; removes the file when it is empty; closes. */
void fb_spool_log_close(int dir_fd, const char *name, int *fd);
bool fb_spool_writer_name_is_valid(const char *name);
/* [A-Za-z0-9._-], no leading dot, ends with suffix. */
bool fb_spool_file_name_is_valid(const char *name, const char *suffix);

/* ---- msg.c, object.c, walk.c, tidy.c ---- */

/* Splits a ref; name_r is the file's name in large/ or segments/.  FB_INVALID. */
/* The ref of a record: of the segment file at offset, or (segment NULL) of a large message. */
void fb_spool_ref_make(const struct fb_spool *spool, const char *segment, uint64_t offset,
                       const char *msg_id, char ref_r[FB_REF_SIZE]);
FB_MUST_USE enum fb_status fb_spool_ref_parse(const struct fb_spool *spool, const char *ref,
                                              bool *is_large_r, char name_r[FB_SPOOL_NAME_SIZE],
                                              uint64_t *offset_r, struct fb_error *err);
const struct fb_spool *fb_spool_msg_spool(const struct fb_spool_msg *msg);
/* Where it lies in a bucket; segment_r is "" for a large message. */
void fb_spool_msg_place(const struct fb_spool_msg *msg, char segment_r[FB_SPOOL_NAME_SIZE],
                        uint64_t *offset_r);
void fb_spool_msg_object_key(const struct fb_spool_msg *msg, const char *name,
                             const uint8_t salt[FB_KEYRING_SALT], uint8_t key_r[FB_KEY_SIZE]);
FB_MUST_USE enum fb_status fb_spool_objects_remove(const struct fb_spool *spool, const char *msg_id,
                                                   struct fb_error *err);

/* Called for each record of a file that can be a promised message, erased ones too; false stops. */
typedef bool fb_spool_walk_fn(void *ctx, uint64_t offset, const struct fb_spool_header *header);
/* is_promised: nothing in the file can be torn.  damaged is added to; is_stopped_r as the call-back
 * wished. */
FB_MUST_USE enum fb_status fb_spool_walk(struct fb_sealed_src src, uint64_t size, bool is_promised,
                                         fb_spool_walk_fn *each, void *ctx, uint64_t *damaged,
                                         bool *is_stopped_r, struct fb_error *err);

/* Ids of live messages, sorted. */
struct fb_spool_ids {
    char (*ids)[FB_ID_SIZE];
    size_t count;
    size_t cap;
};
/* Of all live messages; live_r begins empty, its ids are freed by the caller in every case. */
FB_MUST_USE enum fb_status fb_spool_ids_read(struct fb_spool *spool, struct fb_spool_ids *live_r,
                                             uint64_t *damaged_r, struct fb_error *err);
bool fb_spool_ids_has(const struct fb_spool_ids *live, const char *msg_id);
/* Removes journals that nobody writes, older than keep_ms, whose messages are all gone. */
FB_MUST_USE enum fb_status fb_journal_tidy(struct fb_spool *spool, const struct fb_spool_ids *live,
                                           int64_t keep_ms, struct fb_error *err);

void fb_spool_lock(pthread_mutex_t *lock);
void fb_spool_unlock(pthread_mutex_t *lock);

#endif
