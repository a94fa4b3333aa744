/* SPDX-License-Identifier: Apache-2.0
 *
 * One chunk: how it is bound to its place.
 */
#include <string.h>

#include "common/bytes.h"
#include "common/sealed/sealed.h"

/* Nonce: kind and number of the chunk; each key seals a number once.  Associated data: that,
 * whether it is the last chunk, and the id: chunks cannot be swapped, dropped or moved to another
 * thing. */
static size_t bind(enum fb_seal_kind kind, uint64_t index, bool is_last, const char *id,
                   uint8_t nonce[FB_NONCE_SIZE], uint8_t aad[64])
{
    memset(nonce, 0, FB_NONCE_SIZE);
    nonce[0] = (uint8_t)kind;
    fb_put64(nonce + 4, index);
    size_t len = strnlen(id, FB_PARCEL_ID_SIZE);
    aad[0] = (uint8_t)kind;
    aad[1] = is_last ? 1 : 0;
    fb_put64(aad + 2, index);
    memcpy(aad + 10, id, len);
    return 10 + len;
}

void fb_seal(const uint8_t key[FB_KEY_SIZE], enum fb_seal_kind kind, uint64_t index, bool is_last,
             const char *id, struct fb_slice in, uint8_t *out)
{
    uint8_t nonce[FB_NONCE_SIZE];
    uint8_t aad[64];
    size_t aad_len = bind(kind, index, is_last, id, nonce, aad);
    fb_gcm_seal(key, nonce, fb_slice_of(aad, aad_len), in, out, out + in.len);
}

enum fb_status fb_unseal(const uint8_t key[FB_KEY_SIZE], enum fb_seal_kind kind, uint64_t index,
                         bool is_last, const char *id, struct fb_slice in, uint8_t *out)
{
    uint8_t nonce[FB_NONCE_SIZE];
    uint8_t aad[64];
    if (in.len < FB_TAG_SIZE) {
        return FB_CORRUPT;
    }
    size_t len = in.len - FB_TAG_SIZE;
    size_t aad_len = bind(kind, index, is_last, id, nonce, aad);
    return fb_gcm_open(key, nonce, fb_slice_of(aad, aad_len), fb_slice_of(in.ptr, len),
                       in.ptr + len, out);
}

uint64_t fb_seal_chunk_count(uint64_t content_len)
{
    return content_len == 0 ? 1 : (content_len - 1) / FB_SEAL_CHUNK + 1;
}

uint64_t fb_sealed_len(uint64_t content_len)
{
    return content_len + fb_seal_chunk_count(content_len) * FB_TAG_SIZE;
}

bool fb_seal_is_newer(const uint8_t *have, const uint8_t *ours, size_t len)
{
    unsigned flipped = (unsigned)(have[len - 1] ^ ours[len - 1]);
    return memcmp(have, ours, len - 1) == 0 && have[len - 1] > ours[len - 1] &&
           have[len - 1] <= '9' && (flipped & (flipped - 1)) != 0;
}

enum fb_status fb_seal_newer(struct fb_error *err, const char *what)
{
    return fb_error_set(err, FB_AGAIN,
                        "%s was written by a newer version of Fumibako: it is left as it is and "
                        "waits for an upgraded program",
                        what);
}
