/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a form that the portal gets, as a token, as Accept-Language and as text on a page.
 *
 * Checked: what is taken keeps its limits, a token of the fuzzer's is never believed, and nothing that a page shows can
 * open a tag or leave an attribute.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/portal/door.h"
#include "services/portal/form.h"
#include "services/portal/html.h"
#include "common/language.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_form(struct fb_slice body)
{
    static const uint8_t key[FB_KEY_SIZE] = {7};
    struct form f;
    if (form_parse(body, &f) != FB_OK) {
        return;
    }
    FB_ASSERT(f.count <= FORM_MAX_RECIPIENTS && strlen(f.reason) <= FB_MAX_RECALL_REASON);
    FB_ASSERT(form_is_utf8(f.reason) && strpbrk(f.reason, "\r\n") == NULL && f.token[0] != '\0');
    for (size_t i = 0; i < f.count; i++) {
        for (size_t k = 0; k < i; k++) {
            FB_ASSERT(f.recipients[i] != f.recipients[k]);
        }
    }
    const struct form_binding binding = {key, "recall", "link", "cookie", f.id};
    FB_ASSERT(!form_token_is_good(&binding, f.token, 0));
}

static void check_text(const char *text)
{
    struct fb_buf out;
    fb_buf_init(&out, 1U << 20);
    struct html h = {.out = &out};
    html_text(&h, text);
    FB_ASSERT(h.status != FB_OK || strpbrk(fb_buf_str(&out), "<>\"'\r\n") == NULL);
    fb_buf_deinit(&out);
}

/* What a recipient types at the door. */
static void check_door(struct fb_slice body, const char *text)
{
    char field[16], code[DOOR_CODE_DIGITS + 1], recovery[FB_TOTP_RECOVERY], masked[64];
    enum fb_status s = form_field(body, "token", field, sizeof field);
    FB_ASSERT(strlen(field) < sizeof field && (s == FB_OK || field[0] == '\0'));
    FB_ASSERT(!fb_totp_code_read(text, code) || strspn(code, "0123456789") == DOOR_CODE_DIGITS);
    FB_ASSERT(!fb_totp_recovery_read(text, recovery) || strlen(recovery) == FB_TOTP_RECOVERY - 1);
    FB_ASSERT(!door_is_address(text) ||
              (strlen(text) < READER_ADDRESS && strpbrk(text, " \r\n<>,;\"") == NULL));
    door_masked(text, masked, sizeof masked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_form(fb_slice_of(data, size));
    char *text = malloc(size + 1);
    FB_ASSERT(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    (void)fb_language_is_ja(NULL, text, false);
    (void)form_cookie_is_valid(text);
    check_text(text);
    check_door(fb_slice_of(data, size), text);
    free(text);
    return 0;
}
