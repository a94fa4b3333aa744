/* SPDX-License-Identifier: Apache-2.0 */
#include "common/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/id.h"

#define MAX_KEY_FILE 16384U
#define MAX_KEYS     64U
#define LABEL_SIZE   64U
#define WRAPS        4096U /* under one salt: a random nonce is far from its bound of 2^32 */

struct ring_key {
    char id[FB_KEYRING_ID + 1];
    uint8_t print[FB_KEYRING_PRINT]; /* tells a wrong key from a damaged record */
    uint8_t key[FB_KEY_SIZE];
};

/* The wrapping key in use.  Deriving one costs as much as sealing a small mail. */
struct wrapping {
    uint32_t left; /* 0: derive */
    uint8_t salt[FB_KEYRING_SALT];
    uint8_t key[FB_KEY_SIZE];
};

struct fb_keyring {
    char wrap_label[LABEL_SIZE], print_label[LABEL_SIZE];
    struct ring_key keys[MAX_KEYS]; /* the first one seals */
    size_t key_count;
    pthread_mutex_t lock; /* of the wrapping key */
    struct wrapping wrapping;
};

static bool is_key_id(struct fb_slice id)
{
    if (id.len == 0 || id.len > FB_KEYRING_ID) {
        return false;
    }
    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-')) {
            return false;
        }
    }
    return true;
}

static enum fb_status parse_line(struct fb_keyring *ring, struct fb_slice line, int number,
                                 struct fb_error *err)
{
    size_t colon = fb_slice_find(line, FB_SLICE_LITERAL(":"));
    if (colon == SIZE_MAX || !is_key_id(fb_slice_sub(line, 0, colon))) {
        return fb_error_set(err, FB_CONFIG, "line %d: expected <id>:<base64 of 32 bytes>", number);
    }
    if (ring->key_count == MAX_KEYS) {
        return fb_error_set(err, FB_CONFIG, "line %d: more than %u keys", number, MAX_KEYS);
    }
    struct ring_key *key = &ring->keys[ring->key_count];
    memcpy(key->id, line.ptr, colon);
    key->id[colon] = '\0';
    for (size_t i = 0; i < ring->key_count; i++) {
        if (strcmp(ring->keys[i].id, key->id) == 0) {
            return fb_error_set(err, FB_CONFIG, "line %d: the id %s stands twice", number, key->id);
        }
    }
    struct fb_buf bytes;
    fb_buf_init(&bytes, FB_KEY_SIZE);
    enum fb_status status =
        fb_base64_decode(fb_slice_sub(line, colon + 1, line.len - colon - 1), &bytes);
    if (status == FB_OK && bytes.len == FB_KEY_SIZE) {
        memcpy(key->key, bytes.ptr, FB_KEY_SIZE);
        uint8_t print[FB_SHA256_SIZE];
        fb_hmac_sha256(fb_slice_of(key->key, FB_KEY_SIZE), fb_slice_str(ring->print_label), print);
        memcpy(key->print, print, sizeof key->print);
        ring->key_count++;
    } else {
        status = fb_error_set(err, FB_CONFIG, "line %d: the key of %s is not 32 bytes in base64",
                              number, key->id);
    }
    fb_wipe(bytes.ptr, bytes.cap);
    fb_buf_deinit(&bytes);
    return status;
}

/* The mounted secrets of Kubernetes are links and readable by our group: both are allowed. */
static enum fb_status read_key_file(const char *path, uint8_t *out, size_t max, size_t *len_r,
                                    struct fb_error *err)
{
    enum fb_status status = FB_OK;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fb_error_errno(err, FB_CONFIG, errno, "key file %s", path);
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        status = fb_error_set(err, FB_CONFIG, "key file %s is not a regular file", path);
    } else if ((st.st_mode & 027) != 0) {
        status = fb_error_set(err, FB_CONFIG,
                              "key file %s can be read or changed by others (mode %03o): chmod 600",
                              path, (unsigned)st.st_mode & 0777);
    } else if (st.st_uid != geteuid() && st.st_uid != 0) {
        status = fb_error_set(err, FB_CONFIG, "key file %s belongs to user %u", path,
                              (unsigned)st.st_uid);
    } else {
        int e = fb_fs_read_at(fd, out, max, 0, len_r);
        if (e != 0) {
            status = fb_error_errno(err, FB_CONFIG, e, "key file %s", path);
        } else if (*len_r == max) {
            status = fb_error_set(err, FB_CONFIG, "key file %s is too large", path);
        }
    }
    (void)close(fd);
    return status;
}

enum fb_status fb_keyring_load(const char *path, const char *purpose, struct fb_keyring **ring_r,
                               struct fb_error *err)
{
    uint8_t *text = fb_xcalloc(1, MAX_KEY_FILE);
    size_t len = 0;
    enum fb_status status = read_key_file(path, text, MAX_KEY_FILE, &len, err);
    struct fb_keyring *ring = fb_xcalloc(1, sizeof *ring);
    FB_ASSERT(pthread_mutex_init(&ring->lock, NULL) == 0);
    int n = snprintf(ring->wrap_label, LABEL_SIZE, "fumibako %s wrap 1", purpose);
    int m = snprintf(ring->print_label, LABEL_SIZE, "fumibako %s key print 1", purpose);
    FB_ASSERT(n > 0 && n < (int)LABEL_SIZE && m > 0 && m < (int)LABEL_SIZE);
    /* Not into swap, where the system permits it (RLIMIT_MEMLOCK). */
    (void)mlock(ring, sizeof *ring);
    int number = 0;
    for (size_t at = 0; at < len && status == FB_OK;) {
        const uint8_t *end = memchr(text + at, '\n', len - at);
        size_t stop = end != NULL ? (size_t)(end - text) : len;
        struct fb_slice line = fb_slice_trim(fb_slice_of(text + at, stop - at));
        number++;
        at = stop + 1;
        if (line.len > 0 && line.ptr[0] != '#') {
            status = parse_line(ring, line, number, err);
            if (status != FB_OK) {
                (void)fb_error_prefix(err, "key file %s", path);
            }
        }
    }
    if (status == FB_OK && ring->key_count == 0) {
        status = fb_error_set(err, FB_CONFIG, "key file %s holds no key", path);
    }
    fb_wipe(text, MAX_KEY_FILE);
    free(text);
    if (status != FB_OK) {
        fb_keyring_free(&ring);
        return status;
    }
    *ring_r = ring;
    return FB_OK;
}

void fb_keyring_free(struct fb_keyring **ring_ptr)
{
    struct fb_keyring *ring = *ring_ptr;
    if (ring != NULL) {
        FB_ASSERT(pthread_mutex_destroy(&ring->lock) == 0);
        fb_wipe(ring, sizeof *ring);
        (void)munlock(ring, sizeof *ring);
        free(ring);
        *ring_ptr = NULL;
    }
}

static void wrapping_key(const struct fb_keyring *ring, const struct ring_key *key,
                         const uint8_t salt[FB_KEYRING_SALT], uint8_t out[FB_KEY_SIZE])
{
    fb_hkdf_sha256(fb_slice_of(key->key, FB_KEY_SIZE), fb_slice_of(salt, FB_KEYRING_SALT),
                   fb_slice_str(ring->wrap_label), out, FB_KEY_SIZE);
}

static void current_wrapping(struct fb_keyring *ring, uint8_t salt_r[FB_KEYRING_SALT],
                             uint8_t key_r[FB_KEY_SIZE])
{
    struct wrapping *w = &ring->wrapping;
    FB_ASSERT(pthread_mutex_lock(&ring->lock) == 0);
    if (w->left == 0) {
        fb_random(w->salt, sizeof w->salt);
        wrapping_key(ring, &ring->keys[0], w->salt, w->key);
        w->left = WRAPS;
    }
    w->left--;
    memcpy(salt_r, w->salt, FB_KEYRING_SALT);
    memcpy(key_r, w->key, FB_KEY_SIZE);
    FB_ASSERT(pthread_mutex_unlock(&ring->lock) == 0);
}

void fb_keyring_wrap(struct fb_keyring *ring, struct fb_slice aad, const uint8_t key[FB_KEY_SIZE],
                     struct fb_key_wrap *wrap_r)
{
    const struct ring_key *by = &ring->keys[0];
    uint8_t wrapping[FB_KEY_SIZE];
    memset(wrap_r, 0, sizeof *wrap_r);
    memcpy(wrap_r->key_id, by->id, strnlen(by->id, FB_KEYRING_ID));
    memcpy(wrap_r->print, by->print, sizeof wrap_r->print);
    fb_random(wrap_r->nonce, FB_NONCE_SIZE);
    current_wrapping(ring, wrap_r->salt, wrapping);
    fb_gcm_seal(wrapping, wrap_r->nonce, aad, fb_slice_of(key, FB_KEY_SIZE), wrap_r->key,
                wrap_r->tag);
    fb_wipe(wrapping, sizeof wrapping);
}

enum fb_status fb_keyring_unwrap(const struct fb_keyring *ring, struct fb_slice aad,
                                 const struct fb_key_wrap *wrap, uint8_t key_r[FB_KEY_SIZE],
                                 struct fb_error *err)
{
    char id[FB_KEYRING_ID + 1] = {0};
    memcpy(id, wrap->key_id, FB_KEYRING_ID);
    const struct ring_key *by = NULL;
    for (size_t i = 0; i < ring->key_count; i++) {
        /* With the padding, which load left zero: no two headers mean the same. */
        if (memcmp(ring->keys[i].id, id, sizeof id) == 0) {
            by = &ring->keys[i];
        }
    }
    if (by == NULL) {
        return fb_error_set(err, FB_CONFIG, "the key %s is not in the key file", id);
    }
    if (memcmp(by->print, wrap->print, sizeof by->print) != 0) {
        return fb_error_set(err, FB_CONFIG, "the key %s in the key file is another one", id);
    }
    uint8_t wrapping[FB_KEY_SIZE];
    wrapping_key(ring, by, wrap->salt, wrapping);
    enum fb_status status = fb_gcm_open(wrapping, wrap->nonce, aad,
                                        fb_slice_of(wrap->key, FB_KEY_SIZE), wrap->tag, key_r);
    fb_wipe(wrapping, sizeof wrapping);
    if (status != FB_OK) {
        return fb_error_set(err, status, "the data key fails its check");
    }
    return FB_OK;
}

static enum fb_status write_key(int fd, struct fb_error *err)
{
    uint8_t key[FB_KEY_SIZE];
    struct fb_buf line;
    fb_buf_init(&line, 256);
    fb_random(key, sizeof key);
    enum fb_status status = fb_buf_printf(
        &line, "k%lld:", (long long)(fb_now_ms() / 1000)); /* unique enough to rotate */
    if (status == FB_OK) {
        status = fb_base64_encode(fb_slice_of(key, sizeof key), &line);
    }
    if (status == FB_OK) {
        status = fb_buf_add_char(&line, '\n');
    }
    fb_wipe(key, sizeof key);
    if (status != FB_OK) {
        (void)fb_error_set(err, status, "make a key");
    } else {
        int e = fb_fs_write_at(fd, line.ptr, line.len, 0);
        if (e == 0 && fsync(fd) != 0) {
            e = errno;
        }
        if (e != 0) {
            status = fb_error_errno(err, fb_fs_errno_status(e), e, "write key file");
        }
    }
    fb_wipe(line.ptr, line.cap);
    fb_buf_deinit(&line);
    return status;
}

/* The directory entry must be on disk before anything is sealed with this key. */
static enum fb_status sync_parent(const char *path, struct fb_error *err)
{
    enum fb_status status = FB_OK;
    char *copy = fb_xstrdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        status = fb_error_errno(err, FB_IO, errno, "sync the directory of %s", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(copy);
    return status;
}

enum fb_status fb_keyring_make_file(const char *path, struct fb_error *err)
{
    char temp[4096];
    uint8_t number[8];
    char hex[2 * sizeof number + 1];
    if (access(path, F_OK) == 0) {
        return FB_OK;
    }
    fb_random(number, sizeof number);
    fb_hex(number, sizeof number, hex);
    int n = snprintf(temp, sizeof temp, "%s.%s.tmp", path, hex);
    if (n < 0 || (size_t)n >= sizeof temp) {
        return fb_error_set(err, FB_CONFIG, "key file %s: the name is too long", path);
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fb_error_errno(err, FB_CONFIG, errno, "make key file %s", path);
    }
    enum fb_status status = write_key(fd, err);
    (void)close(fd);
    /* link refuses to replace: of two that start at once, both go on with the key of the first. */
    if (status == FB_OK && link(temp, path) != 0 && errno != EEXIST) {
        status = fb_error_errno(err, FB_CONFIG, errno, "make key file %s", path);
    }
    (void)unlink(temp);
    return status == FB_OK ? sync_parent(path, err) : status;
}

void fb_keyring_derive(const struct fb_keyring *ring, const char *purpose,
                       uint8_t key_r[FB_KEY_SIZE])
{
    const struct ring_key *key = &ring->keys[0];
    fb_hkdf_sha256(fb_slice_of(key->key, sizeof key->key), fb_slice_of(NULL, 0),
                   fb_slice_str(purpose), key_r, FB_KEY_SIZE);
}
