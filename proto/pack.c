/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 8
/* msgpack-c keeps 24 bytes for an element, which may be one byte long.  The largest plan has 1,000 branches that name
 * 2,001 parts each. */
#define MAX_ELEMENTS (5U << 19)
#define MAX_KEYS     64

/* ---- writing ---- */

static int write_bytes(void *data, const char *bytes, size_t len)
{
    struct fb_pack *p = data;
    if (p->status == FB_OK) {
        p->status = fb_buf_add(p->out, bytes, len);
    }
    return p->status == FB_OK ? 0 : -1;
}

void fb_pack_init(struct fb_pack *p, struct fb_buf *out)
{
    p->out = out;
    p->status = FB_OK;
    msgpack_packer_init(&p->packer, p, write_bytes);
}

void fb_pack_map(struct fb_pack *p, size_t pairs)
{
    (void)msgpack_pack_map(&p->packer, pairs); /* the status is kept by write_bytes */
}

void fb_pack_array(struct fb_pack *p, size_t items)
{
    (void)msgpack_pack_array(&p->packer, items);
}

static void pack_text(struct fb_pack *p, const char *text)
{
    size_t n = strlen(text);
    (void)msgpack_pack_str(&p->packer, n);
    (void)msgpack_pack_str_body(&p->packer, text, n);
}

void fb_pack_key(struct fb_pack *p, const char *key)
{
    pack_text(p, key);
}

void fb_pack_str(struct fb_pack *p, const char *key, const char *value)
{
    fb_pack_key(p, key);
    pack_text(p, value != NULL ? value : "");
}

void fb_pack_uint(struct fb_pack *p, const char *key, uint64_t value)
{
    fb_pack_key(p, key);
    (void)msgpack_pack_uint64(&p->packer, value);
}

size_t fb_pack_has(const char *value)
{
    return value != NULL && value[0] != '\0' ? 1 : 0;
}

void fb_pack_opt_str(struct fb_pack *p, const char *key, const char *value)
{
    if (fb_pack_has(value) != 0) {
        fb_pack_str(p, key, value);
    }
}

void fb_pack_opt_uint(struct fb_pack *p, const char *key, uint64_t value)
{
    if (value != 0) {
        fb_pack_uint(p, key, value);
    }
}

void fb_pack_bool(struct fb_pack *p, const char *key, bool value)
{
    fb_pack_key(p, key);
    (void)(value ? msgpack_pack_true(&p->packer) : msgpack_pack_false(&p->packer));
}

void fb_pack_bin(struct fb_pack *p, const char *key, const void *bytes, size_t len)
{
    fb_pack_key(p, key);
    (void)msgpack_pack_bin(&p->packer, len);
    (void)msgpack_pack_bin_body(&p->packer, bytes, len);
}

void fb_pack_uints(struct fb_pack *p, const char *key, const uint32_t *values, size_t count)
{
    fb_pack_key(p, key);
    fb_pack_array(p, count);
    for (size_t i = 0; i < count; i++) {
        (void)msgpack_pack_uint32(&p->packer, values[i]);
    }
}

void fb_pack_strs(struct fb_pack *p, const char *key, char *const *values, size_t count)
{
    fb_pack_key(p, key);
    fb_pack_array(p, count);
    for (size_t i = 0; i < count; i++) {
        pack_text(p, values[i]);
    }
}

/* ---- reading ---- */

static uint64_t big_endian(const uint8_t *p, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* Walks the heads before msgpack-c allocates anything: depth, and counts that the bytes could not hold. */
static bool walk(struct fb_slice *in, int depth, uint32_t *left)
{
    if (in->len == 0 || depth > MAX_DEPTH || *left == 0) {
        return false;
    }
    (*left)--;
    uint8_t t = in->ptr[0];
    size_t head = 1;
    uint64_t body = 0;  /* bytes */
    uint64_t items = 0; /* elements behind the head */
    if (t <= 0x7f || t >= 0xe0 || t == 0xc0 || t == 0xc2 || t == 0xc3) {
        body = 0;
    } else if (t <= 0x8f) {
        items = 2 * (uint64_t)(t & 15);
    } else if (t <= 0x9f) {
        items = t & 15;
    } else if (t <= 0xbf) {
        body = t & 31;
    } else {
        static const uint8_t sizes[32] = {
            /* c0 */ 0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8,
            /* d0 */ 1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};
        size_t n = sizes[t - 0xc0];
        if (n == 0 || in->len < 1 + n || (t >= 0xc7 && t <= 0xc9)) {
            return false; /* extension types have no place here */
        }
        uint64_t value = big_endian(in->ptr + 1, n);
        head = 1 + n;
        if ((t >= 0xc4 && t <= 0xc6) || (t >= 0xd9 && t <= 0xdb)) {
            body = value;
        } else if (t == 0xdc || t == 0xdd) {
            items = value;
        } else if (t == 0xde || t == 0xdf) {
            items = 2 * value;
        }
    }
    *in = fb_slice_sub(*in, head, SIZE_MAX);
    if (body > in->len || items > in->len) {
        return false;
    }
    *in = fb_slice_sub(*in, (size_t)body, SIZE_MAX);
    for (uint64_t i = 0; i < items; i++) {
        if (!walk(in, depth + 1, left)) {
            return false;
        }
    }
    return true;
}

/* Where an error is: "plan.parts[3].name". */
struct place {
    char text[160];
};

static struct place place_of(const struct fb_read *r, struct fb_slice key)
{
    struct place p;
    char index[24] = "";
    if (r->item >= 0) {
        (void)snprintf(index, sizeof index, "[%lld]", (long long)r->item);
    }
    (void)snprintf(p.text, sizeof p.text, "%s%s%s%.*s", r->what, index, key.len > 0 ? "." : "",
                   (int)(key.len < 64 ? key.len : 64), key.len > 0 ? (const char *)key.ptr : "");
    return p;
}

static void fail_at(struct fb_read *r, struct fb_slice key, const char *why)
{
    if (r->status == FB_OK) {
        r->status = fb_error_set(r->err, FB_INVALID, "%s: %s", place_of(r, key).text, why);
    }
}

enum fb_status fb_read_fail(struct fb_read *r, const char *key, const char *why)
{
    fail_at(r, fb_slice_str(key), why);
    return r->status;
}

static void out_of_memory(struct fb_read *r, const char *key)
{
    if (r->status == FB_OK) {
        r->status = fb_error_set(r->err, FB_NO_SPACE, "%s: no memory left",
                                 place_of(r, fb_slice_str(key)).text);
    }
}

void *fb_read_alloc(struct fb_read *r, const char *key, size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        out_of_memory(r, key);
    }
    return memory;
}

static struct fb_slice key_of(const msgpack_object *key)
{
    return fb_slice_of(key->via.str.ptr, key->via.str.size);
}

static void check_keys(struct fb_read *r)
{
    const msgpack_object_map *m = &r->map->via.map;
    if (m->size > MAX_KEYS) {
        (void)fb_read_fail(r, "", "more than 64 keys");
        return;
    }
    for (uint32_t i = 0; i < m->size; i++) {
        if (m->ptr[i].key.type != MSGPACK_OBJECT_STR) {
            (void)fb_read_fail(r, "", "a key is no string");
            return;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (fb_slice_eq(key_of(&m->ptr[i].key), key_of(&m->ptr[j].key))) {
                fail_at(r, key_of(&m->ptr[i].key), "the key stands twice");
                return;
            }
        }
    }
}

static void unpack(struct fb_read *r, struct fb_slice bytes)
{
    size_t off = 0;
    msgpack_unpack_return how =
        msgpack_unpack_next(&r->unpacked, (const char *)bytes.ptr, bytes.len, &off);
    if (how == MSGPACK_UNPACK_NOMEM_ERROR) {
        out_of_memory(r, "");
    } else if (how != MSGPACK_UNPACK_SUCCESS) {
        (void)fb_read_fail(r, "", "no msgpack");
    } else if (r->unpacked.data.type != MSGPACK_OBJECT_MAP) {
        (void)fb_read_fail(r, "", "no map");
    } else {
        r->map = &r->unpacked.data;
        check_keys(r);
    }
}

void fb_read_init(struct fb_read *r, const char *what, struct fb_slice bytes, size_t max,
                  struct fb_error *err)
{
    *r = (struct fb_read){.what = what, .item = -1, .err = err};
    msgpack_unpacked_init(&r->unpacked);
    struct fb_slice rest = bytes;
    uint32_t left = MAX_ELEMENTS;
    if (bytes.len > max) {
        r->status =
            fb_error_set(err, FB_TOO_BIG, "%s: %zu bytes are more than %zu", what, bytes.len, max);
    } else if (!walk(&rest, 0, &left)) {
        (void)fb_read_fail(r, "", "no msgpack, or cut off, too deep or with too many elements");
    } else if (rest.len > 0) {
        (void)fb_read_fail(r, "", "bytes behind the end");
    } else {
        unpack(r, bytes);
    }
}

void fb_read_deinit(struct fb_read *r)
{
    msgpack_unpacked_destroy(&r->unpacked);
}

uint32_t fb_read_version(struct fb_read *r, uint32_t oldest, uint32_t current)
{
    uint64_t version = fb_read_uint(r, "v", UINT32_MAX);
    if (r->status == FB_OK && version > current) {
        r->status = fb_error_set(
            r->err, FB_AGAIN,
            "%s.v: version %llu is newer than this program's %u: it waits for an upgraded one",
            r->what, (unsigned long long)version, current);
    } else if (r->status == FB_OK && version < oldest) {
        (void)fb_read_fail(r, "v", "too old");
    }
    return (uint32_t)version;
}

static const msgpack_object *find(const struct fb_read *r, const char *key)
{
    if (r->status != FB_OK) {
        return NULL;
    }
    size_t n = strlen(key);
    const msgpack_object_map *m = &r->map->via.map;
    for (uint32_t i = 0; i < m->size; i++) {
        if (m->ptr[i].key.via.str.size == n && memcmp(m->ptr[i].key.via.str.ptr, key, n) == 0) {
            return &m->ptr[i].val;
        }
    }
    return NULL;
}

static const msgpack_object *need(struct fb_read *r, const char *key)
{
    const msgpack_object *o = find(r, key);
    if (o == NULL) {
        (void)fb_read_fail(r, key, "missing");
    }
    return o;
}

uint64_t fb_read_uint(struct fb_read *r, const char *key, uint64_t most)
{
    const msgpack_object *o = need(r, key);
    if (o == NULL) {
        return 0;
    }
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
        (void)fb_read_fail(r, key, "a whole number of 0 or more is expected");
        return 0;
    }
    if (o->via.u64 > most) {
        char why[64];
        (void)snprintf(why, sizeof why, "%llu is above %llu", (unsigned long long)o->via.u64,
                       (unsigned long long)most);
        (void)fb_read_fail(r, key, why);
        return 0;
    }
    return o->via.u64;
}

uint64_t fb_read_opt_uint(struct fb_read *r, const char *key, uint64_t most)
{
    return find(r, key) != NULL ? fb_read_uint(r, key, most) : 0;
}

bool fb_read_opt_bool(struct fb_read *r, const char *key)
{
    return find(r, key) != NULL && fb_read_bool(r, key);
}

bool fb_read_bool(struct fb_read *r, const char *key)
{
    const msgpack_object *o = need(r, key);
    if (o != NULL && o->type != MSGPACK_OBJECT_BOOLEAN) {
        (void)fb_read_fail(r, key, "true or false is expected");
        return false;
    }
    return o != NULL && o->via.boolean;
}

/* Text: no control characters (a header line or log would break on them). */
static char *dup_text(struct fb_read *r, const char *key, const msgpack_object *o, size_t most)
{
    if (o->type != MSGPACK_OBJECT_STR) {
        (void)fb_read_fail(r, key, "a string is expected");
        return NULL;
    }
    if (o->via.str.size > most) {
        (void)fb_read_fail(r, key, "too long");
        return NULL;
    }
    for (uint32_t i = 0; i < o->via.str.size; i++) {
        unsigned char c = (unsigned char)o->via.str.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            (void)fb_read_fail(r, key, "a control character");
            return NULL;
        }
    }
    char *text = fb_slice_dup_str(fb_slice_of(o->via.str.ptr, o->via.str.size));
    if (text == NULL) {
        out_of_memory(r, key);
    }
    return text;
}

char *fb_read_str(struct fb_read *r, const char *key, size_t most)
{
    const msgpack_object *o = need(r, key);
    return o != NULL ? dup_text(r, key, o, most) : NULL;
}

char *fb_read_opt_str(struct fb_read *r, const char *key, size_t most)
{
    const msgpack_object *o = find(r, key);
    char *text = o != NULL ? dup_text(r, key, o, most) : NULL;
    if (text != NULL && text[0] == '\0') {
        free(text);
        text = NULL;
    }
    return text;
}

void fb_read_str_into(struct fb_read *r, const char *key, char *out, size_t size)
{
    char *text = fb_read_str(r, key, size - 1);
    if (text != NULL) {
        memcpy(out, text, strlen(text) + 1);
        free(text);
    }
}

void fb_read_bin(struct fb_read *r, const char *key, uint8_t *out, size_t len)
{
    const msgpack_object *o = need(r, key);
    if (o == NULL) {
        return;
    }
    if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size != len) {
        (void)fb_read_fail(r, key, "bytes of another length are expected");
        return;
    }
    memcpy(out, o->via.bin.ptr, len);
}

bool fb_read_opt_bin(struct fb_read *r, const char *key, uint8_t *out, size_t len)
{
    if (find(r, key) == NULL) {
        return false;
    }
    fb_read_bin(r, key, out, len);
    return r->status == FB_OK;
}

const msgpack_object_array *fb_read_array(struct fb_read *r, const char *key, size_t most)
{
    const msgpack_object *o = need(r, key);
    if (o == NULL) {
        return NULL;
    }
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > most) {
        (void)fb_read_fail(
            r, key, o->type == MSGPACK_OBJECT_ARRAY ? "too many items" : "a list is expected");
        return NULL;
    }
    return &o->via.array;
}

uint32_t *fb_read_uints(struct fb_read *r, const char *key, size_t most, uint64_t most_value,
                        uint32_t *count_r)
{
    const msgpack_object_array *a = fb_read_array(r, key, most);
    if (a == NULL) {
        return NULL;
    }
    uint32_t *values = fb_read_alloc(r, key, a->size, sizeof *values);
    for (uint32_t i = 0; values != NULL && i < a->size; i++) {
        if (a->ptr[i].type != MSGPACK_OBJECT_POSITIVE_INTEGER || a->ptr[i].via.u64 > most_value) {
            (void)fb_read_fail(r, key, "an item is no number within its bounds");
            free(values);
            return NULL;
        }
        values[i] = (uint32_t)a->ptr[i].via.u64;
    }
    *count_r = values != NULL ? a->size : 0;
    return values;
}

char **fb_read_strs(struct fb_read *r, const char *key, size_t most, size_t most_bytes,
                    uint32_t *count_r)
{
    const msgpack_object_array *a = fb_read_array(r, key, most);
    if (a == NULL) {
        return NULL;
    }
    char **values = fb_read_alloc(r, key, a->size, sizeof *values);
    for (uint32_t i = 0; values != NULL && i < a->size; i++) {
        values[i] = dup_text(r, key, &a->ptr[i], most_bytes);
        if (values[i] == NULL) {
            for (uint32_t j = 0; j < i; j++) {
                free(values[j]);
            }
            free(values);
            return NULL;
        }
    }
    *count_r = values != NULL ? a->size : 0;
    return values;
}

void fb_read_item(struct fb_read *parent, const msgpack_object_array *list, uint32_t i,
                  const char *what, struct fb_read *item_r)
{
    *item_r =
        (struct fb_read){.what = what, .item = i, .err = parent->err, .status = parent->status};
    if (list->ptr[i].type != MSGPACK_OBJECT_MAP) {
        (void)fb_read_fail(item_r, "", "no map");
        return;
    }
    item_r->map = &list->ptr[i];
    check_keys(item_r);
}

void fb_read_item_end(struct fb_read *parent, const struct fb_read *item)
{
    if (parent->status == FB_OK) {
        parent->status = item->status;
    }
}
