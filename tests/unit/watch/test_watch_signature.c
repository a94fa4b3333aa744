/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures of webhooks: Box's algorithm over the bytes as they came, either of two keys, ten
 * minutes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "services/watch/signature.h"

/* The backslashes are bytes of the body: who writes the JSON anew gets another signature. */
#define BODY                                                                                       \
    "{\"type\":\"webhook_event\",\"webhook\":{\"id\":\"1234567890\"},\"trigger\":\"FILE."          \
    "UPLOADED\","                                                                                  \
    "\"source\":{\"id\":\"1234567890\",\"type\":\"file\",\"name\":\"Test \\u00e9.txt\","           \
    "\"p\":\"a\\/b\"}}"
#define KEY       "SamplePrimaryKey"
#define SIGNATURE "+mLas4hw9FsE4PWnK2r0VBU3we/i9tc07QRzEdiOY+o="
#define AT        "2026-01-01T00:00:00-08:00"
#define AT_MS     INT64_C(1767254400000)
#define MINUTE    INT64_C(60000)

struct row {
    const char *name;
    const char *body, *timestamp, *version, *algorithm, *primary, *secondary;
    const char *primary_key, *secondary_key;
    int64_t now_ms;
    enum fb_status want;
};

static const struct row rows[] = {
    {"valid", BODY, AT, "1", "HmacSHA256", SIGNATURE, NULL, KEY, NULL, AT_MS + MINUTE, FB_OK},
    {"by the second key", BODY, AT, "1", "HmacSHA256", "x", SIGNATURE, "other", KEY, AT_MS, FB_OK},
    {"keys are not mixed", BODY, AT, "1", "HmacSHA256", SIGNATURE, NULL, "other", KEY, AT_MS,
     FB_DENIED},
    {"wrong key", BODY, AT, "1", "HmacSHA256", SIGNATURE, SIGNATURE, "a", "b", AT_MS, FB_DENIED},
    {"another body", BODY " ", AT, "1", "HmacSHA256", SIGNATURE, NULL, KEY, NULL, AT_MS, FB_DENIED},
    {"the same instant, written differently", BODY, "2026-01-01T08:00:00Z", "1", "HmacSHA256",
     SIGNATURE, NULL, KEY, NULL, AT_MS, FB_DENIED},
    {"ten minutes", BODY, AT, "1", "HmacSHA256", SIGNATURE, NULL, KEY, NULL, AT_MS + 10 * MINUTE,
     FB_OK},
    {"older than ten minutes", BODY, AT, "1", "HmacSHA256", SIGNATURE, NULL, KEY, NULL,
     AT_MS + 10 * MINUTE + 1, FB_DENIED},
    {"from the future", BODY, AT, "1", "HmacSHA256", SIGNATURE, NULL, KEY, NULL,
     AT_MS - 11 * MINUTE, FB_DENIED},
    {"no signature", BODY, AT, "1", "HmacSHA256", NULL, NULL, KEY, KEY, AT_MS, FB_DENIED},
    {"empty key", BODY, AT, "1", "HmacSHA256", SIGNATURE, NULL, "", NULL, AT_MS, FB_DENIED},
    {"no time", BODY, NULL, "1", "HmacSHA256", SIGNATURE, NULL, KEY, NULL, AT_MS, FB_DENIED},
    {"no such time", BODY, "yesterday", "1", "HmacSHA256", SIGNATURE, NULL, KEY, NULL, AT_MS,
     FB_DENIED},
    {"another version", BODY, AT, "2", "HmacSHA256", SIGNATURE, NULL, KEY, NULL, AT_MS, FB_DENIED},
    {"another algorithm", BODY, AT, "1", "none", SIGNATURE, NULL, KEY, NULL, AT_MS, FB_DENIED},
    {"shortened", BODY, AT, "1", "HmacSHA256", "+mLas4hw9FsE4PWnK2r0VBU3we", NULL, KEY, NULL, AT_MS,
     FB_DENIED},
};

static void a_delivery_is_believed_by_its_signature_and_age_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct fb_error err = {0};
        const struct watch_delivery d = {.body = fb_slice_str(r->body),
                                         .timestamp = r->timestamp,
                                         .version = r->version,
                                         .algorithm = r->algorithm,
                                         .primary = r->primary,
                                         .secondary = r->secondary};
        enum fb_status got =
            watch_signature_check(&d, r->primary_key, r->secondary_key, r->now_ms, &err);
        if (got != r->want) {
            fail_msg("%s: got %s (%s), want %s", r->name, fb_status_name(got), err.text,
                     fb_status_name(r->want));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delivery_is_believed_by_its_signature_and_age_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
