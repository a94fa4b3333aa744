/* SPDX-License-Identifier: Apache-2.0 */
#include "common/spool/remote_index.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS     4096U
#define MAX_RECORDS 500000U /* about 36 MB */
#define IDLE_MS     3600000 /* not asked for by so many looks: it is gone */
#define CLEAN_EVERY 1024U   /* additions */

struct fb_remote_index {
    pthread_mutex_t lock;
    struct fb_remote_segment *buckets[BUCKETS];
    size_t records;
    size_t added;
};

static size_t bucket_of(const char *key)
{
    uint64_t h = 14695981039346656037ULL;
    for (const char *p = key; *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * 1099511628211ULL;
    }
    return (size_t)(h ^ h >> 32) % BUCKETS;
}

struct fb_remote_index *fb_remote_index_new(void)
{
    struct fb_remote_index *index = fb_xcalloc(1, sizeof *index);
    FB_ASSERT(pthread_mutex_init(&index->lock, NULL) == 0);
    return index;
}

static void drop_ref(struct fb_remote_segment *s)
{
    if (--s->refs == 0) {
        free(s->records);
        free(s->key);
        free(s);
    }
}

/* Takes *at out of its list. */
static void take_out(struct fb_remote_index *index, struct fb_remote_segment **at)
{
    struct fb_remote_segment *s = *at;
    *at = s->next;
    s->next = NULL;
    index->records -= s->count;
    drop_ref(s);
}

void fb_remote_index_free(struct fb_remote_index **index_ptr)
{
    struct fb_remote_index *index = *index_ptr;
    if (index != NULL) {
        for (size_t i = 0; i < BUCKETS; i++) {
            while (index->buckets[i] != NULL) {
                take_out(index, &index->buckets[i]);
            }
        }
        FB_ASSERT(pthread_mutex_destroy(&index->lock) == 0);
        free(index);
        *index_ptr = NULL;
    }
}

struct fb_remote_segment *fb_remote_index_get(struct fb_remote_index *index,
                                              const struct fb_s3_entry *entry)
{
    struct fb_remote_segment *found = NULL;
    fb_spool_lock(&index->lock);
    struct fb_remote_segment **at = &index->buckets[bucket_of(entry->key)];
    while (*at != NULL && strcmp((*at)->key, entry->key) != 0) {
        at = &(*at)->next;
    }
    if (*at != NULL && ((*at)->modified_ms != entry->modified_ms || (*at)->bytes != entry->size)) {
        take_out(index, at);
    } else if (*at != NULL) {
        found = *at;
        found->refs++;
        found->used_ms = fb_mono_ms();
    }
    fb_spool_unlock(&index->lock);
    return found;
}

struct fb_remote_segment *fb_remote_segment_new(const struct fb_s3_entry *entry)
{
    struct fb_remote_segment *s = fb_xcalloc(1, sizeof *s);
    s->refs = 1;
    s->modified_ms = entry->modified_ms;
    s->bytes = entry->size;
    s->key = fb_xstrdup(entry->key);
    return s;
}

void fb_remote_segment_add(struct fb_remote_segment *s, uint64_t offset,
                           const struct fb_spool_header *header)
{
    if ((s->count & (s->count - 1)) == 0) { /* full: a power of two */
        struct fb_remote_record *grown =
            realloc(s->records, (s->count == 0 ? 1 : s->count * 2) * sizeof *grown);
        FB_ASSERT(grown != NULL);
        s->records = grown;
    }
    struct fb_remote_record *r = &s->records[s->count++];
    *r = (struct fb_remote_record){.offset = offset,
                                   .size = header->content_len,
                                   .created_ms = header->created_ms,
                                   .is_shredded = header->is_erased};
    memcpy(r->msg_id, header->msg_id, sizeof r->msg_id);
}

static void clean(struct fb_remote_index *index)
{
    int64_t before_ms = fb_mono_ms() - IDLE_MS;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct fb_remote_segment **at = &index->buckets[i];
        while (*at != NULL) {
            if ((*at)->used_ms < before_ms) {
                take_out(index, at);
            } else {
                at = &(*at)->next;
            }
        }
    }
}

void fb_remote_index_keep(struct fb_remote_index *index, struct fb_remote_segment *segment)
{
    fb_spool_lock(&index->lock);
    if (++index->added % CLEAN_EVERY == 0) {
        clean(index);
    }
    struct fb_remote_segment **bucket = &index->buckets[bucket_of(segment->key)];
    const struct fb_remote_segment *at = *bucket;
    while (at != NULL && strcmp(at->key, segment->key) != 0) {
        at = at->next;
    }
    if (at == NULL && index->records + segment->count <= MAX_RECORDS) {
        segment->refs++;
        segment->used_ms = fb_mono_ms();
        segment->next = *bucket;
        *bucket = segment;
        index->records += segment->count;
    }
    fb_spool_unlock(&index->lock);
}

void fb_remote_index_unref(struct fb_remote_index *index, struct fb_remote_segment **segment)
{
    if (*segment != NULL) {
        fb_spool_lock(&index->lock);
        drop_ref(*segment);
        fb_spool_unlock(&index->lock);
        *segment = NULL;
    }
}
