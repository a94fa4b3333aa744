/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of ledger changes.  Encoded while they are added; keys are kept apart, because a script
 * must declare them. A first error (command not allowed, too big) sticks and comes out of
 * fb_ops_encode.
 */
#include "common/queue/ops.h"

#include <msgpack.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPS     262144U /* accepted: 3 per recipient of 10,000, and as much again */
#define MAX_BYTES   (32U << 20)
#define MAX_VA_ARGS 64
#define CHUNK_ARGS  500U  /* even (pairs); Lua's unpack() ends near 8,000 */
#define MAX_KEY     1200U /* fb:{sN}:l:s:<period>:<address> with FB_MAX_ADDRESS */

struct fb_ops {
    struct fb_buf body; /* the commands without the outer array's header */
    size_t count;
    struct fb_error error;
    char **keys;
    size_t key_count, key_cap;
    size_t *slots; /* open addressing: index + 1 into keys */
    size_t slot_count;
};

static const struct {
    const char *name;
    bool is_split; /* more than CHUNK_ARGS arguments become several commands */
} allowed[] = {
    {"HSET", true},     {"HDEL", true},    {"HINCRBY", false},
    {"HSETNX", false},  {"ZADD", true},    {"ZREM", true},
    {"SADD", true},     {"SREM", true},    {"RPUSH", true},
    {"LTRIM", false},   {"XADD", false},   {"EXPIRE", false},
    {"PERSIST", false}, {"DEL", false},    {"ZREMRANGEBYSCORE", false},
    {"LISTIN", false},  {"UNCLAIM", true}, {"ADDRIN", false},
    {"HOURIN", false},  {"MAPIN", false},  {"DELIF", false},
};

struct fb_ops *fb_ops_new(void)
{
    struct fb_ops *ops = fb_xcalloc(1, sizeof(*ops));
    fb_buf_init(&ops->body, MAX_BYTES);
    return ops;
}

void fb_ops_free(struct fb_ops **ops)
{
    if (*ops == NULL) {
        return;
    }
    for (size_t i = 0; i < (*ops)->key_count; i++) {
        free((*ops)->keys[i]);
    }
    free((*ops)->keys);
    free((*ops)->slots);
    fb_buf_deinit(&(*ops)->body);
    free(*ops);
    *ops = NULL;
}

static size_t hash_key(const char *key)
{
    uint64_t h = 14695981039346656037ULL; /* FNV-1a */
    for (const char *p = key; *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * 1099511628211ULL;
    }
    return (size_t)h;
}

static size_t *find_slot(size_t *slots, size_t slot_count, char *const *keys, const char *key)
{
    size_t at = hash_key(key) & (slot_count - 1);
    while (slots[at] != 0 && strcmp(keys[slots[at] - 1], key) != 0) {
        at = (at + 1) & (slot_count - 1);
    }
    return &slots[at];
}

static void grow_keys(struct fb_ops *ops)
{
    size_t cap = ops->key_cap == 0 ? 8 : ops->key_cap * 2;
    char **keys = fb_xcalloc(cap, sizeof(*keys));
    size_t *slots = fb_xcalloc(cap * 2, sizeof(*slots));
    for (size_t i = 0; i < ops->key_count; i++) {
        keys[i] = ops->keys[i];
        *find_slot(slots, cap * 2, keys, keys[i]) = i + 1;
    }
    free(ops->keys);
    free(ops->slots);
    ops->keys = keys;
    ops->key_cap = cap;
    ops->slots = slots;
    ops->slot_count = cap * 2;
}

static void remember_key(struct fb_ops *ops, const char *key)
{
    if (ops->key_count == ops->key_cap) {
        grow_keys(ops);
    }
    size_t *slot = find_slot(ops->slots, ops->slot_count, ops->keys, key);
    if (*slot == 0) {
        ops->keys[ops->key_count++] = fb_xstrdup(key);
        *slot = ops->key_count;
    }
}

static void fail(struct fb_ops *ops, enum fb_status s, const char *text, const char *command)
{
    if (ops->error.status == FB_OK) {
        (void)fb_error_set(&ops->error, s, "ledger change %.20s: %s", command, text);
    }
}

static int write_body(void *data, const char *bytes, size_t len)
{
    return fb_buf_add(data, bytes, len) == FB_OK ? 0 : -1;
}

static bool pack_text(msgpack_packer *pk, struct fb_slice s)
{
    return s.len <= MAX_BYTES && msgpack_pack_str(pk, s.len) == 0 &&
           msgpack_pack_str_body(pk, s.ptr, s.len) == 0;
}

static void add_one(struct fb_ops *ops, const char *command, const char *key,
                    const struct fb_slice *args, size_t count)
{
    if (ops->count >= MAX_OPS) {
        fail(ops, FB_TOO_BIG, "too many", command);
        return;
    }
    size_t before = ops->body.len;
    msgpack_packer pk;
    msgpack_packer_init(&pk, &ops->body, write_body);
    bool ok = msgpack_pack_array(&pk, 2 + count) == 0 && pack_text(&pk, fb_slice_str(command)) &&
              pack_text(&pk, fb_slice_str(key));
    for (size_t i = 0; ok && i < count; i++) {
        ok = pack_text(&pk, args[i].ptr != NULL ? args[i] : FB_SLICE_LITERAL(""));
    }
    if (!ok) {
        ops->body.len = before;
        fail(ops, FB_TOO_BIG, "too big", command);
        return;
    }
    ops->count++;
}

void fb_ops_add_slices(struct fb_ops *ops, const char *command, const char *key,
                       const struct fb_slice *args, size_t count)
{
    size_t which = 0;
    while (which < sizeof(allowed) / sizeof(allowed[0]) &&
           strcmp(allowed[which].name, command) != 0) {
        which++;
    }
    if (which == sizeof(allowed) / sizeof(allowed[0])) {
        fail(ops, FB_BUG, "command not allowed", command);
        return;
    }
    size_t key_len = strnlen(key, MAX_KEY + 1);
    if (key_len > MAX_KEY || strncmp(key, "fb:{s", 5) != 0) {
        fail(ops, FB_BUG, "key is too long or not of a shard", command);
        return;
    }
    if (!allowed[which].is_split && count > CHUNK_ARGS) {
        fail(ops, FB_TOO_BIG, "too many arguments", command);
        return;
    }
    if (allowed[which].is_split && count == 0) {
        return; /* nothing to change; Redis would refuse it */
    }
    remember_key(ops, key);
    size_t done = 0;
    do {
        size_t n = count - done < CHUNK_ARGS ? count - done : CHUNK_ARGS;
        add_one(ops, command, key, args + done, n);
        done += n;
    } while (done < count);
}

void fb_ops_add(struct fb_ops *ops, const char *command, const char *key, ...)
{
    struct fb_slice args[MAX_VA_ARGS];
    size_t count = 0;
    va_list list;
    va_start(list, key);
    const char *arg = va_arg(list, const char *);
    while (arg != NULL && count < MAX_VA_ARGS) {
        args[count++] = fb_slice_str(arg);
        arg = va_arg(list, const char *);
    }
    va_end(list);
    if (arg != NULL) {
        fail(ops, FB_TOO_BIG, "too many arguments", command);
        return;
    }
    fb_ops_add_slices(ops, command, key, args, count);
}

void fb_ops_fail(struct fb_ops *ops, const struct fb_error *why)
{
    if (ops->error.status == FB_OK) {
        ops->error = *why;
    }
}

size_t fb_ops_count(const struct fb_ops *ops)
{
    return ops->count;
}

enum fb_status fb_ops_encode(const struct fb_ops *ops, struct fb_buf *out, struct fb_error *err)
{
    if (ops->error.status != FB_OK) {
        if (err != NULL) {
            *err = ops->error;
        }
        return ops->error.status;
    }
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, write_body);
    if (msgpack_pack_array(&pk, ops->count) != 0 ||
        fb_buf_add_slice(out, fb_slice_buf(&ops->body)) != FB_OK) {
        return fb_error_set(err, FB_TOO_BIG, "ledger changes: too big");
    }
    return FB_OK;
}

size_t fb_ops_keys(const struct fb_ops *ops, const char *const **keys_r)
{
    *keys_r = (const char *const *)ops->keys;
    return ops->key_count;
}
