/* SPDX-License-Identifier: Apache-2.0
 *
 * The signature of a Box webhook: HMAC-SHA256 over the body as it came and the time of delivery, by
 * one of two keys. */
#ifndef FB_WATCH_SIGNATURE_H
#define FB_WATCH_SIGNATURE_H

#include "common/buf.h"

#define WATCH_DELIVERY_MAX_AGE_MS (10 * 60 * 1000)

struct watch_delivery {
    struct fb_slice body;
    /* headers as they came; NULL = absent */
    const char *timestamp, *version, *algorithm, *primary, *secondary;
};

/* keys may be NULL, but not both.  FB_DENIED with the reason: not signed by us, or too old. */
FB_MUST_USE enum fb_status watch_signature_check(const struct watch_delivery *d,
                                                 const char *primary_key, const char *secondary_key,
                                                 int64_t now_ms, struct fb_error *err);

#endif
