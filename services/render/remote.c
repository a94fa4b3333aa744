/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/remote.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "services/render/html_prepare.h"
#include "services/render/rpc.h"

#define AT_ONCE    8L
#define STEP_MS    100
#define CONNECT_MS 2000L

struct batch;

struct picture {
    struct batch *batch;
    CURL *curl;
    char *question;
    struct fb_buf bytes;
    bool is_good;
};

struct batch {
    const struct fb_config *config;
    struct picture pictures[RENDER_REMOTE_COUNT];
    size_t count, total;
    CURLM *multi;
    struct curl_slist *headers;
    const char *trouble; /* static: why fetch could not be asked */
};

/* ---- what the child wants ---- */

/* What a URL of render_html_remote looks like: nothing else is passed on. */
static bool is_plain(struct fb_slice url)
{
    bool is_web = fb_slice_istarts(url, "http://") || fb_slice_istarts(url, "https://");
    for (size_t i = 0; i < url.len; i++) {
        is_web = is_web && url.ptr[i] > 0x20 && url.ptr[i] < 0x7F;
    }
    return is_web && url.len <= RENDER_REMOTE_URL;
}

static char *question_of(struct fb_slice url)
{
    char *text = fb_slice_dup_str(url);
    json_t *o = text != NULL ? json_pack("{s:s}", "url", text) : NULL;
    char *question = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    FB_ASSERT(question != NULL);
    json_decref(o);
    free(text);
    return question;
}

static enum fb_status read_wishes(struct batch *b, struct fb_slice in, struct fb_error *err)
{
    while (in.len > 0) {
        struct fb_slice url;
        if (b->count == RENDER_REMOTE_COUNT || !render_rpc_take_bytes(&in, &url) ||
            !is_plain(url)) {
            return fb_error_set(err, FB_CRASHED, "the child asked for an image beyond all bounds");
        }
        struct picture *p = &b->pictures[b->count++];
        p->batch = b;
        p->question = question_of(url);
        fb_buf_init(&p->bytes, RENDER_REMOTE_ONE);
    }
    return FB_OK;
}

/* ---- asking fetch ---- */

static size_t take(char *data, size_t size, size_t count, void *ctx)
{
    struct picture *p = ctx;
    size_t len = size * count;
    if (len > RENDER_REMOTE_BYTES - p->batch->total || fb_buf_add(&p->bytes, data, len) != FB_OK) {
        return 0;
    }
    p->batch->total += len;
    return len;
}

static bool begin(struct batch *b, struct picture *p, const char *url)
{
    CURL *c = p->curl = curl_easy_init();
    return c != NULL && curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)RENDER_REMOTE_TIME_MS) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTPHEADER, b->headers) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDS, p->question) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, p) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PRIVATE, p) == CURLE_OK &&
           curl_multi_add_handle(b->multi, c) == CURLM_OK;
}

static void end(struct batch *b, CURL *curl, CURLcode code)
{
    struct picture *p = NULL;
    long status = 0;
    if (curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&p) != CURLE_OK || p == NULL) {
        return;
    }
    if (code == CURLE_OK && curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK) {
        p->is_good = status == 200 && p->bytes.len > 0;
        b->trouble = status == 401 ? "it does not know our fetch.token" : b->trouble;
    } else if (code != CURLE_WRITE_ERROR) {
        b->trouble = curl_easy_strerror(code);
    }
}

static void run(struct batch *b)
{
    int64_t deadline = fb_mono_ms() + RENDER_REMOTE_TIME_MS;
    int running = 1;
    while (running > 0 && fb_mono_ms() < deadline) {
        int left = 0;
        CURLMsg *m = NULL;
        if (curl_multi_perform(b->multi, &running) != CURLM_OK) {
            return;
        }
        while ((m = curl_multi_info_read(b->multi, &left)) != NULL) {
            if (m->msg == CURLMSG_DONE) {
                end(b, m->easy_handle, m->data.result);
            }
        }
        if (running > 0 && curl_multi_poll(b->multi, NULL, 0, STEP_MS, NULL) != CURLM_OK) {
            return;
        }
    }
}

static struct curl_slist *headers_of(const char *token)
{
    struct fb_buf line;
    fb_buf_init(&line, 8192);
    struct curl_slist *list = NULL;
    if (fb_buf_printf(&line, "Authorization: Bearer %s", token) == FB_OK) {
        list = curl_slist_append(NULL, fb_buf_str(&line));
        fb_wipe(line.ptr, line.len);
    }
    struct curl_slist *more =
        list != NULL ? curl_slist_append(list, "Content-Type: application/json") : NULL;
    fb_buf_deinit(&line);
    if (more == NULL) {
        curl_slist_free_all(list);
    }
    return more;
}

static void fetch(struct batch *b)
{
    char url[512];
    (void)snprintf(url, sizeof url, "%s/v1/image", b->config->render.remote_images);
    b->multi = curl_multi_init();
    b->headers = headers_of(b->config->fetch.token);
    bool is_ready =
        b->multi != NULL && b->headers != NULL &&
        curl_multi_setopt(b->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, AT_ONCE) == CURLM_OK;
    for (size_t i = 0; i < b->count && is_ready; i++) {
        is_ready = begin(b, &b->pictures[i], url);
    }
    if (is_ready) {
        run(b);
    } else {
        b->trouble = "libcurl cannot be used";
    }
}

static void tell(const struct batch *b)
{
    size_t good = 0;
    char asked[24], got[24];
    for (size_t i = 0; i < b->count; i++) {
        good += b->pictures[i].is_good;
    }
    (void)snprintf(asked, sizeof asked, "%zu", b->count);
    (void)snprintf(got, sizeof got, "%zu", good);
    fb_metric_add("fumibako_remote_images_total", "outcome=\"shown\"", (double)good);
    fb_metric_add("fumibako_remote_images_total", "outcome=\"missing\"", (double)(b->count - good));
    if (b->trouble != NULL) {
        fb_log(FB_WARN, "the fetcher of remote images (render.remote_images): %s", b->trouble);
    }
    fb_log_fields(FB_INFO, "remote images", "asked", asked, "got", got, NULL);
}

/* ---- the answer ---- */

static enum fb_status send_frame(int fd, struct fb_slice head, struct fb_slice piece, int wait_ms,
                                 struct fb_error *err)
{
    return render_rpc_send(fd, RENDER_RPC_FETCH, head, piece, wait_ms) == FB_OK
               ? FB_OK
               : fb_error_set(err, FB_CRASHED, "the sandboxed child does not listen any more");
}

static enum fb_status send_all(struct batch *b, int fd, int wait_ms, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < b->count && s == FB_OK; i++) {
        const uint64_t index = i;
        struct fb_slice rest = fb_slice_buf(&b->pictures[i].bytes);
        while (b->pictures[i].is_good && rest.len > 0 && s == FB_OK) {
            struct fb_slice piece = fb_slice_sub(rest, 0, RENDER_RPC_MAX - sizeof index);
            s = send_frame(fd, fb_slice_of(&index, sizeof index), piece, wait_ms, err);
            rest = fb_slice_sub(rest, piece.len, SIZE_MAX);
        }
    }
    return s == FB_OK ? send_frame(fd, (struct fb_slice){0}, (struct fb_slice){0}, wait_ms, err)
                      : s;
}

static void deinit(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        struct picture *p = &b->pictures[i];
        if (p->curl != NULL) {
            (void)curl_multi_remove_handle(b->multi, p->curl);
            curl_easy_cleanup(p->curl);
        }
        fb_buf_deinit(&p->bytes);
        free(p->question);
    }
    if (b->multi != NULL) {
        (void)curl_multi_cleanup(b->multi);
    }
    if (b->headers != NULL) {
        fb_wipe(b->headers->data, strlen(b->headers->data));
        curl_slist_free_all(b->headers);
    }
}

enum fb_status render_remote_answer(const struct fb_config *config, int fd, struct fb_slice payload,
                                    int wait_ms, struct fb_error *err)
{
    struct batch *b = fb_xcalloc(1, sizeof *b);
    b->config = config;
    enum fb_status s = read_wishes(b, payload, err);
    if (s == FB_OK && b->count > 0 && config != NULL && config->render.remote_images != NULL) {
        fetch(b);
        tell(b);
    }
    s = s == FB_OK ? send_all(b, fd, wait_ms, err) : s;
    deinit(b);
    free(b);
    return s;
}
