/* SPDX-License-Identifier: Apache-2.0
 *
 * Small helpers around msgpack-c: packing into a bounded fb_buf, and strict reading of maps with string keys.  Inside
 * proto, and for the vault's state document, only. */
#ifndef FB_PROTO_PACK_H
#define FB_PROTO_PACK_H

#include <msgpack.h>

#include "common/buf.h"

/* ---- writing: errors are kept, the first one wins ---- */

struct fb_pack {
    msgpack_packer packer;
    struct fb_buf *out;
    enum fb_status status;
};

void fb_pack_init(struct fb_pack *p, struct fb_buf *out);
void fb_pack_map(struct fb_pack *p, size_t pairs);
void fb_pack_array(struct fb_pack *p, size_t items);
void fb_pack_key(struct fb_pack *p, const char *key);
void fb_pack_str(struct fb_pack *p, const char *key, const char *value); /* NULL is written as "" */
void fb_pack_uint(struct fb_pack *p, const char *key, uint64_t value);
/* Keys that are written when they say something, and otherwise left out: older readers skip them. */
void fb_pack_opt_str(struct fb_pack *p, const char *key, const char *value);
void fb_pack_opt_uint(struct fb_pack *p, const char *key, uint64_t value);
/* How many of them will be there: 1 or 0. */
size_t fb_pack_has(const char *value);
void fb_pack_bool(struct fb_pack *p, const char *key, bool value);
void fb_pack_bin(struct fb_pack *p, const char *key, const void *bytes, size_t len);
void fb_pack_uints(struct fb_pack *p, const char *key, const uint32_t *values, size_t count);
void fb_pack_strs(struct fb_pack *p, const char *key, char *const *values, size_t count);

/* ---- reading: the first error is kept with its key, later calls do nothing ---- */

struct fb_read {
    msgpack_unpacked unpacked; /* owns everything read; only in the root */
    const msgpack_object *map;
    const char *what; /* "job", "plan.parts": for messages */
    int64_t item;     /* index in its list, -1 for what is in no list */
    enum fb_status status;
    struct fb_error *err;
};

/* Parses one whole object (nothing behind it, depth at most 8, no more elements than bytes and than any document of
 * ours can have) that is a map with unique string keys.  FB_INVALID, FB_TOO_BIG, FB_NO_SPACE. */
void fb_read_init(struct fb_read *r, const char *what, struct fb_slice bytes, size_t max,
                  struct fb_error *err);
void fb_read_deinit(struct fb_read *r);
enum fb_status fb_read_fail(struct fb_read *r, const char *key, const char *why);
/* The key "v": versions from oldest to current are read; a newer one is FB_AGAIN, for it waits for an upgraded program;
 * an older one FB_INVALID. */
uint32_t fb_read_version(struct fb_read *r, uint32_t oldest, uint32_t current);
/* Memory for a list whose length the bytes told, zeroed; NULL and FB_NO_SPACE when there is none. */
void *fb_read_alloc(struct fb_read *r, const char *key, size_t count, size_t size);
/* Required keys; the value is within the bounds or it is an error. */
uint64_t fb_read_uint(struct fb_read *r, const char *key, uint64_t most);
bool fb_read_bool(struct fb_read *r, const char *key);
/* A string without NUL, CR, LF or other control characters; at most `most` bytes; a heap copy. */
char *fb_read_str(struct fb_read *r, const char *key, size_t most);
char *fb_read_opt_str(struct fb_read *r, const char *key, size_t most); /* "" or absent: NULL */
/* Optional keys: absent is 0 and false. */
uint64_t fb_read_opt_uint(struct fb_read *r, const char *key, uint64_t most);
bool fb_read_opt_bool(struct fb_read *r, const char *key);
void fb_read_str_into(struct fb_read *r, const char *key, char *out, size_t size);
void fb_read_bin(struct fb_read *r, const char *key, uint8_t *out, size_t len);
bool fb_read_opt_bin(struct fb_read *r, const char *key, uint8_t *out,
                     size_t len); /* is it there? */
uint32_t *fb_read_uints(struct fb_read *r, const char *key, size_t most, uint64_t most_value,
                        uint32_t *count_r);
char **fb_read_strs(struct fb_read *r, const char *key, size_t most, size_t most_bytes,
                    uint32_t *count_r);
/* The array of maps under key; item i is then opened with fb_read_item (what: "plan.parts"). */
const msgpack_object_array *fb_read_array(struct fb_read *r, const char *key, size_t most);
void fb_read_item(struct fb_read *parent, const msgpack_object_array *list, uint32_t i,
                  const char *what, struct fb_read *item_r);
/* What went wrong in the item goes wrong in the parent. */
void fb_read_item_end(struct fb_read *parent, const struct fb_read *item);

#endif
