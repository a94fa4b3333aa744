/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration as text: what is in effect (--dump-config), and the table for the README. */
#include <string.h>

#include "common/config.h"
#include "common/config_table.h"

static const void *field(const struct fb_config *c, const struct fb_config_row *row)
{
    return (const char *)c + row->offset;
}

/* A double-quoted YAML scalar that reads back as it was. */
static enum fb_status print_quoted(const char *text, struct fb_buf *out)
{
    enum fb_status s = fb_buf_add_char(out, '"');
    for (const char *p = text; *p != '\0' && s == FB_OK; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            s = fb_buf_printf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            s = fb_buf_printf(out, "\\x%02x", c);
        } else {
            s = fb_buf_add_char(out, (char)c);
        }
    }
    return s == FB_OK ? fb_buf_add_char(out, '"') : s;
}

/* The same, with the user and the password of a URL hidden: they are secrets as well. */
static enum fb_status print_text(const char *text, struct fb_buf *out)
{
    const char *at = strrchr(text, '@');
    const char *scheme = strstr(text, "://");
    if (at == NULL || scheme == NULL || scheme > at) {
        return print_quoted(text, out);
    }
    struct fb_buf shown;
    fb_buf_init(&shown, SIZE_MAX / 2);
    enum fb_status s = fb_buf_printf(&shown, "%.*s***%s", (int)(scheme + 3 - text), text, at);
    if (s == FB_OK) {
        s = print_quoted(fb_buf_str(&shown), out);
    }
    fb_buf_deinit(&shown);
    return s;
}

static enum fb_status print_value(const struct fb_config *c, const struct fb_config_row *row,
                                  struct fb_buf *out)
{
    if (row->type == FB_CT_LIST) {
        const struct fb_string_list *list = field(c, row);
        enum fb_status s = fb_buf_add_str(out, "[");
        for (size_t i = 0; i < list->count && s == FB_OK; i++) {
            s = i > 0 ? fb_buf_add_str(out, ", ") : FB_OK;
            s = s == FB_OK ? print_quoted(list->items[i], out) : s;
        }
        return s == FB_OK ? fb_buf_add_str(out, "]") : s;
    }
    if (row->type == FB_CT_INT || row->type == FB_CT_SIZE || row->type == FB_CT_DURATION ||
        row->type == FB_CT_PERCENT) {
        int64_t number = 0;
        memcpy(&number, field(c, row), sizeof number);
        const char *unit = row->type == FB_CT_DURATION  ? "ms"
                           : row->type == FB_CT_PERCENT ? "%"
                                                        : "";
        return fb_buf_printf(out, "%lld%s", (long long)number, unit);
    }
    const char *const *text = field(c, row);
    if (*text == NULL) {
        return FB_OK;
    }
    if (row->type == FB_CT_SECRET) {
        return fb_buf_add_str(out, "\"***\"");
    }
    return print_text(*text, out);
}

enum fb_status fb_config_dump(const struct fb_config *c, struct fb_buf *out)
{
    enum fb_status s = FB_OK;
    const char *section = "";
    for (size_t i = 0; i < fb_config_row_count && s == FB_OK; i++) {
        const struct fb_config_row *row = &fb_config_rows[i];
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            s = fb_buf_printf(out, "%s:\n", section);
        }
        if (s == FB_OK) {
            s = fb_buf_printf(out, "  %s: ", row->key);
        }
        if (s == FB_OK) {
            s = print_value(c, row, out);
        }
        if (s == FB_OK) {
            s = fb_buf_add_char(out, '\n');
        }
    }
    return s;
}

enum fb_status fb_config_table(struct fb_buf *out)
{
    enum fb_status s = fb_buf_add_str(out, "| key | default | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < fb_config_row_count && s == FB_OK; i++) {
        const struct fb_config_row *row = &fb_config_rows[i];
        s = fb_buf_printf(out, "| `%s.%s`%s | %s%s%s | %s |\n", row->section, row->key,
                          row->type == FB_CT_SECRET ? " (or `_file`)" : "",
                          row->standard != NULL ? "`" : "",
                          row->standard != NULL ? row->standard : "",
                          row->standard != NULL ? "`" : "", row->help);
    }
    return s;
}
