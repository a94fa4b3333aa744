/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/assets.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* The files that the build has put into web/, each as it is and compressed.  (The assembler reads them: a compiler
 * needs minutes for such an array.) */
#define EMBED(name, file)                                                                          \
    __asm__(".section .rodata\n"                                                                   \
            ".balign 16\n"                                                                         \
            ".global " #name "\n" #name ":\n"                                                      \
            ".incbin \"" FB_WEB_DIR "/" file "\"\n"                                                \
            ".global " #name "_end\n" #name "_end:\n"                                              \
            ".previous\n");                                                                        \
    extern const uint8_t name[], name##_end[]

EMBED(asset_pdf, "pdf.min.mjs");
EMBED(asset_pdf_gz, "pdf.min.mjs.gz");
EMBED(asset_worker, "pdf.worker.min.mjs");
EMBED(asset_worker_gz, "pdf.worker.min.mjs.gz");
EMBED(asset_viewer, "viewer.mjs");
EMBED(asset_viewer_gz, "viewer.mjs.gz");
EMBED(asset_style, "viewer.css");
EMBED(asset_style_gz, "viewer.css.gz");

static const struct asset {
    const char *name, *type;
    const uint8_t *plain, *plain_end, *packed, *packed_end;
} assets[] = {
    {"pdf.min.mjs", "text/javascript; charset=utf-8", asset_pdf, asset_pdf_end, asset_pdf_gz,
     asset_pdf_gz_end},
    {"pdf.worker.min.mjs", "text/javascript; charset=utf-8", asset_worker, asset_worker_end,
     asset_worker_gz, asset_worker_gz_end},
    {"viewer.mjs", "text/javascript; charset=utf-8", asset_viewer, asset_viewer_end,
     asset_viewer_gz, asset_viewer_gz_end},
    {"viewer.css", "text/css; charset=utf-8", asset_style, asset_style_end, asset_style_gz,
     asset_style_gz_end},
};
#define COUNT (sizeof assets / sizeof assets[0])

static char path[ASSETS_PATH_SIZE];
static pthread_once_t path_once = PTHREAD_ONCE_INIT;

static void make_path(void)
{
    struct fb_hash hash;
    uint8_t digest[FB_SHA256_SIZE];
    char hex[17];
    fb_hash_init(&hash, FB_HASH_SHA256);
    for (size_t i = 0; i < COUNT; i++) {
        fb_hash_update(&hash, assets[i].plain, (size_t)(assets[i].plain_end - assets[i].plain));
    }
    fb_hash_final(&hash, digest);
    fb_hash_deinit(&hash);
    fb_hex(digest, 8, hex);
    (void)snprintf(path, sizeof path, "%s%s/", ASSETS_PATH, hex);
}

void assets_path(char path_r[ASSETS_PATH_SIZE])
{
    (void)pthread_once(&path_once, make_path);
    memcpy(path_r, path, sizeof path);
}

void assets_policy(const struct portal *p, char *out_r, size_t size)
{
    uint8_t digest[FB_SHA256_SIZE];
    char own[ASSETS_PATH_SIZE];
    struct fb_buf hash;
    fb_buf_init(&hash, 64);
    assets_path(own);
    fb_sha256(portal_style, strlen(portal_style), digest);
    FB_ASSERT(fb_base64_encode(fb_slice_of(digest, sizeof digest), &hash) == FB_OK);
    int n = snprintf(out_r, size,
                     "default-src 'none'; script-src %s%s; worker-src %s%s; connect-src 'self'; "
                     "img-src 'self'; style-src 'sha256-%s' %s%s; form-action 'self'; base-uri "
                     "'none'; frame-ancestors 'none'",
                     p->origin, own, p->origin, own, fb_buf_str(&hash), p->origin, own);
    FB_ASSERT(n > 0 && (size_t)n < size);
    fb_buf_deinit(&hash);
}

/* ---- sending ---- */

static ssize_t read_asset(void *ctx, uint64_t offset, void *out, size_t len)
{
    memcpy(out, (const uint8_t *)ctx + offset, len); /* never asked for more than there is */
    return (ssize_t)len;
}

/* "gzip" in Accept-Encoding without "q=0" (RFC 9110 12.5.3). */
static bool takes_gzip(const struct visit *v)
{
    const char *accept = fb_http_header(v->request, "Accept-Encoding");
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

static void send_one(struct visit *v, const struct asset *a)
{
    bool is_packed = takes_gzip(v);
    const uint8_t *from = is_packed ? a->packed : a->plain;
    const uint8_t *end = is_packed ? a->packed_end : a->plain_end;
    v->page = "asset";
    fb_http_answer_header(v->answer, "Content-Type", "%s", a->type);
    fb_http_answer_header(v->answer, "Vary", "Accept-Encoding");
    fb_http_answer_replace(v->answer, "Cache-Control", "public, max-age=31536000, immutable");
    fb_http_answer_replace(v->answer, "Content-Security-Policy", "default-src 'none'");
    if (is_packed) {
        fb_http_answer_header(v->answer, "Content-Encoding", "gzip");
    }
    v->answer->stream = (struct fb_http_stream){
        .read = read_asset, .ctx = (void *)(uintptr_t)from, .size = (uint64_t)(end - from)};
    v->answer->status = 200;
}

bool assets_send(struct visit *v)
{
    char own[ASSETS_PATH_SIZE];
    assets_path(own);
    size_t len = strlen(own);
    if (strncmp(v->request->path, own, len) != 0) {
        return false;
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (strcmp(v->request->path + len, assets[i].name) == 0) {
            send_one(v, &assets[i]);
            return true;
        }
    }
    return false;
}
