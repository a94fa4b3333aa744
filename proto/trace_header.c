/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/trace_header.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <string.h>

#define MAC_SIZE 32
#define MAC_TEXT 43 /* base64 of 32 bytes without padding */

enum fb_status fb_body_hash_init(struct fb_body_hash *h)
{
    *h = (struct fb_body_hash){.md = EVP_MD_CTX_new()};
    if (h->md == NULL || EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(h->md);
        h->md = NULL;
        return FB_BUG;
    }
    return FB_OK;
}

static bool update(struct fb_body_hash *h, const void *ptr, size_t len)
{
    return len == 0 || EVP_DigestUpdate(h->md, ptr, len) == 1;
}

/* What was held back turns out to lie in the middle. */
static bool let_go(struct fb_body_hash *h)
{
    bool ok = true;
    for (; h->held_crlf > 0 && ok; h->held_crlf--) {
        ok = update(h, "\r\n", 2);
    }
    if (h->held_cr && ok) {
        h->held_cr = false;
        ok = update(h, "\r", 1);
    }
    return ok;
}

enum fb_status fb_body_hash_add(struct fb_body_hash *h, struct fb_slice bytes)
{
    const uint8_t *at = bytes.ptr;
    const uint8_t *end = bytes.ptr + bytes.len;
    bool ok = h->md != NULL;
    while (at < end && ok) {
        if (h->held_cr && *at == '\n') {
            h->held_cr = false;
            h->held_crlf++;
            at++;
            continue;
        }
        if (*at == '\r' && !h->held_cr) {
            h->held_cr = true;
            at++;
            continue;
        }
        ok = let_go(h);
        if (*at == '\r') { /* CR CR: the second is held in its turn */
            continue;
        }
        const uint8_t *cr = memchr(at, '\r', (size_t)(end - at));
        size_t n = cr != NULL ? (size_t)(cr - at) : (size_t)(end - at);
        ok = ok && update(h, at, n);
        at += n;
    }
    return ok ? FB_OK : FB_BUG;
}

enum fb_status fb_body_hash_final(struct fb_body_hash *h, uint8_t hash_r[32])
{
    bool ok = h->md != NULL;
    if (ok && h->held_cr) {
        ok = let_go(h);
    }
    ok = ok && EVP_DigestFinal_ex(h->md, hash_r, NULL) == 1;
    EVP_MD_CTX_free(h->md);
    h->md = NULL;
    return ok ? FB_OK : FB_BUG;
}

static bool mac(const char *key, const char *msg_id, uint32_t branch, const uint8_t body_hash[32],
                char text_r[MAC_TEXT + 2])
{
    struct fb_buf input;
    fb_buf_init(&input, 256);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    bool ok =
        fb_buf_printf(&input, "fumibako-id-1\n%s\n%u\n", msg_id, branch) == FB_OK &&
        fb_buf_add(&input, body_hash, 32) == FB_OK &&
        HMAC(EVP_sha256(), key, (int)strlen(key), input.ptr, input.len, digest, &len) != NULL &&
        len == MAC_SIZE;
    fb_buf_deinit(&input);
    if (ok) {
        unsigned char base64[MAC_TEXT + 2];
        (void)EVP_EncodeBlock(base64, digest, MAC_SIZE);
        for (size_t i = 0; i < MAC_TEXT; i++) {
            text_r[i] = base64[i] == '+' ? '-' : base64[i] == '/' ? '_' : (char)base64[i];
        }
        text_r[MAC_TEXT] = '\0';
    }
    return ok;
}

enum fb_status fb_trace_header_make(const char *key, const char *msg_id, uint32_t branch,
                                    const uint8_t body_hash[32], struct fb_buf *out)
{
    char text[MAC_TEXT + 2];
    if (key == NULL) {
        return FB_CONFIG;
    }
    if (!mac(key, msg_id, branch, body_hash, text)) {
        return FB_BUG;
    }
    return fb_buf_printf(out, "%s; b=%u; h=%s", msg_id, branch, text);
}

bool fb_trace_header_verify(const char *key, struct fb_slice value, const uint8_t body_hash[32],
                            char msg_id_r[FB_ID_SIZE], uint32_t *branch_r)
{
    value = fb_slice_trim(value);
    if (key == NULL || value.len < FB_ID_SIZE - 1 + 5 || value.len > 128) {
        return false;
    }
    char id[FB_ID_SIZE];
    memcpy(id, value.ptr, FB_ID_SIZE - 1);
    id[FB_ID_SIZE - 1] = '\0';
    struct fb_slice rest = fb_slice_sub(value, FB_ID_SIZE - 1, SIZE_MAX);
    if (!fb_id_is_valid(id) || !fb_slice_istarts(rest, "; b=")) {
        return false;
    }
    uint32_t branch = 0;
    size_t i = 4;
    for (; i < rest.len && i < 9 && rest.ptr[i] >= '0' && rest.ptr[i] <= '9'; i++) {
        branch = branch * 10 + (uint32_t)(rest.ptr[i] - '0');
    }
    rest = fb_slice_sub(rest, i, SIZE_MAX);
    char want[MAC_TEXT + 2];
    if (i == 4 || rest.len != 4 + MAC_TEXT || !fb_slice_istarts(rest, "; h=") ||
        !mac(key, id, branch, body_hash, want)) {
        return false;
    }
    if (CRYPTO_memcmp(want, rest.ptr + 4, MAC_TEXT) != 0) {
        return false;
    }
    memcpy(msg_id_r, id, sizeof id);
    *branch_r = branch;
    return true;
}
