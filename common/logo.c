/* SPDX-License-Identifier: Apache-2.0 */
#include "common/logo.h"

#include <string.h>

#include "common/crypto.h"

#define MAX_URL (FB_LOGO_MAX_BYTES / 3 * 4 + 64)

/* What it is by its first bytes: a name or a URL's type proves nothing. */
static const struct {
    const char *magic;
    size_t len;
    const char *type, *name;
} kinds[] = {
    {"\x89PNG\r\n\x1a\n", 8, "image/png", "logo.png"},
    {"\xff\xd8\xff", 3, "image/jpeg", "logo.jpg"},
    {"GIF87a", 6, "image/gif", "logo.gif"},
    {"GIF89a", 6, "image/gif", "logo.gif"},
};

static enum fb_status decode_url(const char *url, struct fb_buf *out, struct fb_error *err)
{
    struct fb_buf text;
    const char *comma = strchr(url, ',');
    enum fb_status s = FB_OK;
    fb_buf_init(&text, MAX_URL);
    for (const char *p = comma != NULL ? comma + 1 : ""; *p != '\0' && s == FB_OK; p++) {
        s = strchr(" \t\r\n", *p) != NULL ? FB_OK
                                          : fb_buf_add_char(&text, *p); /* YAML folds long values */
    }
    if (s == FB_OK) {
        s = fb_base64_decode(fb_slice_buf(&text), out);
    }
    fb_buf_deinit(&text);
    return s == FB_OK ? s
                      : fb_error_set(err, s, "notices.logo: no base64 of at most %u bytes",
                                     FB_LOGO_MAX_BYTES);
}

enum fb_status fb_logo_load(const char *spec, struct fb_logo *logo_r, struct fb_error *err)
{
    *logo_r = (struct fb_logo){.type = "", .name = ""};
    fb_buf_init(&logo_r->bytes, FB_LOGO_MAX_BYTES);
    enum fb_status s = strncmp(spec, "data:", 5) == 0
                           ? decode_url(spec, &logo_r->bytes, err)
                           : fb_read_file(spec, FB_LOGO_MAX_BYTES, &logo_r->bytes, err);
    if (s != FB_OK) {
        fb_logo_deinit(logo_r);
        return s;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (logo_r->bytes.len > kinds[i].len &&
            memcmp(logo_r->bytes.ptr, kinds[i].magic, kinds[i].len) == 0) {
            logo_r->type = kinds[i].type;
            logo_r->name = kinds[i].name;
            return FB_OK;
        }
    }
    fb_logo_deinit(logo_r);
    return fb_error_set(err, FB_INVALID, "notices.logo: neither PNG nor JPEG nor GIF");
}

void fb_logo_deinit(struct fb_logo *logo)
{
    fb_buf_deinit(&logo->bytes);
    *logo = (struct fb_logo){.type = "", .name = ""};
}
