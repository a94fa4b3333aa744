/* SPDX-License-Identifier: Apache-2.0
 *
 * A vault in a folder: what lies in it. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/vault/internal.h"

enum fb_status fb_vault_file_list(struct fb_vault *v, const char *parcel_id,
                                  fb_vault_entry_fn *each, void *ctx, struct fb_error *err)
{
    struct fb_fs_names names = {0};
    int dir_fd = -1;
    enum fb_status s = fb_vault_file_dir(v, parcel_id, &dir_fd, err);
    if (s != FB_OK) {
        return s;
    }
    s = fb_fs_names_read(dir_fd, "", &names, err);
    bool goes_on = true;
    for (size_t i = 0; i < names.count && goes_on; i++) {
        struct stat st;
        if (fstatat(dir_fd, names.names[i], &st, AT_SYMLINK_NOFOLLOW) == 0) {
            const struct fb_vault_entry entry = {.name = names.names[i],
                                                 .size = (uint64_t)st.st_size,
                                                 .modified_ms = (int64_t)st.st_mtime * 1000};
            goes_on = each(ctx, &entry);
        }
    }
    fb_fs_names_free(&names);
    (void)close(dir_fd);
    return s;
}

/* Calls with each folder of a parcel; dir_fd is lent. */
static enum fb_status walk(const struct fb_vault *v,
                           bool (*each)(void *ctx, int dir_fd, const char *parcel_id), void *ctx,
                           struct fb_error *err)
{
    struct fb_fs_names fans = {0};
    bool goes_on = true;
    enum fb_status s = fb_fs_names_read(v->parcels_fd, "", &fans, err);
    for (size_t i = 0; i < fans.count && goes_on && s == FB_OK; i++) {
        struct fb_fs_names names = {0};
        int fan_fd = -1;
        if (fb_fs_dir_open(v->parcels_fd, fans.names[i], false, &fan_fd, NULL) != FB_OK) {
            continue; /* not ours */
        }
        s = fb_fs_names_read(fan_fd, "", &names, err);
        for (size_t k = 0; k < names.count && goes_on; k++) {
            char msg_id[FB_ID_SIZE];
            uint32_t branch = 0;
            goes_on = !fb_parcel_id_split(names.names[k], msg_id, &branch) ||
                      each(ctx, fan_fd, names.names[k]);
        }
        fb_fs_names_free(&names);
        (void)close(fan_fd);
    }
    fb_fs_names_free(&fans);
    return s;
}

struct each_id {
    bool (*each)(void *ctx, const char *parcel_id);
    void *ctx;
};

static bool tell_id(void *ctx, int dir_fd, const char *parcel_id)
{
    const struct each_id *to = ctx;
    (void)dir_fd;
    return to->each(to->ctx, parcel_id);
}

enum fb_status fb_vault_file_each(struct fb_vault *v,
                                  bool (*each)(void *ctx, const char *parcel_id), void *ctx,
                                  struct fb_error *err)
{
    struct each_id to = {each, ctx};
    return walk(v, tell_id, &to, err);
}

/* Bytes on disk.  What vanishes meanwhile counts as nothing. */
static bool add_blocks(void *ctx, int fan_fd, const char *parcel_id)
{
    uint64_t *bytes = ctx;
    struct fb_fs_names names = {0};
    int dir_fd = openat(fan_fd, parcel_id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0) {
        return true;
    }
    if (fb_fs_names_read(dir_fd, "", &names, NULL) == FB_OK) {
        for (size_t i = 0; i < names.count; i++) {
            struct stat st;
            if (fstatat(dir_fd, names.names[i], &st, AT_SYMLINK_NOFOLLOW) == 0) {
                *bytes += (uint64_t)st.st_blocks * 512;
            }
        }
        fb_fs_names_free(&names);
    }
    (void)close(dir_fd);
    return true;
}

enum fb_status fb_vault_file_usage(struct fb_vault *v, uint64_t *bytes_r, struct fb_error *err)
{
    uint64_t bytes = 0;
    enum fb_status s = walk(v, add_blocks, &bytes, err);
    if (s == FB_OK) {
        *bytes_r = bytes;
    }
    return s;
}
