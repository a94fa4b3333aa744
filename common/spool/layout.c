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

void fb_put16(uint8_t *to, uint16_t v)
{
    to[0] = (uint8_t)v;
    to[1] = (uint8_t)(v >> 8);
}

void fb_put32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(v >> (8 * i));
    }
}

void fb_put64(uint8_t *to, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        to[i] = (uint8_t)(v >> (8 * i));
    }
}

uint16_t fb_get16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

uint32_t fb_get32(const uint8_t *from)
{
    uint32_t v = 0;
    for (int i = 3; i >= 0; i--) {
        v = v << 8 | from[i];
    }
    return v;
}

uint64_t fb_get64(const uint8_t *from)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | from[i];
    }
    return v;
}

const uint8_t *fb_spool_pad(void)
{
    return (const uint8_t *)&pad;
}

/* Nonce: kind and number of the chunk; each key seals a number once.  Associated data: that,
 * whether it is the last chunk, and the id: chunks cannot be swapped, dropped or moved to another
 * message. */
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

void fb_spool_seal(const uint8_t key[FB_KEY_SIZE], enum fb_seal_kind kind, uint64_t index,
                   bool is_last, const char *id, struct fb_slice in, uint8_t *out)
{
    uint8_t nonce[FB_NONCE_SIZE];
    uint8_t aad[64];
    size_t aad_len = bind(kind, index, is_last, id, nonce, aad);
    fb_gcm_seal(key, nonce, fb_slice_of(aad, aad_len), in, out, out + in.len);
}

enum fb_status fb_spool_unseal(const uint8_t key[FB_KEY_SIZE], enum fb_seal_kind kind,
                               uint64_t index, bool is_last, const char *id, struct fb_slice in,
                               uint8_t *out)
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

uint64_t fb_spool_chunk_count(uint64_t content_len)
{
    return content_len == 0 ? 1 : (content_len - 1) / FB_SPOOL_CHUNK + 1;
}

uint64_t fb_spool_sealed_len(uint64_t content_len)
{
    return content_len + fb_spool_chunk_count(content_len) * FB_TAG_SIZE;
}

uint64_t fb_spool_record_min(uint64_t content_len, uint32_t envelope_len)
{
    return FB_SPOOL_HEADER + fb_spool_sealed_len(content_len) + envelope_len + FB_TAG_SIZE +
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
    fb_put32(out + 12, FB_SPOOL_CHUNK);
    fb_put64(out + 16, header->content_len);
    fb_put64(out + 40, (uint64_t)header->created_ms);
    fb_put32(out + 48, header->envelope_len);
    memcpy(out + 96, header->msg_id, FB_ID_SIZE - 1);
}

void fb_spool_header_encode(const struct fb_spool *spool, struct fb_spool_header *header,
                            const uint8_t key[FB_KEY_SIZE], uint8_t out[FB_SPOOL_HEADER])
{
    uint8_t aad[HEADER_AAD];
    struct fb_spool_wrap *wrap = &header->wrap;
    put_fixed(header, out);
    fb_spool_key_wrap(spool, header_aad(out, aad), key, wrap);
    memcpy(out + 56, wrap->key_id, FB_SPOOL_KEY_ID);
    memcpy(out + 88, wrap->print, FB_SPOOL_PRINT);
    memcpy(out + 128, state_live, sizeof state_live);
    memcpy(out + 132, wrap->nonce, FB_NONCE_SIZE);
    memcpy(out + 144, wrap->key, FB_KEY_SIZE);
    memcpy(out + 176, wrap->tag, FB_TAG_SIZE);
    memcpy(out + 192, wrap->salt, FB_SPOOL_SALT);
}

void fb_spool_header_finish(uint8_t header[FB_SPOOL_HEADER], uint64_t record_len,
                            uint64_t batch_start)
{
    fb_put64(header + 24, record_len);
    fb_put64(header + 32, batch_start);
    digest(header, header + 224);
}

bool fb_spool_is_newer(const uint8_t *have, const uint8_t *ours, size_t len)
{
    unsigned flipped = (unsigned)(have[len - 1] ^ ours[len - 1]);
    return memcmp(have, ours, len - 1) == 0 && have[len - 1] > ours[len - 1] &&
           have[len - 1] <= '9' && (flipped & (flipped - 1)) != 0;
}

enum fb_status fb_spool_newer(struct fb_error *err, const char *what)
{
    return fb_error_set(err, FB_AGAIN,
                        "%s was written by a newer version of Fumibako: it is left as it is and "
                        "waits for an upgraded program",
                        what);
}

bool fb_spool_header_is_newer(const uint8_t in[FB_SPOOL_HEADER])
{
    uint8_t expected[FB_SHA256_SIZE];
    digest(in, expected);
    bool is_whole = memcmp(expected, in + 224, sizeof expected) == 0;
    bool is_later = is_whole && memcmp(in, magic, sizeof magic) == 0 && fb_get16(in + 8) > VERSION;
    return is_later || fb_spool_is_newer(in, magic, sizeof magic);
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
    if (fb_get16(in + 10) != FB_SPOOL_HEADER || fb_get32(in + 12) != FB_SPOOL_CHUNK ||
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
    memcpy(h.wrap.key_id, in + 56, FB_SPOOL_KEY_ID);
    memcpy(h.wrap.print, in + 88, FB_SPOOL_PRINT);
    memcpy(h.wrap.nonce, in + 132, FB_NONCE_SIZE);
    memcpy(h.wrap.key, in + 144, FB_KEY_SIZE);
    memcpy(h.wrap.tag, in + 176, FB_TAG_SIZE);
    memcpy(h.wrap.salt, in + 192, FB_SPOOL_SALT);
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
    return fb_spool_key_unwrap(spool, header_aad(fixed, aad), &header->wrap, key_r, err);
}

void fb_spool_header_erased(uint8_t out[FB_SPOOL_ERASE_SIZE])
{
    memset(out, 0, FB_SPOOL_ERASE_SIZE);
    memcpy(out, state_gone, sizeof state_gone);
}
