/* SPDX-License-Identifier: Apache-2.0 */
#include "mail_kit.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/charset.h"
#include "proto/transfer.h"

static enum fb_status source_read(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    struct kit *k = ctx;
    (void)err;
    size_t most = k->read_max > 0 && len > k->read_max ? k->read_max : len;
    struct fb_slice s = fb_slice_sub(k->message, (size_t)offset, most);
    if (s.len > 0) {
        memcpy(out, s.ptr, s.len);
    }
    *read_r = s.len;
    return FB_OK;
}

static enum fb_status sink_begin(void *ctx, const char *name, struct fb_error *err)
{
    struct kit *k = ctx;
    (void)err;
    FB_ASSERT(k->object_count == 0 || k->objects[k->object_count - 1].is_committed);
    k->objects = realloc(k->objects, (k->object_count + 1) * sizeof *k->objects);
    FB_ASSERT(k->objects != NULL);
    struct kit_object *o = &k->objects[k->object_count++];
    *o = (struct kit_object){0};
    (void)snprintf(o->name, sizeof o->name, "%s", name);
    fb_buf_init(&o->bytes, FB_MAX_OBJECT);
    return FB_OK;
}

static enum fb_status sink_add(void *ctx, const void *bytes, size_t len, struct fb_error *err)
{
    struct kit *k = ctx;
    (void)err;
    return fb_buf_add(&k->objects[k->object_count - 1].bytes, bytes, len);
}

static enum fb_status sink_commit(void *ctx, struct fb_error *err)
{
    struct kit *k = ctx;
    (void)err;
    k->objects[k->object_count - 1].is_committed = true;
    return FB_OK;
}

static void sink_abandon(void *ctx)
{
    struct kit *k = ctx;
    fb_buf_deinit(&k->objects[--k->object_count].bytes);
}

void kit_parse_as(struct kit *k, struct fb_slice message, const char *reverse_path, size_t read_max)
{
    static char path[256];
    *k = (struct kit){.message = message, .read_max = read_max};
    (void)snprintf(path, sizeof path, "%s", reverse_path);
    k->envelope.reverse_path = path;
    k->source = (struct render_source){.ctx = k, .read = source_read, .size = message.len};
    k->sink = (struct render_sink){.ctx = k,
                                   .begin = sink_begin,
                                   .add = sink_add,
                                   .commit = sink_commit,
                                   .abandon = sink_abandon};
    k->status = render_mime_parse(&k->source, &k->sink, &k->envelope, &k->mail, &k->err);
}

void kit_parse(struct kit *k, struct fb_slice message)
{
    kit_parse_as(k, message, "sender@example.jp", 0);
}

void kit_end(struct kit *k)
{
    if (k->status == FB_OK) {
        render_mail_deinit(&k->mail);
    }
    for (size_t i = 0; i < k->object_count; i++) {
        fb_buf_deinit(&k->objects[i].bytes);
    }
    free(k->objects);
    k->objects = NULL;
    k->object_count = 0;
}

const struct kit_object *kit_find(const struct kit *k, const char *name)
{
    for (size_t i = 0; i < k->object_count; i++) {
        if (strcmp(k->objects[i].name, name) == 0 && k->objects[i].is_committed) {
            return &k->objects[i];
        }
    }
    return NULL;
}

void kit_crlf(struct fb_slice in, struct fb_buf *out)
{
    fb_buf_init(out, in.len * 2 + 2);
    enum fb_status status = FB_OK;
    for (size_t i = 0; i < in.len && status == FB_OK; i++) {
        bool is_bare = in.ptr[i] == '\n' && (i == 0 || in.ptr[i - 1] != '\r');
        status = is_bare ? fb_buf_add_str(out, "\r\n") : fb_buf_add(out, in.ptr + i, 1);
    }
    FB_ASSERT(status == FB_OK);
}

static const char *check_part(const struct kit *k, const struct fb_part *p)
{
    struct fb_buf decoded;
    struct fb_slice bytes = {0};
    uint8_t sha1[20];
    unsigned n = 0;
    const char *wrong = NULL;
    fb_buf_init(&decoded, k->message.len + FB_TRANSFER_SLACK);
    if (p->object != NULL) {
        const struct kit_object *o = kit_find(k, p->object);
        wrong = o == NULL ? "derived object is missing" : NULL;
        bytes = o != NULL ? fb_slice_buf(&o->bytes) : bytes;
    } else if (p->offset + p->length > k->message.len) {
        wrong = "range outside of the message";
    } else {
        struct fb_transfer t;
        fb_transfer_init(&t, p->encoding);
        FB_ASSERT(fb_buf_reserve(&decoded, p->length + FB_TRANSFER_SLACK) == FB_OK);
        decoded.len = fb_transfer_step(&t, k->message.ptr + p->offset, p->length, decoded.ptr);
        decoded.len += fb_transfer_end(&t, decoded.ptr + decoded.len);
        bytes = fb_slice_buf(&decoded);
    }
    if (wrong == NULL) {
        FB_ASSERT(EVP_Digest(bytes.ptr, bytes.len, sha1, &n, EVP_sha1(), NULL) == 1);
        wrong = bytes.len != p->size ? "size differs from the range's decoded bytes"
                : memcmp(sha1, p->sha1, sizeof sha1) != 0
                    ? "SHA-1 differs from the range's decoded bytes"
                    : NULL;
    }
    if (wrong == NULL &&
        (p->name == NULL || p->name[0] == '\0' || strpbrk(p->name, "/\\\r\n\t") != NULL)) {
        wrong = "a name that is empty or not clean";
    }
    if (wrong == NULL &&
        (!render_utf8_is_valid(fb_slice_str(p->name)) || strchr(p->type, '/') == NULL)) {
        wrong = "a name or type that is not valid";
    }
    fb_buf_deinit(&decoded);
    return wrong;
}

static bool is_clean(struct fb_slice s)
{
    return render_utf8_is_valid(s) && (s.len == 0 || memchr(s.ptr, '\0', s.len) == NULL);
}

static const char *check_head(struct fb_slice head)
{
    for (size_t i = 0; i < head.len; i++) {
        bool is_cr = head.ptr[i] == '\r';
        bool is_lf = head.ptr[i] == '\n';
        if ((is_cr && (i + 1 == head.len || head.ptr[i + 1] != '\n')) ||
            (is_lf && (i == 0 || head.ptr[i - 1] != '\r'))) {
            return "bare CR or LF in the head";
        }
    }
    bool has_empty = fb_slice_find(head, FB_SLICE_LITERAL("\r\n\r\n")) != SIZE_MAX;
    return has_empty || (head.len > 0 && head.ptr[0] == '\r') ? "empty line in the head" : NULL;
}

const char *kit_check(const struct kit *k)
{
    const struct render_mail *m = &k->mail;
    const char *wrong = check_head(fb_slice_buf(&m->head));
    for (uint32_t i = 0; i < m->part_count && wrong == NULL; i++) {
        wrong = check_part(k, &m->parts[i]);
    }
    if (wrong == NULL &&
        (!is_clean(fb_slice_buf(&m->letter.body)) || !is_clean(fb_slice_buf(&m->text)))) {
        wrong = "body is not clean UTF-8";
    }
    if (wrong == NULL &&
        (!is_clean(fb_slice_str(m->subject)) || strpbrk(m->subject, "\r\n") != NULL)) {
        wrong = "subject is not one clean line";
    }
    if (wrong == NULL && m->part_count > FB_MAX_PARTS) {
        wrong = "too many parts";
    }
    for (size_t i = 0; i < m->facts.header_count && wrong == NULL; i++) {
        wrong = is_clean(fb_slice_str(m->facts.headers[i].value))
                    ? NULL
                    : "header fact is not clean UTF-8";
    }
    return wrong;
}
