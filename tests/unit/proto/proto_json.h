/* SPDX-License-Identifier: Apache-2.0
 *
 * What crosses a process border, as JSON with the keys of the wire (proto/jobs.md), so that golden
 * vectors can be described and compared in another language.  Bytes are {"$bin": "<hex>"}; whole
 * numbers of 2^53 and more are {"$uint": "<decimal>"}.
 */
#ifndef FB_TESTS_UNIT_PROTO_PROTO_JSON_H
#define FB_TESTS_UNIT_PROTO_PROTO_JSON_H

#include <jansson.h>

#include "common/buf.h"

/* kind: "job", "envelope", "plan" or "parcel"; FB_NOT_FOUND for another. */
FB_MUST_USE enum fb_status proto_json_decode(const char *kind, struct fb_slice bytes,
                                             json_t **json_r, struct fb_error *err);
/* The bytes that the encoder writes for what the JSON says.  FB_INVALID when a key is missing or of another type. */
FB_MUST_USE enum fb_status proto_json_encode(const char *kind, const json_t *json,
                                             struct fb_buf *out, struct fb_error *err);
/* Decodes and encodes again. */
FB_MUST_USE enum fb_status proto_json_again(const char *kind, struct fb_slice bytes,
                                            struct fb_buf *out, struct fb_error *err);

#endif
