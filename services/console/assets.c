/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages: one application (web/README.md), which is part of the program.  Its script and style
 * sheet lie below a path that changes with their bytes; index.html, which names that path, answers
 * every other address: where in the application it leads is the application's business. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/http_assets.h"
#include "services/console/call.h"

#define ASSETS_PATH "/assets/"
#define PLACE       "/@assets@" /* stands in index.html for our path */

/* What the build has put into web/, each as it is and compressed. */
#define EMBED(name, file) FB_ASSET_EMBED(name, FB_WEB_DIR "/" file)

EMBED(page_index, "index.html");
EMBED(page_script, "console.js");
EMBED(page_script_gz, "console.js.gz");
EMBED(page_style, "console.css");
EMBED(page_style_gz, "console.css.gz");
EMBED(page_icon, "icon.svg");
EMBED(page_icon_gz, "icon.svg.gz");
/* Of what others wrote of the script (web/vite.config.ts). */
EMBED(page_licences, "licences.txt");
EMBED(page_licences_gz, "licences.txt.gz");

static const struct fb_asset assets[] = {
    {"console.js", "text/javascript; charset=utf-8", page_script, page_script_end, page_script_gz,
     page_script_gz_end},
    {"console.css", "text/css; charset=utf-8", page_style, page_style_end, page_style_gz,
     page_style_gz_end},
    {"icon.svg", "image/svg+xml", page_icon, page_icon_end, page_icon_gz, page_icon_gz_end},
    {"licences.txt", "text/plain; charset=utf-8", page_licences, page_licences_end,
     page_licences_gz, page_licences_gz_end},
};
#define COUNT (sizeof assets / sizeof assets[0])

/* Style that scripts set on an element is no inline style; images are ours, previews of logos, and squares to scan. */
const char assets_policy[] =
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'";

static char own_path[sizeof ASSETS_PATH + FB_ASSETS_HASH_SIZE];
static pthread_once_t path_once = PTHREAD_ONCE_INIT;

static void make_path(void)
{
    char hex[FB_ASSETS_HASH_SIZE];
    fb_assets_hash(assets, COUNT, hex);
    (void)snprintf(own_path, sizeof own_path, "%s%s", ASSETS_PATH, hex);
}

static enum fb_status add_index(struct fb_buf *out)
{
    struct fb_slice rest = fb_slice_of(page_index, (size_t)(page_index_end - page_index));
    enum fb_status s = FB_OK;
    for (size_t at;
         s == FB_OK && (at = fb_slice_find(rest, FB_SLICE_LITERAL(PLACE))) != SIZE_MAX;) {
        s = fb_buf_add(out, rest.ptr, at);
        if (s == FB_OK) {
            s = fb_buf_add_str(out, own_path);
        }
        rest = fb_slice_sub(rest, at + sizeof PLACE - 1, SIZE_MAX);
    }
    return s == FB_OK ? fb_buf_add(out, rest.ptr, rest.len) : s;
}

/* A file of a build that is no more: the page that asks for it is old, and reloads. */
static void not_here(struct call *c)
{
    answer_problem(c, 404, "not-found", "見つかりません。ページを再読み込みしてください。",
                   "There is nothing here. Reload the page.");
}

void assets_send(struct call *c)
{
    const char *path = c->request->path;
    (void)pthread_once(&path_once, make_path);
    if (strcmp(c->request->method, "GET") != 0 && strcmp(c->request->method, "HEAD") != 0) {
        fb_http_answer_header(c->answer, "Allow", "GET, HEAD");
        answer_problem(c, 405, "method", "このアドレスはそのメソッドに対応していません。",
                       "This address does not know that method.");
        return;
    }
    if (strncmp(path, ASSETS_PATH, sizeof ASSETS_PATH - 1) == 0) {
        size_t len = strlen(own_path);
        if (strncmp(path, own_path, len) != 0 || path[len] != '/' ||
            !fb_assets_send(assets, COUNT, path + len + 1, c->request, c->answer)) {
            not_here(c);
        }
        return;
    }
    if (strcmp(path, PREVIEW_FRAME_PATH) == 0) {
        preview_frame_send(c);
        return;
    }
    fb_http_answer_header(c->answer, "Content-Type", "text/html; charset=utf-8");
    c->answer->status = add_index(&c->answer->body) == FB_OK ? 200 : 500;
}
