/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a state document of the vault, and as what lies there sealed.
 *
 * Checked: a refusal leaves the output alone; what was accepted can be written, read again, and
 * written to the same bytes, and never has half a password; sealed bytes that nobody sealed are
 * never taken.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/vault/internal.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_state(struct fb_slice bytes)
{
    struct fb_vault_parcel first = {0};
    struct fb_vault_parcel second = {0};
    struct fb_error err = {0};
    struct fb_buf once;
    struct fb_buf twice;
    enum fb_status s = fb_vault_state_decode(bytes, &first, &err);
    if (s != FB_OK) {
        static const struct fb_vault_parcel untouched;
        FB_ASSERT(s == FB_INVALID || s == FB_TOO_BIG || s == FB_AGAIN);
        FB_ASSERT(err.text[0] != '\0' && memcmp(&first, &untouched, sizeof first) == 0);
        return;
    }
    fb_buf_init(&once, FB_MAX_MANIFEST);
    fb_buf_init(&twice, FB_MAX_MANIFEST);
    FB_ASSERT(first.revision > 0 &&
              fb_fs_parcel_place(first.parcel_id, (char[FB_FS_PLACE]){0}, &err) == FB_OK);
    for (uint32_t i = 0; i < first.file_count; i++) {
        FB_ASSERT(fb_vault_file_id_is_valid(first.files[i].id));
    }
    FB_ASSERT(fb_vault_state_encode(&first, &once, &err) == FB_OK);
    FB_ASSERT(fb_vault_state_decode(fb_slice_buf(&once), &second, &err) == FB_OK);
    FB_ASSERT(fb_vault_state_encode(&second, &twice, &err) == FB_OK);
    FB_ASSERT(fb_slice_eq(fb_slice_buf(&once), fb_slice_buf(&twice)));
    fb_vault_parcel_deinit(&first);
    fb_vault_parcel_deinit(&second);
    fb_buf_deinit(&once);
    fb_buf_deinit(&twice);
}

static void try_sealed(struct fb_slice bytes)
{
    static const uint8_t key[FB_KEY_SIZE] = {1, 2, 3};
    struct fb_vault_parcel p = {0};
    struct fb_error err = {0};
    enum fb_status s = fb_vault_state_unseal("01JDQ0000000000000000000VA-1", key, bytes, &p, &err);
    FB_ASSERT(s == FB_CORRUPT || s == FB_AGAIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == 'F') { /* as its magic begins; a map never does */
        try_sealed(fb_slice_of(data, size));
    } else {
        try_state(fb_slice_of(data, size));
    }
    return 0;
}
