/* SPDX-License-Identifier: Apache-2.0
 *
 * A vault of its own, in a temporary folder or (FB_TEST_VAULT=s3) in a bucket that keeps versions,
 * and parcels put into it.
 */
#ifndef FB_TESTS_UNIT_VAULT_FIXTURE_H
#define FB_TESTS_UNIT_VAULT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/vault/vault.h"

struct vfx {
    char dir[200];
    char path[300]; /* of the vault, where it is a folder */
    char url[400];
    char key_file[300];
    struct fb_vault *vault;
    bool is_remote;
};

/* Ends a test of what only folders have. */
#define VFX_FILES_ONLY(fx)                                                                         \
    do {                                                                                           \
        if ((fx)->is_remote) {                                                                     \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

/* cmocka set-up and tear-down; *state is a struct vfx. */
int vfx_setup(void **state);
int vfx_teardown(void **state);
void vfx_reopen(struct vfx *fx);
/* How many versions the bucket still keeps. */
long vfx_versions(const struct vfx *fx);

/* A fresh parcel id. */
void vfx_id(char id_r[FB_PARCEL_ID_SIZE]);
/* Content that depends on seed and position. */
struct vfx_source {
    uint64_t size, seed, at;
    uint64_t reads;
    uint64_t fail_at; /* not 0: FB_NETWORK there */
};
enum fb_status vfx_read(void *ctx, void *out, size_t len, size_t *read_r, struct fb_error *err);
void vfx_content(uint64_t size, uint64_t seed, struct fb_vault_content *content_r);
/* Puts file `number`; id_r gets its id.  reads_r may be NULL. */
enum fb_status vfx_put(struct vfx *fx, const char *parcel_id, uint32_t number, uint64_t size,
                       uint64_t seed, char id_r[FB_VAULT_FILE_ID], uint64_t *reads_r);
/* FB_OK when the file holds exactly that; fails the test on wrong bytes. */
enum fb_status vfx_check(struct vfx *fx, const char *parcel_id, const char *file_id, uint64_t size,
                         uint64_t seed);
/* A whole parcel with files of these sizes (seed = number) and two grants; owned by the caller. */
struct fb_vault_parcel vfx_parcel(struct vfx *fx, const uint64_t *sizes, uint32_t count);
/* What fb_vault_load says; err->text in words_r (may be NULL). */
enum fb_status vfx_load(struct vfx *fx, const char *parcel_id, char words_r[FB_ERROR_MAX]);

/* "<vault>/parcels/<xx>/<id>/<name>" */
void vfx_path(const struct vfx *fx, const char *parcel_id, const char *name, char path_r[700]);
uint8_t *vfx_bytes(const char *path, size_t *len_r);
void vfx_store(const char *path, const void *bytes, size_t len);
/* Makes a file look two hours old. */
void vfx_age(const char *path);

#endif
