/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaves.  Field values are read from their raw bytes by our own parameter reader (names in
 * Japanese mail), the library only says which fields a part has and where its content lies.
 */
#include "services/render/mime_leaf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/limits.h"
#include "services/render/names.h"
#include "services/render/params.h"
#include "proto/transfer.h"
#include "services/render/words.h"

#define CHUNK_SIZE 49152

static struct fb_slice raw_field(GMimeObject *object, const char *name)
{
    GMimeHeaderList *list = g_mime_object_get_header_list(object);
    GMimeHeader *header = list != NULL ? g_mime_header_list_get_header(list, name) : NULL;
    return fb_slice_str(header != NULL ? g_mime_header_get_raw_value(header) : NULL);
}

/* "base64", as written by mailers that add blanks, quotes, comments or semicolons. */
static enum fb_encoding read_encoding(struct fb_slice raw)
{
    static const struct {
        const char *name;
        enum fb_encoding encoding;
    } names[] = {
        {"base64", FB_ENC_BASE64},       {"quoted-printable", FB_ENC_QP},
        {"x-uuencode", FB_ENC_UUENCODE}, {"uuencode", FB_ENC_UUENCODE},
        {"x-uue", FB_ENC_UUENCODE},      {"uue", FB_ENC_UUENCODE},
        {"x-uu", FB_ENC_UUENCODE},
    };
    char token[32];
    size_t n = 0;
    size_t i = 0;
    while (i < raw.len && strchr(" \t\r\n\"'", raw.ptr[i]) != NULL) {
        i++;
    }
    for (; i < raw.len && n + 1 < sizeof token; i++) {
        char c = (char)raw.ptr[i];
        bool is_token = g_ascii_isalnum(c) || c == '-';
        if (!is_token) {
            break;
        }
        token[n++] = c;
    }
    token[n] = '\0';
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (strcasecmp(names[k].name, token) == 0) {
            return names[k].encoding;
        }
    }
    return FB_ENC_IDENTITY;
}

static bool param_is(const struct render_params *p, const char *name, const char *value)
{
    return fb_slice_ieq_str(fb_slice_trim(render_params_raw(p, name)), value);
}

static void copy_text(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from != NULL ? from : "");
}

/* "type/subtype" of tokens (RFC 2045 5.1): nothing else may end in a field of ours. */
bool mime_leaf_type_is_valid(const char *type)
{
    static const char tokens[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&^_.+-";
    size_t n = strspn(type, tokens);
    size_t rest = n > 0 && type[n] == '/' ? strspn(type + n + 1, tokens) : 0;
    return rest > 0 && type[n + 1 + rest] == '\0';
}

static enum fb_status read_type(GMimeObject *object, struct mime_leaf *leaf, char **name_r)
{
    struct render_params p = {0};
    enum fb_status status = render_params_parse(raw_field(object, "Content-Type"), &p);
    if (status != FB_OK) {
        return status;
    }
    GMimeContentType *type = g_mime_object_get_content_type(object);
    char *mime_type = type != NULL ? g_mime_content_type_get_mime_type(type) : NULL;
    char *lower = g_ascii_strdown(mime_type != NULL ? mime_type : "text/plain", -1);
    copy_text(leaf->type, sizeof leaf->type, lower);
    if (!mime_leaf_type_is_valid(leaf->type)) {
        copy_text(leaf->type, sizeof leaf->type, "application/octet-stream");
    }
    g_free(lower);
    g_free(mime_type);
    leaf->charset = render_params_dup(&p, "charset", 64);
    leaf->is_flowed = param_is(&p, "format", "flowed");
    leaf->is_delsp = leaf->is_flowed && param_is(&p, "delsp", "yes");
    char *smime = render_params_dup(&p, "smime-type", sizeof leaf->smime_type - 1);
    copy_text(leaf->smime_type, sizeof leaf->smime_type, smime);
    free(smime);
    *name_r = render_params_dup(&p, "name", 4U * FB_MAX_FILE_NAME + 4096);
    render_params_deinit(&p);
    return FB_OK;
}

static enum fb_status read_disposition(GMimeObject *object, struct mime_leaf *leaf, char **name_r)
{
    struct render_params p = {0};
    enum fb_status status = render_params_parse(raw_field(object, "Content-Disposition"), &p);
    if (status != FB_OK) {
        return status;
    }
    /* RFC 2183 2.8: an unknown disposition is an attachment. */
    leaf->disposition = p.value[0] == '\0'               ? MIME_UNSAID
                        : strcmp(p.value, "inline") == 0 ? MIME_INLINE
                                                         : MIME_ATTACHMENT;
    *name_r = render_params_dup(&p, "filename", 4U * FB_MAX_FILE_NAME + 4096);
    render_params_deinit(&p);
    return FB_OK;
}

static char *read_id(struct fb_slice raw)
{
    struct fb_slice s = fb_slice_trim(raw);
    if (s.len >= 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>') {
        s = fb_slice_trim(fb_slice_sub(s, 1, s.len - 2));
    }
    char *id = s.len > 0 && s.len <= 1024 ? render_words_dup(s, 1024) : NULL;
    if (id != NULL && id[0] == '\0') {
        free(id);
        id = NULL;
    }
    return id;
}

static void read_range(GMimeObject *object, const struct mime_view *view, struct mime_leaf *leaf)
{
    GMimeDataWrapper *content =
        GMIME_IS_PART(object) ? g_mime_part_get_content((GMimePart *)object) : NULL;
    GMimeStream *stream = content != NULL ? g_mime_data_wrapper_get_stream(content) : NULL;
    if (stream != NULL) {
        mime_view_range(view, stream, &leaf->offset, &leaf->length);
    }
}

enum fb_status mime_leaf_read(GMimeObject *object, const struct mime_view *view,
                              struct mime_leaf *leaf_r, struct fb_error *err)
{
    struct mime_leaf leaf = {.source = view->source, .is_spooled = view->is_spooled};
    char *type_name = NULL;
    char *name = NULL;
    enum fb_status status = read_type(object, &leaf, &type_name);
    if (status == FB_OK) {
        status = read_disposition(object, &leaf, &name);
    }
    if (status != FB_OK) {
        free(type_name);
        mime_leaf_deinit(&leaf);
        return fb_error_set(err, status, "reading the fields of a part");
    }
    if (name == NULL || name[0] == '\0') {
        free(name);
        name = type_name;
        type_name = NULL;
    }
    leaf.name = name != NULL ? render_name_clean(name) : NULL;
    free(name);
    free(type_name);
    leaf.cid = read_id(raw_field(object, "Content-ID"));
    leaf.location = read_id(raw_field(object, "Content-Location"));
    leaf.encoding = read_encoding(raw_field(object, "Content-Transfer-Encoding"));
    read_range(object, view, &leaf);
    *leaf_r = leaf;
    return FB_OK;
}

void mime_leaf_deinit(struct mime_leaf *leaf)
{
    free(leaf->charset);
    free(leaf->name);
    free(leaf->cid);
    free(leaf->location);
    *leaf = (struct mime_leaf){0};
}

enum fb_status mime_leaf_stream(const struct mime_leaf *leaf, mime_leaf_take take, void *ctx,
                                struct fb_error *err)
{
    struct fb_transfer t;
    uint8_t *in = fb_xcalloc(1, CHUNK_SIZE);
    uint8_t *out = fb_xcalloc(1, CHUNK_SIZE + FB_TRANSFER_SLACK);
    uint64_t done = 0;
    enum fb_status status = FB_OK;
    fb_transfer_init(&t, leaf->encoding);
    while (done < leaf->length && status == FB_OK) {
        uint64_t left = leaf->length - done;
        size_t got = 0;
        status = leaf->source->read(leaf->source->ctx, leaf->offset + done, in,
                                    left < CHUNK_SIZE ? (size_t)left : CHUNK_SIZE, &got, err);
        if (status == FB_OK && got == 0) {
            status = fb_error_set(err, FB_CORRUPT, "the message ended in the middle of a part");
        }
        if (status == FB_OK) {
            done += got;
            size_t n = fb_transfer_step(&t, in, got, out);
            status = n > 0 ? take(ctx, out, n, err) : FB_OK;
        }
    }
    if (status == FB_OK) {
        size_t n = fb_transfer_end(&t, out);
        status = n > 0 ? take(ctx, out, n, err) : FB_OK;
    }
    free(out);
    free(in);
    return status;
}

static enum fb_status take_all(void *ctx, const uint8_t *bytes, size_t len, struct fb_error *err)
{
    enum fb_status status = fb_buf_add(ctx, bytes, len);
    return status == FB_OK ? FB_OK : fb_error_set(err, status, "part larger than expected");
}

enum fb_status mime_leaf_decode(const struct mime_leaf *leaf, struct fb_buf *out,
                                struct fb_error *err)
{
    return mime_leaf_stream(leaf, take_all, out, err);
}

static enum fb_status take_prefix(void *ctx, const uint8_t *bytes, size_t len, struct fb_error *err)
{
    struct fb_buf *out = ctx;
    (void)err;
    size_t room = out->max - out->len;
    return fb_buf_add(out, bytes, len < room ? len : room);
}

enum fb_status mime_leaf_decode_prefix(const struct mime_leaf *leaf, struct fb_buf *out,
                                       struct fb_error *err)
{
    struct mime_leaf head = *leaf;
    uint64_t enough = (uint64_t)out->max * 4 + 4096;
    head.length = leaf->length < enough ? leaf->length : enough;
    return mime_leaf_stream(&head, take_prefix, out, err);
}
