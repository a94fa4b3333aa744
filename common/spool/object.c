/* SPDX-License-Identifier: Apache-2.0
 *
 * Derived objects: magic[8], salt[16], zero[8], then sealed chunks.  Each write draws a salt, and
 * with it a key of its own from the message's data key: an object may be written twice with other
 * content, and a key and nonce must never be.  Erasing the message's key makes its objects
 * unreadable too.
 */
#include "common/spool/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/limits.h"

#define HEADER     32U
#define MAX_NAME   64U
#define FIRST_READ ((size_t)128 << 10) /* most objects, whole, with one request */

static const uint8_t magic[8] = {'F', 'B', 'O', 'B', 'J', 'C', 'T', '1'};

struct fb_spool_object_out {
    const struct fb_spool *spool;
    int dir_fd;
    int fd;
    char msg_id[FB_ID_SIZE];
    char temp[FB_SPOOL_NAME_SIZE];
    char segment[FB_SPOOL_NAME_SIZE]; /* where the message lies in the bucket */
    uint64_t offset;
    char name[MAX_NAME + 1];
    struct fb_sealed_out sealed;
};

struct fb_spool_object {
    struct fb_sealed_chunks chunks;
};

static bool is_object_name(const char *name)
{
    size_t len = name != NULL ? strnlen(name, MAX_NAME + 1) : 0;
    return len > 0 && len <= MAX_NAME && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

/* The directory of a message's objects. */
static enum fb_status objects_dir(const struct fb_spool *spool, const char *msg_id, bool is_made,
                                  int *fd_r, struct fb_error *err)
{
    char fan[3];
    int fan_fd = -1;
    fb_fs_fan(msg_id, fan);
    enum fb_status status = fb_fs_dir_open(spool->objects_fd, fan, is_made, &fan_fd, err);
    if (status == FB_OK) {
        status = fb_fs_dir_open(fan_fd, msg_id, is_made, fd_r, err);
        (void)close(fan_fd);
    }
    return status;
}

/* In the bucket; "" gives what all of the message's objects begin with. */
static void remote_key(const char *msg_id, const char *name, char key[FB_S3_KEY_SIZE])
{
    char fan[3];
    fb_fs_fan(msg_id, fan);
    (void)snprintf(key, FB_S3_KEY_SIZE, "objects/%s/%s/%s", fan, msg_id, name);
}

enum fb_status fb_spool_objects_remove(const struct fb_spool *spool, const char *msg_id,
                                       struct fb_error *err)
{
    char fan[3];
    int fan_fd = -1;
    if (spool->remote != NULL) {
        char key[FB_S3_KEY_SIZE];
        remote_key(msg_id, "", key);
        return fb_remote_remove_all(spool->remote, key, err);
    }
    fb_fs_fan(msg_id, fan);
    enum fb_status status = fb_fs_dir_open(spool->objects_fd, fan, false, &fan_fd, err);
    if (status == FB_NOT_FOUND) {
        return FB_OK;
    }
    if (status == FB_OK) {
        status = fb_fs_dir_remove(fan_fd, msg_id, err);
        (void)close(fan_fd);
    }
    return status;
}

enum fb_status fb_spool_object_create(struct fb_spool_msg *msg, const char *name,
                                      struct fb_spool_object_out **out_r, struct fb_error *err)
{
    if (!is_object_name(name)) {
        return fb_error_set(err, FB_INVALID, "not a name for an object");
    }
    struct fb_spool_object_out *out = fb_xcalloc(1, sizeof *out);
    uint8_t header[HEADER] = {0};
    uint8_t key[FB_KEY_SIZE] = {0};
    out->spool = fb_spool_msg_spool(msg);
    out->dir_fd = -1;
    out->fd = -1;
    memcpy(out->msg_id, fb_spool_msg_id(msg), sizeof out->msg_id);
    memcpy(out->name, name, strlen(name) + 1);
    enum fb_status status = FB_OK;
    if (out->spool->remote != NULL) {
        fb_spool_msg_place(msg, out->segment, &out->offset);
        status = fb_remote_temp(&out->fd, err);
    } else {
        status = objects_dir(out->spool, out->msg_id, true, &out->dir_fd, err);
        if (status == FB_OK) {
            status = fb_fs_temp_new(out->dir_fd, true, out->temp, &out->fd, err);
        }
    }
    if (status == FB_OK) {
        memcpy(header, magic, sizeof magic);
        fb_random(header + 8, FB_KEYRING_SALT);
        fb_spool_msg_object_key(msg, name, header + 8, key);
        int e = fb_fs_write_at(out->fd, header, sizeof header, 0);
        status = e == 0
                     ? fb_sealed_begin(&out->sealed, (struct fb_sealed_dst){.fd = out->fd}, HEADER,
                                       FB_MAX_OBJECT, FB_SEAL_OBJECT, out->msg_id, key, err)
                     : fb_error_errno(err, fb_fs_errno_status(e), e, "write object");
    }
    fb_wipe(key, sizeof key);
    if (status != FB_OK) {
        fb_spool_object_abort(&out);
        (void)fb_error_prefix(err, "object %s", name);
        return status;
    }
    *out_r = out;
    return FB_OK;
}

enum fb_status fb_spool_object_add(struct fb_spool_object_out *out, const void *ptr, size_t len,
                                   struct fb_error *err)
{
    return fb_sealed_add(&out->sealed, ptr, len, err);
}

/* The entry and the directories that lead to it. */
static enum fb_status sync_dirs(const struct fb_spool_object_out *out, struct fb_error *err)
{
    char fan[3];
    int fan_fd = -1;
    fb_fs_fan(out->msg_id, fan);
    enum fb_status status = fb_fs_dir_open(out->spool->objects_fd, fan, false, &fan_fd, err);
    if (status != FB_OK) {
        return status;
    }
    if (fsync(out->dir_fd) != 0 || fsync(fan_fd) != 0 || fsync(out->spool->objects_fd) != 0) {
        status = fb_error_errno(err, fb_fs_errno_status(errno), errno, "sync object directory");
    }
    (void)close(fan_fd);
    return status;
}

/* Does the message still live?  As far as this process knows: what comes too late all the same goes
 * with the next tidying. */
static bool is_erased(const struct fb_spool_object_out *out)
{
    if (out->segment[0] != '\0') {
        return fb_remote_is_erased(out->spool->remote, out->segment, out->offset);
    }
    char key[FB_SPOOL_NAME_SIZE];
    struct fb_s3_info info;
    (void)snprintf(key, sizeof key, "large/%s.seg", out->msg_id);
    return fb_s3_head(fb_remote_s3(out->spool->remote), key, &info, NULL) == FB_NOT_FOUND;
}

static enum fb_status commit_remote(const struct fb_spool_object_out *out, struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    if (is_erased(out)) {
        return fb_error_set(err, FB_NOT_FOUND, "message %s is erased", out->msg_id);
    }
    remote_key(out->msg_id, out->name, key);
    return fb_remote_put_fd(out->spool->remote, key, out->fd, err);
}

enum fb_status fb_spool_object_commit(struct fb_spool_object_out **out_ptr, bool is_durable,
                                      struct fb_error *err)
{
    struct fb_spool_object_out *out = *out_ptr;
    enum fb_status status = fb_sealed_end(&out->sealed, err);
    if (out->spool->remote != NULL) {
        status = status == FB_OK ? commit_remote(out, err) : status;
        if (status != FB_OK) {
            (void)fb_error_prefix(err, "object %s", out->name);
        }
        fb_spool_object_abort(out_ptr);
        return status;
    }
    if (status == FB_OK && is_durable && fdatasync(out->fd) != 0) {
        status = fb_error_errno(err, fb_fs_errno_status(errno), errno, "sync object");
    }
    if (status == FB_OK && renameat(out->dir_fd, out->temp, out->dir_fd, out->name) != 0) {
        /* ENOENT: the message was erased meanwhile, and its directory with it. */
        status = errno == ENOENT
                     ? fb_error_set(err, FB_NOT_FOUND, "message %s is erased", out->msg_id)
                     : fb_error_errno(err, fb_fs_errno_status(errno), errno, "rename object");
    }
    if (status == FB_OK) {
        out->temp[0] = '\0';
        if (is_durable) {
            status = sync_dirs(out, err);
        }
    }
    if (status != FB_OK) {
        (void)fb_error_prefix(err, "object %s", out->name);
    }
    fb_spool_object_abort(out_ptr); /* frees; the temporary name is gone when all went well */
    return status;
}

void fb_spool_object_abort(struct fb_spool_object_out **out_ptr)
{
    struct fb_spool_object_out *out = *out_ptr;
    if (out == NULL) {
        return;
    }
    if (out->fd >= 0) {
        if (out->temp[0] != '\0') {
            (void)unlinkat(out->dir_fd, out->temp, 0);
        }
        (void)close(out->fd);
    }
    if (out->dir_fd >= 0) {
        (void)close(out->dir_fd);
    }
    fb_sealed_deinit(&out->sealed);
    free(out);
    *out_ptr = NULL;
}

enum fb_status fb_spool_object_put(struct fb_spool_msg *msg, const char *name,
                                   struct fb_slice bytes, bool is_durable, struct fb_error *err)
{
    struct fb_spool_object_out *out = NULL;
    enum fb_status status = fb_spool_object_create(msg, name, &out, err);
    if (status == FB_OK) {
        status = fb_spool_object_add(out, bytes.ptr, bytes.len, err);
    }
    if (status == FB_OK) {
        status = fb_spool_object_commit(&out, is_durable, err);
    }
    fb_spool_object_abort(&out);
    return status;
}

static enum fb_status open_src(const struct fb_spool *spool, const char *msg_id, const char *name,
                               struct fb_sealed_src *src, uint64_t *size, struct fb_error *err)
{
    int dir_fd = -1;
    if (spool->remote != NULL) {
        char key[FB_S3_KEY_SIZE];
        remote_key(msg_id, name, key);
        return fb_sealed_object_open(fb_remote_s3(spool->remote), key, 0, FIRST_READ, &src->object,
                                     size, err);
    }
    enum fb_status status = objects_dir(spool, msg_id, false, &dir_fd, err);
    if (status == FB_OK) {
        status = fb_fs_file_open(dir_fd, name, O_RDONLY, &src->fd, size, err);
        (void)close(dir_fd);
    }
    return status;
}

enum fb_status fb_spool_object_open(struct fb_spool_msg *msg, const char *name,
                                    struct fb_spool_object **object_r, struct fb_error *err)
{
    const char *msg_id = fb_spool_msg_id(msg);
    uint8_t header[HEADER];
    uint8_t key[FB_KEY_SIZE] = {0};
    uint64_t size = 0;
    size_t got = 0;
    struct fb_sealed_src src = FB_SEALED_SRC_NONE;
    if (!is_object_name(name)) {
        return fb_error_set(err, FB_INVALID, "not a name for an object");
    }
    enum fb_status status = open_src(fb_spool_msg_spool(msg), msg_id, name, &src, &size, err);
    if (status != FB_OK) {
        (void)fb_error_prefix(err, "object of %s", msg_id);
        return status;
    }
    int e = fb_sealed_src_read(&src, header, sizeof header, 0, &got);
    if (e != 0) {
        fb_sealed_src_close(&src);
        return fb_error_errno(err, FB_IO, e, "read object %s of %s", name, msg_id);
    }
    static const uint8_t zeros[8];
    if (got == sizeof header && fb_seal_is_newer(header, magic, sizeof magic)) {
        fb_sealed_src_close(&src);
        return fb_seal_newer(err, "a derived object of the mail");
    }
    if (got < sizeof header || memcmp(header, magic, sizeof magic) != 0 ||
        memcmp(header + 24, zeros, sizeof zeros) != 0) {
        fb_sealed_src_close(&src);
        return fb_error_set(err, FB_CORRUPT, "object %s of %s has no good header", name, msg_id);
    }
    struct fb_spool_object *object = fb_xcalloc(1, sizeof *object);
    fb_spool_msg_object_key(msg, name, header + 8, key);
    status = fb_sealed_open(&object->chunks, src, size, HEADER, FB_SEAL_OBJECT, msg_id, key, err);
    fb_wipe(key, sizeof key);
    if (status != FB_OK) {
        free(object);
        (void)fb_error_prefix(err, "object %s", name);
        return status;
    }
    *object_r = object;
    return FB_OK;
}

void fb_spool_object_close(struct fb_spool_object **object_ptr)
{
    if (*object_ptr != NULL) {
        fb_sealed_chunks_deinit(&(*object_ptr)->chunks);
        free(*object_ptr);
        *object_ptr = NULL;
    }
}

uint64_t fb_spool_object_size(const struct fb_spool_object *object)
{
    return object->chunks.content_len;
}

enum fb_status fb_spool_object_read(struct fb_spool_object *object, uint64_t offset, void *out,
                                    size_t len, size_t *read_r, struct fb_error *err)
{
    return fb_sealed_chunks_read(&object->chunks, offset, out, len, read_r, err);
}

enum fb_status fb_spool_object_get(struct fb_spool_msg *msg, const char *name, size_t max,
                                   struct fb_buf *out, struct fb_error *err)
{
    struct fb_spool_object *object = NULL;
    fb_buf_init(out, max);
    enum fb_status status = fb_spool_object_open(msg, name, &object, err);
    if (status == FB_OK) {
        status = fb_sealed_read_all(&object->chunks, max, out, err);
        if (status != FB_OK) {
            (void)fb_error_prefix(err, "object %s", name);
        }
    }
    fb_spool_object_close(&object);
    return status;
}
