/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of parts: names, sizes and checksums.  A part of the spooled message stays there and is
 * described by its range; one out of something unpacked is written as a derived object.
 */
#include "services/render/mime_walk.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/headers.h"
#include "services/render/names.h"
#include "services/render/words.h"

#define SUBJECT_PREFIX 65536 /* how far an attached message is read for its Subject */

struct digest {
    EVP_MD_CTX *md;
    uint64_t size;
    const struct render_sink *sink; /* NULL: only counted */
};

static enum fb_status digest_take(void *ctx, const uint8_t *bytes, size_t len, struct fb_error *err)
{
    struct digest *d = ctx;
    d->size += len;
    if (EVP_DigestUpdate(d->md, bytes, len) != 1) {
        return fb_error_set(err, FB_BUG, "SHA-1 failed");
    }
    if (d->sink == NULL) {
        return FB_OK;
    }
    if (d->size > FB_MAX_OBJECT) {
        return fb_error_set(err, FB_TOO_BIG, "unpacked file larger than %u bytes", FB_MAX_OBJECT);
    }
    return d->sink->add(d->sink->ctx, bytes, len, err);
}

/* Reads the leaf once for size and SHA-1, and into the sink when it is no range of the spooled
 * message. */
static enum fb_status measure(struct mime_walk *w, const struct mime_leaf *leaf,
                              struct fb_part *part)
{
    struct digest d = {.md = EVP_MD_CTX_new(), .sink = leaf->is_spooled ? NULL : w->sink};
    unsigned size = 0;
    enum fb_status status = FB_OK;
    if (d.md == NULL || EVP_DigestInit_ex(d.md, EVP_sha1(), NULL) != 1) {
        status = fb_error_set(w->err, FB_BUG, "no SHA-1");
    }
    if (status == FB_OK && d.sink != NULL) {
        char object[32];
        (void)snprintf(object, sizeof object, "part.%u", ++w->object_count);
        part->object = fb_xstrdup(object);
        status = d.sink->begin(d.sink->ctx, object, w->err);
    }
    bool has_begun = status == FB_OK && d.sink != NULL;
    if (status == FB_OK) {
        status = mime_leaf_stream(leaf, digest_take, &d, w->err);
    }
    if (status == FB_OK && EVP_DigestFinal_ex(d.md, part->sha1, &size) != 1) {
        status = fb_error_set(w->err, FB_BUG, "SHA-1 failed");
    }
    if (has_begun && status == FB_OK) {
        status = d.sink->commit(d.sink->ctx, w->err);
    } else if (has_begun) {
        d.sink->abandon(d.sink->ctx);
    }
    part->size = d.size;
    EVP_MD_CTX_free(d.md);
    return status;
}

/* "<subject>.eml" for an attached message. */
static char *message_name(const struct mime_leaf *leaf)
{
    struct fb_buf head = {0};
    struct fb_error ignored = {0};
    struct render_field subject = {0};
    char *name = NULL;
    fb_buf_init(&head, SUBJECT_PREFIX);
    if (mime_leaf_decode_prefix(leaf, &head, &ignored) == FB_OK) {
        struct fb_slice s = fb_slice_buf(&head);
        size_t end = fb_slice_find(s, FB_SLICE_LITERAL("\r\n\r\n"));
        end = end == SIZE_MAX ? fb_slice_find(s, FB_SLICE_LITERAL("\n\n")) : end;
        if (render_field_find(fb_slice_sub(s, 0, end), "Subject", &subject)) {
            char *text = render_words_dup(subject.value, 1000);
            char file[1024];
            if (text != NULL && text[0] != '\0') {
                for (char *p = text; *p != '\0'; p++) {
                    *p = *p == '/' || *p == '\\' ? '_' : *p; /* a subject has no folders */
                }
                (void)snprintf(file, sizeof file, "%s.eml", text);
                name = render_name_clean(file);
            }
            free(text);
        }
    }
    fb_buf_deinit(&head);
    return name;
}

static bool is_message(const char *type)
{
    return strcmp(type, "message/rfc822") == 0 || strcmp(type, "message/global") == 0;
}

/* The name a part gets: its own, made for its kind, or counted. */
static char *part_name(const struct mime_walk *w, struct mime_leaf *leaf)
{
    char *name = leaf->name;
    leaf->name = NULL;
    if (name != NULL && name[0] != '\0') {
        return name;
    }
    free(name);
    name = NULL;
    if (is_message(leaf->type)) {
        name = message_name(leaf);
    } else if (strcmp(leaf->type, "application/pgp-signature") == 0) {
        name = fb_xstrdup("signature.asc");
    } else if (strcmp(leaf->type, "application/pkcs7-signature") == 0 ||
               strcmp(leaf->type, "application/x-pkcs7-signature") == 0) {
        name = fb_xstrdup("smime.p7s");
    } else if (strcmp(leaf->type, "application/pkcs7-mime") == 0 ||
               strcmp(leaf->type, "application/x-pkcs7-mime") == 0) {
        name = fb_xstrdup("smime.p7m");
    }
    return name != NULL && name[0] != '\0'
               ? name
               : render_name_default(leaf->type, w->mail->part_count + 1);
}

/* Makes room for one more part in both lists. */
static enum fb_status grow(struct mime_walk *w)
{
    uint32_t n = w->mail->part_count;
    if (n >= FB_MAX_PARTS) {
        return fb_error_set(w->err, FB_TOO_BIG, "more than %d parts", FB_MAX_PARTS);
    }
    if ((n & (n + 1)) == 0) { /* 0, 1, 3, 7...: room for twice as many */
        size_t room = 2U * n + 2;
        struct fb_part *parts = realloc(w->mail->parts, room * sizeof *parts);
        w->mail->parts = parts != NULL ? parts : w->mail->parts;
        struct mime_leaf *leaves = realloc(w->leaves, room * sizeof *leaves);
        w->leaves = leaves != NULL ? leaves : w->leaves;
        if (parts == NULL || leaves == NULL) {
            return fb_error_set(w->err, FB_NO_SPACE, "no memory for the list of parts");
        }
    }
    w->mail->parts[n] = (struct fb_part){0};
    w->leaves[n] = (struct mime_leaf){0};
    w->mail->holds_body[n] = false;
    return FB_OK;
}

static void part_clear(struct fb_part *p)
{
    free(p->name);
    free(p->type);
    free(p->cid);
    free(p->object);
    *p = (struct fb_part){0};
}

enum fb_status mime_parts_add(struct mime_walk *w, struct mime_leaf *leaf, bool holds_body)
{
    struct fb_part part = {
        .offset = leaf->offset, .length = leaf->length, .encoding = leaf->encoding};
    enum fb_status status = grow(w);
    if (status == FB_OK) {
        part.name = part_name(w, leaf);
        part.type = fb_xstrdup(leaf->type);
        part.cid = leaf->cid != NULL ? fb_xstrdup(leaf->cid) : NULL;
        status = part.name != NULL ? measure(w, leaf, &part)
                                   : fb_error_set(w->err, FB_NO_SPACE, "no memory");
    }
    if (status != FB_OK) {
        part_clear(&part);
        mime_leaf_deinit(leaf);
        return status;
    }
    if (part.object != NULL) {
        part.offset = 0;
        part.length = 0;
        part.encoding = FB_ENC_IDENTITY;
    }
    w->mail->parts[w->mail->part_count] = part;
    w->leaves[w->mail->part_count] = *leaf;
    w->mail->holds_body[w->mail->part_count] = holds_body;
    w->mail->part_count++;
    *leaf = (struct mime_leaf){0};
    return FB_OK;
}

enum fb_status mime_parts_add_object(struct mime_walk *w, const struct fb_part *part)
{
    enum fb_status status = grow(w);
    if (status != FB_OK) {
        return status;
    }
    const char *type =
        part->type != NULL && mime_leaf_type_is_valid(part->type) && strlen(part->type) < 128
            ? part->type
            : render_name_type(part->name);
    struct fb_part copy = *part;
    copy.name = part->name != NULL ? render_name_clean(part->name) : NULL;
    if (copy.name == NULL || copy.name[0] == '\0') {
        free(copy.name);
        copy.name = render_name_default(type, w->mail->part_count + 1);
    }
    copy.type = fb_xstrdup(type);
    copy.cid = part->cid != NULL ? fb_xstrdup(part->cid) : NULL;
    copy.object = fb_xstrdup(part->object);
    if (copy.name == NULL) {
        part_clear(&copy);
        return fb_error_set(w->err, FB_NO_SPACE, "no memory");
    }
    w->mail->parts[w->mail->part_count++] = copy;
    return FB_OK;
}

enum fb_status mime_parts_add_bytes(struct mime_walk *w, const char *object, const char *name,
                                    struct fb_slice bytes)
{
    struct fb_part part = {.encoding = FB_ENC_IDENTITY, .size = bytes.len};
    unsigned size = 0;
    enum fb_status status = render_sink_put(w->sink, object, bytes, w->err);
    if (status == FB_OK &&
        EVP_Digest(bytes.ptr, bytes.len, part.sha1, &size, EVP_sha1(), NULL) != 1) {
        status = fb_error_set(w->err, FB_BUG, "SHA-1 failed");
    }
    if (status == FB_OK) {
        char *own_name = fb_xstrdup(name);
        char *own_object = fb_xstrdup(object);
        part.name = own_name;
        part.object = own_object;
        status = mime_parts_add_object(w, &part);
        free(own_name);
        free(own_object);
    }
    return status;
}
