/* SPDX-License-Identifier: Apache-2.0
 *
 * The single list of configuration keys; config.c reads by it, the README's table is printed from
 * it. */
#ifndef FB_COMMON_CONFIG_TABLE_H
#define FB_COMMON_CONFIG_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum fb_config_type {
    FB_CT_STRING,
    FB_CT_SECRET, /* also as <key>_file, whose last line end is cut off */
    FB_CT_INT,
    FB_CT_SIZE,     /* bytes */
    FB_CT_DURATION, /* ms */
    FB_CT_PERCENT,
    FB_CT_LIST,
    FB_CT_CHOICE, /* one of `choices` */
    FB_CT_ADDRESS /* host:port */
};

struct fb_config_row {
    const char *section, *key;
    enum fb_config_type type;
    size_t offset;        /* in struct fb_config */
    const char *standard; /* default as it would stand in the file; NULL = empty */
    int64_t min, max;     /* numbers */
    const char *choices;  /* "a|b" */
    const char *help;
};

extern const struct fb_config_row fb_config_rows[];
extern const size_t fb_config_row_count;

#endif
