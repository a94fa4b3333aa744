/* SPDX-License-Identifier: Apache-2.0 */
#include "common/link.h"

#include <string.h>

#include "common/crypto.h"

#define VERSION    1
#define ID_BYTES   FB_ID_BYTES
#define HEAD_SIZE  (1 + ID_BYTES + 8)
#define LINK_BYTES (HEAD_SIZE + FB_SHA256_SIZE)

#define READER_HEAD  (1 + ID_BYTES + 2 + 2)
#define READER_BYTES (READER_HEAD + FB_READER_SECRET)
#define MAX_READER   9999 /* index of an envelope's recipient: proto/limits.h */

static void sign(const char *key, const uint8_t head[HEAD_SIZE], uint8_t mac_r[FB_SHA256_SIZE])
{
    uint8_t derived[FB_KEY_SIZE];
    fb_hkdf_sha256(fb_slice_str(key), (struct fb_slice){0},
                   FB_SLICE_LITERAL("fumibako sender link 1"), derived, sizeof derived);
    fb_hmac_sha256(fb_slice_of(derived, sizeof derived), fb_slice_of(head, HEAD_SIZE), mac_r);
    fb_wipe(derived, sizeof derived);
}

enum fb_status fb_link_make(const char *key, const char *msg_id, int64_t ends_ms,
                            char out_r[FB_LINK_SIZE])
{
    uint8_t bytes[LINK_BYTES] = {VERSION};
    struct fb_buf text;
    if (key == NULL) {
        return FB_CONFIG;
    }
    if (!fb_id_is_valid(msg_id) || ends_ms < 0) {
        return FB_INVALID;
    }
    fb_id_pack(msg_id, bytes + 1);
    for (int i = 0; i < 8; i++) {
        bytes[1 + ID_BYTES + i] = (uint8_t)((uint64_t)ends_ms >> (56 - 8 * i));
    }
    sign(key, bytes, bytes + HEAD_SIZE);
    fb_buf_init(&text, FB_LINK_SIZE);
    enum fb_status s = fb_base64url_encode(fb_slice_of(bytes, sizeof bytes), &text);
    FB_ASSERT(s != FB_OK || text.len == FB_LINK_SIZE - 1);
    if (s == FB_OK) {
        memcpy(out_r, fb_buf_str(&text), FB_LINK_SIZE);
    }
    fb_buf_deinit(&text);
    return s;
}

enum fb_status fb_link_check(const char *key, const char *text, int64_t now_ms,
                             char msg_id_r[FB_ID_SIZE], int64_t *ends_ms_r, struct fb_error *err)
{
    uint8_t mac[FB_SHA256_SIZE];
    uint8_t bytes[LINK_BYTES] = {0};
    struct fb_buf decoded;
    if (key == NULL) {
        return fb_error_set(
            err, FB_CONFIG,
            "rewrite.key is not set: links cannot be checked; set rewrite.key_file");
    }
    fb_buf_init(&decoded, LINK_BYTES);
    bool is_whole = strnlen(text, FB_LINK_SIZE) == FB_LINK_SIZE - 1 &&
                    fb_base64url_decode(fb_slice_str(text), &decoded) == FB_OK &&
                    decoded.len == LINK_BYTES;
    if (is_whole) {
        memcpy(bytes, decoded.ptr, LINK_BYTES);
    }
    fb_buf_deinit(&decoded);
    sign(key, bytes, mac); /* of zeros, too: a text of the wrong form takes as long */
    bool is_ours = fb_equal_secret(mac, bytes + HEAD_SIZE, sizeof mac);
    if (!is_whole || !is_ours || bytes[0] != VERSION) {
        return fb_error_set(err, FB_DENIED, "the link is not one of ours");
    }
    uint64_t ends = 0;
    for (int i = 0; i < 8; i++) {
        ends = ends << 8 | bytes[1 + ID_BYTES + i];
    }
    fb_id_unpack(bytes + 1, msg_id_r);
    *ends_ms_r = (int64_t)ends;
    return now_ms < (int64_t)ends ? FB_OK : fb_error_set(err, FB_NOT_FOUND, "the link has ended");
}

static void put_u16(uint8_t out[2], uint32_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

static uint32_t get_u16(const uint8_t in[2])
{
    return (uint32_t)in[0] << 8 | in[1];
}

enum fb_status fb_reader_link_make(const char *parcel_id, uint32_t recipient,
                                   const uint8_t secret[FB_READER_SECRET],
                                   char out_r[FB_READER_LINK_SIZE])
{
    uint8_t bytes[READER_BYTES] = {VERSION};
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    struct fb_buf text;
    if (!fb_parcel_id_split(parcel_id, msg_id, &branch) || recipient > MAX_READER) {
        return FB_INVALID;
    }
    fb_id_pack(msg_id, bytes + 1);
    put_u16(bytes + 1 + ID_BYTES, branch);
    put_u16(bytes + 1 + ID_BYTES + 2, recipient);
    memcpy(bytes + READER_HEAD, secret, FB_READER_SECRET);
    fb_buf_init(&text, FB_READER_LINK_SIZE);
    enum fb_status s = fb_base64url_encode(fb_slice_of(bytes, sizeof bytes), &text);
    FB_ASSERT(s != FB_OK || text.len == FB_READER_LINK_SIZE - 1);
    if (s == FB_OK) {
        memcpy(out_r, fb_buf_str(&text), FB_READER_LINK_SIZE);
        fb_wipe(text.ptr, text.len);
    }
    fb_wipe(bytes, sizeof bytes);
    fb_buf_deinit(&text);
    return s;
}

enum fb_status fb_reader_link_parse(const char *text, char parcel_id_r[FB_PARCEL_ID_SIZE],
                                    uint32_t *recipient_r, uint8_t secret_r[FB_READER_SECRET])
{
    struct fb_buf bytes;
    char msg_id[FB_ID_SIZE];
    fb_buf_init(&bytes, READER_BYTES);
    /* The decoder takes one text for some bytes, and no other. */
    bool is_good = strnlen(text, FB_READER_LINK_SIZE) == FB_READER_LINK_SIZE - 1 &&
                   fb_base64url_decode(fb_slice_str(text), &bytes) == FB_OK &&
                   bytes.len == READER_BYTES && bytes.ptr[0] == VERSION;
    if (is_good) {
        uint32_t branch = get_u16(bytes.ptr + 1 + ID_BYTES);
        uint32_t recipient = get_u16(bytes.ptr + 1 + ID_BYTES + 2);
        fb_id_unpack(bytes.ptr + 1, msg_id);
        is_good = branch < FB_MAX_BRANCHES && recipient <= MAX_READER;
        if (is_good) {
            fb_parcel_id_make(msg_id, branch, parcel_id_r);
            *recipient_r = recipient;
            memcpy(secret_r, bytes.ptr + READER_HEAD, FB_READER_SECRET);
        }
        fb_wipe(bytes.ptr, bytes.len);
    }
    fb_buf_deinit(&bytes);
    return is_good ? FB_OK : FB_INVALID;
}
