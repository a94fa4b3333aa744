/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/child_signature.h"

#include <strings.h>

#include "proto/trace_header.h"

/* Hash of the body: what follows the first empty line. */
static enum fb_status hash_body(struct child_talk *t, uint8_t hash_r[32], struct fb_error *err)
{
    static uint8_t chunk[RENDER_RPC_READ];
    struct render_source source = child_source(t);
    struct fb_body_hash hash;
    bool is_body = false;
    uint32_t last4 = 0;
    enum fb_status s = fb_body_hash_init(&hash);
    for (uint64_t at = 0; s == FB_OK && at < source.size;) {
        size_t n = 0;
        size_t i = 0;
        s = source.read(source.ctx, at, chunk, sizeof chunk, &n, err);
        if (s != FB_OK || n == 0) {
            break;
        }
        while (!is_body && i < n) {
            last4 = last4 << 8 | chunk[i++];
            is_body = last4 == 0x0D0A0D0A;
        }
        s = fb_body_hash_add(&hash, fb_slice_of(chunk + i, n - i));
        at += n;
    }
    enum fb_status end = fb_body_hash_final(&hash, hash_r);
    return s == FB_OK ? end : s;
}

enum fb_status child_look_for_signature(struct child_talk *t, struct render_mail *m,
                                        struct fb_error *err)
{
    for (size_t i = 0; i < m->facts.header_count; i++) {
        const struct fb_policy_header_fact *h = &m->facts.headers[i];
        if (strcasecmp(h->name, FB_TRACE_HEADER) == 0) {
            uint8_t hash[32];
            enum fb_status s = hash_body(t, hash, err);
            if (s == FB_OK) {
                m->facts.has_our_signature = child_verify(t, fb_slice_str(h->value), hash);
            }
            return s;
        }
    }
    return FB_OK;
}
