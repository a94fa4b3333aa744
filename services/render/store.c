/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/store.h"

#include "proto/limits.h"

enum fb_status render_store_begin(struct render_store *s, struct fb_spool_msg *msg,
                                  const char *name, struct fb_error *err)
{
    render_store_abort(s);
    s->sha1 = EVP_MD_CTX_new();
    if (s->sha1 == NULL || EVP_DigestInit_ex(s->sha1, EVP_sha1(), NULL) != 1) {
        render_store_abort(s);
        return fb_error_set(err, FB_BUG, "SHA-1 is not to be had from OpenSSL");
    }
    s->size = 0;
    enum fb_status st = fb_spool_object_create(msg, name, &s->out, err);
    if (st != FB_OK) {
        render_store_abort(s);
    }
    return st;
}

enum fb_status render_store_add(struct render_store *s, struct fb_slice bytes, struct fb_error *err)
{
    if (s->out == NULL) {
        return fb_error_set(err, FB_INVALID, "object data without an object");
    }
    if (bytes.len > FB_MAX_OBJECT || s->size > FB_MAX_OBJECT - bytes.len) {
        return fb_error_set(err, FB_TOO_BIG, "a derived object is larger than %u bytes",
                            FB_MAX_OBJECT);
    }
    if (EVP_DigestUpdate(s->sha1, bytes.ptr, bytes.len) != 1) {
        return fb_error_set(err, FB_BUG, "SHA-1 failed");
    }
    s->size += bytes.len;
    return fb_spool_object_add(s->out, bytes.ptr, bytes.len, err);
}

enum fb_status render_store_commit(struct render_store *s, struct render_rpc_stored *stored_r,
                                   struct fb_error *err)
{
    if (s->out == NULL) {
        return fb_error_set(err, FB_INVALID, "commit without an object");
    }
    enum fb_status st = FB_OK;
    if (EVP_DigestFinal_ex(s->sha1, stored_r->sha1, NULL) != 1) {
        st = fb_error_set(err, FB_BUG, "SHA-1 failed");
    }
    stored_r->size = s->size;
    if (st == FB_OK) {
        st = fb_spool_object_commit(&s->out, false, err);
    }
    render_store_abort(s);
    return st;
}

void render_store_abort(struct render_store *s)
{
    if (s->out != NULL) {
        fb_spool_object_abort(&s->out);
    }
    EVP_MD_CTX_free(s->sha1);
    *s = (struct render_store){0};
}
