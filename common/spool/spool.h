/* SPDX-License-Identifier: Apache-2.0
 *
 * The spool: encrypted store of messages in flight, the truth about undelivered mail.
 *
 * file://DIR holds
 *
 * - spool.id: its id; every ref names it, so that no other directory is taken for this spool
 * - segments/<writer>-<seq>.seg: append-only, many messages each; written by group commit
 * - large/<msg_id>.seg: one message that was too large to wait in memory
 * - objects/<2 chars>/<msg_id>/<name>: what render and upload derive, encrypted with the message's
 *   key; the two characters are the last ones of the id, which are random
 * - journal/<writer>-<seq>.jnl: what was sent to whom (journal.h)
 * - manifests/<2 chars>/<parcel_id>: what recall needs, for the parcel's life
 *
 * Every message has a data key of its own (AES-256-GCM), wrapped by a key of the key file; content
 * is sealed in chunks of 64 KiB that can be read by range.  Erasing a message overwrites its
 * wrapped key and gives its blocks back to the file system, so it is unreadable even where a backup
 * of the segment exists without the key.
 *
 * s3://BUCKET/PREFIX holds the same in objects, behind the same calls (s3.md): a commit is an
 * object, erasures are noted in erased/ and carried out when the segment is tidied, so that another
 * process may open an erased message until it reads the notes with its next scan.
 */
#ifndef FB_COMMON_SPOOL_SPOOL_H
#define FB_COMMON_SPOOL_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/id.h"
#include "proto/job.h"

struct fb_spool;

/* Opens (and makes, mode 0700) the spool of url (file:///FOLDER or s3://BUCKET/PREFIX, see
 * common/s3/s3.h for credentials), with the keys of key_file: lines "<id>:<base64 of
 * 32 bytes>", the first one seals, all of them open (rotation: put the new key first).  The key
 * file must not be readable by others.  FB_CONFIG for a bad url or key file, FB_IO. */
FB_MUST_USE enum fb_status fb_spool_open(const char *url, const char *key_file,
                                         struct fb_spool **spool_r, struct fb_error *err);
void fb_spool_close(struct fb_spool **spool);
/* A key of 32 octets for another purpose, made from the first one of the key file: the same in all programs that use
 * the file, another one when a new key is put first. */
void fb_spool_derive_key(const struct fb_spool *spool, const char *purpose, uint8_t key_r[32]);

/* Bytes that its file system can hold, as fb_spool_usage last found it; 0: a bucket, or not looked at yet. */
uint64_t fb_spool_capacity(struct fb_spool *spool);
/* Bytes in use by the spool and how full its file system is, in percent. */
FB_MUST_USE enum fb_status fb_spool_usage(struct fb_spool *spool, uint64_t *bytes_r, int *percent_r,
                                          struct fb_error *err);

/* ---- writing (ingest) ---- */

struct fb_spool_writer;

/* Told from a committer thread, once per submitted message, in order of submission (in a bucket
 * large messages have a thread and an order of their own).  ref is valid for the call (spool_ref of
 * the job); on failure it is "" and status is FB_NO_SPACE or FB_IO: the MTA keeps the mail. */
typedef void fb_spool_done_fn(void *ctx, enum fb_status status, const char *ref);
/* Told after each group commit (one fdatasync), behind the done calls of that batch, also when it
 * failed; count is the number of those calls.  May be NULL. */
typedef void fb_spool_batch_fn(void *ctx, size_t count);

/* One per process; name is stable over restarts (the pod's name).  Starts the committer thread. */
FB_MUST_USE enum fb_status fb_spool_writer_new(struct fb_spool *spool, const char *name,
                                               fb_spool_batch_fn *on_batch, void *batch_ctx,
                                               struct fb_spool_writer **writer_r,
                                               struct fb_error *err);
/* Commits what was submitted, then stops.  Messages that were not submitted must be freed before.
 */
void fb_spool_writer_free(struct fb_spool_writer **writer);

/* One message on its way in; belongs to one thread until submitted. */
struct fb_spool_in;
/* Makes the data key; FB_INVALID for a bad id.  Content may follow in any number of pieces; up to
 * 1.25 MiB wait in memory (and up to 128 MiB of all messages of the writer), past that the message
 * streams into a file of its own.  NULL-safe free = abort. */
FB_MUST_USE enum fb_status fb_spool_in_new(struct fb_spool_writer *writer, const char *msg_id,
                                           struct fb_spool_in **in_r, struct fb_error *err);
FB_MUST_USE enum fb_status fb_spool_in_add(struct fb_spool_in *in, const void *ptr, size_t len,
                                           struct fb_error *err);
uint64_t fb_spool_in_size(const struct fb_spool_in *in);
void fb_spool_in_free(struct fb_spool_in **in);
/* Ends the message with its envelope (proto/envelope.h) and hands it to the committer, which calls
 * done after fdatasync.  Takes ownership of *in. */
void fb_spool_in_submit(struct fb_spool_in **in, struct fb_slice envelope, fb_spool_done_fn *done,
                        void *ctx);

/* ---- reading (render, upload, rewrite) ---- */

struct fb_spool_msg;

/* Opens a spooled message by its ref.  FB_NOT_FOUND: erased (delivered) or never there; FB_CORRUPT:
 * fails its check; FB_CONFIG: its key is not in the key file, or ref names another spool. */
FB_MUST_USE enum fb_status fb_spool_msg_open(struct fb_spool *spool, const char *ref,
                                             struct fb_spool_msg **msg_r, struct fb_error *err);
void fb_spool_msg_close(struct fb_spool_msg **msg);
const char *fb_spool_msg_id(const struct fb_spool_msg *msg);
uint64_t fb_spool_msg_size(const struct fb_spool_msg *msg); /* of the content */
/* The envelope's bytes, lent. */
struct fb_slice fb_spool_msg_envelope(const struct fb_spool_msg *msg);
/* Up to len bytes of content at offset; fewer only at the end (0 there).  May be called from
 * several threads. */
FB_MUST_USE enum fb_status fb_spool_msg_read(struct fb_spool_msg *msg, uint64_t offset, void *out,
                                             size_t len, size_t *read_r, struct fb_error *err);
/* Erases content, key and derived objects for good.  Idempotent: FB_OK for what is gone already.
 * FB_INVALID when another message than msg_id lies at ref.  Not synced: see the journal. */
FB_MUST_USE enum fb_status fb_spool_msg_erase(struct fb_spool *spool, const char *ref,
                                              const char *msg_id, struct fb_error *err);

/* ---- derived objects ---- */

/* name: [a-z0-9._-]{1,64}.  A write is seen whole or not at all, and replaces; each write has a
 * fresh key. */
struct fb_spool_object_out;
FB_MUST_USE enum fb_status fb_spool_object_create(struct fb_spool_msg *msg, const char *name,
                                                  struct fb_spool_object_out **out_r,
                                                  struct fb_error *err);
FB_MUST_USE enum fb_status fb_spool_object_add(struct fb_spool_object_out *out, const void *ptr,
                                               size_t len, struct fb_error *err);
/* Makes it visible (and durable when is_durable); frees *out in every case. */
FB_MUST_USE enum fb_status fb_spool_object_commit(struct fb_spool_object_out **out, bool is_durable,
                                                  struct fb_error *err);
void fb_spool_object_abort(struct fb_spool_object_out **out);
FB_MUST_USE enum fb_status fb_spool_object_put(struct fb_spool_msg *msg, const char *name,
                                               struct fb_slice bytes, bool is_durable,
                                               struct fb_error *err);

struct fb_spool_object;
/* FB_NOT_FOUND or FB_CORRUPT (a crash may leave half an object: treat both as "render again"). */
FB_MUST_USE enum fb_status fb_spool_object_open(struct fb_spool_msg *msg, const char *name,
                                                struct fb_spool_object **object_r,
                                                struct fb_error *err);
void fb_spool_object_close(struct fb_spool_object **object);
uint64_t fb_spool_object_size(const struct fb_spool_object *object);
FB_MUST_USE enum fb_status fb_spool_object_read(struct fb_spool_object *object, uint64_t offset,
                                                void *out, size_t len, size_t *read_r,
                                                struct fb_error *err);
/* A whole object of at most max bytes; out is initialised by the call. */
FB_MUST_USE enum fb_status fb_spool_object_get(struct fb_spool_msg *msg, const char *name,
                                               size_t max, struct fb_buf *out,
                                               struct fb_error *err);

/* ---- scanning (replay, sweeper, spool list) ---- */

struct fb_spool_entry {
    char ref[FB_REF_SIZE];
    char msg_id[FB_ID_SIZE];
    int64_t created_ms;
    uint64_t size;
};
/* Calls for each live (not erased) message until it returns false.  A torn record at a segment's
 * end (crash before commit) ends that segment quietly; damage in the middle is counted in damaged_r
 * and skipped to the next record. */
FB_MUST_USE enum fb_status fb_spool_scan(struct fb_spool *spool,
                                         bool (*each)(void *ctx, const struct fb_spool_entry *e),
                                         void *ctx, uint64_t *damaged_r, struct fb_error *err);
/* Removes segments that hold no live message and are not being written, and journals older than
 * keep_ms whose messages are all gone (in a bucket: each entry, an hour after it, and what is left is
 * merged into few objects); what crashes left half written; objects of messages that are
 * gone, after an hour.  Nothing is removed from a damaged segment.  Safe to run anywhere, any time.
 */
FB_MUST_USE enum fb_status fb_spool_tidy(struct fb_spool *spool, int64_t keep_ms,
                                         struct fb_error *err);

/* ---- manifests ---- */

FB_MUST_USE enum fb_status fb_spool_manifest_put(struct fb_spool *spool, const char *parcel_id,
                                                 struct fb_slice bytes,
                                                 struct fb_error *err); /* durable */
FB_MUST_USE enum fb_status fb_spool_manifest_get(struct fb_spool *spool, const char *parcel_id,
                                                 struct fb_buf *out, struct fb_error *err);
FB_MUST_USE enum fb_status fb_spool_manifest_remove(struct fb_spool *spool, const char *parcel_id,
                                                    struct fb_error *err);
FB_MUST_USE enum fb_status fb_spool_manifest_each(struct fb_spool *spool,
                                                  bool (*each)(void *ctx, const char *parcel_id),
                                                  void *ctx, struct fb_error *err);

#endif
