/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FB_RENDER_VERIFY_H
#define FB_RENDER_VERIFY_H

#include "services/render/converse.h"

/* Whether the message was through already: our signature over this body (proto/trace_header.h), and
 * every recipient of the envelope belongs, in the ledger, to the branch that was signed, or is the
 * sender to whom a letter was signed.  Anything unknown is a no. */
bool render_verify(const char *key, const struct render_request *request, struct fb_slice value,
                   const uint8_t body_hash[32]);

#endif
