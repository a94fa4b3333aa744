/* SPDX-License-Identifier: Apache-2.0
 *
 * Private files and directories, for what keeps data of its own (spool, vault).  Everything is
 * opened relative to a directory that was checked, never through a symbolic link, and closed on
 * exec.
 */
#ifndef FB_COMMON_FS_H
#define FB_COMMON_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/id.h"
#include "common/status.h"

#define FB_FS_NAME_SIZE 96 /* of a file that these functions make */

/* FB_NO_SPACE for want of room or memory, else FB_IO. */
enum fb_status fb_fs_errno_status(int errnum);
/* 0 or an errno; never a short transfer.  read: *got_r < len only at the end of the file. */
FB_MUST_USE int fb_fs_write_at(int fd, const void *ptr, size_t len, uint64_t offset);
FB_MUST_USE int fb_fs_read_at(int fd, void *out, size_t len, uint64_t offset, size_t *got_r);
/* A private directory of ours: makes it if wanted; FB_NOT_FOUND, FB_CONFIG (owner, mode, not a
 * directory). */
FB_MUST_USE enum fb_status fb_fs_dir_open(int at_fd, const char *name, bool is_made, int *fd_r,
                                          struct fb_error *err);
/* A regular file under dir_fd, no link followed.  FB_NOT_FOUND, FB_CORRUPT for a link or anything
 * else.  size_r may be NULL. */
FB_MUST_USE enum fb_status fb_fs_file_open(int dir_fd, const char *name, int flags, int *fd_r,
                                           uint64_t *size_r, struct fb_error *err);
/* Makes a locked file "<random>.tmp" or, with is_hidden, ".<random>.tmp" (mode 0600). */
FB_MUST_USE enum fb_status fb_fs_temp_new(int dir_fd, bool is_hidden, char name_r[FB_FS_NAME_SIZE],
                                          int *fd_r, struct fb_error *err);

struct fb_fs_names {
    char **names; /* sorted */
    size_t count;
};
/* Names in a directory that end with suffix ("" for all), without those that begin with a dot. */
FB_MUST_USE enum fb_status fb_fs_names_read(int dir_fd, const char *suffix,
                                            struct fb_fs_names *names_r, struct fb_error *err);
void fb_fs_names_free(struct fb_fs_names *names);
/* The directory's two characters for an id: the last two of the ULID, which are random. */
void fb_fs_fan(const char *id, char fan_r[3]);
/* "<fan>/<parcel id>": where a parcel lies, by the fan of its message.  FB_INVALID: not a parcel id. */
#define FB_FS_PLACE (FB_PARCEL_ID_SIZE + 4)
FB_MUST_USE enum fb_status fb_fs_parcel_place(const char *parcel_id, char place_r[FB_FS_PLACE],
                                              struct fb_error *err);
/* Removes a directory and the files in it; FB_OK when there is none. */
FB_MUST_USE enum fb_status fb_fs_dir_remove(int at_fd, const char *name, struct fb_error *err);

#endif
