/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests: magic[8], zero[4], the wrapped key, then sealed chunks.  They outlive the message, so
 * each has a key of its own.  A put is durable and seen whole or not at all.
 */
#include "common/spool/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/limits.h"

#define HEADER     128U
#define FIRST_READ ((size_t)128 << 10)

static const uint8_t magic[8] = {'F', 'B', 'M', 'A', 'N', 'I', 'F', '1'};

static enum fb_status fan_open(const struct fb_spool *spool, const char *parcel_id, bool is_made,
                               int *fd_r, struct fb_error *err)
{
    char place[FB_FS_PLACE];
    enum fb_status s = fb_fs_parcel_place(parcel_id, place, err);
    if (s != FB_OK) {
        return s;
    }
    *strchr(place, '/') = '\0';
    return fb_fs_dir_open(spool->manifests_fd, place, is_made, fd_r, err);
}

/* Binds the key to the parcel. */
static struct fb_slice key_aad(const char *parcel_id, uint8_t aad[64])
{
    size_t len = strnlen(parcel_id, FB_PARCEL_ID_SIZE);
    memcpy(aad, magic, sizeof magic);
    memcpy(aad + sizeof magic, parcel_id, len);
    return fb_slice_of(aad, sizeof magic + len);
}

static enum fb_status write_manifest(const struct fb_spool *spool, const char *parcel_id, int fd,
                                     struct fb_slice bytes, struct fb_error *err)
{
    uint8_t header[HEADER] = {0};
    uint8_t key[FB_KEY_SIZE];
    uint8_t aad[64];
    struct fb_key_wrap wrap;
    struct fb_sealed_out out = {0};
    fb_random(key, sizeof key);
    fb_keyring_wrap(spool->keys, key_aad(parcel_id, aad), key, &wrap);
    memcpy(header, magic, sizeof magic);
    memcpy(header + 12, wrap.key_id, FB_KEYRING_ID);
    memcpy(header + 44, wrap.print, FB_KEYRING_PRINT);
    memcpy(header + 52, wrap.salt, FB_KEYRING_SALT);
    memcpy(header + 68, wrap.nonce, FB_NONCE_SIZE);
    memcpy(header + 80, wrap.key, FB_KEY_SIZE);
    memcpy(header + 112, wrap.tag, FB_TAG_SIZE);
    enum fb_status status = fb_sealed_begin(&out, (struct fb_sealed_dst){.fd = fd}, HEADER,
                                            FB_MAX_MANIFEST, FB_SEAL_MANIFEST, parcel_id, key, err);
    fb_wipe(key, sizeof key);
    if (status == FB_OK) {
        status = fb_sealed_add(&out, bytes.ptr, bytes.len, err);
    }
    if (status == FB_OK) {
        status = fb_sealed_end(&out, err);
    }
    if (status == FB_OK) {
        int e = fb_fs_write_at(fd, header, sizeof header, 0);
        if (e == 0 && spool->remote == NULL && fdatasync(fd) != 0) {
            e = errno;
        }
        if (e != 0) {
            status = fb_error_errno(err, fb_fs_errno_status(e), e, "write manifest");
        }
    }
    fb_sealed_deinit(&out);
    return status;
}

static enum fb_status remote_key(const char *parcel_id, char key[FB_S3_KEY_SIZE],
                                 struct fb_error *err)
{
    char place[FB_FS_PLACE];
    enum fb_status s = fb_fs_parcel_place(parcel_id, place, err);
    if (s == FB_OK) {
        (void)snprintf(key, FB_S3_KEY_SIZE, "manifests/%s", place);
    }
    return s;
}

static enum fb_status remote_put(const struct fb_spool *spool, const char *parcel_id,
                                 struct fb_slice bytes, struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    int fd = -1;
    enum fb_status status = remote_key(parcel_id, key, err);
    if (status == FB_OK) {
        status = fb_remote_temp(&fd, err);
    }
    if (status == FB_OK) {
        status = write_manifest(spool, parcel_id, fd, bytes, err);
        if (status == FB_OK) {
            status = fb_remote_put_fd(spool->remote, key, fd, err);
        }
        (void)close(fd);
    }
    return status == FB_OK ? FB_OK : fb_error_prefix(err, "manifest");
}

enum fb_status fb_spool_manifest_put(struct fb_spool *spool, const char *parcel_id,
                                     struct fb_slice bytes, struct fb_error *err)
{
    char temp[FB_SPOOL_NAME_SIZE] = "";
    int dir_fd = -1;
    int fd = -1;
    if (spool->remote != NULL) {
        return remote_put(spool, parcel_id, bytes, err);
    }
    enum fb_status status = fan_open(spool, parcel_id, true, &dir_fd, err);
    if (status == FB_OK) {
        /* In large/, where tidy removes what a crash leaves behind. */
        status = fb_fs_temp_new(spool->large_fd, false, temp, &fd, err);
    }
    if (status == FB_OK) {
        status = write_manifest(spool, parcel_id, fd, bytes, err);
        if (status == FB_OK && renameat(spool->large_fd, temp, dir_fd, parcel_id) != 0) {
            status = fb_error_errno(err, fb_fs_errno_status(errno), errno, "rename manifest");
        }
        if (status != FB_OK) {
            (void)unlinkat(spool->large_fd, temp, 0);
        } else if (fsync(dir_fd) != 0 || fsync(spool->manifests_fd) != 0) {
            status = fb_error_errno(err, fb_fs_errno_status(errno), errno, "sync manifests");
        }
        (void)close(fd);
    }
    if (dir_fd >= 0) {
        (void)close(dir_fd);
    }
    if (status != FB_OK) {
        (void)fb_error_prefix(err, "manifest");
    }
    return status;
}

static enum fb_status read_manifest(const struct fb_spool *spool, const char *parcel_id,
                                    struct fb_sealed_src src, uint64_t size, struct fb_buf *out,
                                    struct fb_error *err)
{
    uint8_t header[HEADER];
    uint8_t key[FB_KEY_SIZE] = {0};
    uint8_t aad[64];
    static const uint8_t zeros[4];
    struct fb_key_wrap wrap;
    struct fb_sealed_chunks chunks;
    size_t got = 0;
    enum fb_status status = FB_OK;
    int e = fb_sealed_src_read(&src, header, sizeof header, 0, &got);
    if (e != 0) {
        status = fb_error_errno(err, FB_IO, e, "read");
    } else if (got == sizeof header && fb_seal_is_newer(header, magic, sizeof magic)) {
        status = fb_seal_newer(err, "the manifest");
    } else if (got < sizeof header || memcmp(header, magic, sizeof magic) != 0 ||
               memcmp(header + 8, zeros, sizeof zeros) != 0) {
        status = fb_error_set(err, FB_CORRUPT, "no good header");
    } else {
        memcpy(wrap.key_id, header + 12, FB_KEYRING_ID);
        memcpy(wrap.print, header + 44, FB_KEYRING_PRINT);
        memcpy(wrap.salt, header + 52, FB_KEYRING_SALT);
        memcpy(wrap.nonce, header + 68, FB_NONCE_SIZE);
        memcpy(wrap.key, header + 80, FB_KEY_SIZE);
        memcpy(wrap.tag, header + 112, FB_TAG_SIZE);
        status = fb_keyring_unwrap(spool->keys, key_aad(parcel_id, aad), &wrap, key, err);
    }
    if (status != FB_OK) {
        fb_sealed_src_close(&src);
        return status;
    }
    status = fb_sealed_open(&chunks, src, size, HEADER, FB_SEAL_MANIFEST, parcel_id, key, err);
    fb_wipe(key, sizeof key);
    if (status == FB_OK) {
        status = fb_sealed_read_all(&chunks, FB_MAX_MANIFEST, out, err);
        fb_sealed_chunks_deinit(&chunks);
    }
    return status;
}

enum fb_status fb_spool_manifest_get(struct fb_spool *spool, const char *parcel_id,
                                     struct fb_buf *out, struct fb_error *err)
{
    uint64_t size = 0;
    struct fb_sealed_src src = FB_SEALED_SRC_NONE;
    int dir_fd = -1;
    enum fb_status status = FB_OK;
    fb_buf_init(out, FB_MAX_MANIFEST);
    if (spool->remote != NULL) {
        char key[FB_S3_KEY_SIZE];
        status = remote_key(parcel_id, key, err);
        if (status == FB_OK) {
            status = fb_sealed_object_open(fb_remote_s3(spool->remote), key, 0, FIRST_READ,
                                           &src.object, &size, err);
        }
    } else {
        status = fan_open(spool, parcel_id, false, &dir_fd, err);
        if (status == FB_OK) {
            status = fb_fs_file_open(dir_fd, parcel_id, O_RDONLY, &src.fd, &size, err);
            (void)close(dir_fd);
        }
    }
    if (status == FB_OK) {
        status = read_manifest(spool, parcel_id, src, size, out, err);
    }
    if (status != FB_OK) {
        (void)fb_error_prefix(err, "manifest");
    }
    return status;
}

enum fb_status fb_spool_manifest_remove(struct fb_spool *spool, const char *parcel_id,
                                        struct fb_error *err)
{
    int dir_fd = -1;
    if (spool->remote != NULL) {
        char key[FB_S3_KEY_SIZE];
        enum fb_status s = remote_key(parcel_id, key, err);
        return s == FB_OK ? fb_s3_delete(fb_remote_s3(spool->remote), key, err) : s;
    }
    enum fb_status status = fan_open(spool, parcel_id, false, &dir_fd, err);
    if (status == FB_NOT_FOUND) {
        return FB_OK;
    }
    if (status == FB_OK) {
        if (unlinkat(dir_fd, parcel_id, 0) != 0 && errno != ENOENT) {
            status = fb_error_errno(err, FB_IO, errno, "remove");
        } else if (fsync(dir_fd) != 0) { /* a purge must not come back */
            status = fb_error_errno(err, fb_fs_errno_status(errno), errno, "sync");
        }
        (void)close(dir_fd);
    }
    if (status != FB_OK) {
        (void)fb_error_prefix(err, "manifest");
    }
    return status;
}

static enum fb_status each_of_fan(struct fb_spool *spool, const char *fan,
                                  bool (*each)(void *ctx, const char *parcel_id), void *ctx,
                                  bool *goes_on, struct fb_error *err)
{
    struct fb_fs_names names = {0};
    int dir_fd = -1;
    enum fb_status status = fb_fs_dir_open(spool->manifests_fd, fan, false, &dir_fd, err);
    if (status != FB_OK) {
        return status;
    }
    status = fb_fs_names_read(dir_fd, "", &names, err);
    (void)close(dir_fd);
    for (size_t i = 0; i < names.count && *goes_on; i++) {
        char msg_id[FB_ID_SIZE];
        uint32_t branch = 0;
        if (fb_parcel_id_split(names.names[i], msg_id, &branch)) {
            *goes_on = each(ctx, names.names[i]);
        }
    }
    fb_fs_names_free(&names);
    return status;
}

struct remote_each {
    bool (*each)(void *ctx, const char *parcel_id);
    void *ctx;
};

static enum fb_status on_remote(void *ctx, const struct fb_s3_entry *entry, struct fb_error *err)
{
    const struct remote_each *r = ctx;
    const char *name = strrchr(entry->key, '/');
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    (void)err;
    return name == NULL || !fb_parcel_id_split(name + 1, msg_id, &branch) ||
                   r->each(r->ctx, name + 1)
               ? FB_OK
               : FB_LOST;
}

enum fb_status fb_spool_manifest_each(struct fb_spool *spool,
                                      bool (*each)(void *ctx, const char *parcel_id), void *ctx,
                                      struct fb_error *err)
{
    struct fb_fs_names fans = {0};
    bool goes_on = true;
    if (spool->remote != NULL) {
        struct remote_each r = {each, ctx};
        enum fb_status s = fb_remote_each(spool->remote, "manifests/", NULL, on_remote, &r, err);
        return s == FB_LOST ? FB_OK : s;
    }
    enum fb_status status = fb_fs_names_read(spool->manifests_fd, "", &fans, err);
    for (size_t i = 0; i < fans.count && goes_on && status == FB_OK; i++) {
        status = each_of_fan(spool, fans.names[i], each, ctx, &goes_on, err);
    }
    fb_fs_names_free(&fans);
    return status;
}
