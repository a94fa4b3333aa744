/* SPDX-License-Identifier: Apache-2.0
 *
 *   count(4) { type(2) id(2) [guid(16) kind(4) (lid(4) | length(4) name)] value }*
 *
 * Values are padded to four bytes; strings, binaries and multiple values have a count in front.
 */
#include "services/render/tnef_props.h"

#include <string.h>

#include "services/render/charset.h"

enum {
    PT_I2 = 0x02,
    PT_LONG = 0x03,
    PT_R4 = 0x04,
    PT_DOUBLE = 0x05,
    PT_CURRENCY = 0x06,
    PT_APPTIME = 0x07,
    PT_ERROR = 0x0A,
    PT_BOOLEAN = 0x0B,
    PT_OBJECT = 0x0D,
    PT_I8 = 0x14,
    PT_STRING8 = 0x1E,
    PT_UNICODE = 0x1F,
    PT_SYSTIME = 0x40,
    PT_CLSID = 0x48,
    PT_BINARY = 0x102,
    PT_MULTIPLE = 0x1000
};

#define VALUES_MAX 4096

struct reader {
    struct fb_slice s;
    bool is_broken;
};

static struct fb_slice take(struct reader *r, size_t len)
{
    struct fb_slice got = fb_slice_sub(r->s, 0, len);
    if (got.len < len) {
        r->is_broken = true;
        got.len = 0;
    }
    r->s = fb_slice_sub(r->s, len, r->s.len);
    return got;
}

static uint32_t take32(struct reader *r)
{
    struct fb_slice s = take(r, 4);
    return s.len < 4 ? 0
                     : (uint32_t)s.ptr[0] | (uint32_t)s.ptr[1] << 8 | (uint32_t)s.ptr[2] << 16 |
                           (uint32_t)s.ptr[3] << 24;
}

static void skip_padding(struct reader *r, size_t len)
{
    size_t pad = (4 - len % 4) % 4;
    /* The last value of a list may lack its padding. */
    r->s = fb_slice_sub(r->s, pad, r->s.len);
}

static size_t fixed_size(unsigned type)
{
    switch (type) {
    case PT_I2:
    case PT_LONG:
    case PT_R4:
    case PT_ERROR:
    case PT_BOOLEAN:
        return 4; /* shorter ones are padded */
    case PT_DOUBLE:
    case PT_CURRENCY:
    case PT_APPTIME:
    case PT_I8:
    case PT_SYSTIME:
        return 8;
    case PT_CLSID:
        return 16;
    default:
        return 0;
    }
}

static void skip_name(struct reader *r)
{
    (void)take(r, 16);
    uint32_t kind = take32(r);
    uint32_t value = take32(r);
    if (kind == 1) {
        (void)take(r, value);
        skip_padding(r, value);
    }
}

/* Reads the value, the first one where there are several. */
static struct fb_slice read_value(struct reader *r, unsigned type)
{
    bool is_multiple = (type & PT_MULTIPLE) != 0;
    unsigned base = type & ~(unsigned)PT_MULTIPLE;
    bool is_variable =
        base == PT_STRING8 || base == PT_UNICODE || base == PT_BINARY || base == PT_OBJECT;
    size_t size = fixed_size(base);
    struct fb_slice first = {0};
    if (!is_variable && size == 0) {
        r->is_broken = true;
        return first;
    }
    uint32_t count = is_multiple || is_variable ? take32(r) : 1;
    if (count > VALUES_MAX) {
        r->is_broken = true;
    }
    for (uint32_t i = 0; i < count && !r->is_broken; i++) {
        uint32_t len = is_variable ? take32(r) : (uint32_t)size;
        struct fb_slice value = take(r, len);
        if (is_variable) {
            skip_padding(r, len);
        }
        first = i == 0 ? value : first;
    }
    return first;
}

static void keep(struct tnef_prop *p, struct fb_slice bytes, unsigned type)
{
    *p = (struct tnef_prop){.is_present = true, .is_unicode = type == PT_UNICODE, .bytes = bytes};
}

static uint32_t number(struct fb_slice s)
{
    struct reader r = {.s = s};
    return take32(&r);
}

static void keep_known(struct tnef_props *props, unsigned id, unsigned type, struct fb_slice v)
{
    switch (id) {
    case 0x1000:
        keep(&props->text, v, type);
        break;
    case 0x1009:
        keep(&props->rtf, v, type);
        break;
    case 0x1013:
        keep(&props->html, v, type);
        break;
    case 0x3001:
        keep(&props->display_name, v, type);
        break;
    case 0x3701:
        /* An object's value begins with the id of its interface: an embedded message or OLE, which
         * we do not read. */
        if (type == PT_BINARY) {
            keep(&props->attach_data, v, type);
        }
        break;
    case 0x3704:
        if (!props->long_name.is_present) {
            keep(&props->long_name, v, type);
        }
        break;
    case 0x3705:
        props->attach_method = number(v);
        break;
    case 0x3707:
        keep(&props->long_name, v, type);
        break;
    case 0x370E:
        keep(&props->mime_type, v, type);
        break;
    case 0x3712:
        keep(&props->content_id, v, type);
        break;
    case 0x3FDE: /* PR_INTERNET_CPID: what the HTML is in */
        props->codepage = number(v);
        break;
    default:
        break;
    }
}

enum fb_status tnef_props_read(struct fb_slice data, struct tnef_props *props, struct fb_error *err)
{
    struct reader r = {.s = data};
    uint32_t count = take32(&r);
    for (uint32_t i = 0; i < count && !r.is_broken; i++) {
        uint32_t tag = take32(&r);
        unsigned type = tag & 0xFFFF;
        unsigned id = tag >> 16;
        if (id >= 0x8000) {
            skip_name(&r);
        }
        struct fb_slice value = read_value(&r, type);
        if (!r.is_broken) {
            keep_known(props, id, type, value);
        }
    }
    return r.is_broken ? fb_error_set(err, FB_INVALID, "winmail.dat: broken property list") : FB_OK;
}

enum fb_status tnef_prop_to_utf8(const struct tnef_prop *p, const char *charset, struct fb_buf *out)
{
    struct fb_slice s = p->bytes;
    if (p->is_unicode) {
        s.len &= ~(size_t)1;
        while (s.len >= 2 && s.ptr[s.len - 1] == 0 && s.ptr[s.len - 2] == 0) {
            s.len -= 2;
        }
        return render_charset_to_utf8(s, "utf-16le", out);
    }
    while (s.len > 0 && s.ptr[s.len - 1] == 0) {
        s.len--;
    }
    return render_charset_to_utf8(s, render_utf8_is_valid(s) ? "utf-8" : charset, out);
}
