/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeping the sent journal of a bucket small.  Each group commit is an object, so a busy day leaves
 * a million of them, and whoever starts reads all.  So the small ones that are older than any
 * reader looks back become large ones, and entries of messages that are gone are left out.
 *
 * Why no reader misses an entry:
 *
 * - the merged object is there before the ones it holds are removed;
 * - its name has the time of the last of them, so that a reader who has not seen some of them lists
 *   it: it looks from its newest one on;
 * - a reader who had listed one that is gone when it comes to read it lists anew.
 *
 * Two processes may merge the same ones at once: then entries are there twice, and the next merge
 * leaves the copies out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/spool/journal_internal.h"
#include "common/spool/remote.h"

#define MERGE_AGE_MS (2LL * FB_JOURNAL_LOOK_BACK_MS)
#define GONE_AGE_MS  3600000 /* entries of messages that are gone stay so long all the same */
#define MERGED       ((size_t)8 << 20)
#define SMALL        ((size_t)4 << 20) /* what is as large is not merged again */
#define MANY         512U              /* objects of one merge */
#define FEW          16U               /* fewer are left for the next time */
#define SLOTS        (1U << 18)        /* of the set below; twice what MERGED holds */

struct merge {
    const struct fb_spool *spool;
    const struct fb_spool_ids *live;
    int64_t merge_before_ms;
    int64_t gone_before_ms; /* 0: nothing is left out */
    char *keys[MANY];
    size_t count;
    struct fb_buf bytes;
    bool has_dropped;
    int64_t last_ms;
    uint32_t *slots; /* place in bytes + 1, by the entry's digest */
};

static int64_t time_of(const char *key)
{
    return strtoll(key + strlen("journal/"), NULL, 10);
}

/* Whether the very same entry is in the group already; notes it if not. */
static bool is_double(struct merge *m, const uint8_t *entry)
{
    uint32_t slot = fb_get32(entry + FB_JOURNAL_ENTRY - 8) % SLOTS; /* of its digest */
    if (m->bytes.len >= MERGED) {
        return false; /* the set is half full; what is there twice is left to the next merge */
    }
    while (m->slots[slot] != 0) {
        const uint8_t *other = m->bytes.ptr + (size_t)(m->slots[slot] - 1) * FB_JOURNAL_ENTRY;
        if (memcmp(other, entry, FB_JOURNAL_ENTRY) == 0) {
            return true;
        }
        slot = (slot + 1) % SLOTS;
    }
    m->slots[slot] = (uint32_t)(m->bytes.len / FB_JOURNAL_ENTRY) + 1;
    return false;
}

static enum fb_status add_entries(struct merge *m, const struct fb_buf *from, bool may_be_gone,
                                  struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t at = 0; at + FB_JOURNAL_ENTRY <= from->len && s == FB_OK; at += FB_JOURNAL_ENTRY) {
        struct fb_journal_entry entry;
        const uint8_t *bytes = from->ptr + at;
        if (fb_journal_is_newer(bytes)) {
            return fb_seal_newer(err, "the sent journal");
        }
        if (!fb_journal_decode(bytes, &entry) ||
            (may_be_gone && !fb_spool_ids_has(m->live, entry.msg_id)) || is_double(m, bytes)) {
            m->has_dropped = true;
            continue;
        }
        s = fb_buf_add(&m->bytes, bytes, FB_JOURNAL_ENTRY);
    }
    return s == FB_OK ? FB_OK : fb_error_set(err, s, "no memory to merge the sent journal");
}

static void reset(struct merge *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->keys[i]);
    }
    m->count = 0;
    m->has_dropped = false;
    fb_buf_clear(&m->bytes);
    memset(m->slots, 0, SLOTS * sizeof *m->slots);
}

/* Puts the group in place of its objects, where that is worth it. */
static enum fb_status end_group(struct merge *m, struct fb_error *err)
{
    struct fb_s3 *s3 = fb_remote_s3(m->spool->remote);
    enum fb_status s = FB_OK;
    bool is_empty = m->bytes.len == 0;
    if (m->count > 0 && (is_empty || m->count >= FEW || (m->count > 1 && m->has_dropped))) {
        if (!is_empty) {
            char key[FB_SPOOL_NAME_SIZE + 16];
            uint8_t number[4];
            char hex[2 * sizeof number + 1];
            struct fb_slice bytes = fb_slice_buf(&m->bytes);
            fb_random(number, sizeof number);
            fb_hex(number, sizeof number, hex);
            (void)snprintf(key, sizeof key, "journal/%013lld-merged-%s.jnl", (long long)m->last_ms,
                           hex);
            s = fb_s3_put(s3, key, &bytes, 1, true, err);
        }
        for (size_t i = 0; i < m->count && s == FB_OK; i++) {
            s = fb_s3_delete(s3, m->keys[i], err);
        }
    }
    reset(m);
    return s;
}

static enum fb_status on_object(void *ctx, const struct fb_s3_entry *object, struct fb_error *err)
{
    struct merge *m = ctx;
    const char *name = object->key + strlen("journal/");
    struct fb_buf bytes;
    int64_t ms = time_of(object->key);
    bool may_be_gone = ms < m->gone_before_ms;
    bool is_mergeable = object->size < SMALL && ms < m->merge_before_ms;
    if (!fb_spool_file_name_is_valid(name, ".jnl") || (!may_be_gone && !is_mergeable)) {
        return FB_OK;
    }
    enum fb_status s = FB_OK;
    if (m->count == MANY || m->bytes.len + object->size > MERGED) {
        s = end_group(m, err);
    }
    if (s == FB_OK) {
        s = fb_journal_remote_get(m->spool, object->key, &bytes, err);
        if (s == FB_OK && (bytes.len <= MERGED || may_be_gone)) {
            m->keys[m->count++] = fb_xstrdup(object->key);
            m->last_ms = ms;
            s = add_entries(m, &bytes, may_be_gone, err);
        }
        fb_buf_deinit(&bytes);
    }
    /* Merged by another process meanwhile.  A damaged one stays as it is: readers report it. */
    return s == FB_NOT_FOUND || s == FB_CORRUPT ? FB_OK : s;
}

enum fb_status fb_journal_remote_tidy(const struct fb_spool *spool, const struct fb_spool_ids *live,
                                      int64_t live_ms, int64_t keep_ms, struct fb_error *err)
{
    int64_t now_ms = fb_s3_now_ms(fb_remote_s3(spool->remote));
    int64_t age_ms = keep_ms < GONE_AGE_MS ? keep_ms : GONE_AGE_MS;
    struct merge m = {.spool = spool, .live = live, .merge_before_ms = now_ms - MERGE_AGE_MS};
    if (live != NULL) {
        m.gone_before_ms = now_ms - age_ms < live_ms ? now_ms - age_ms : live_ms;
        /* For tests, which cannot wait: what may be left out may be merged. */
        m.merge_before_ms =
            m.gone_before_ms > m.merge_before_ms ? m.gone_before_ms : m.merge_before_ms;
    }
    m.slots = fb_xcalloc(SLOTS, sizeof *m.slots);
    /* One object of another program may be larger than ours ever are. */
    fb_buf_init(&m.bytes, MERGED + FB_JOURNAL_MAX_GROUP);
    enum fb_status s = fb_remote_each(spool->remote, "journal/", NULL, on_object, &m, err);
    if (s == FB_OK) {
        s = end_group(&m, err);
    }
    reset(&m);
    fb_buf_deinit(&m.bytes);
    free(m.slots);
    return s == FB_OK ? FB_OK : fb_error_prefix(err, "merge the sent journal");
}
