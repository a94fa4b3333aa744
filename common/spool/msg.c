/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and erasing a spooled message by its ref: "s:<segment file>:<offset>" or "l:<msg_id>",
 * and behind it "@<id of the spool>".  Without that id, a worker that looks into another directory
 * (a volume that is not mounted, a mistyped url) would take every message for delivered and erased.
 */
#include "common/spool/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/limits.h"

#define FIRST_READ ((size_t)128 << 10) /* a small mail, whole, with one request */

static const char object_label[] = "fumibako spool object 1";

struct fb_spool_msg {
    const struct fb_spool *spool;
    char msg_id[FB_ID_SIZE];
    char segment[FB_SPOOL_NAME_SIZE]; /* in a bucket; "" for a large message */
    uint64_t offset;
    struct fb_sealed_chunks content;
    uint8_t *envelope;
    size_t envelope_len;
};

static bool parse_offset(const char *text, uint64_t *offset_r)
{
    size_t len = strnlen(text, 14);
    uint64_t value = 0;
    if (len == 0 || len > 13 || (len > 1 && text[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *offset_r = value;
    return value % FB_SPOOL_ALIGN == 0;
}

void fb_spool_ref_make(const struct fb_spool *spool, const char *segment, uint64_t offset,
                       const char *msg_id, char ref_r[FB_REF_SIZE])
{
    int n = segment != NULL ? snprintf(ref_r, FB_REF_SIZE, "s:%s:%llu@%s", segment,
                                       (unsigned long long)offset, spool->id)
                            : snprintf(ref_r, FB_REF_SIZE, "l:%s@%s", msg_id, spool->id);
    FB_ASSERT(n > 0 && n < FB_REF_SIZE);
}

static enum fb_status check_spool(const struct fb_spool *spool, const char *id,
                                  struct fb_error *err)
{
    if (!fb_id_is_valid(id)) {
        return fb_error_set(err, FB_INVALID, "not a reference into a spool");
    }
    if (strcmp(id, spool->id) != 0) {
        return fb_error_set(err, FB_CONFIG,
                            "the mail lies in spool %s, but spool.url leads to spool %s: is its "
                            "volume mounted, and spool.url right? Mend it and restart the service",
                            id, spool->id);
    }
    return FB_OK;
}

enum fb_status fb_spool_ref_parse(const struct fb_spool *spool, const char *ref, bool *is_large_r,
                                  char name_r[FB_SPOOL_NAME_SIZE], uint64_t *offset_r,
                                  struct fb_error *err)
{
    char place[FB_REF_SIZE] = "";
    const char *at = ref != NULL ? strrchr(ref, '@') : NULL;
    size_t place_len = at != NULL ? (size_t)(at - ref) : 0;
    if (place_len == 0 || place_len >= sizeof place) {
        return fb_error_set(err, FB_INVALID, "not a reference into a spool");
    }
    memcpy(place, ref, place_len);
    enum fb_status status = check_spool(spool, at + 1, err);
    if (status != FB_OK) {
        return status;
    }
    if (strncmp(place, "l:", 2) == 0 && fb_id_is_valid(place + 2)) {
        int n = snprintf(name_r, FB_SPOOL_NAME_SIZE, "%s.seg", place + 2);
        FB_ASSERT(n > 0 && n < (int)FB_SPOOL_NAME_SIZE);
        *is_large_r = true;
        *offset_r = 0;
        return FB_OK;
    }
    if (strncmp(place, "s:", 2) == 0) {
        const char *name = place + 2;
        const char *colon = strchr(name, ':');
        size_t len = colon != NULL ? (size_t)(colon - name) : 0;
        if (len > 0 && len < FB_SPOOL_NAME_SIZE) {
            memcpy(name_r, name, len);
            name_r[len] = '\0';
            if (fb_spool_file_name_is_valid(name_r, ".seg") && parse_offset(colon + 1, offset_r)) {
                *is_large_r = false;
                return FB_OK;
            }
        }
    }
    return fb_error_set(err, FB_INVALID, "not a reference into this spool");
}

/* Opens the file or object of ref and reads the record's header; of an object, ahead bytes with it.
 */
static enum fb_status open_record(const struct fb_spool *spool, const char *ref, int flags,
                                  size_t ahead, struct fb_sealed_src *src_r, uint64_t *offset_r,
                                  struct fb_spool_header *header_r, struct fb_error *err)
{
    char name[FB_SPOOL_NAME_SIZE];
    uint8_t bytes[FB_SPOOL_HEADER];
    struct fb_sealed_src src = FB_SEALED_SRC_NONE;
    bool is_large = false;
    uint64_t size = 0;
    size_t got = 0;
    enum fb_status status = fb_spool_ref_parse(spool, ref, &is_large, name, offset_r, err);
    if (status == FB_OK && spool->remote != NULL) {
        char key[FB_SPOOL_NAME_SIZE + 16];
        (void)snprintf(key, sizeof key, "%s/%s", is_large ? "large" : "segments", name);
        status = fb_sealed_object_open(fb_remote_s3(spool->remote), key, *offset_r, ahead,
                                       &src.object, &size, err);
    } else if (status == FB_OK) {
        status = fb_fs_file_open(is_large ? spool->large_fd : spool->segments_fd, name, flags,
                                 &src.fd, NULL, err);
    }
    if (status != FB_OK) {
        return status;
    }
    int e = fb_sealed_src_read(&src, bytes, sizeof bytes, *offset_r, &got);
    if (e != 0) {
        status = fb_error_errno(err, FB_IO, e, "read %s", name);
    } else if (got == sizeof bytes && fb_spool_header_is_newer(bytes)) {
        status = fb_seal_newer(err, "the mail in the spool");
    } else if (got < sizeof bytes || fb_spool_header_decode(bytes, header_r) != FB_OK) {
        status = fb_error_set(err, FB_CORRUPT, "no good record in %s at %llu", name,
                              (unsigned long long)*offset_r);
    }
    if (status == FB_OK && spool->remote != NULL && !is_large) {
        header_r->is_erased = fb_remote_is_erased(spool->remote, name, *offset_r);
    }
    if (status != FB_OK) {
        fb_sealed_src_close(&src);
        return status;
    }
    *src_r = src;
    return FB_OK;
}

static enum fb_status read_envelope(struct fb_spool_msg *msg, uint64_t at,
                                    const uint8_t key[FB_KEY_SIZE], struct fb_error *err)
{
    size_t len = msg->envelope_len + FB_TAG_SIZE;
    size_t got = 0;
    msg->envelope = fb_alloc_bounded(len, (size_t)FB_MAX_ENVELOPE + FB_TAG_SIZE);
    if (msg->envelope == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "no memory for an envelope");
    }
    int e = fb_sealed_src_read(&msg->content.src, msg->envelope, len, at, &got);
    if (e != 0) {
        return fb_error_errno(err, FB_IO, e, "read the envelope of %s", msg->msg_id);
    }
    if (got < len || fb_unseal(key, FB_SEAL_ENVELOPE, 0, true, msg->msg_id,
                               fb_slice_of(msg->envelope, len), msg->envelope) != FB_OK) {
        return fb_error_set(err, FB_CORRUPT, "the envelope of %s fails its check", msg->msg_id);
    }
    return FB_OK;
}

enum fb_status fb_spool_msg_open(struct fb_spool *spool, const char *ref,
                                 struct fb_spool_msg **msg_r, struct fb_error *err)
{
    struct fb_spool_header header = {0};
    uint8_t key[FB_KEY_SIZE] = {0};
    uint64_t offset = 0;
    struct fb_sealed_src src = FB_SEALED_SRC_NONE;
    enum fb_status status =
        open_record(spool, ref, O_RDONLY, FIRST_READ, &src, &offset, &header, err);
    if (status != FB_OK) {
        return status;
    }
    if (header.is_erased) {
        fb_sealed_src_close(&src);
        return fb_error_set(err, FB_NOT_FOUND, "message %s is erased", header.msg_id);
    }
    status = fb_spool_header_unwrap(spool, &header, key, err);
    if (status != FB_OK) {
        fb_sealed_src_close(&src);
        (void)fb_error_prefix(err, "message %s", header.msg_id);
        return status;
    }
    struct fb_spool_msg *msg = fb_xcalloc(1, sizeof *msg);
    msg->spool = spool;
    msg->envelope_len = header.envelope_len;
    msg->offset = offset;
    bool is_large = false;
    if (spool->remote != NULL &&
        (fb_spool_ref_parse(spool, ref, &is_large, msg->segment, &offset, NULL) != FB_OK ||
         is_large)) {
        msg->segment[0] = '\0';
    }
    memcpy(msg->msg_id, header.msg_id, sizeof msg->msg_id);
    uint64_t start = offset + FB_SPOOL_HEADER;
    fb_sealed_chunks_init(&msg->content, src, start, header.content_len, FB_SEAL_CONTENT,
                          msg->msg_id, key);
    status = read_envelope(msg, start + fb_sealed_len(header.content_len), key, err);
    fb_wipe(key, sizeof key);
    if (status != FB_OK) {
        fb_spool_msg_close(&msg);
        return status;
    }
    *msg_r = msg;
    return FB_OK;
}

void fb_spool_msg_close(struct fb_spool_msg **msg_ptr)
{
    struct fb_spool_msg *msg = *msg_ptr;
    if (msg == NULL) {
        return;
    }
    fb_sealed_chunks_deinit(&msg->content);
    if (msg->envelope != NULL) {
        fb_wipe(msg->envelope, msg->envelope_len);
        free(msg->envelope);
    }
    free(msg);
    *msg_ptr = NULL;
}

const char *fb_spool_msg_id(const struct fb_spool_msg *msg)
{
    return msg->msg_id;
}

uint64_t fb_spool_msg_size(const struct fb_spool_msg *msg)
{
    return msg->content.content_len;
}

struct fb_slice fb_spool_msg_envelope(const struct fb_spool_msg *msg)
{
    return fb_slice_of(msg->envelope, msg->envelope_len);
}

const struct fb_spool *fb_spool_msg_spool(const struct fb_spool_msg *msg)
{
    return msg->spool;
}

void fb_spool_msg_place(const struct fb_spool_msg *msg, char segment_r[FB_SPOOL_NAME_SIZE],
                        uint64_t *offset_r)
{
    memcpy(segment_r, msg->segment, sizeof msg->segment);
    *offset_r = msg->offset;
}

enum fb_status fb_spool_msg_read(struct fb_spool_msg *msg, uint64_t offset, void *out, size_t len,
                                 size_t *read_r, struct fb_error *err)
{
    return fb_sealed_chunks_read(&msg->content, offset, out, len, read_r, err);
}

void fb_spool_msg_object_key(const struct fb_spool_msg *msg, const char *name,
                             const uint8_t salt[FB_KEYRING_SALT], uint8_t key_r[FB_KEY_SIZE])
{
    /* The name is bound too: an object cannot be passed off as another one. */
    uint8_t info[sizeof object_label + 64];
    size_t len = strnlen(name, 64);
    memcpy(info, object_label, sizeof object_label); /* with its NUL, which no name holds */
    memcpy(info + sizeof object_label, name, len);
    fb_hkdf_sha256(fb_slice_of(msg->content.key, FB_KEY_SIZE), fb_slice_of(salt, FB_KEYRING_SALT),
                   fb_slice_of(info, sizeof object_label + len), key_r, FB_KEY_SIZE);
}

/* Overwrites the wrapped key, then gives the blocks back.  Without fdatasync: when a crash undoes
 * it, the message is live again and replayed, and the sent journal stops a second sending; so speed
 * is free here.  The header keeps its lengths, by which a scan steps over the record. */
static enum fb_status erase_record(int fd, uint64_t offset, const struct fb_spool_header *header,
                                   struct fb_error *err)
{
    uint8_t erased[FB_SPOOL_ERASE_SIZE];
    fb_spool_header_erased(erased);
    int e = fb_fs_write_at(fd, erased, sizeof erased, offset + FB_SPOOL_ERASE_OFFSET);
    if (e != 0) {
        return fb_error_errno(err, fb_fs_errno_status(e), e, "erase message %s", header->msg_id);
    }
    /* Not every file system can; the key is gone, so this is about space only. */
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)(offset + FB_SPOOL_HEADER),
                    (off_t)(header->record_len - FB_SPOOL_HEADER));
    return FB_OK;
}

/* Of a segment it is noted (remote_erase.c); a large message's object goes at once. */
static enum fb_status erase_remote(const struct fb_spool *spool, const char *ref, uint64_t offset,
                                   struct fb_error *err)
{
    char name[FB_SPOOL_NAME_SIZE];
    char key[FB_SPOOL_NAME_SIZE + 16];
    bool is_large = false;
    enum fb_status status = fb_spool_ref_parse(spool, ref, &is_large, name, &offset, err);
    if (status == FB_OK && is_large) {
        (void)snprintf(key, sizeof key, "large/%s", name);
        return fb_s3_delete(fb_remote_s3(spool->remote), key, err);
    }
    if (status == FB_OK) {
        fb_remote_erase(spool->remote, name, offset);
    }
    return status;
}

enum fb_status fb_spool_msg_erase(struct fb_spool *spool, const char *ref, const char *msg_id,
                                  struct fb_error *err)
{
    struct fb_spool_header header = {0};
    uint64_t offset = 0;
    struct fb_sealed_src src = FB_SEALED_SRC_NONE;
    if (!fb_id_is_valid(msg_id)) {
        return fb_error_set(err, FB_INVALID, "erase: not a message id");
    }
    enum fb_status status =
        open_record(spool, ref, O_RDWR, FB_SPOOL_HEADER, &src, &offset, &header, err);
    if (status == FB_INVALID) {
        return status;
    }
    if (status == FB_OK && strcmp(header.msg_id, msg_id) != 0) {
        fb_sealed_src_close(&src);
        return fb_error_set(err, FB_INVALID, "erase: another message than %s lies there", msg_id);
    }
    /* Objects first: after a crash in between, the message is still live and comes here again. */
    struct fb_error objects_err = {0};
    enum fb_status objects = fb_spool_objects_remove(spool, msg_id, &objects_err);
    if (status == FB_OK) {
        if (!header.is_erased) {
            status = spool->remote != NULL ? erase_remote(spool, ref, offset, err)
                                           : erase_record(src.fd, offset, &header, err);
        }
        fb_sealed_src_close(&src);
        if (status == FB_OK && ref[0] == 'l' && spool->remote == NULL) {
            char name[FB_SPOOL_NAME_SIZE];
            int n = snprintf(name, sizeof name, "%s.seg", msg_id);
            FB_ASSERT(n > 0 && (size_t)n < sizeof name);
            if (unlinkat(spool->large_fd, name, 0) != 0 && errno != ENOENT) {
                status = fb_error_errno(err, FB_IO, errno, "remove %s", name);
            }
        }
    } else if (status == FB_NOT_FOUND) {
        status = FB_OK; /* tidied away already */
    }
    if (status == FB_OK && objects != FB_OK) {
        status = fb_error_set(err, objects, "%s", objects_err.text);
    }
    return status;
}
