/* SPDX-License-Identifier: Apache-2.0
 *
 * A small client of S3 and of what speaks its protocol (Ceph, MinIO, Garage, ...), on libcurl,
 * which signs (SigV4).  It knows objects, not mail.
 *
 * Endpoint, region and credentials come from where the tools of AWS read them:
 *
 * - AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, endpoint_url of the profile; none: AWS itself
 * - AWS_REGION, AWS_DEFAULT_REGION, region of the profile; none: us-east-1
 * - AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; then AWS_WEB_IDENTITY_TOKEN_FILE
 *   with AWS_ROLE_ARN (IRSA); then the profile AWS_PROFILE of AWS_SHARED_CREDENTIALS_FILE
 *   (~/.aws/credentials) and AWS_CONFIG_FILE (~/.aws/config); then
 *   AWS_CONTAINER_CREDENTIALS_RELATIVE_URI (ECS) or _FULL_URI with
 *   AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (EKS Pod Identity); then the machine's role (EC2:
 *   IMDSv2), unless AWS_EC2_METADATA_DISABLED
 * - AWS_CA_BUNDLE: certificates to trust instead of the system's
 *
 * Every call is bounded in time (deadline_ms with all its retries) and memory, and repeats by
 * itself what passes: lost connections, 429, 5xx, SlowDown, with full jitter.  Every request body
 * is covered by the signature (SHA-256), so that the store refuses what was changed on the way.
 * Errors are in words and name S3's code and request id.  A client may be used by many threads.
 *
 * Statuses of all calls: FB_NOT_FOUND; FB_EXISTS (a condition was not met); FB_CONFIG (credentials,
 * bucket, region, certificate, clock); FB_DENIED; FB_TOO_BIG; FB_NO_SPACE (quota or memory);
 * FB_AGAIN (busy to the end of the deadline); FB_NETWORK; FB_CORRUPT (a checksum does not fit).
 */
#ifndef FB_COMMON_S3_S3_H
#define FB_COMMON_S3_S3_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define FB_S3_KEY_SIZE  1025                /* with its NUL: S3's own limit */
#define FB_S3_PART      ((size_t)8 << 20)   /* of a multipart upload, when nobody asks for more */
#define FB_S3_MIN_PART  ((size_t)5 << 20)   /* S3's own limits */
#define FB_S3_MAX_PART  ((size_t)256 << 20) /* ours: it waits in memory */
#define FB_S3_MAX_PARTS 10000U
#define FB_S3_MAX_PUT   ((uint64_t)1 << 30) /* in one piece */

enum fb_s3_style {
    FB_S3_STYLE_AUTO,   /* virtual host at AWS, path at an endpoint of one's own */
    FB_S3_STYLE_PATH,   /* https://endpoint/bucket/key */
    FB_S3_STYLE_VIRTUAL /* https://bucket.endpoint/key */
};

/* Zero is the default of each. */
struct fb_s3_options {
    enum fb_s3_style style;
    int64_t deadline_ms; /* of a call with its retries, 60 s; bodies get 1 s a MiB on top */
    int64_t connect_ms;  /* 10 s */
    int64_t stall_ms;    /* 20 s without a byte: the connection is given up */
    int64_t backoff_ms;  /* 100 ms: the first pause is drawn from 0 to this, then 0 to twice ... */
    unsigned tries;      /* 10 */
};

struct fb_s3;

/* url: s3://BUCKET or s3://BUCKET/PREFIX, optionally with ?style=path or ?style=virtual.  Keys of
 * all calls are relative to the prefix.  Talks to nobody yet.  options may be NULL.  FB_CONFIG. */
FB_MUST_USE enum fb_status fb_s3_open(const char *url, const struct fb_s3_options *options,
                                      struct fb_s3 **s3_r, struct fb_error *err);
void fb_s3_close(struct fb_s3 **s3);
/* What the store's clock shows (its Date header), so that names of several machines sort. */
int64_t fb_s3_now_ms(struct fb_s3 *s3);

/* ---- whole objects ---- */

struct fb_s3_info {
    uint64_t size;
    int64_t modified_ms;
    char etag[80];
    char sha256[96];     /* x-amz-checksum-sha256: base64, "-<parts>" behind it when composite */
    char own_sha256[68]; /* hex, as fb_s3_put noted it; "" for other writers */
    uint64_t part_size;  /* as fb_s3_upload noted it; 0 for other writers */
};

/* Puts the pieces, joined, as one object; replaces what is there, or, with is_new, only when there
 * is nothing (FB_EXISTS).  Seen whole or not at all, and durable when FB_OK comes back.  On another
 * status the object may be there all the same: the answer was lost. */
FB_MUST_USE enum fb_status fb_s3_put(struct fb_s3 *s3, const char *key,
                                     const struct fb_slice *pieces, size_t count, bool is_new,
                                     struct fb_error *err);
/* Replaces the object only while its etag is that one (FB_EXISTS else).  Stores that do not know
 * the condition replace it. */
FB_MUST_USE enum fb_status fb_s3_replace(struct fb_s3 *s3, const char *key, struct fb_slice bytes,
                                         const char *etag, struct fb_error *err);
/* Up to len bytes at offset; fewer only at the end, 0 behind it.  info_r (may be NULL) gets size
 * and etag.  With etag (may be NULL) only while the object has it (FB_EXISTS). */
FB_MUST_USE enum fb_status fb_s3_get(struct fb_s3 *s3, const char *key, uint64_t offset, void *out,
                                     size_t len, const char *etag, size_t *got_r,
                                     struct fb_s3_info *info_r, struct fb_error *err);
/* Reads an object from front to back in blocks of FB_S3_PART, whatever is cut in between, and
 * compares the whole with the checksum that was noted when it was written (FB_CORRUPT); sink
 * returning false stops it with FB_LOST. */
FB_MUST_USE enum fb_status fb_s3_read(struct fb_s3 *s3, const char *key,
                                      bool (*sink)(void *ctx, struct fb_slice bytes), void *ctx,
                                      struct fb_s3_info *info_r, struct fb_error *err);
FB_MUST_USE enum fb_status fb_s3_head(struct fb_s3 *s3, const char *key, struct fb_s3_info *info_r,
                                      struct fb_error *err);
/* FB_OK also when there was none. */
FB_MUST_USE enum fb_status fb_s3_delete(struct fb_s3 *s3, const char *key, struct fb_error *err);
/* Removes every object below the prefix for good: in a bucket with versions, all of them.  FB_DENIED
 * when a lock or the credentials forbid that. */
FB_MUST_USE enum fb_status fb_s3_purge(struct fb_s3 *s3, const char *prefix, struct fb_error *err);

struct fb_s3_entry {
    const char *key; /* relative, lent for the call */
    uint64_t size;
    int64_t modified_ms;
};
/* Calls for each object whose key begins with prefix and comes after the key `after` (NULL: all),
 * in the order of the keys, until each returns false. */
FB_MUST_USE enum fb_status fb_s3_list(struct fb_s3 *s3, const char *prefix, const char *after,
                                      bool (*each)(void *ctx, const struct fb_s3_entry *entry),
                                      void *ctx, struct fb_error *err);

/* ---- streaming in: one piece when it is small, else multipart ---- */

struct fb_s3_upload;

/* part_size between FB_S3_MIN_PART and FB_S3_MAX_PART, or 0; a whole part waits in memory. */
FB_MUST_USE enum fb_status fb_s3_upload_new(struct fb_s3 *s3, const char *key, size_t part_size,
                                            struct fb_s3_upload **upload_r, struct fb_error *err);
FB_MUST_USE enum fb_status fb_s3_upload_add(struct fb_s3_upload *upload, const void *ptr,
                                            size_t len, struct fb_error *err);
/* Makes it visible and durable; frees *upload in every case. */
FB_MUST_USE enum fb_status fb_s3_upload_commit(struct fb_s3_upload **upload, struct fb_error *err);
/* Takes the parts back; NULL-safe. */
void fb_s3_upload_abort(struct fb_s3_upload **upload);
/* Takes back what uploads that began more than age_ms ago have left below the prefix (crashes). */
FB_MUST_USE enum fb_status fb_s3_upload_sweep(struct fb_s3 *s3, const char *prefix, int64_t age_ms,
                                              uint64_t *swept_r, struct fb_error *err);

#endif
