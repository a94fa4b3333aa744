/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an object by range, through a window: parsers read some kilobytes at a time, and each
 * request costs a round trip and money.  Reads that go on where the last one ended widen the
 * window, up to 4 MiB.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/log.h"
#include "common/sealed/sealed.h"

#define MAX_WINDOW ((size_t)4 << 20)

struct fb_sealed_object {
    struct fb_s3 *s3;
    char key[FB_S3_KEY_SIZE];
    char etag[80];
    uint64_t size;
    pthread_mutex_t lock;
    uint8_t *window;
    size_t window_cap;
    uint64_t window_at;
    size_t window_len;
    size_t ahead;
};

static enum fb_status fetch(struct fb_sealed_object *src, uint64_t offset, size_t len,
                            struct fb_error *err)
{
    struct fb_s3_info info = {0};
    size_t got = 0;
    if (src->window_cap < len) {
        free(src->window);
        src->window_cap = 0;
        src->window_len = 0;
        src->window = fb_alloc_bounded(len, MAX_WINDOW);
        if (src->window == NULL) {
            return fb_error_set(err, FB_NO_SPACE, "no memory to read from the bucket");
        }
        src->window_cap = len;
    }
    enum fb_status s = fb_s3_get(src->s3, src->key, offset, src->window, len,
                                 src->etag[0] != '\0' ? src->etag : NULL, &got, &info, err);
    src->window_at = offset;
    src->window_len = s == FB_OK ? got : 0;
    if (s == FB_OK && src->etag[0] == '\0') {
        src->size = info.size;
        memcpy(src->etag, info.etag, sizeof src->etag);
    }
    return s;
}

enum fb_status fb_sealed_object_open(struct fb_s3 *s3, const char *key, uint64_t offset,
                                     size_t ahead, struct fb_sealed_object **src_r,
                                     uint64_t *size_r, struct fb_error *err)
{
    size_t len = strnlen(key, FB_S3_KEY_SIZE);
    FB_ASSERT(len < FB_S3_KEY_SIZE && ahead <= MAX_WINDOW);
    struct fb_sealed_object *src = fb_xcalloc(1, sizeof *src);
    src->s3 = s3;
    src->ahead = ahead;
    memcpy(src->key, key, len + 1);
    FB_ASSERT(pthread_mutex_init(&src->lock, NULL) == 0);
    enum fb_status s = fetch(src, offset, ahead, err);
    if (s != FB_OK) {
        fb_sealed_object_close(&src);
        return s;
    }
    *src_r = src;
    *size_r = src->size;
    return FB_OK;
}

void fb_sealed_object_close(struct fb_sealed_object **src_ptr)
{
    struct fb_sealed_object *src = *src_ptr;
    if (src != NULL) {
        FB_ASSERT(pthread_mutex_destroy(&src->lock) == 0);
        free(src->window); /* cipher text only */
        free(src);
        *src_ptr = NULL;
    }
}

int fb_sealed_object_read(struct fb_sealed_object *src, void *out, size_t len, uint64_t offset,
                          size_t *got_r)
{
    uint8_t *to = out;
    size_t done = 0;
    int e = 0;
    FB_ASSERT(pthread_mutex_lock(&src->lock) == 0);
    while (done < len && offset + done < src->size && e == 0) {
        uint64_t at = offset + done;
        uint64_t end = src->window_at + src->window_len;
        if (at >= src->window_at && at < end) {
            size_t have = (size_t)(end - at);
            size_t take = have < len - done ? have : len - done;
            memcpy(to + done, src->window + (at - src->window_at), take);
            done += take;
            continue;
        }
        struct fb_error err = {0};
        if (at == end && src->ahead < MAX_WINDOW) {
            src->ahead *= 4;
        }
        if (src->ahead > MAX_WINDOW) {
            src->ahead = MAX_WINDOW;
        }
        enum fb_status s = fetch(src, at, src->ahead, &err);
        if (s != FB_OK || src->window_len == 0) {
            fb_log(FB_WARN, "the bucket: %s", s != FB_OK ? err.text : "an empty answer");
            e = s == FB_NO_SPACE ? ENOMEM : EIO;
        }
    }
    FB_ASSERT(pthread_mutex_unlock(&src->lock) == 0);
    *got_r = done;
    return e;
}

int fb_sealed_src_read(const struct fb_sealed_src *src, void *out, size_t len, uint64_t offset,
                       size_t *got_r)
{
    return src->object != NULL ? fb_sealed_object_read(src->object, out, len, offset, got_r)
                               : fb_fs_read_at(src->fd, out, len, offset, got_r);
}

void fb_sealed_src_close(struct fb_sealed_src *src)
{
    fb_sealed_object_close(&src->object);
    if (src->fd >= 0) {
        (void)close(src->fd);
    }
    src->fd = -1;
}
