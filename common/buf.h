/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes.  Mail is bytes, not C strings: fb_slice lends them, fb_buf owns them and never grows past
 * the maximum it was given.
 */
#ifndef FB_COMMON_BUF_H
#define FB_COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct fb_slice {
    const uint8_t *ptr;
    size_t len;
};

struct fb_buf {
    uint8_t *ptr; /* always followed by a NUL that len does not count, once something was added */
    size_t len;
    size_t cap;
    size_t max;
};

#define FB_SLICE_LITERAL(s) ((struct fb_slice){(const uint8_t *)(s), sizeof(s) - 1})

struct fb_slice fb_slice_of(const void *ptr, size_t len);
struct fb_slice fb_slice_str(const char *s); /* NULL gives an empty slice */
struct fb_slice fb_slice_buf(const struct fb_buf *b);
bool fb_slice_eq(struct fb_slice a, struct fb_slice b);
bool fb_slice_eq_str(struct fb_slice a, const char *s);
/* ASCII letters compare without case (header names, SMTP verbs, domains). */
bool fb_slice_ieq_str(struct fb_slice a, const char *s);
bool fb_slice_istarts(struct fb_slice a, const char *prefix);
/* Offset of needle, or SIZE_MAX. */
size_t fb_slice_find(struct fb_slice hay, struct fb_slice needle);
struct fb_slice fb_slice_trim(struct fb_slice s); /* SP, HT, CR, LF at both ends */
struct fb_slice fb_slice_sub(struct fb_slice s, size_t from, size_t len); /* clamped */
/* Heap copy with a NUL behind it; the caller frees.  NULL when it holds a NUL or memory is out. */
char *fb_slice_dup_str(struct fb_slice s);

/* Prepares an empty buffer that refuses to pass max bytes. */
void fb_buf_init(struct fb_buf *b, size_t max);
void fb_buf_deinit(struct fb_buf *b);
/* Keeps the memory, forgets the bytes. */
void fb_buf_clear(struct fb_buf *b);
/* All of these: FB_OK, FB_TOO_BIG at the maximum, FB_NO_SPACE without memory; on failure b is
 * unchanged. */
FB_MUST_USE enum fb_status fb_buf_reserve(struct fb_buf *b, size_t more);
FB_MUST_USE enum fb_status fb_buf_add(struct fb_buf *b, const void *ptr, size_t len);
FB_MUST_USE enum fb_status fb_buf_add_slice(struct fb_buf *b, struct fb_slice s);
FB_MUST_USE enum fb_status fb_buf_add_str(struct fb_buf *b, const char *s);
FB_MUST_USE enum fb_status fb_buf_add_char(struct fb_buf *b, char c);
FB_MUST_USE enum fb_status fb_buf_printf(struct fb_buf *b, const char *fmt, ...) FB_PRINTF(2, 3);
/* Removes the first n bytes. */
void fb_buf_consume(struct fb_buf *b, size_t n);
/* The bytes as a C string ("" when empty); lent. */
const char *fb_buf_str(const struct fb_buf *b);

/* Small allocations of fixed size: abort when memory is out (the job is unacknowledged, nothing is
 * lost). */
void *fb_xcalloc(size_t count, size_t size);
char *fb_xstrdup(const char *s);
/* Sizes from outside: NULL above max or when memory is out. */
FB_MUST_USE void *fb_alloc_bounded(size_t size, size_t max);

/* Lower-case hex of len bytes into out (2 * len + 1 chars). */
void fb_hex(const uint8_t *in, size_t len, char *out);
/* Reads exactly 2 * len hex digits. */
bool fb_unhex(const char *in, uint8_t *out, size_t len);

/* Reads a whole regular file of at most max bytes. FB_NOT_FOUND, FB_TOO_BIG, FB_IO. */
FB_MUST_USE enum fb_status fb_read_file(const char *path, size_t max, struct fb_buf *out,
                                        struct fb_error *err);
/* As fb_read_file, for keys, passwords and credentials: FB_CONFIG when others than its owner and its
 * group can read it, or others than its owner can change it (mode & 027), or when it is no regular
 * file.  A link is followed: that is how Kubernetes mounts secrets. */
FB_MUST_USE enum fb_status fb_read_secret(const char *path, size_t max, struct fb_buf *out,
                                          struct fb_error *err);
/* Only the check, for secrets that a library reads by their path. */
FB_MUST_USE enum fb_status fb_check_secret(const char *path, struct fb_error *err);

/* Milliseconds: wall clock since 1970, and monotonic. */
int64_t fb_now_ms(void);
int64_t fb_mono_ms(void);

#endif
