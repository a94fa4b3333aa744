/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a record: header, sealed chunks, trailer.  The header:
 *
 * - 0 magic[8], 8 version u16, 10 header size u16, 12 chunk size u32
 * - 16 content_len u64, 24 record_len u64, 32 batch_start u64, 40 created_ms i64
 * - 48 envelope_len u32, 52 zero u32, 56 key id[32], 88 key print[8]
 * - 96 msg id[26], zero[6]
 * - 128 state[4], nonce[12], wrapped key[32], tag[16]: erased in place, inside one disk sector
 * - 192 salt[16], 208 zero[16]
 * - 224 SHA-256 of bytes 0..127 and 192..223
 *
 * The digest finds torn and damaged headers without a key.  The tag of the wrapped key makes msg
 * id, lengths and time authentic; record_len and batch_start are left out there, because only the
 * committer knows them.
 */
#include "common/spool/internal.h"

#include <string.h>

#include "proto/limits.h"

#define VERSION 1U

static const uint8_t magic[8] = {'F', 'B', 'S', 'P', 'O', 'O', 'L', '1'};
static const uint8_t state_live[4] = {'L', 'I', 'V', 'E'};
static const uint8_t state_gone[4] = {'G', 'O', 'N', 'E'};

static const struct {
    uint8_t zeros[FB_SPOOL_BLOCK];
    char trailer[FB_SPOOL_TRAILER];
} pad = {
    .trailer = {'F', 'u', 'm', 'i', 'b', 'a', 'k', 'o', ' ', 'r', 'e', 'c', ' ', 'e', 'n', 'd'}};

_Static_assert(sizeof pad == FB_SPOOL_PAD_SIZE, "no holes between zeros and trailer");

const uint8_t *fb_spool_pad(void)
{
    return (const uint8_t *)&pad;
}

uint64_t fb_spool_record_min(uint64_t content_len, uint32_t envelope_len)
{
    return FB_SPOOL_HEADER + fb_sealed_len(content_len) + envelope_len + FB_TAG_SIZE +
           FB_SPOOL_TRAILER;
}

/* What the wrapped key's tag covers. */
#define HEADER_AAD 68U
static struct fb_slice header_aad(const uint8_t header[FB_SPOOL_HEADER], uint8_t aad[HEADER_AAD])
{
    memcpy(aad, header, 24);
    memcpy(aad + 24, header + 40, 16);
    memcpy(aad + 40, header + 96, 28);
    return fb_slice_of(aad, HEADER_AAD);
}

static void digest(const uint8_t header[FB_SPOOL_HEADER], uint8_t out[FB_SHA256_SIZE])
{
    uint8_t covered[160];
    memcpy(covered, header, 128);
    memcpy(covered + 128, header + 192, 32);
    fb_sha256(covered, sizeof covered, out);
}

static void put_fixed(const struct fb_spool_header *header, uint8_t out[FB_SPOOL_HEADER])
{
    memset(out, 0, FB_SPOOL_HEADER);
    memcpy(out, magic, sizeof magic);
    fb_put16(out + 8, VERSION);
    fb_put16(out + 10, FB_SPOOL_HEADER);
    fb_put32(out + 12, FB_SEAL_CHUNK);
    fb_put64(out + 16, header->content_len);
    fb_put64(out + 40, (uint64_t)header->created_ms);
    fb_put32(out + 48, header->envelope_len);
    memcpy(out + 96, header->msg_id, FB_ID_SIZE - 1);
}

void fb_spool_header_encode(const struct fb_spool *spool, struct fb_spool_header *header,
                            const uint8_t key[FB_KEY_SIZE], uint8_t out[FB_SPOOL_HEADER])
{
    uint8_t aad[HEADER_AAD];
    struct fb_key_wrap *wrap = &header->wrap;
    put_fixed(header, out);
    fb_keyring_wrap(spool->keys, header_aad(out, aad), key, wrap);
    memcpy(out + 56, wrap->key_id, FB_KEYRING_ID);
    memcpy(out + 88, wrap->print, FB_KEYRING_PRINT);
    memcpy(out + 128, state_live, sizeof state_live);
    memcpy(out + 132, wrap->nonce, FB_NONCE_SIZE);
    memcpy(out + 144, wrap->key, FB_KEY_SIZE);
    memcpy(out + 176, wrap->tag, FB_TAG_SIZE);
    memcpy(out + 192, wrap->salt, FB_KEYRING_SALT);
}

void fb_spool_header_finish(uint8_t header[FB_SPOOL_HEADER], uint64_t record_len,
                            uint64_t batch_start)
{
    fb_put64(header + 24, record_len);
    fb_put64(header + 32, batch_start);
    digest(header, header + 224);
}

bool fb_spool_header_is_newer(const uint8_t in[FB_SPOOL_HEADER])
{
    uint8_t expected[FB_SHA256_SIZE];
    digest(in, expected);
    bool is_whole = memcmp(expected, in + 224, sizeof expected) == 0;
    bool is_later = is_whole && memcmp(in, magic, sizeof magic) == 0 && fb_get16(in + 8) > VERSION;
    return is_later || fb_seal_is_newer(in, magic, sizeof magic);
}

enum fb_status fb_spool_header_decode(const uint8_t in[FB_SPOOL_HEADER],
                                      struct fb_spool_header *header_r)
{
    uint8_t expected[FB_SHA256_SIZE];
    if (memcmp(in, magic, sizeof magic) != 0 || fb_get16(in + 8) != VERSION) {
        return FB_CORRUPT;
    }
    digest(in, expected);
    if (memcmp(expected, in + 224, sizeof expected) != 0) {
        return FB_CORRUPT;
    }
    struct fb_spool_header h = {
        .content_len = fb_get64(in + 16),
        .record_len = fb_get64(in + 24),
        .batch_start = fb_get64(in + 32),
        .created_ms = (int64_t)fb_get64(in + 40),
        .envelope_len = fb_get32(in + 48),
    };
    memcpy(h.msg_id, in + 96, FB_ID_SIZE - 1);
    if (fb_get16(in + 10) != FB_SPOOL_HEADER || fb_get32(in + 12) != FB_SEAL_CHUNK ||
        h.content_len > FB_SPOOL_MAX_CONTENT || h.envelope_len > FB_MAX_ENVELOPE ||
        !fb_id_is_valid(h.msg_id)) {
        return FB_CORRUPT;
    }
    uint64_t least = fb_spool_record_min(h.content_len, h.envelope_len);
    if (h.record_len < least || h.record_len - least > FB_SPOOL_BLOCK ||
        h.record_len % FB_SPOOL_ALIGN != 0) {
        return FB_CORRUPT;
    }
    if (memcmp(in + 128, state_gone, sizeof state_gone) == 0) {
        h.is_erased = true;
    } else if (memcmp(in + 128, state_live, sizeof state_live) != 0) {
        return FB_CORRUPT;
    }
    memcpy(h.wrap.key_id, in + 56, FB_KEYRING_ID);
    memcpy(h.wrap.print, in + 88, FB_KEYRING_PRINT);
    memcpy(h.wrap.nonce, in + 132, FB_NONCE_SIZE);
    memcpy(h.wrap.key, in + 144, FB_KEY_SIZE);
    memcpy(h.wrap.tag, in + 176, FB_TAG_SIZE);
    memcpy(h.wrap.salt, in + 192, FB_KEYRING_SALT);
    *header_r = h;
    return FB_OK;
}

enum fb_status fb_spool_header_unwrap(const struct fb_spool *spool,
                                      const struct fb_spool_header *header,
                                      uint8_t key_r[FB_KEY_SIZE], struct fb_error *err)
{
    uint8_t fixed[FB_SPOOL_HEADER];
    uint8_t aad[HEADER_AAD];
    put_fixed(header, fixed);
    return fb_keyring_unwrap(spool->keys, header_aad(fixed, aad), &header->wrap, key_r, err);
}

void fb_spool_header_erased(uint8_t out[FB_SPOOL_ERASE_SIZE])
{
    memset(out, 0, FB_SPOOL_ERASE_SIZE);
    memcpy(out, state_gone, sizeof state_gone);
}
