/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealed content: chunks of 64 KiB under AES-256-GCM, each followed by its tag of 16 bytes, in a
 * file or an object of a bucket, written from front to back and read by range.  At least one chunk;
 * the last one may be shorter, and says that it is the last one, so that a file cut at any place
 * fails its check without a length in the header.  The key is the caller's, one for each run of
 * chunks.  Used by the spool and the vault.
 */
#ifndef FB_COMMON_SEALED_SEALED_H
#define FB_COMMON_SEALED_SEALED_H

#include <pthread.h>

#include "common/crypto.h"
#include "common/id.h"
#include "common/s3/s3.h"

#define FB_SEAL_CHUNK   65536U
#define FB_SEALED_CHUNK (FB_SEAL_CHUNK + FB_TAG_SIZE)

/* One byte of the associated data and of the nonce: the same key may seal several kinds. */
enum fb_seal_kind {
    FB_SEAL_CONTENT = 1,
    FB_SEAL_ENVELOPE = 2,
    FB_SEAL_OBJECT = 3,
    FB_SEAL_MANIFEST = 4,
    FB_SEAL_VAULT_FILE = 5,
    FB_SEAL_VAULT_NOTE = 6,
    FB_SEAL_VAULT_STATE = 7
};

/* ---- seal.c: one chunk ---- */

/* Seals chunk number index of the thing called id (less than FB_PARCEL_ID_SIZE bytes); in.ptr may
 * be out; out gets in.len + FB_TAG_SIZE bytes. */
void fb_seal(const uint8_t key[FB_KEY_SIZE], enum fb_seal_kind kind, uint64_t index, bool is_last,
             const char *id, struct fb_slice in, uint8_t *out);
/* in: cipher text and tag; out gets in.len - FB_TAG_SIZE bytes and may be in.ptr.  FB_CORRUPT. */
FB_MUST_USE enum fb_status fb_unseal(const uint8_t key[FB_KEY_SIZE], enum fb_seal_kind kind,
                                     uint64_t index, bool is_last, const char *id,
                                     struct fb_slice in, uint8_t *out);
/* How many chunks, and how many bytes with their tags, content of that size has. */
uint64_t fb_seal_chunk_count(uint64_t content_len);
uint64_t fb_sealed_len(uint64_t content_len);
/* The same magic with a later digit at its end: a newer version of Fumibako wrote it.  A digit that
 * one flipped bit makes is none: that is damage, so the magics go on with 2, 4, 6, 7, 8. */
bool fb_seal_is_newer(const uint8_t *have, const uint8_t *ours, size_t len);
/* Sets FB_AGAIN: what is called so is of a newer version, and waits for an upgraded program. */
FB_MUST_USE enum fb_status fb_seal_newer(struct fb_error *err, const char *what);

/* ---- object.c: reading an object of a bucket by range ---- */

struct fb_sealed_object;
/* Fetches ahead bytes at offset (at most 4 MiB); reads that go on where the last one ended widen
 * that.  s3 is kept.  FB_NOT_FOUND and the statuses of common/s3/s3.h. */
FB_MUST_USE enum fb_status fb_sealed_object_open(struct fb_s3 *s3, const char *key, uint64_t offset,
                                                 size_t ahead, struct fb_sealed_object **object_r,
                                                 uint64_t *size_r, struct fb_error *err);
void fb_sealed_object_close(struct fb_sealed_object **object);
/* As fb_fs_read_at: 0 or an errno, whose cause is in the log. */
FB_MUST_USE int fb_sealed_object_read(struct fb_sealed_object *object, void *out, size_t len,
                                      uint64_t offset, size_t *got_r);

/* Where sealed bytes are read from: a file, or an object. */
struct fb_sealed_src {
    int fd; /* -1 for an object */
    struct fb_sealed_object *object;
};
#define FB_SEALED_SRC_NONE ((struct fb_sealed_src){.fd = -1})
/* As fb_fs_read_at. */
FB_MUST_USE int fb_sealed_src_read(const struct fb_sealed_src *src, void *out, size_t len,
                                   uint64_t offset, size_t *got_r);
void fb_sealed_src_close(struct fb_sealed_src *src);

/* ---- chunks.c: reading a run of sealed chunks by range ---- */

struct fb_sealed_chunks {
    struct fb_sealed_src src; /* owned */
    uint64_t start;
    uint64_t content_len;
    enum fb_seal_kind kind;
    char id[FB_PARCEL_ID_SIZE];
    uint8_t key[FB_KEY_SIZE];
    pthread_mutex_t lock; /* of the cached chunk */
    uint64_t cached_index;
    uint8_t *cached; /* FB_SEALED_CHUNK bytes; NULL until needed */
};

void fb_sealed_chunks_init(struct fb_sealed_chunks *c, struct fb_sealed_src src, uint64_t start,
                           uint64_t content_len, enum fb_seal_kind kind, const char *id,
                           const uint8_t key[FB_KEY_SIZE]);
void fb_sealed_chunks_deinit(struct fb_sealed_chunks *c);
/* Up to len bytes at offset, fewer only at the end.  FB_CORRUPT, FB_IO, FB_NO_SPACE. */
FB_MUST_USE enum fb_status fb_sealed_chunks_read(struct fb_sealed_chunks *c, uint64_t offset,
                                                 void *out, size_t len, size_t *read_r,
                                                 struct fb_error *err);

/* ---- file.c: chunks to the end of a file, behind a header of the caller's ---- */

/* Where they are written; what is not NULL or -1 counts, both lent. */
struct fb_sealed_dst {
    int fd;                      /* at its start the caller writes a header of `start` bytes */
    struct fb_s3_upload *upload; /* the caller has added the header */
};

struct fb_sealed_out {
    struct fb_sealed_dst dst;
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
/* max: bytes of content; past it FB_TOO_BIG.  Statuses of add and end: those of the system or of
 * common/s3/s3.h; one that failed stays failed. */
FB_MUST_USE enum fb_status fb_sealed_begin(struct fb_sealed_out *out, struct fb_sealed_dst dst,
                                           uint64_t start, uint64_t max, enum fb_seal_kind kind,
                                           const char *id, const uint8_t key[FB_KEY_SIZE],
                                           struct fb_error *err);
FB_MUST_USE enum fb_status fb_sealed_add(struct fb_sealed_out *out, const void *ptr, size_t len,
                                         struct fb_error *err);
FB_MUST_USE enum fb_status fb_sealed_end(struct fb_sealed_out *out, struct fb_error *err);
/* Wipes; a zeroed one may be given. */
void fb_sealed_deinit(struct fb_sealed_out *out);
/* Takes src in every case.  Checks the last chunk, and with it the length; FB_CORRUPT. */
FB_MUST_USE enum fb_status fb_sealed_open(struct fb_sealed_chunks *c, struct fb_sealed_src src,
                                          uint64_t file_size, uint64_t start,
                                          enum fb_seal_kind kind, const char *id,
                                          const uint8_t key[FB_KEY_SIZE], struct fb_error *err);
/* All of it; out is initialised by the call, and empty on failure. */
FB_MUST_USE enum fb_status fb_sealed_read_all(struct fb_sealed_chunks *c, size_t max,
                                              struct fb_buf *out, struct fb_error *err);

#endif
