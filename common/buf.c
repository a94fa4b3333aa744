/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct fb_slice fb_slice_of(const void *ptr, size_t len)
{
    return (struct fb_slice){ptr, len};
}

struct fb_slice fb_slice_str(const char *s)
{
    return (struct fb_slice){(const uint8_t *)s, s != NULL ? strlen(s) : 0};
}

struct fb_slice fb_slice_buf(const struct fb_buf *b)
{
    return (struct fb_slice){b->ptr, b->len};
}

bool fb_slice_eq(struct fb_slice a, struct fb_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool fb_slice_eq_str(struct fb_slice a, const char *s)
{
    return fb_slice_eq(a, fb_slice_str(s));
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool fb_slice_istarts(struct fb_slice a, const char *prefix)
{
    size_t n = strlen(prefix);
    if (a.len < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (lower(a.ptr[i]) != lower((uint8_t)prefix[i])) {
            return false;
        }
    }
    return true;
}

bool fb_slice_ieq_str(struct fb_slice a, const char *s)
{
    return a.len == strlen(s) && fb_slice_istarts(a, s);
}

size_t fb_slice_find(struct fb_slice hay, struct fb_slice needle)
{
    if (needle.len == 0) {
        return 0;
    }
    if (hay.len < needle.len) {
        return SIZE_MAX;
    }
    const uint8_t *at = memmem(hay.ptr, hay.len, needle.ptr, needle.len);
    return at != NULL ? (size_t)(at - hay.ptr) : SIZE_MAX;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct fb_slice fb_slice_trim(struct fb_slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

struct fb_slice fb_slice_sub(struct fb_slice s, size_t from, size_t len)
{
    if (from > s.len) {
        from = s.len;
    }
    if (len > s.len - from) {
        len = s.len - from;
    }
    /* An empty slice may have no pointer, and NULL + 0 is undefined in C. */
    return (struct fb_slice){from > 0 ? s.ptr + from : s.ptr, len};
}

char *fb_slice_dup_str(struct fb_slice s)
{
    if (s.len == SIZE_MAX || (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL)) {
        return NULL;
    }
    char *copy = malloc(s.len + 1);
    if (copy != NULL) {
        if (s.len > 0) {
            memcpy(copy, s.ptr, s.len);
        }
        copy[s.len] = '\0';
    }
    return copy;
}

void fb_buf_init(struct fb_buf *b, size_t max)
{
    *b = (struct fb_buf){.max = max};
}

void fb_buf_deinit(struct fb_buf *b)
{
    free(b->ptr);
    *b = (struct fb_buf){.max = b->max};
}

void fb_buf_clear(struct fb_buf *b)
{
    b->len = 0;
    if (b->ptr != NULL) {
        b->ptr[0] = '\0';
    }
}

enum fb_status fb_buf_reserve(struct fb_buf *b, size_t more)
{
    size_t need = 0;
    if (__builtin_add_overflow(b->len, more, &need) || need > b->max || need == SIZE_MAX) {
        return FB_TOO_BIG;
    }
    if (b->ptr != NULL && need + 1 <= b->cap) {
        return FB_OK;
    }
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need + 1) {
        cap = cap > SIZE_MAX / 2 ? need + 1 : cap * 2;
    }
    if (cap > b->max && b->max + 1 > need) {
        cap = b->max + 1; /* no more than what may ever be used */
    }
    uint8_t *grown = realloc(b->ptr, cap);
    if (grown == NULL) {
        return FB_NO_SPACE;
    }
    b->ptr = grown;
    b->cap = cap;
    b->ptr[b->len] = '\0';
    return FB_OK;
}

enum fb_status fb_buf_add(struct fb_buf *b, const void *ptr, size_t len)
{
    enum fb_status s = fb_buf_reserve(b, len);
    if (s != FB_OK) {
        return s;
    }
    if (len > 0) {
        memcpy(b->ptr + b->len, ptr, len);
    }
    b->len += len;
    b->ptr[b->len] = '\0';
    return FB_OK;
}

enum fb_status fb_buf_add_slice(struct fb_buf *b, struct fb_slice s)
{
    return fb_buf_add(b, s.ptr, s.len);
}

enum fb_status fb_buf_add_str(struct fb_buf *b, const char *s)
{
    return fb_buf_add(b, s, strlen(s));
}

enum fb_status fb_buf_add_char(struct fb_buf *b, char c)
{
    return fb_buf_add(b, &c, 1);
}

enum fb_status fb_buf_printf(struct fb_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        return FB_BUG;
    }
    enum fb_status s = fb_buf_reserve(b, (size_t)n);
    if (s != FB_OK) {
        return s;
    }
    va_start(ap, fmt);
    (void)vsnprintf((char *)b->ptr + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return FB_OK;
}

void fb_buf_consume(struct fb_buf *b, size_t n)
{
    if (n > b->len) {
        n = b->len;
    }
    if (n == 0) {
        return;
    }
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
    b->ptr[b->len] = '\0';
}

const char *fb_buf_str(const struct fb_buf *b)
{
    return b->ptr != NULL ? (const char *)b->ptr : "";
}

void *fb_xcalloc(size_t count, size_t size)
{
    void *p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    FB_ASSERT(p != NULL);
    return p;
}

char *fb_xstrdup(const char *s)
{
    char *p = strdup(s != NULL ? s : "");
    FB_ASSERT(p != NULL);
    return p;
}

void *fb_alloc_bounded(size_t size, size_t max)
{
    return size > max ? NULL : malloc(size > 0 ? size : 1);
}

void fb_hex(const uint8_t *in, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * len] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool fb_unhex(const char *in, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = digit(in[2 * i]);
        int low = high < 0 ? -1 : digit(in[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return in[2 * len] == '\0';
}

static enum fb_status read_all(int fd, const char *path, size_t max, struct fb_buf *out,
                               struct fb_error *err)
{
    enum fb_status status = FB_OK;
    fb_buf_init(out, max);
    for (;;) {
        uint8_t chunk[16384];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            status = fb_error_errno(err, FB_IO, errno, "%s", path);
            break;
        }
        if (n == 0) {
            break;
        }
        status = fb_buf_add(out, chunk, (size_t)n);
        explicit_bzero(chunk, (size_t)n); /* the file may be a key */
        if (status != FB_OK) {
            status = fb_error_set(err, status, "%s: larger than %zu bytes", path, max);
            break;
        }
    }
    (void)close(fd);
    if (status != FB_OK) {
        fb_buf_deinit(out);
    }
    return status;
}

enum fb_status fb_read_file(const char *path, size_t max, struct fb_buf *out, struct fb_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fb_error_errno(err, errno == ENOENT ? FB_NOT_FOUND : FB_IO, errno, "%s", path);
    }
    return read_all(fd, path, max, out, err);
}

/* O_NONBLOCK: a FIFO in its place must not hang us. */
static enum fb_status open_secret(const char *path, int *fd_r, struct fb_error *err)
{
    struct stat st;
    enum fb_status s = FB_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fb_error_errno(err, errno == ENOENT ? FB_NOT_FOUND : FB_IO, errno, "%s", path);
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        s = fb_error_set(err, FB_CONFIG, "%s is not a regular file", path);
    } else if ((st.st_mode & 027) != 0) {
        s = fb_error_set(err, FB_CONFIG,
                         "%s can be read or changed by others (mode %03o): chmod 600", path,
                         (unsigned)st.st_mode & 0777);
    }
    if (s != FB_OK) {
        (void)close(fd);
        return s;
    }
    *fd_r = fd;
    return FB_OK;
}

enum fb_status fb_read_secret(const char *path, size_t max, struct fb_buf *out,
                              struct fb_error *err)
{
    int fd = -1;
    enum fb_status s = open_secret(path, &fd, err);
    return s == FB_OK ? read_all(fd, path, max, out, err) : s;
}

enum fb_status fb_check_secret(const char *path, struct fb_error *err)
{
    int fd = -1;
    enum fb_status s = open_secret(path, &fd, err);
    if (s == FB_OK) {
        (void)close(fd);
    }
    return s;
}

static int64_t clock_ms(clockid_t id)
{
    struct timespec ts = {0};
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t fb_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t fb_mono_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}
