/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_assets.h"

#include <string.h>

#include "common/crypto.h"

void fb_assets_hash(const struct fb_asset *assets, size_t count, char hex_r[FB_ASSETS_HASH_SIZE])
{
    struct fb_hash hash;
    uint8_t digest[FB_SHA256_SIZE];
    fb_hash_init(&hash, FB_HASH_SHA256);
    for (size_t i = 0; i < count; i++) {
        fb_hash_update(&hash, assets[i].plain, (size_t)(assets[i].plain_end - assets[i].plain));
    }
    fb_hash_final(&hash, digest);
    fb_hash_deinit(&hash);
    fb_hex(digest, (FB_ASSETS_HASH_SIZE - 1) / 2, hex_r);
}

/* Whether the client takes gzip: in Accept-Encoding, without "q=0" (RFC 9110 12.5.3). */
static bool takes_gzip(const struct fb_http_request *request)
{
    const char *accept = fb_http_header(request, "Accept-Encoding");
    struct fb_slice rest = fb_slice_str(accept);
    while (rest.len > 0) {
        size_t comma = fb_slice_find(rest, FB_SLICE_LITERAL(","));
        struct fb_slice item = fb_slice_trim(fb_slice_sub(rest, 0, comma));
        size_t end = fb_slice_find(item, FB_SLICE_LITERAL(";"));
        if (fb_slice_ieq_str(fb_slice_trim(fb_slice_sub(item, 0, end)), "gzip")) {
            struct fb_slice weight =
                fb_slice_trim(fb_slice_sub(item, end == SIZE_MAX ? item.len : end + 1, SIZE_MAX));
            return !fb_slice_istarts(weight, "q=0") ||
                   fb_slice_find(weight, FB_SLICE_LITERAL("0.")) != SIZE_MAX;
        }
        rest = comma == SIZE_MAX ? fb_slice_str(NULL) : fb_slice_sub(rest, comma + 1, SIZE_MAX);
    }
    return false;
}

static ssize_t read_asset(void *ctx, uint64_t offset, void *out, size_t len)
{
    memcpy(out, (const uint8_t *)ctx + offset, len); /* never asked for more than there is */
    return (ssize_t)len;
}

static void send_one(const struct fb_asset *a, const struct fb_http_request *request,
                     struct fb_http_answer *answer)
{
    bool is_packed = takes_gzip(request);
    const uint8_t *from = is_packed ? a->packed : a->plain;
    const uint8_t *end = is_packed ? a->packed_end : a->plain_end;
    fb_http_answer_header(answer, "Content-Type", "%s", a->type);
    fb_http_answer_header(answer, "Vary", "Accept-Encoding");
    fb_http_answer_replace(answer, "Cache-Control", "public, max-age=31536000, immutable");
    fb_http_answer_replace(answer, "Content-Security-Policy", "default-src 'none'");
    if (is_packed) {
        fb_http_answer_header(answer, "Content-Encoding", "gzip");
    }
    answer->stream = (struct fb_http_stream){
        .read = read_asset, .ctx = (void *)(uintptr_t)from, .size = (uint64_t)(end - from)};
    answer->status = 200;
}

bool fb_assets_send(const struct fb_asset *assets, size_t count, const char *name,
                    const struct fb_http_request *request, struct fb_http_answer *answer)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, assets[i].name) == 0) {
            send_one(&assets[i], request, answer);
            return true;
        }
    }
    return false;
}
