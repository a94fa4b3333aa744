/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a storage's page of events, as its answer about a grant, and as a webhook.
 *
 * Input: the time of delivery, a line end, and the body.  Checked: an event that is given on has an
 * id and a folder, each string its end; what does not look like a page is refused and gives nothing;
 * a webhook is believed with the signature of our key over this body and this time, and with no
 * other.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/policy/policy.h"
#include "services/upload/box_internal.h"
#include "services/watch/signature.h"

#define KEY    "0123456789abcdef"
#define NOW_MS INT64_C(1767225600000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum fb_status __wrap_box_call(struct storage_session *s, const struct box_request *q,
                               struct box_reply *reply_r, struct fb_error *err);

static struct fb_slice body;

enum fb_status __wrap_box_call(struct storage_session *s, const struct box_request *q,
                               struct box_reply *reply_r, struct fb_error *err)
{
    (void)s;
    FB_ASSERT(strlen(q->url) < 2048);
    *reply_r = (struct box_reply){.status = 200, .retry_after_ms = -1};
    reply_r->json = json_loadb((const char *)body.ptr, body.len, 0, NULL);
    return reply_r->json != NULL ? FB_OK : fb_error_set(err, FB_AGAIN, "not JSON");
}

#define HAS_END(text) (strnlen((text), sizeof(text)) < sizeof(text))

static void check_event(const struct storage_event *e)
{
    uint8_t digest[FB_SHA256_SIZE];
    FB_ASSERT(e->kind != STORAGE_EVENT_OTHER);
    FB_ASSERT(HAS_END(e->id) && strlen(e->id) == 64 && fb_unhex(e->id, digest, sizeof digest));
    FB_ASSERT(HAS_END(e->item_id) && HAS_END(e->folder_id) && HAS_END(e->actor_id));
    FB_ASSERT(HAS_END(e->actor) && e->actor[0] != '\0' && e->folder_id[0] != '\0');
    FB_ASSERT(!e->is_folder || strcmp(e->item_id, e->folder_id) == 0);
    FB_ASSERT(!e->is_own || e->actor_id[0] != '\0');
}

static void try_events(bool is_enterprise, const char *position)
{
    char url[] = "https://api.example";
    struct fb_policy_storage storage = {.follows_enterprise = is_enterprise};
    struct storage_session s = {.storage = &storage, .api_url = url, .own_id = "77"};
    struct storage_events page;
    struct storage_grant_state grant;
    struct fb_error err = {0};
    if (box_events(&s, "", position, &page, &err) == FB_OK) {
        for (size_t i = 0; i < page.count; i++) {
            check_event(&page.items[i]);
        }
        FB_ASSERT(HAS_END(page.position) && page.position[0] != '\0');
    } else {
        FB_ASSERT(page.count == 0 && err.text[0] != '\0');
    }
    storage_events_deinit(&page);
    if (box_grant_state(&s, "", "4711", &grant, &err) == FB_OK) {
        FB_ASSERT(HAS_END(grant.user_id) && HAS_END(grant.login) && HAS_END(grant.two_step));
        FB_ASSERT(!grant.is_gone || !grant.is_pending);
    }
}

static void sign(const char *timestamp, char signature[64])
{
    uint8_t digest[FB_SHA256_SIZE];
    struct fb_buf all, text;
    fb_buf_init(&all, body.len + 1024);
    fb_buf_init(&text, 63);
    FB_ASSERT(fb_buf_add_slice(&all, body) == FB_OK && fb_buf_add_str(&all, timestamp) == FB_OK);
    fb_hmac_sha256(fb_slice_str(KEY), fb_slice_buf(&all), digest);
    FB_ASSERT(fb_base64_encode(fb_slice_of(digest, sizeof digest), &text) == FB_OK);
    (void)snprintf(signature, 64, "%s", fb_buf_str(&text));
    fb_buf_deinit(&all);
    fb_buf_deinit(&text);
}

static void try_webhook(const char *timestamp)
{
    char signature[64];
    struct fb_error err = {0};
    struct watch_delivery d = {
        .body = body, .timestamp = timestamp, .version = "1", .algorithm = "HmacSHA256"};
    d.primary = timestamp; /* not a signature */
    FB_ASSERT(watch_signature_check(&d, KEY, NULL, NOW_MS, &err) == FB_DENIED);
    sign(timestamp, signature);
    d.primary = signature;
    enum fb_status s = watch_signature_check(&d, KEY, NULL, NOW_MS, &err);
    FB_ASSERT(s == FB_OK || s == FB_DENIED); /* denied: the time is none, or too old */
    FB_ASSERT(watch_signature_check(&d, "another key", NULL, NOW_MS, &err) == FB_DENIED);
    FB_ASSERT(watch_signature_check(&d, NULL, KEY, NOW_MS, &err) == FB_DENIED);
    if (body.len > 0) {
        d.body = fb_slice_sub(body, 1, SIZE_MAX);
        FB_ASSERT(watch_signature_check(&d, KEY, NULL, NOW_MS, &err) == FB_DENIED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char timestamp[256] = "";
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t n = end != NULL ? (size_t)(end - data) : 0;
    memcpy(timestamp, data, n < sizeof timestamp - 1 ? n : sizeof timestamp - 1);
    body = end != NULL ? fb_slice_of(end + 1, size - n - 1) : fb_slice_of(data, size);
    try_events(false, "0");
    try_events(true, timestamp);
    try_webhook(timestamp);
    return 0;
}
