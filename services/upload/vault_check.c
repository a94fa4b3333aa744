/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/vault_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/crypto.h"
#include "common/id.h"

#define FOLDER "file://"

static const char sample[] = "Fumibako tries this vault.\n";

static enum fb_status read_sample(void *ctx, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    size_t *done = ctx;
    size_t left = sizeof sample - 1 - *done;
    (void)err;
    *read_r = len < left ? len : left;
    memcpy(out, sample + *done, *read_r);
    *done += *read_r;
    return FB_OK;
}

static enum fb_status read_back(struct fb_vault *vault, const char *parcel_id, const char *file_id,
                                struct fb_error *err)
{
    char text[sizeof sample];
    size_t len = 0;
    struct fb_vault_reader *reader = NULL;
    enum fb_status s = fb_vault_file_open(vault, parcel_id, file_id, &reader, NULL, err);
    s = s == FB_OK ? fb_vault_file_read(reader, 0, text, sizeof text, &len, err) : s;
    if (s == FB_OK && (len != sizeof sample - 1 || memcmp(text, sample, len) != 0)) {
        s = fb_error_set(err, FB_CORRUPT, "what was read is not what was written");
    }
    fb_vault_file_close(&reader);
    return s;
}

static enum fb_status write_and_read(struct fb_vault *vault, struct fb_vault_parcel *state,
                                     struct fb_error *err)
{
    char file_id[FB_VAULT_FILE_ID];
    size_t done = 0;
    struct fb_vault_content content = {.size = sizeof sample - 1, .type = "text/plain"};
    fb_sha1(sample, sizeof sample - 1, content.sha1);
    fb_vault_file_id(state->parcel_id, 0, file_id);
    enum fb_status s = fb_vault_create(vault, state, NULL, err);
    s = s == FB_OK
            ? fb_vault_put(vault, state->parcel_id, file_id, &content, read_sample, &done, err)
            : s;
    return s == FB_OK ? read_back(vault, state->parcel_id, file_id, err) : s;
}

static enum fb_status try_writing(const struct fb_policy_storage *storage, struct fb_vault *vault,
                                  struct fb_error *err)
{
    char msg_id[FB_ID_SIZE];
    struct fb_error later = {0};
    struct fb_vault_parcel state = {.storage = storage->name};
    fb_id_new(msg_id);
    fb_parcel_id_make(msg_id, 0, state.parcel_id);
    enum fb_status s = write_and_read(vault, &state, err);
    enum fb_status erased = fb_vault_purge(vault, state.parcel_id, &later);
    if (s == FB_OK && erased != FB_OK) {
        *err = later;
        s = erased;
    }
    return s;
}

/* A bucket takes what comes. */
static enum fb_status find_free(const struct fb_policy_storage *storage, int64_t *free_r,
                                struct fb_error *err)
{
    struct statvfs fs;
    *free_r = -1;
    if (strncmp(storage->url, FOLDER, sizeof FOLDER - 1) != 0) {
        return FB_OK;
    }
    if (statvfs(storage->url + sizeof FOLDER - 1, &fs) != 0) {
        return fb_error_errno(err, FB_IO, errno, "look at the file system of the vault");
    }
    uint64_t bytes = 0;
    if (!__builtin_mul_overflow((uint64_t)fs.f_bavail, (uint64_t)fs.f_frsize, &bytes) &&
        bytes <= INT64_MAX) {
        *free_r = (int64_t)bytes;
    }
    return FB_OK;
}

static enum fb_status find_space(const struct fb_policy_storage *storage, struct fb_vault *vault,
                                 struct fb_storage_space *space_r, struct fb_error *err)
{
    uint64_t used = 0;
    enum fb_status s = fb_vault_usage(vault, &used, err);
    if (s == FB_OK) {
        space_r->used = used <= INT64_MAX ? (int64_t)used : INT64_MAX;
        space_r->quota = storage->quota;
        s = find_free(storage, &space_r->free, err);
    }
    return s;
}

void vault_check(const struct fb_policy_storage *storage, struct fb_vault *vault, bool writes,
                 struct fb_storage_report *report)
{
    struct fb_error err = {0};
    int64_t since = fb_mono_ms();
    if (writes) {
        enum fb_status s = try_writing(storage, vault, &err);
        (void)fb_storage_report_add(report, FB_STORAGE_WRITE, "", since, s, &err);
        if (s != FB_OK) {
            return;
        }
        since = fb_mono_ms();
    }
    enum fb_status s = find_space(storage, vault, &report->space, &err);
    (void)fb_storage_report_add(report, FB_STORAGE_SPACE, "", since, s, &err);
}
