/* SPDX-License-Identifier: Apache-2.0
 *
 * What the segments of a bucket hold, remembered: they never change but for shredding (which
 * changes their time), so that a look at what waits costs a listing and not a reading of all of it.
 * Bounded: beyond the bound segments are read each time.  Used by remote_scan.c alone.
 */
#ifndef FB_COMMON_SPOOL_REMOTE_INDEX_H
#define FB_COMMON_SPOOL_REMOTE_INDEX_H

#include "common/s3/s3.h"
#include "common/spool/internal.h"

struct fb_remote_record {
    uint64_t offset;
    uint64_t size;
    int64_t created_ms;
    char msg_id[FB_ID_SIZE];
    bool is_shredded; /* its key is gone from the object */
};

struct fb_remote_segment {
    struct fb_remote_segment *next;
    unsigned refs; /* the index's lock */
    int64_t used_ms;
    int64_t modified_ms;
    uint64_t bytes;
    size_t count;
    struct fb_remote_record *records;
    char *key;
};

struct fb_remote_index;
struct fb_remote_index *fb_remote_index_new(void);
void fb_remote_index_free(struct fb_remote_index **index);
/* What is known of a listed object, as it is now; NULL: nothing.  Unref it. */
struct fb_remote_segment *fb_remote_index_get(struct fb_remote_index *index,
                                              const struct fb_s3_entry *entry);
/* Makes an empty one, to be filled by add; keep puts it in (it may be full: then not). */
struct fb_remote_segment *fb_remote_segment_new(const struct fb_s3_entry *entry);
void fb_remote_segment_add(struct fb_remote_segment *segment, uint64_t offset,
                           const struct fb_spool_header *header);
void fb_remote_index_keep(struct fb_remote_index *index, struct fb_remote_segment *segment);
void fb_remote_index_unref(struct fb_remote_index *index, struct fb_remote_segment **segment);

#endif
