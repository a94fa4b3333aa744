/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table of messages, with a bit set of recipients for each kind of entry.
 */
#include "common/spool/journal_index.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 1024U

struct message {
    struct message *next;
    char msg_id[FB_ID_SIZE];
    uint32_t bytes[FB_JOURNAL_KINDS]; /* of each set */
    uint8_t *set[FB_JOURNAL_KINDS];
};

struct fb_journal_index {
    struct message **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
};

/* FNV-1a.  Our own process makes the ids, so nobody can aim for one bucket. */
static size_t bucket_of(const char *msg_id, size_t bucket_count)
{
    uint64_t h = 14695981039346656037ULL;
    for (size_t i = 0; i < FB_ID_SIZE - 1; i++) {
        h = (h ^ (uint8_t)msg_id[i]) * 1099511628211ULL;
    }
    return (size_t)(h ^ h >> 32) & (bucket_count - 1);
}

struct fb_journal_index *fb_journal_index_new(void)
{
    struct fb_journal_index *index = fb_xcalloc(1, sizeof *index);
    index->buckets = fb_xcalloc(FIRST_BUCKETS, sizeof *index->buckets);
    index->bucket_count = FIRST_BUCKETS;
    return index;
}

static void message_free(struct message *m)
{
    for (size_t i = 0; i < FB_JOURNAL_KINDS; i++) {
        free(m->set[i]);
    }
    free(m);
}

void fb_journal_index_free(struct fb_journal_index **index_ptr)
{
    struct fb_journal_index *index = *index_ptr;
    if (index == NULL) {
        return;
    }
    for (size_t i = 0; i < index->bucket_count; i++) {
        while (index->buckets[i] != NULL) {
            struct message *m = index->buckets[i];
            index->buckets[i] = m->next;
            message_free(m);
        }
    }
    free(index->buckets);
    free(index);
    *index_ptr = NULL;
}

static struct message *find(const struct fb_journal_index *index, const char *msg_id)
{
    struct message *m = index->buckets[bucket_of(msg_id, index->bucket_count)];
    while (m != NULL && memcmp(m->msg_id, msg_id, FB_ID_SIZE) != 0) {
        m = m->next;
    }
    return m;
}

static void grow(struct fb_journal_index *index)
{
    size_t bucket_count = index->bucket_count * 2;
    struct message **buckets = fb_xcalloc(bucket_count, sizeof(struct message *));
    for (size_t i = 0; i < index->bucket_count; i++) {
        while (index->buckets[i] != NULL) {
            struct message *m = index->buckets[i];
            size_t to = bucket_of(m->msg_id, bucket_count);
            index->buckets[i] = m->next;
            m->next = buckets[to];
            buckets[to] = m;
        }
    }
    free(index->buckets);
    index->buckets = buckets;
    index->bucket_count = bucket_count;
}

void fb_journal_index_add(struct fb_journal_index *index, const char *msg_id, unsigned kind,
                          uint32_t recipient)
{
    struct message *m = find(index, msg_id);
    if (m == NULL) {
        if (index->count >= index->bucket_count) {
            grow(index);
        }
        m = fb_xcalloc(1, sizeof *m);
        memcpy(m->msg_id, msg_id, FB_ID_SIZE);
        size_t to = bucket_of(msg_id, index->bucket_count);
        m->next = index->buckets[to];
        index->buckets[to] = m;
        index->count++;
    }
    uint32_t byte = recipient / 8;
    uint32_t *bytes = &m->bytes[kind - 1];
    if (byte >= *bytes) {
        uint32_t more = byte + 1 > *bytes * 2 ? byte + 1 : *bytes * 2;
        uint8_t *set = realloc(m->set[kind - 1], more);
        FB_ASSERT(set != NULL);
        memset(set + *bytes, 0, more - *bytes);
        m->set[kind - 1] = set;
        *bytes = more;
    }
    m->set[kind - 1][byte] |= (uint8_t)(1U << recipient % 8);
}

bool fb_journal_index_has(const struct fb_journal_index *index, const char *msg_id, unsigned kind,
                          uint32_t recipient)
{
    const struct message *m = find(index, msg_id);
    uint32_t byte = recipient / 8;
    return m != NULL && byte < m->bytes[kind - 1] &&
           (m->set[kind - 1][byte] >> recipient % 8 & 1U) != 0;
}

void fb_journal_index_remove(struct fb_journal_index *index, const char *msg_id)
{
    struct message **at = &index->buckets[bucket_of(msg_id, index->bucket_count)];
    while (*at != NULL && memcmp((*at)->msg_id, msg_id, FB_ID_SIZE) != 0) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        struct message *m = *at;
        *at = m->next;
        message_free(m);
        index->count--;
    }
}
