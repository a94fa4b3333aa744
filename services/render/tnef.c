/* SPDX-License-Identifier: Apache-2.0
 *
 * The attribute stream; the property lists inside of attributes are read by tnef_props.c.
 *
 *   signature(4) key(2) { level(1) id(4) length(4) data(length) checksum(2) }*
 */
#include "services/render/tnef.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/charset.h"
#include "services/render/rtf.h"
#include "services/render/tnef_props.h"

#define TNEF_SIGNATURE     0x223E9F78U
#define ATT_RENDDATA       0x00069002U /* an attachment begins */
#define ATT_TITLE          0x00018010U
#define ATT_DATA           0x0006800FU
#define ATT_TRANSPORT_NAME 0x00069001U
#define ATT_ATTACHMENT     0x00069005U /* MAPI properties of the attachment */
#define ATT_MAPI_PROPS     0x00069003U
#define ATT_BODY           0x0002800CU
#define ATT_OEM_CODEPAGE   0x00069007U

enum tnef_state {
    TNEF_FILE_HEAD,
    TNEF_ATTRIBUTE_HEAD,
    TNEF_SMALL_DATA,
    TNEF_FILE_DATA,
    TNEF_CHECKSUM
};

struct tnef {
    struct tnef_receiver receiver;
    enum tnef_state state;
    struct fb_buf held; /* head, small attribute or checksum at hand */
    uint32_t id, left;
    uint64_t file_bytes;
    uint16_t sum;
    unsigned attachments;
    unsigned codepage;
    bool in_attachment, has_data, has_unread;
    struct tnef_file file;
    struct fb_buf title; /* short name in the codepage of the file */
    struct fb_buf body;
    bool is_html;
    bool is_body_rich; /* from properties: better than the plain attribute */
};

struct tnef *tnef_new(const struct tnef_receiver *receiver)
{
    struct tnef *t = fb_xcalloc(1, sizeof *t);
    t->receiver = *receiver;
    t->codepage = 1252;
    fb_buf_init(&t->held, TNEF_SMALL_MAX);
    fb_buf_init(&t->title, 4096);
    fb_buf_init(&t->body, 2U * TNEF_SMALL_MAX);
    return t;
}

static void file_clear(struct tnef_file *f)
{
    free(f->name);
    free(f->type);
    free(f->cid);
    *f = (struct tnef_file){0};
}

void tnef_free(struct tnef **t)
{
    if (*t != NULL) {
        file_clear(&(*t)->file);
        fb_buf_deinit(&(*t)->held);
        fb_buf_deinit(&(*t)->title);
        fb_buf_deinit(&(*t)->body);
        free(*t);
        *t = NULL;
    }
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static const char *codepage_charset(unsigned codepage)
{
    static const struct {
        unsigned codepage;
        const char *charset;
    } names[] = {{932, "cp932"},         {936, "gbk"},           {949, "cp949"},
                 {950, "big5"},          {65001, "utf-8"},       {874, "cp874"},
                 {1250, "windows-1250"}, {1251, "windows-1251"}, {1252, "windows-1252"},
                 {1253, "cp1253"},       {1254, "windows-1254"}, {1255, "windows-1255"},
                 {1256, "windows-1256"}, {1257, "cp1257"},       {50220, "iso-2022-jp"},
                 {50221, "iso-2022-jp"}, {51932, "euc-jp"},      {20127, "utf-8"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].codepage == codepage) {
            return names[i].charset;
        }
    }
    return NULL;
}

/* An 8-bit name says less than one from the properties, and is only used without that. */
static enum fb_status name_from_title(struct tnef *t)
{
    struct fb_buf name = {0};
    enum fb_status status = FB_OK;
    if (t->file.name != NULL || t->title.len == 0) {
        return FB_OK;
    }
    struct fb_slice s = fb_slice_buf(&t->title);
    fb_buf_init(&name, 4U * 4096 + 16);
    const char *charset = t->codepage == 1252 ? NULL : codepage_charset(t->codepage);
    status = render_charset_to_utf8(s, charset, &name);
    if (status == FB_OK) {
        t->file.name = fb_slice_dup_str(fb_slice_buf(&name));
        status = t->file.name != NULL ? FB_OK : FB_NO_SPACE;
    }
    fb_buf_deinit(&name);
    return status;
}

/* The attachment at hand is complete. */
static enum fb_status end_attachment(struct tnef *t, struct fb_error *err)
{
    enum fb_status status = FB_OK;
    if (t->in_attachment && t->has_data) {
        status = name_from_title(t);
        if (status == FB_OK) {
            status = t->receiver.end(t->receiver.ctx, &t->file, err);
        }
    } else if (t->in_attachment) {
        t->has_unread = true;
    }
    t->in_attachment = false;
    t->has_data = false;
    file_clear(&t->file);
    fb_buf_clear(&t->title);
    return status;
}

static enum fb_status begin_attachment(struct tnef *t, struct fb_error *err)
{
    enum fb_status status = end_attachment(t, err);
    if (status == FB_OK && ++t->attachments > TNEF_ATTACHMENTS_MAX) {
        status = fb_error_set(err, FB_TOO_BIG, "more than %d attachments in winmail.dat",
                              TNEF_ATTACHMENTS_MAX);
    }
    t->in_attachment = status == FB_OK;
    t->file_bytes = 0;
    return status;
}

static enum fb_status whole_data(struct tnef *t, struct fb_slice data, struct fb_error *err)
{
    enum fb_status status = t->receiver.begin(t->receiver.ctx, err);
    if (status == FB_OK && data.len > 0) {
        status = t->receiver.add(t->receiver.ctx, data.ptr, data.len, err);
    }
    t->has_data = true;
    return status;
}

static char *prop_text(const struct tnef_props *props, const struct tnef_prop *p)
{
    struct fb_buf text = {0};
    char *copy = NULL;
    fb_buf_init(&text, 16384);
    if (p->is_present && tnef_prop_to_utf8(p, codepage_charset(props->codepage), &text) == FB_OK &&
        text.len > 0) {
        copy = fb_slice_dup_str(fb_slice_buf(&text));
    }
    fb_buf_deinit(&text);
    return copy;
}

static enum fb_status attachment_props(struct tnef *t, struct fb_slice data, struct fb_error *err)
{
    struct tnef_props props = {.codepage = t->codepage};
    enum fb_status status = tnef_props_read(data, &props, err);
    if (status != FB_OK || !t->in_attachment) {
        return status;
    }
    file_clear(&t->file);
    t->file.name = prop_text(&props, &props.long_name);
    if (t->file.name == NULL) {
        t->file.name = prop_text(&props, &props.display_name);
    }
    t->file.type = prop_text(&props, &props.mime_type);
    t->file.cid = prop_text(&props, &props.content_id);
    if (props.attach_method == 5 || props.attach_method == 6) { /* embedded message, OLE */
        t->has_unread = true;
    } else if (!t->has_data && props.attach_data.is_present) {
        status = whole_data(t, props.attach_data.bytes, err);
    }
    return status;
}

static enum fb_status message_props(struct tnef *t, struct fb_slice data, struct fb_error *err)
{
    struct tnef_props props = {.codepage = t->codepage};
    enum fb_status status = tnef_props_read(data, &props, err);
    if (status != FB_OK) {
        return status;
    }
    const char *charset = codepage_charset(props.codepage);
    fb_buf_clear(&t->body);
    t->is_body_rich = true;
    if (props.html.is_present && props.html.bytes.len > 0) {
        t->is_html = true;
        return tnef_prop_to_utf8(&props.html, charset, &t->body);
    }
    if (props.rtf.is_present) {
        struct fb_buf rtf = {0};
        fb_buf_init(&rtf, TNEF_SMALL_MAX);
        status = rtf_decompress(props.rtf.bytes, &rtf);
        if (status == FB_OK) {
            status = rtf_to_body(fb_slice_buf(&rtf), &t->body, &t->is_html);
        }
        fb_buf_deinit(&rtf);
        if (status == FB_OK && t->body.len > 0) {
            return FB_OK;
        }
        fb_buf_clear(&t->body); /* a body that cannot be read loses no attachment */
    }
    t->is_html = false;
    return props.text.is_present ? tnef_prop_to_utf8(&props.text, charset, &t->body) : FB_OK;
}

/* A small attribute is complete. */
static enum fb_status end_small(struct tnef *t, struct fb_error *err)
{
    struct fb_slice data = fb_slice_buf(&t->held);
    enum fb_status status = FB_OK;
    switch (t->id) {
    case ATT_OEM_CODEPAGE:
        t->codepage = data.len >= 4 ? le32(data.ptr) : t->codepage;
        break;
    case ATT_RENDDATA:
        status = begin_attachment(t, err);
        break;
    case ATT_TITLE:
    case ATT_TRANSPORT_NAME:
        if (t->in_attachment && t->title.len == 0) {
            const uint8_t *nul = data.len > 0 ? memchr(data.ptr, '\0', data.len) : NULL;
            data = fb_slice_sub(data, 0, nul != NULL ? (size_t)(nul - data.ptr) : data.len);
            status = fb_buf_add_slice(&t->title, fb_slice_sub(data, 0, 4096));
        }
        break;
    case ATT_ATTACHMENT:
        status = attachment_props(t, data, err);
        break;
    case ATT_MAPI_PROPS:
        status = message_props(t, data, err);
        break;
    case ATT_BODY:
        if (!t->is_body_rich) {
            fb_buf_clear(&t->body);
            status = render_charset_to_utf8(data, codepage_charset(t->codepage), &t->body);
        }
        break;
    default:
        break;
    }
    fb_buf_clear(&t->held);
    return status;
}

static enum fb_status begin_attribute(struct tnef *t, struct fb_error *err)
{
    const uint8_t *p = t->held.ptr;
    uint8_t level = p[0];
    t->id = le32(p + 1);
    t->left = le32(p + 5);
    t->sum = 0;
    fb_buf_clear(&t->held);
    if (level != 1 && level != 2) {
        return fb_error_set(err, FB_INVALID, "winmail.dat: unknown attribute level %u", level);
    }
    if (t->id == ATT_DATA && t->in_attachment) {
        t->state = TNEF_FILE_DATA;
        if (t->has_data) {
            return fb_error_set(err, FB_INVALID, "winmail.dat: an attachment with two contents");
        }
        t->has_data = true;
        return t->receiver.begin(t->receiver.ctx, err);
    }
    if (t->left > TNEF_SMALL_MAX) {
        return fb_error_set(err, FB_TOO_BIG, "winmail.dat: attribute of more than %u bytes",
                            TNEF_SMALL_MAX);
    }
    t->state = TNEF_SMALL_DATA;
    return FB_OK;
}

/* A head of fixed size is complete. */
static enum fb_status end_head(struct tnef *t, struct fb_error *err)
{
    if (t->state == TNEF_FILE_HEAD) {
        bool is_tnef = le32(t->held.ptr) == TNEF_SIGNATURE;
        fb_buf_clear(&t->held);
        t->state = TNEF_ATTRIBUTE_HEAD;
        return is_tnef ? FB_OK : fb_error_set(err, FB_INVALID, "no winmail.dat signature");
    }
    if (t->state == TNEF_ATTRIBUTE_HEAD) {
        return begin_attribute(t, err);
    }
    uint16_t want = (uint16_t)(t->held.ptr[0] | t->held.ptr[1] << 8);
    fb_buf_clear(&t->held);
    t->state = TNEF_ATTRIBUTE_HEAD;
    return want == t->sum ? FB_OK
                          : fb_error_set(err, FB_INVALID, "winmail.dat: checksum of an attribute");
}

/* Data of the attribute at hand; returns through *used_r how much was taken. */
static enum fb_status take_data(struct tnef *t, const uint8_t *bytes, size_t len, size_t *used_r,
                                struct fb_error *err)
{
    size_t n = len < t->left ? len : t->left;
    enum fb_status status = FB_OK;
    for (size_t i = 0; i < n; i++) {
        t->sum = (uint16_t)(t->sum + bytes[i]);
    }
    if (t->state == TNEF_FILE_DATA) {
        t->file_bytes += n;
        status = t->file_bytes > FB_MAX_OBJECT
                     ? fb_error_set(err, FB_TOO_BIG, "file in winmail.dat larger than %u bytes",
                                    FB_MAX_OBJECT)
                     : t->receiver.add(t->receiver.ctx, bytes, n, err);
    } else {
        status = fb_buf_add(&t->held, bytes, n);
    }
    t->left -= (uint32_t)n;
    *used_r = n;
    return status;
}

enum fb_status tnef_add(struct tnef *t, const uint8_t *bytes, size_t len, struct fb_error *err)
{
    static const size_t head_size[] = {
        [TNEF_FILE_HEAD] = 6, [TNEF_ATTRIBUTE_HEAD] = 9, [TNEF_CHECKSUM] = 2};
    enum fb_status status = FB_OK;
    while (status == FB_OK) {
        size_t used = 0;
        if (t->state == TNEF_SMALL_DATA || t->state == TNEF_FILE_DATA) {
            if (t->left > 0 && len == 0) {
                break;
            }
            status = t->left > 0 ? take_data(t, bytes, len, &used, err) : FB_OK;
            if (status == FB_OK && t->left == 0) {
                bool is_small = t->state == TNEF_SMALL_DATA;
                t->state = TNEF_CHECKSUM;
                status = is_small ? end_small(t, err) : FB_OK;
            }
        } else {
            if (len == 0) {
                break;
            }
            size_t want = head_size[t->state] - t->held.len;
            used = len < want ? len : want;
            status = fb_buf_add(&t->held, bytes, used);
            if (status == FB_OK && used == want) {
                status = end_head(t, err);
            }
        }
        bytes += used;
        len -= used;
    }
    return status;
}

enum fb_status tnef_end(struct tnef *t, struct fb_error *err)
{
    if (t->state != TNEF_ATTRIBUTE_HEAD || t->held.len > 0) {
        return fb_error_set(err, FB_INVALID, "winmail.dat breaks off");
    }
    return end_attachment(t, err);
}

struct fb_slice tnef_get_body(const struct tnef *t, bool *is_html_r)
{
    *is_html_r = t->is_html;
    return fb_slice_buf(&t->body);
}

bool tnef_has_unread(const struct tnef *t)
{
    return t->has_unread;
}
