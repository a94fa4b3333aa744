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

#include "common/crypto.h"
#include "common/spool/spool.h"

#define FB_SPOOL_CHUNK        65536U
#define FB_SPOOL_SEALED_CHUNK (FB_SPOOL_CHUNK + FB_TAG_SIZE)
#define FB_SPOOL_HEADER       256U
#define FB_SPOOL_TRAILER      16U
#define FB_SPOOL_ALIGN        64U
#define FB_SPOOL_BLOCK        4096U
#define FB_SPOOL_MAX_CONTENT  ((uint64_t)1 << 40)
#define FB_SPOOL_SEGMENT                                                                           \
    ((uint64_t)64 << 20)      /* a segment that reached this takes no further batch */
#define FB_SPOOL_NAME_SIZE 96 /* of a segment or journal file */
#define FB_SPOOL_KEY_ID    32
#define FB_SPOOL_PRINT     8
#define FB_SPOOL_SALT      16

struct fb_remote;
struct fb_remote_src;

struct fb_spool_key {
    char id[FB_SPOOL_KEY_ID + 1];
    uint8_t print[FB_SPOOL_PRINT]; /* tells a wrong key from a damaged record */
    uint8_t key[FB_KEY_SIZE];
};

struct fb_spool {
    char id[FB_ID_SIZE];      /* of this spool; every ref names it */
    struct fb_remote *remote; /* the bucket (remote.h); NULL: files, in the directories below */
    int root_fd;
    int segments_fd;
    int large_fd;
    int objects_fd;
    int journal_fd;
    int manifests_fd;
    struct fb_spool_key *keys; /* the first one seals */
    size_t key_count;
    struct fb_spool_wrapping *wrapping; /* key.c */
    pthread_mutex_t usage_lock;
    int64_t usage_next_ms; /* monotonic: when to count again */
    uint64_t usage_bytes;
    int64_t percent_next_ms;
    int64_t tidy_next_ms;    /* of a bucket */
    uint64_t capacity_bytes; /* of the file system, with percent */
    int percent;
};

/* ---- key.c ---- */

/* A data key under a key of the key file.  The wrapping key is HKDF(key of the file, salt): a
 * random nonce under one and the same key would have to stop after 2^32 messages.  Writers use a
 * salt, and the key derived with it, for some thousands of messages. */
struct fb_spool_wrap {
    uint8_t key_id[FB_SPOOL_KEY_ID]; /* padded with zeros */
    uint8_t print[FB_SPOOL_PRINT];
    uint8_t salt[FB_SPOOL_SALT];
    uint8_t nonce[FB_NONCE_SIZE];
    uint8_t key[FB_KEY_SIZE];
    uint8_t tag[FB_TAG_SIZE];
};

FB_MUST_USE enum fb_status fb_spool_keys_load(struct fb_spool *spool, const char *path,
                                              struct fb_error *err);
void fb_spool_keys_free(struct fb_spool *spool);
void fb_spool_key_wrap(const struct fb_spool *spool, struct fb_slice aad,
                       const uint8_t key[FB_KEY_SIZE], struct fb_spool_wrap *wrap_r);
/* FB_CONFIG: that key is not in the file; FB_CORRUPT. */
FB_MUST_USE enum fb_status fb_spool_key_unwrap(const struct fb_spool *spool, struct fb_slice aad,
                                               const struct fb_spool_wrap *wrap,
                                               uint8_t key_r[FB_KEY_SIZE], struct fb_error *err);

/* ---- layout.c ---- */

void fb_put16(uint8_t *to, uint16_t v);
void fb_put32(uint8_t *to, uint32_t v);
void fb_put64(uint8_t *to, uint64_t v);
uint16_t fb_get16(const uint8_t *from);
uint32_t fb_get32(const uint8_t *from);
uint64_t fb_get64(const uint8_t *from);

/* One byte of the associated data and of the nonce: the same key may seal several kinds. */
enum fb_seal_kind {
    FB_SEAL_CONTENT = 1,
    FB_SEAL_ENVELOPE = 2,
    FB_SEAL_OBJECT = 3,
    FB_SEAL_MANIFEST = 4
};

/* Seals chunk number index of the thing called id; in.ptr may be out; out gets in.len + FB_TAG_SIZE
 * bytes. */
void fb_spool_seal(const uint8_t key[FB_KEY_SIZE], enum fb_seal_kind kind, uint64_t index,
                   bool is_last, const char *id, struct fb_slice in, uint8_t *out);
/* in: cipher text and tag; out gets in.len - FB_TAG_SIZE bytes and may be in.ptr.  FB_CORRUPT. */
FB_MUST_USE enum fb_status fb_spool_unseal(const uint8_t key[FB_KEY_SIZE], enum fb_seal_kind kind,
                                           uint64_t index, bool is_last, const char *id,
                                           struct fb_slice in, uint8_t *out);

/* How many chunks, and how many bytes with their tags, content of that size has. */
uint64_t fb_spool_chunk_count(uint64_t content_len);
uint64_t fb_spool_sealed_len(uint64_t content_len);

struct fb_spool_header {
    uint64_t content_len;
    uint64_t record_len;
    uint64_t batch_start;
    int64_t created_ms;
    uint32_t envelope_len;
    char msg_id[FB_ID_SIZE];
    bool is_erased;
    struct fb_spool_wrap wrap;
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
/* The same magic with a later digit at its end: a newer version of Fumibako wrote it.  A digit that one
 * flipped bit makes is none: that is damage, so the magics go on with 2, 4, 6, 7, 8. */
bool fb_spool_is_newer(const uint8_t *have, const uint8_t *ours, size_t len);
/* Sets FB_AGAIN: what is called so is of a newer version, and waits for an upgraded program. */
FB_MUST_USE enum fb_status fb_spool_newer(struct fb_error *err, const char *what);
/* Whether a record that fb_spool_header_decode does not take is of a newer version. */
bool fb_spool_header_is_newer(const uint8_t in[FB_SPOOL_HEADER]);
/* Where the bytes that erasing overwrites begin in the header, how many, and what they become. */
#define FB_SPOOL_ERASE_OFFSET 128U
#define FB_SPOOL_ERASE_SIZE   64U
void fb_spool_header_erased(uint8_t out[FB_SPOOL_ERASE_SIZE]);
/* A block of zeros with the trailer behind: the padding of any record is an end of this. */
#define FB_SPOOL_PAD_SIZE (FB_SPOOL_BLOCK + FB_SPOOL_TRAILER)
const uint8_t *fb_spool_pad(void);

/* ---- remote_src.c ---- */

/* Where sealed bytes are read from: a file, or an object of the bucket. */
struct fb_spool_src {
    int fd; /* -1 for an object */
    struct fb_remote_src *remote;
};
#define FB_SPOOL_SRC_NONE ((struct fb_spool_src){.fd = -1})
/* As fb_spool_read_at. */
FB_MUST_USE int fb_spool_src_read(const struct fb_spool_src *src, void *out, size_t len,
                                  uint64_t offset, size_t *got_r);
void fb_spool_src_close(struct fb_spool_src *src);

/* ---- chunks.c: reading a run of sealed chunks by range ---- */

struct fb_spool_chunks {
    struct fb_spool_src src; /* owned */
    uint64_t start;
    uint64_t content_len;
    enum fb_seal_kind kind;
    char id[FB_PARCEL_ID_SIZE];
    uint8_t key[FB_KEY_SIZE];
    pthread_mutex_t lock; /* of the cached chunk */
    uint64_t cached_index;
    size_t cached_len;
    uint8_t *cached; /* FB_SPOOL_SEALED_CHUNK bytes; NULL until needed */
};

void fb_spool_chunks_init(struct fb_spool_chunks *c, struct fb_spool_src src, uint64_t start,
                          uint64_t content_len, enum fb_seal_kind kind, const char *id,
                          const uint8_t key[FB_KEY_SIZE]);
void fb_spool_chunks_deinit(struct fb_spool_chunks *c);
FB_MUST_USE enum fb_status fb_spool_chunks_read(struct fb_spool_chunks *c, uint64_t offset,
                                                void *out, size_t len, size_t *read_r,
                                                struct fb_error *err);

/* ---- fs.c ---- */

enum fb_status fb_spool_errno_status(int errnum);
/* 0 or an errno; never a short transfer.  read: *got_r < len only at the end of the file. */
FB_MUST_USE int fb_spool_write_at(int fd, const void *ptr, size_t len, uint64_t offset);
FB_MUST_USE int fb_spool_read_at(int fd, void *out, size_t len, uint64_t offset, size_t *got_r);
/* A private directory of ours: makes it if wanted; FB_NOT_FOUND, FB_CONFIG (owner, mode, not a
 * directory). */
FB_MUST_USE enum fb_status fb_spool_dir_open(int at_fd, const char *name, bool is_made, int *fd_r,
                                             struct fb_error *err);
/* A regular file under dir_fd, no link followed.  FB_NOT_FOUND, FB_CORRUPT for a link or anything
 * else. */
FB_MUST_USE enum fb_status fb_spool_file_open(int dir_fd, const char *name, int flags, int *fd_r,
                                              uint64_t *size_r, struct fb_error *err);
/* Makes and locks "<writer>-<number><suffix>", with blocks reserved ahead. */
FB_MUST_USE enum fb_status fb_spool_log_new(int dir_fd, const char *writer, const char *suffix,
                                            uint64_t reserve, char name_r[FB_SPOOL_NAME_SIZE],
                                            int *fd_r, struct fb_error *err);
/* Gives reserved blocks back; removes the file when it is empty; closes. */
void fb_spool_log_close(int dir_fd, const char *name, int *fd);
bool fb_spool_writer_name_is_valid(const char *name);
/* [A-Za-z0-9._-], no leading dot, ends with suffix. */
bool fb_spool_file_name_is_valid(const char *name, const char *suffix);

struct fb_spool_names {
    char **names; /* sorted */
    size_t count;
};
/* Names in a directory that end with suffix ("" for all), without those that begin with a dot. */
FB_MUST_USE enum fb_status fb_spool_names_read(int dir_fd, const char *suffix,
                                               struct fb_spool_names *names_r,
                                               struct fb_error *err);
void fb_spool_names_free(struct fb_spool_names *names);
/* The directory's two characters for an id: the last two of the ULID, which are random. */
void fb_spool_fan(const char *id, char fan_r[3]);
/* Removes a directory and the files in it; FB_OK when there is none. */
FB_MUST_USE enum fb_status fb_spool_remove_dir(int at_fd, const char *name, struct fb_error *err);

/* ---- sealed.c: a file of chunks that is written from front to back (objects, manifests) ---- */

struct fb_sealed_out {
    int fd; /* lent; at its start the caller writes a header of that many bytes */
    uint64_t start;
    uint64_t size;
    uint64_t max;
    enum fb_seal_kind kind;
    char id[FB_PARCEL_ID_SIZE];
    uint8_t key[FB_KEY_SIZE];
    uint8_t *chunk;
    size_t len;
    enum fb_status failed;
};
FB_MUST_USE enum fb_status fb_sealed_begin(struct fb_sealed_out *out, int fd, uint64_t start,
                                           uint64_t max, enum fb_seal_kind kind, const char *id,
                                           const uint8_t key[FB_KEY_SIZE], struct fb_error *err);
FB_MUST_USE enum fb_status fb_sealed_add(struct fb_sealed_out *out, const void *ptr, size_t len,
                                         struct fb_error *err);
FB_MUST_USE enum fb_status fb_sealed_end(struct fb_sealed_out *out, struct fb_error *err);
void fb_sealed_deinit(struct fb_sealed_out *out);
/* Takes src in every case.  Checks the last chunk, and with it the length; FB_CORRUPT. */
FB_MUST_USE enum fb_status fb_sealed_open(struct fb_spool_chunks *c, struct fb_spool_src src,
                                          uint64_t file_size, uint64_t start,
                                          enum fb_seal_kind kind, const char *id,
                                          const uint8_t key[FB_KEY_SIZE], struct fb_error *err);
/* All of it; out is initialised by the call, and empty on failure. */
FB_MUST_USE enum fb_status fb_sealed_read_all(struct fb_spool_chunks *c, size_t max,
                                              struct fb_buf *out, struct fb_error *err);
/* A locked file "<random>.tmp" or, with is_hidden, ".<random>.tmp". */
FB_MUST_USE enum fb_status fb_spool_temp_new(int dir_fd, bool is_hidden,
                                             char name_r[FB_SPOOL_NAME_SIZE], int *fd_r,
                                             struct fb_error *err);

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
                             const uint8_t salt[FB_SPOOL_SALT], uint8_t key_r[FB_KEY_SIZE]);
/* The directory of a message's objects. */
FB_MUST_USE enum fb_status fb_spool_objects_dir(const struct fb_spool *spool, const char *msg_id,
                                                bool is_made, int *fd_r, struct fb_error *err);
FB_MUST_USE enum fb_status fb_spool_objects_remove(const struct fb_spool *spool, const char *msg_id,
                                                   struct fb_error *err);

/* Called for each record of a file that can be a promised message, erased ones too; false stops. */
typedef bool fb_spool_walk_fn(void *ctx, uint64_t offset, const struct fb_spool_header *header);
/* is_promised: nothing in the file can be torn.  damaged is added to; is_stopped_r as the call-back
 * wished. */
FB_MUST_USE enum fb_status fb_spool_walk(struct fb_spool_src src, uint64_t size, bool is_promised,
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
