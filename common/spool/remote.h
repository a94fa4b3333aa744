/* SPDX-License-Identifier: Apache-2.0
 *
 * The spool in a bucket (s3://BUCKET/PREFIX): what differs from files.  The design is in s3.md.
 * Private to the spool.
 */
#ifndef FB_COMMON_SPOOL_REMOTE_H
#define FB_COMMON_SPOOL_REMOTE_H

#include "common/s3/s3.h"
#include "common/spool/internal.h"

struct fb_remote;

/* Opens the bucket and reads the spool's id, or makes it.  FB_CONFIG, FB_NETWORK, ... */
FB_MUST_USE enum fb_status fb_remote_open(const char *url, char id_r[FB_ID_SIZE],
                                          struct fb_remote **remote_r, struct fb_error *err);
/* Writes down what was erased, then closes. */
void fb_remote_close(struct fb_remote **remote);
struct fb_s3 *fb_remote_s3(const struct fb_remote *remote);

/* ---- writing ---- */

/* A file without a name, for what is sealed before it goes to the bucket. */
FB_MUST_USE enum fb_status fb_remote_temp(int *fd_r, struct fb_error *err);
/* Puts all of the file as one object; durable and visible when FB_OK comes back. */
FB_MUST_USE enum fb_status fb_remote_put_fd(const struct fb_remote *remote, const char *key, int fd,
                                            struct fb_error *err);
/* "<writer>-<time>-<random><suffix>", or with the time in front; never twice. */
void fb_remote_name(const struct fb_remote *remote, const char *writer, bool is_time_first,
                    const char *suffix, char name_r[FB_SPOOL_NAME_SIZE]);
FB_MUST_USE enum fb_status fb_remote_remove_all(const struct fb_remote *remote, const char *prefix,
                                                struct fb_error *err);
/* Calls for each object below the prefix, after it was listed in full. */
FB_MUST_USE enum fb_status fb_remote_each(
    const struct fb_remote *remote, const char *prefix, const char *after,
    enum fb_status (*each)(void *ctx, const struct fb_s3_entry *entry, struct fb_error *err),
    void *ctx, struct fb_error *err);

/* ---- erasures (remote_erase.c) ---- */

/* The record is gone, for this process at once, for others when they look next. */
void fb_remote_erase(struct fb_remote *remote, const char *segment, uint64_t offset);
bool fb_remote_is_erased(struct fb_remote *remote, const char *segment, uint64_t offset);
/* Writes down what waits. */
FB_MUST_USE enum fb_status fb_remote_erase_flush(struct fb_remote *remote, struct fb_error *err);
/* Reads what others erased since the last call. */
FB_MUST_USE enum fb_status fb_remote_erase_read(struct fb_remote *remote, struct fb_error *err);
/* Since when something waits, in ms; 0: nothing waits. */
int64_t fb_remote_erase_lag_ms(struct fb_remote *remote);
/* Forgets what belongs to segments that are gone (names sorted), and removes notes older than
 * age_ms about nothing else. */
FB_MUST_USE enum fb_status fb_remote_erase_tidy(struct fb_remote *remote,
                                                const struct fb_fs_names *segments, int64_t age_ms,
                                                struct fb_error *err);

/* ---- what segments hold (remote_index.h) ---- */
struct fb_remote_index;
struct fb_remote_index *fb_remote_segments(const struct fb_remote *remote);

struct fb_erasures;
struct fb_erasures *fb_erasures_new(struct fb_remote *remote);
void fb_erasures_free(struct fb_erasures **erasures);
struct fb_erasures *fb_remote_erasures(const struct fb_remote *remote);

/* ---- the calls of spool.h (remote_scan.c) ---- */

FB_MUST_USE enum fb_status fb_remote_scan(struct fb_spool *spool,
                                          bool (*each)(void *ctx, const struct fb_spool_entry *e),
                                          void *ctx, uint64_t *damaged_r, struct fb_error *err);
FB_MUST_USE enum fb_status fb_remote_tidy(struct fb_spool *spool, int64_t keep_ms,
                                          struct fb_error *err);
FB_MUST_USE enum fb_status fb_remote_usage(const struct fb_remote *remote, uint64_t *bytes_r,
                                           struct fb_error *err);

#endif
