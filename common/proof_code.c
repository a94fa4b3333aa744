/* SPDX-License-Identifier: Apache-2.0 */
#include "common/proof_code.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/crypto.h"
#include "common/id.h"

#define VERSION   1
#define HEAD_SIZE (1 + FB_NONCE_SIZE)
#define MAX_CODE  (FB_PROOF_CODE_SIZE - 1)
#define MAX_BYTES (HEAD_SIZE + MAX_CODE + FB_TAG_SIZE)
#define PLACE     48 /* "<parcel id>.<recipient>" */

static bool has_key(const char *key)
{
    return key != NULL && key[0] != '\0';
}

/* A key of its own: the same secret signs headers and links. */
static void derive(const char *key, uint8_t out[FB_KEY_SIZE])
{
    fb_hkdf_sha256(fb_slice_str(key), (struct fb_slice){0},
                   FB_SLICE_LITERAL("fumibako proof code 1"), out, FB_KEY_SIZE);
}

/* What it is for: vouched for by the tag. */
static bool name_place(const char *parcel_id, uint32_t recipient, char out[PLACE])
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    return fb_parcel_id_split(parcel_id, msg_id, &branch) &&
           snprintf(out, PLACE, "%s.%" PRIu32, parcel_id, recipient) < PLACE;
}

static bool is_code(const char *code, size_t len)
{
    return len >= 1 && len <= MAX_CODE && strspn(code, "0123456789") == len;
}

enum fb_status fb_proof_code_seal(const char *key, const char *parcel_id, uint32_t recipient,
                                  const char *code, struct fb_buf *out)
{
    uint8_t derived[FB_KEY_SIZE];
    uint8_t bytes[MAX_BYTES] = {VERSION};
    char place[PLACE];
    size_t len = strnlen(code, FB_PROOF_CODE_SIZE);
    if (!has_key(key)) {
        return FB_CONFIG;
    }
    if (!name_place(parcel_id, recipient, place) || !is_code(code, len)) {
        return FB_INVALID;
    }
    fb_random(bytes + 1, FB_NONCE_SIZE);
    derive(key, derived);
    fb_gcm_seal(derived, bytes + 1, fb_slice_str(place), fb_slice_of(code, len), bytes + HEAD_SIZE,
                bytes + HEAD_SIZE + len);
    fb_wipe(derived, sizeof derived);
    return fb_base64_encode(fb_slice_of(bytes, HEAD_SIZE + len + FB_TAG_SIZE), out);
}

enum fb_status fb_proof_code_open(const char *key, const char *parcel_id, uint32_t recipient,
                                  const char *sealed, char code_r[FB_PROOF_CODE_SIZE])
{
    uint8_t derived[FB_KEY_SIZE];
    char place[PLACE];
    struct fb_buf bytes;
    memset(code_r, 0, FB_PROOF_CODE_SIZE);
    if (!has_key(key)) {
        return FB_CONFIG;
    }
    fb_buf_init(&bytes, MAX_BYTES);
    bool is_ours = name_place(parcel_id, recipient, place) &&
                   strnlen(sealed, FB_PROOF_CODE_SEALED) < FB_PROOF_CODE_SEALED &&
                   fb_base64_decode(fb_slice_str(sealed), &bytes) == FB_OK &&
                   bytes.len > HEAD_SIZE + FB_TAG_SIZE && bytes.ptr[0] == VERSION;
    if (is_ours) {
        size_t len = bytes.len - HEAD_SIZE - FB_TAG_SIZE; /* MAX_CODE at most: the buffer's bound */
        derive(key, derived);
        is_ours = fb_gcm_open(derived, bytes.ptr + 1, fb_slice_str(place),
                              fb_slice_of(bytes.ptr + HEAD_SIZE, len), bytes.ptr + HEAD_SIZE + len,
                              (uint8_t *)code_r) == FB_OK &&
                  is_code(code_r, strnlen(code_r, FB_PROOF_CODE_SIZE)) && strlen(code_r) == len;
        fb_wipe(derived, sizeof derived);
    }
    if (!is_ours) {
        fb_wipe(code_r, FB_PROOF_CODE_SIZE);
    }
    fb_buf_deinit(&bytes);
    return is_ours ? FB_OK : FB_DENIED;
}
