/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the value of X-Fumibako-Id, and any bytes as a body, cut anywhere.
 *
 * Checked: only what the key's owner made is believed (nothing the fuzzer writes can be, but for a
 * value that it is shown below), and the hash of a body depends neither on how the bytes are cut nor
 * on line ends at its end.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/trace_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hash(struct fb_slice body, size_t piece, const char *tail, uint8_t hash_r[32])
{
    struct fb_body_hash h;
    FB_ASSERT(fb_body_hash_init(&h) == FB_OK);
    while (body.len > 0) {
        FB_ASSERT(fb_body_hash_add(&h, fb_slice_sub(body, 0, piece)) == FB_OK);
        body = fb_slice_sub(body, piece, SIZE_MAX);
    }
    FB_ASSERT(fb_body_hash_add(&h, fb_slice_str(tail)) == FB_OK);
    FB_ASSERT(fb_body_hash_final(&h, hash_r) == FB_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char key[] = "0123456789abcdef0123456789abcdef";
    static const char id[] = "01HZZZZZZZZZZZZZZZZZZZZZZZ";
    struct fb_slice bytes = fb_slice_of(data, size);
    uint8_t whole[32], pieces[32], longer[32];
    hash(bytes, size > 0 ? size : 1, "", whole);
    hash(bytes, size % 7 + 1, "", pieces);
    FB_ASSERT(memcmp(whole, pieces, sizeof whole) == 0);
    if (size == 0 || data[size - 1] != '\r') {
        hash(bytes, size % 5 + 1, "\r\n\r\n", longer);
        FB_ASSERT(memcmp(whole, longer, sizeof whole) == 0);
    }

    char found[FB_ID_SIZE];
    uint32_t branch = 0;
    FB_ASSERT(!fb_trace_header_verify(key, bytes, whole, found, &branch));
    struct fb_buf value;
    fb_buf_init(&value, 256);
    FB_ASSERT(fb_trace_header_make(key, id, (uint32_t)(size % 1001), whole, &value) == FB_OK);
    FB_ASSERT(fb_trace_header_verify(key, fb_slice_buf(&value), whole, found, &branch));
    FB_ASSERT(strcmp(found, id) == 0 && branch == size % 1001);
    if (size > 1 &&
        data[1] !=
            0) { /* one octet changed; a letter's case may change in the names b and h only */
        size_t at = data[0] % value.len;
        uint8_t old = value.ptr[at];
        value.ptr[at] = (uint8_t)(old ^ data[1]);
        bool is_believed = fb_trace_header_verify(key, fb_slice_buf(&value), whole, found, &branch);
        bool is_name = (old == 'b' || old == 'h') && (old ^ value.ptr[at]) == 0x20;
        FB_ASSERT(!is_believed || (is_name && at + 1 < value.len && value.ptr[at + 1] == '='));
    }
    fb_buf_deinit(&value);
    return 0;
}
