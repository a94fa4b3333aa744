/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/assets.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/http_assets.h"

/* The files that the build has put into web/, each as it is and compressed. */
#define EMBED(name, file) FB_ASSET_EMBED(name, FB_WEB_DIR "/" file)

EMBED(asset_pdf, "pdf.min.mjs");
EMBED(asset_pdf_gz, "pdf.min.mjs.gz");
EMBED(asset_worker, "pdf.worker.min.mjs");
EMBED(asset_worker_gz, "pdf.worker.min.mjs.gz");
EMBED(asset_viewer, "viewer.mjs");
EMBED(asset_viewer_gz, "viewer.mjs.gz");
EMBED(asset_style, "viewer.css");
EMBED(asset_style_gz, "viewer.css.gz");

static const struct fb_asset assets[] = {
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
    char hex[FB_ASSETS_HASH_SIZE];
    fb_assets_hash(assets, COUNT, hex);
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

bool assets_send(struct visit *v)
{
    char own[ASSETS_PATH_SIZE];
    assets_path(own);
    size_t len = strlen(own);
    if (strncmp(v->request->path, own, len) != 0) {
        return false;
    }
    if (!fb_assets_send(assets, COUNT, v->request->path + len, v->request, v->answer)) {
        return false;
    }
    v->page = "asset";
    return true;
}
