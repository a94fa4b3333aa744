/* SPDX-License-Identifier: Apache-2.0
 *
 * One page of one browser: prepared once, used for mail after mail. Each request that a page makes
 * is paused by the Fetch domain and decided here: the letter itself once, its images by number,
 * nothing else. The document comes with a Content-Security-Policy that says the same. */
#include "services/render/chromium_internal.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LETTER_URL "http://fumibako.invalid/letter" /* .invalid: RFC 2606, nobody's */
#define POLICY                                                                                     \
    "default-src 'none'; img-src cid: data: http://fumibako.invalid; style-src 'unsafe-inline'"
#define MAX_REQUESTS 20000          /* a page that asks for more is not a letter */
#define MAX_ANSWERED (256ULL << 20) /* image bytes handed over for one print */
#define READ_BYTES   (1 << 20)
#define MAX_BASE64   (200U << 20)

/* ---- requests of the page ---- */

/* Ids and media types go into JSON as they are: they must consist of harmless characters. */
static bool is_plain(const char *text, size_t max)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+/";
    return text != NULL && text[0] != '\0' && strlen(text) < max &&
           strspn(text, allowed) == strlen(text);
}

static enum fb_status add_base64(struct fb_buf *out, struct fb_slice data)
{
    if (data.len > MAX_BASE64 / 4 * 3 - 3) {
        return FB_TOO_BIG;
    }
    size_t len = (data.len + 2) / 3 * 4;
    enum fb_status s = fb_buf_reserve(out, len + 1);
    if (s == FB_OK) {
        out->len += (size_t)EVP_EncodeBlock(out->ptr + out->len, data.ptr, (int)data.len);
    }
    return s;
}

static enum fb_status fulfil(struct render_chromium_page *page, const char *id, const char *type,
                             struct fb_slice data, struct fb_error *err)
{
    struct fb_buf params;
    fb_buf_init(&params, MAX_BASE64 + 4096);
    /* no-store: the next mail's image has the same name. */
    enum fb_status s = fb_buf_printf(
        &params,
        "{\"requestId\":\"%s\",\"responseCode\":200,\"responseHeaders\":["
        "{\"name\":\"Content-Type\",\"value\":\"%s\"},"
        "{\"name\":\"Cache-Control\",\"value\":\"no-store\"},"
        "{\"name\":\"Referrer-Policy\",\"value\":\"no-referrer\"},"
        "{\"name\":\"Content-Security-Policy\",\"value\":\"" POLICY "\"}],\"body\":\"",
        id, type);
    if (s == FB_OK) {
        s = add_base64(&params, data);
    }
    if (s == FB_OK) {
        s = fb_buf_add_str(&params, "\"}");
    }
    if (s == FB_OK) {
        s = render_cdp_send_text(&page->cdp, "Fetch.fulfillRequest", &params, err);
    } else {
        (void)fb_error_set(err, s, "Chromium: the document or an image is too large");
    }
    fb_buf_deinit(&params);
    return s;
}

static enum fb_status refuse(struct render_chromium_page *page, const char *id, bool is_document,
                             struct fb_error *err)
{
    /* "Aborted" leaves the letter where it is (a page that refreshes itself elsewhere); any other
     * reason would put an error page in its place. */
    return render_cdp_send(&page->cdp, "Fetch.failRequest",
                           json_pack("{s:s,s:s}", "requestId", id, "errorReason",
                                     is_document ? "Aborted" : "BlockedByClient"),
                           err);
}

/* The image that "cid:N" names; NULL for all other URLs. */
static const struct render_image *find_image(const struct render_chromium_job *job, const char *url)
{
    if (job == NULL || strncmp(url, "cid:", 4) != 0 || url[4] < '0' || url[4] > '9' ||
        strlen(url) > 12) {
        return NULL;
    }
    char *end = NULL;
    unsigned long n = strtoul(url + 4, &end, 10);
    return *end == '\0' && n < job->image_count ? &job->images[n] : NULL;
}

static enum fb_status on_request(struct render_chromium_page *page, const json_t *params,
                                 struct fb_error *err)
{
    const char *id = json_string_value(json_object_get(params, "requestId"));
    const char *kind = json_string_value(json_object_get(params, "resourceType"));
    const char *url = json_string_value(json_object_get(json_object_get(params, "request"), "url"));
    if (!is_plain(id, 128) || url == NULL || kind == NULL) {
        return fb_error_set(err, FB_CRASHED, "Chromium asked for something without a name");
    }
    if (++page->requests > MAX_REQUESTS) {
        return fb_error_set(err, FB_CRASHED, "the page makes more than %d requests", MAX_REQUESTS);
    }
    bool is_document = strcmp(kind, "Document") == 0;
    if (is_document && page->job != NULL && !page->is_served && strcmp(url, LETTER_URL) == 0) {
        page->is_served = true;
        return fulfil(page, id, "text/html; charset=utf-8", page->job->html, err);
    }
    const struct render_image *image =
        strcmp(kind, "Image") == 0 ? find_image(page->job, url) : NULL;
    if (image == NULL || image->bytes.len > MAX_ANSWERED - page->answered_bytes) {
        return refuse(page, id, is_document, err);
    }
    page->answered_bytes += image->bytes.len;
    return fulfil(page, id, is_plain(image->type, 64) ? image->type : "application/octet-stream",
                  fb_slice_buf(&image->bytes), err);
}

static enum fb_status on_event(void *ctx, const char *method, const json_t *params,
                               struct fb_error *err)
{
    struct render_chromium_page *page = ctx;
    if (strcmp(method, "Fetch.requestPaused") == 0) {
        return on_request(page, params, err);
    }
    if (strcmp(method, "Page.lifecycleEvent") == 0) {
        const char *name = json_string_value(json_object_get(params, "name"));
        const char *loader = json_string_value(json_object_get(params, "loaderId"));
        const char *frame = json_string_value(json_object_get(params, "frameId"));
        if (name != NULL && loader != NULL && frame != NULL && strcmp(name, "load") == 0 &&
            strcmp(frame, page->frame) == 0) {
            (void)snprintf(page->loaded, sizeof page->loaded, "%s", loader);
        }
        return FB_OK;
    }
    if (strcmp(method, "Inspector.targetCrashed") == 0 ||
        strcmp(method, "Target.detachedFromTarget") == 0) {
        return fb_error_set(err, FB_CRASHED, "Chromium's renderer crashed on the page");
    }
    return FB_OK;
}

/* ---- preparing ---- */

static enum fb_status take_text(json_t *result, const char *key, char *text_r, size_t size,
                                struct fb_error *err)
{
    const char *text = json_string_value(json_object_get(result, key));
    enum fb_status s = FB_OK;
    if (is_plain(text, size)) {
        (void)snprintf(text_r, size, "%s", text);
    } else {
        s = fb_error_set(err, FB_CRASHED, "Chromium answered without %s", key);
    }
    json_decref(result);
    return s;
}

static enum fb_status attach(struct render_chromium_page *page, struct fb_error *err)
{
    json_t *result = NULL;
    enum fb_status s = render_cdp_call(
        &page->cdp, "Target.createTarget",
        json_pack("{s:s,s:b}", "url", "about:blank", "enableBeginFrameControl", 1), &result, err);
    if (s == FB_OK) {
        s = take_text(result, "targetId", page->frame, sizeof page->frame, err);
    }
    result = NULL;
    if (s == FB_OK) {
        s = render_cdp_call(&page->cdp, "Target.attachToTarget",
                            json_pack("{s:s,s:b}", "targetId", page->frame, "flatten", 1), &result,
                            err);
    }
    char session[sizeof page->cdp.session] = "";
    if (s == FB_OK) {
        s = take_text(result, "sessionId", session, sizeof session, err);
        (void)memcpy(page->cdp.session, session, sizeof session);
    }
    return s;
}

enum fb_status render_chromium_page_open(struct render_chromium_page *page,
                                         const struct render_chromium_process *process,
                                         int64_t memory_bytes, int64_t deadline_ms,
                                         struct fb_error *err)
{
    *page = (struct render_chromium_page){0};
    render_cdp_init(&page->cdp, process, memory_bytes);
    page->cdp.on_event = on_event;
    page->cdp.ctx = page;
    page->cdp.deadline_ms = deadline_ms;
    enum fb_status s = attach(page, err);
    const struct {
        const char *method;
        json_t *params;
    } steps[] = {
        {"Fetch.enable", json_pack("{s:[{s:s}]}", "patterns", "urlPattern", "*")},
        {"Emulation.setScriptExecutionDisabled", json_pack("{s:b}", "value", 1)},
        /* Else the columns of "@media only screen" mails collapse. */
        {"Emulation.setEmulatedMedia", json_pack("{s:s}", "media", "screen")},
        {"Page.enable", NULL},
        {"Page.setLifecycleEventsEnabled", json_pack("{s:b}", "enabled", 1)},
        {"Inspector.enable", NULL},
        {"Network.enable", NULL},
        {"Network.setCacheDisabled", json_pack("{s:b}", "cacheDisabled", 1)},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (s == FB_OK) {
            s = render_cdp_call(&page->cdp, steps[i].method, steps[i].params, NULL, err);
        } else {
            json_decref(steps[i].params);
        }
    }
    return s;
}

void render_chromium_page_close(struct render_chromium_page *page)
{
    render_cdp_deinit(&page->cdp);
    *page = (struct render_chromium_page){0};
}

/* ---- printing ---- */

/* Navigates and waits until the document and its images are there. */
static enum fb_status load(struct render_chromium_page *page, const char *url, struct fb_error *err)
{
    json_t *result = NULL;
    char loader[sizeof page->loaded] = "";
    page->loaded[0] = '\0';
    enum fb_status s =
        render_cdp_call(&page->cdp, "Page.navigate", json_pack("{s:s}", "url", url), &result, err);
    if (s == FB_OK) {
        s = take_text(result, "loaderId", loader, sizeof loader, err);
    }
    while (s == FB_OK && strcmp(page->loaded, loader) != 0) {
        s = render_cdp_pump(&page->cdp, err);
    }
    return s;
}

static enum fb_status add_chunk(const json_t *result, struct fb_buf *pdf, struct fb_error *err)
{
    const json_t *data = json_object_get(result, "data");
    size_t len = json_string_length(data);
    const char *text = json_string_value(data);
    if (text == NULL || !json_is_true(json_object_get(result, "base64Encoded")) || len % 4 != 0) {
        return fb_error_set(err, FB_CRASHED, "Chromium's PDF comes in an unknown form");
    }
    uint8_t *bytes = fb_alloc_bounded(len + 1, MAX_BASE64);
    int n = bytes != NULL ? EVP_DecodeBlock(bytes, (const uint8_t *)text, (int)len) : -1;
    enum fb_status s = FB_OK;
    if (n < 0) {
        s = fb_error_set(err, FB_CRASHED, "Chromium's PDF cannot be decoded");
    } else {
        /* EVP_DecodeBlock counts padding as bytes. */
        size_t padding = len > 0 && text[len - 1] == '=' ? 1 : 0;
        padding += len > 1 && text[len - 2] == '=' ? 1 : 0;
        s = fb_buf_add(pdf, bytes, (size_t)n - padding);
        if (s != FB_OK) {
            s = fb_error_set(err, s, "the PDF is larger than %zu bytes", pdf->max);
        }
    }
    free(bytes);
    return s;
}

static enum fb_status read_pdf(struct render_chromium_page *page, const char *stream,
                               struct fb_buf *pdf, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (bool is_end = false; s == FB_OK && !is_end;) {
        json_t *result = NULL;
        s = render_cdp_call(&page->cdp, "IO.read",
                            json_pack("{s:s,s:i}", "handle", stream, "size", READ_BYTES), &result,
                            err);
        if (s == FB_OK) {
            is_end = json_is_true(json_object_get(result, "eof"));
            /* The last answer may be empty and is then not marked as base64. */
            if (json_string_length(json_object_get(result, "data")) > 0) {
                s = add_chunk(result, pdf, err);
            }
        }
        json_decref(result);
    }
    if (s == FB_OK) {
        s = render_cdp_call(&page->cdp, "IO.close", json_pack("{s:s}", "handle", stream), NULL,
                            err);
    }
    return s;
}

static enum fb_status print_pdf(struct render_chromium_page *page, struct fb_buf *pdf,
                                struct fb_error *err)
{
    json_t *params = json_pack("{s:b,s:b,s:f,s:f,s:i,s:i,s:i,s:i,s:b,s:b,s:s}", "printBackground",
                               1, "preferCSSPageSize", 1, "paperWidth", page->width_in,
                               "paperHeight", page->job->height_in, "marginTop", 0, "marginBottom",
                               0, "marginLeft", 0, "marginRight", 0, "generateTaggedPDF",
                               page->job->is_tagged, "generateDocumentOutline",
                               page->job->is_tagged, "transferMode", "ReturnAsStream");
    json_t *result = NULL;
    char stream[64] = "";
    enum fb_status s = render_cdp_call(&page->cdp, "Page.printToPDF", params, &result, err);
    if (s == FB_OK) {
        s = take_text(result, "stream", stream, sizeof stream, err);
    }
    return s == FB_OK ? read_pdf(page, stream, pdf, err) : s;
}

/* Nothing of this mail stays on the page.  Told, not waited for, which would cost a quarter of a
 * print: the next navigation comes behind it in any case.  Of a browser that fails here, the PDF is
 * complete; the next print finds out and starts another one. */
static void leave(struct render_chromium_page *page)
{
    struct fb_error err = {0};
    enum fb_status s = render_cdp_send(&page->cdp, "Page.navigate",
                                       json_pack("{s:s}", "url", "about:blank"), &err);
    while (s == FB_OK && page->cdp.sent < page->cdp.out.len) {
        s = render_cdp_pump(&page->cdp, &err);
    }
}

enum fb_status render_chromium_page_print(struct render_chromium_page *page,
                                          const struct render_chromium_job *job,
                                          int64_t deadline_ms, struct fb_buf *pdf,
                                          struct fb_error *err)
{
    page->job = job;
    page->is_served = false;
    page->requests = 0;
    page->answered_bytes = 0;
    page->cdp.deadline_ms = deadline_ms;
    page->cdp.next_look_ms = 0;
    enum fb_status s = render_chromium_fit_view(page, err);
    if (s == FB_OK) {
        s = load(page, LETTER_URL, err);
    }
    if (s == FB_OK) {
        s = render_chromium_fit(page, err);
    }
    if (s == FB_OK) {
        s = print_pdf(page, pdf, err);
    }
    page->job = NULL;
    if (s == FB_OK) {
        leave(page);
    }
    return s;
}
