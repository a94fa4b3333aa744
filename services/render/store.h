/* SPDX-License-Identifier: Apache-2.0
 *
 * One derived object on its way into the spool: bounded, with its SHA-1 and size. */
#ifndef FB_RENDER_STORE_H
#define FB_RENDER_STORE_H

#include <openssl/evp.h>

#include "common/spool/spool.h"
#include "services/render/rpc.h"

struct render_store {
    struct fb_spool_object_out *out;
    EVP_MD_CTX *sha1;
    uint64_t size;
};

FB_MUST_USE enum fb_status render_store_begin(struct render_store *s, struct fb_spool_msg *msg,
                                              const char *name, struct fb_error *err);
FB_MUST_USE enum fb_status render_store_add(struct render_store *s, struct fb_slice bytes,
                                            struct fb_error *err);
/* Fills size and sha1 of *stored_r. */
FB_MUST_USE enum fb_status render_store_commit(struct render_store *s,
                                               struct render_rpc_stored *stored_r,
                                               struct fb_error *err);
void render_store_abort(struct render_store *s); /* also after a commit: nothing */

#endif
