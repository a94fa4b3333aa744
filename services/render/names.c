/* SPDX-License-Identifier: Apache-2.0
 *
 * File names.  Not yet safe for each storage (Box refuses more), but safe to show: a name cannot
 * hide its extension behind a right-to-left override, nor name a folder.
 */
#include "services/render/names.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/limits.h"
#include "services/render/charset.h"

static const struct {
    const char *type;
    const char *extension;
} extensions[] = {
    {"application/pdf", "pdf"},
    {"application/msword", "doc"},
    {"application/vnd.ms-excel", "xls"},
    {"application/vnd.ms-powerpoint", "ppt"},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"},
    {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"},
    {"application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"},
    {"application/zip", "zip"},
    {"application/x-zip-compressed", "zip"},
    {"application/gzip", "gz"},
    {"application/json", "json"},
    {"application/xml", "xml"},
    {"application/rtf", "rtf"},
    {"application/pgp-signature", "asc"},
    {"application/pgp-keys", "asc"},
    {"application/pkcs7-signature", "p7s"},
    {"application/x-pkcs7-signature", "p7s"},
    {"application/pkcs7-mime", "p7m"},
    {"application/x-pkcs7-mime", "p7m"},
    {"application/ms-tnef", "dat"},
    {"application/ics", "ics"},
    {"text/plain", "txt"},
    {"text/html", "html"},
    {"text/calendar", "ics"},
    {"text/csv", "csv"},
    {"text/vcard", "vcf"},
    {"text/x-vcard", "vcf"},
    {"text/directory", "vcf"},
    {"text/xml", "xml"},
    {"text/rtf", "rtf"},
    {"text/markdown", "md"},
    {"text/css", "css"},
    {"image/jpeg", "jpg"},
    {"image/jpg", "jpg"},
    {"image/pjpeg", "jpg"},
    {"image/png", "png"},
    {"image/gif", "gif"},
    {"image/bmp", "bmp"},
    {"image/webp", "webp"},
    {"image/tiff", "tif"},
    {"image/svg+xml", "svg"},
    {"image/heic", "heic"},
    {"image/x-icon", "ico"},
    {"audio/mpeg", "mp3"},
    {"audio/wav", "wav"},
    {"audio/mp4", "m4a"},
    {"video/mp4", "mp4"},
    {"video/quicktime", "mov"},
    {"message/rfc822", "eml"},
    {"message/global", "eml"},
    {"message/delivery-status", "txt"},
    {"message/disposition-notification", "txt"},
    {"message/feedback-report", "txt"},
    {"text/rfc822-headers", "txt"},
};

/* The usual extension of a type without the dot; "bin" when unknown. */
static const char *extension_of(const char *type)
{
    for (size_t i = 0; type != NULL && i < sizeof extensions / sizeof extensions[0]; i++) {
        if (strcasecmp(extensions[i].type, type) == 0) {
            return extensions[i].extension;
        }
    }
    return type != NULL && strncasecmp(type, "text/", 5) == 0 ? "txt" : "bin";
}

const char *render_name_type(const char *name)
{
    const char *dot = name != NULL ? strrchr(name, '.') : NULL;
    for (size_t i = 0; dot != NULL && i < sizeof extensions / sizeof extensions[0]; i++) {
        if (strcasecmp(extensions[i].extension, dot + 1) == 0) {
            return extensions[i].type;
        }
    }
    return "application/octet-stream";
}

char *render_name_default(const char *type, unsigned number)
{
    char name[64];
    (void)snprintf(name, sizeof name, "attachment-%u.%s", number, extension_of(type));
    return strdup(name);
}

static bool is_invisible(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0xAD || cp == 0x061C || cp == 0xFEFF ||
           (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x2028 && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x206F) || (cp >= 0xFFF9 && cp <= 0xFFFB) || cp == 0xFFFE ||
           cp == 0xFFFF || (cp >= 0xE0000 && cp < 0xE1000);
}

static size_t char_count(struct fb_slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += (s.ptr[i] & 0xC0) != 0x80;
    }
    return n;
}

/* Offset behind the first n characters. */
static size_t char_offset(struct fb_slice s, size_t n)
{
    size_t i = 0;
    while (i < s.len) {
        n -= (s.ptr[i] & 0xC0) != 0x80 && n > 0;
        i++;
        if (n == 0 && (i == s.len || (s.ptr[i] & 0xC0) != 0x80)) {
            break;
        }
    }
    return i;
}

/* Where the extension starts (its dot); the end when there is none or it is too long to be one. */
static size_t extension_at(struct fb_slice s)
{
    const uint8_t *dot = s.len > 0 ? memrchr(s.ptr, '.', s.len) : NULL;
    size_t at = dot != NULL ? (size_t)(dot - s.ptr) : s.len;
    return at == 0 || s.len - at > 12 ? s.len : at;
}

/* "stem" cut to max characters in all, with suffix and extension behind it. */
static char *compose(struct fb_slice name, const char *suffix, size_t max)
{
    struct fb_buf out = {0};
    char *copy = NULL;
    size_t dot = extension_at(name);
    struct fb_slice extension = fb_slice_sub(name, dot, name.len);
    struct fb_slice stem = fb_slice_sub(name, 0, dot);
    size_t extra = strlen(suffix) + char_count(extension);
    if (char_count(stem) + extra > max) {
        stem = fb_slice_trim(fb_slice_sub(stem, 0, char_offset(stem, max - extra)));
    }
    fb_buf_init(&out, name.len + strlen(suffix) + 1);
    if (fb_buf_add_slice(&out, stem) == FB_OK && fb_buf_add_str(&out, suffix) == FB_OK &&
        fb_buf_add_slice(&out, extension) == FB_OK) {
        copy = fb_slice_dup_str(fb_slice_buf(&out));
    }
    fb_buf_deinit(&out);
    return copy;
}

char *render_name_clean(const char *name)
{
    struct fb_slice s = fb_slice_str(name);
    struct fb_buf out = {0};
    enum fb_status status = FB_OK;
    fb_buf_init(&out, s.len + 4);
    while (s.len > 0 && status == FB_OK) {
        uint32_t cp = 0xFFFD;
        size_t n = render_utf8_next(s, &cp);
        n = n > 0 ? n : 1;
        if (cp == '/' || cp == '\\') {
            /* "a/b/" names b: a slash at the end is no reason to lose the name. */
            if (fb_slice_trim(fb_slice_sub(s, n, s.len)).len > 0) {
                fb_buf_clear(&out);
            }
        } else if (cp != 0xFFFD || n == 3) {
            if (!is_invisible(cp)) {
                status = fb_buf_add(&out, s.ptr, n);
            }
        }
        s = fb_slice_sub(s, n, s.len);
    }
    char *clean = NULL;
    if (status == FB_OK) {
        struct fb_slice all = fb_slice_trim(fb_slice_buf(&out));
        bool is_folder = fb_slice_eq_str(all, ".") || fb_slice_eq_str(all, "..");
        clean = is_folder ? strdup("") : compose(all, "", FB_MAX_FILE_NAME);
    }
    fb_buf_deinit(&out);
    return clean;
}

void render_names_unique(char **names[], size_t count)
{
    /* Key: the name without case; value: the number to try next. */
    GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < count; i++) {
        char *base = g_utf8_casefold(*names[i], -1);
        char *key = g_strdup(base);
        unsigned number = GPOINTER_TO_UINT(g_hash_table_lookup(seen, base));
        while (number > 0 && g_hash_table_contains(seen, key)) {
            char suffix[24];
            (void)snprintf(suffix, sizeof suffix, " (%u)", number++);
            char *next = compose(fb_slice_str(*names[i]), suffix, FB_MAX_FILE_NAME);
            if (next == NULL) {
                break;
            }
            g_free(key);
            key = g_utf8_casefold(next, -1);
            if (!g_hash_table_contains(seen, key)) {
                free(*names[i]);
                *names[i] = next;
                break;
            }
            free(next);
        }
        g_hash_table_replace(seen, g_strdup(key), GUINT_TO_POINTER(2U));
        if (strcmp(base, key) != 0) {
            g_hash_table_replace(seen, g_strdup(base), GUINT_TO_POINTER(number));
        }
        g_free(key);
        g_free(base);
    }
    g_hash_table_destroy(seen);
}
