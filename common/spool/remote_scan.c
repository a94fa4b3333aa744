/* SPDX-License-Identifier: Apache-2.0
 *
 * Scanning and tidying a bucket.  Objects of segments appear whole and never change, but for one
 * case: a segment that has lain for SHRED_AGE_MS with erased messages beside live ones is replaced
 * by one without the keys and the content of the erased ones (as files have it at once), so that
 * no key of a delivered message outlives it because of a neighbour that waits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/spool/journal_internal.h"
#include "common/spool/remote.h"
#include "common/spool/remote_index.h"

#define WINDOW        ((size_t)1 << 20)
#define TIDY_MIN_MS   600000
#define SHRED_AGE_MS  600000
#define NOTE_AGE_MS   3600000 /* of notes about erasures */
#define ORPHAN_AGE_MS 3600000
#define UPLOAD_AGE_MS 3600000 /* of parts: no MTA waits so long; one that does gets its 4xx */
#define MAX_SHRED     ((size_t)256 << 20) /* a segment holds what waited in memory: 128 MiB */

/* ---- walking ---- */

struct walk {
    struct fb_spool *spool;
    const char *segment; /* NULL for a large message */
    bool (*each)(void *ctx, const struct fb_spool_entry *e);
    void *ctx;
    uint64_t damaged;
    uint64_t live;
    uint64_t unshredded; /* erased, with their keys still there */
    bool is_stopped;
    struct fb_fs_names *segments; /* gathered, when wanted */
    int64_t shred_age_ms;
};

static bool note_record(void *ctx, uint64_t offset, const struct fb_spool_header *header)
{
    fb_remote_segment_add(ctx, offset, header);
    return true;
}

static bool on_record(struct walk *w, const struct fb_remote_record *r)
{
    struct fb_spool_entry entry = {.created_ms = r->created_ms, .size = r->size};
    if (r->is_shredded) {
        return true;
    }
    if (w->segment != NULL && fb_remote_is_erased(w->spool->remote, w->segment, r->offset)) {
        w->unshredded++;
        return true;
    }
    w->live++;
    fb_spool_ref_make(w->spool, w->segment, r->offset, r->msg_id, entry.ref);
    memcpy(entry.msg_id, r->msg_id, sizeof entry.msg_id);
    return w->each == NULL || w->each(w->ctx, &entry);
}

/* Reads an object for what it holds; damage is not remembered: it may be mended. */
static enum fb_status read_object(struct walk *w, const struct fb_s3_entry *entry, bool is_large,
                                  struct fb_remote_segment **segment_r, struct fb_error *err)
{
    struct fb_sealed_src src = FB_SEALED_SRC_NONE;
    struct fb_remote_segment *made = fb_remote_segment_new(entry);
    uint64_t size = 0, damaged = 0;
    bool is_stopped = false;
    enum fb_status s =
        fb_sealed_object_open(fb_remote_s3(w->spool->remote), entry->key, 0,
                              is_large ? FB_SPOOL_HEADER : WINDOW, &src.object, &size, err);
    if (s == FB_OK) {
        s = fb_spool_walk(src, size, true, note_record, made, &damaged, &is_stopped, err);
        fb_sealed_src_close(&src);
    }
    if (s == FB_OK && damaged == 0) {
        fb_remote_index_keep(fb_remote_segments(w->spool->remote), made);
    }
    w->damaged += damaged;
    *segment_r = made;
    return s;
}

static enum fb_status walk_object(struct walk *w, const struct fb_s3_entry *entry, bool is_large,
                                  struct fb_error *err)
{
    struct fb_remote_index *index = fb_remote_segments(w->spool->remote);
    const char *name = strrchr(entry->key, '/') + 1;
    enum fb_status s = FB_OK;
    if (w->is_stopped || !fb_spool_file_name_is_valid(name, ".seg")) {
        return FB_OK;
    }
    w->segment = is_large ? NULL : name;
    struct fb_remote_segment *segment = fb_remote_index_get(index, entry);
    if (segment == NULL) {
        s = read_object(w, entry, is_large, &segment, err);
    }
    for (size_t i = 0; s == FB_OK && i < segment->count && !w->is_stopped; i++) {
        w->is_stopped = !on_record(w, &segment->records[i]);
    }
    fb_remote_index_unref(index, &segment);
    if (s == FB_NOT_FOUND) { /* tidied since the listing */
        return FB_OK;
    }
    return s == FB_OK ? FB_OK : fb_error_prefix(err, "%s", name);
}

static enum fb_status scan_segment(void *ctx, const struct fb_s3_entry *entry, struct fb_error *err)
{
    return walk_object(ctx, entry, false, err);
}

static enum fb_status scan_large(void *ctx, const struct fb_s3_entry *entry, struct fb_error *err)
{
    return walk_object(ctx, entry, true, err);
}

enum fb_status fb_remote_scan(struct fb_spool *spool,
                              bool (*each)(void *ctx, const struct fb_spool_entry *e), void *ctx,
                              uint64_t *damaged_r, struct fb_error *err)
{
    struct walk w = {.spool = spool, .each = each, .ctx = ctx};
    enum fb_status s = fb_remote_erase_read(spool->remote, err);
    if (s == FB_OK) {
        s = fb_remote_each(spool->remote, "segments/", NULL, scan_segment, &w, err);
    }
    if (s == FB_OK && !w.is_stopped) {
        s = fb_remote_each(spool->remote, "large/", NULL, scan_large, &w, err);
    }
    if (s == FB_OK) {
        *damaged_r = w.damaged;
    }
    return s;
}

/* ---- tidying ---- */

struct shred {
    struct walk *walk;
    uint8_t *bytes;
    size_t len;
};

static bool shred_record(void *ctx, uint64_t offset, const struct fb_spool_header *header)
{
    struct shred *s = ctx;
    if (!header->is_erased &&
        fb_remote_is_erased(s->walk->spool->remote, s->walk->segment, offset) &&
        offset + header->record_len <= s->len) {
        fb_spool_header_erased(s->bytes + offset + FB_SPOOL_ERASE_OFFSET);
        memset(s->bytes + offset + FB_SPOOL_HEADER, 0,
               (size_t)(header->record_len - FB_SPOOL_HEADER));
    }
    return true;
}

/* Same offsets, same headers, zeros for what is gone: refs and readers know no difference. */
static enum fb_status shred(struct walk *w, const struct fb_s3_entry *entry, struct fb_error *err)
{
    struct fb_s3 *s3 = fb_remote_s3(w->spool->remote);
    struct fb_sealed_src src = FB_SEALED_SRC_NONE;
    struct fb_s3_info info = {0};
    struct shred sh = {.walk = w};
    uint64_t damaged = 0;
    bool is_stopped = false;
    size_t got = 0;
    uint64_t size = 0;
    sh.bytes = fb_alloc_bounded((size_t)entry->size + 1, MAX_SHRED);
    if (sh.bytes == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "no memory to tidy a segment");
    }
    sh.len = (size_t)entry->size;
    enum fb_status s = fb_s3_get(s3, entry->key, 0, sh.bytes, sh.len, NULL, &got, &info, err);
    if (s == FB_OK && got == sh.len) {
        s = fb_sealed_object_open(fb_remote_s3(w->spool->remote), entry->key, 0, WINDOW,
                                  &src.object, &size, err);
    }
    if (s == FB_OK && got == sh.len) {
        s = fb_spool_walk(src, size, true, shred_record, &sh, &damaged, &is_stopped, err);
        fb_sealed_src_close(&src);
        if (s == FB_OK && damaged == 0 && size == sh.len) {
            /* Only over what was read: another tidy may have replaced or removed it. */
            s = fb_s3_replace(s3, entry->key, fb_slice_of(sh.bytes, sh.len), info.etag, err);
        }
    }
    free(sh.bytes);
    return s == FB_EXISTS || s == FB_NOT_FOUND ? FB_OK : s;
}

static void note_segment(struct fb_fs_names *names, const char *name)
{
    char **grown = realloc(names->names, (names->count + 1) * sizeof *grown);
    FB_ASSERT(grown != NULL);
    names->names = grown;
    names->names[names->count++] = fb_xstrdup(name);
}

static enum fb_status tidy_segment(void *ctx, const struct fb_s3_entry *entry, struct fb_error *err)
{
    struct walk *w = ctx;
    struct fb_s3 *s3 = fb_remote_s3(w->spool->remote);
    int64_t age_ms = fb_s3_now_ms(s3) - entry->modified_ms;
    w->live = 0;
    w->unshredded = 0;
    w->damaged = 0;
    enum fb_status s = walk_object(w, entry, false, err);
    if (s != FB_OK || w->damaged > 0) {
        note_segment(w->segments, strrchr(entry->key, '/') + 1);
        return s;
    }
    if (w->live == 0) {
        return fb_s3_delete(s3, entry->key, err);
    }
    note_segment(w->segments, strrchr(entry->key, '/') + 1);
    return w->unshredded > 0 && age_ms > w->shred_age_ms ? shred(w, entry, err) : FB_OK;
}

struct orphans {
    struct fb_s3 *s3;
    const struct fb_spool_ids *live;
    int64_t before_ms;
};

/* "objects/<fan>/<msg_id>/<name>" */
static enum fb_status tidy_object(void *ctx, const struct fb_s3_entry *entry, struct fb_error *err)
{
    const struct orphans *o = ctx;
    char id[FB_ID_SIZE] = "";
    size_t skip = strlen("objects/00/");
    if (strlen(entry->key) < skip + FB_ID_SIZE || entry->modified_ms >= o->before_ms) {
        return FB_OK;
    }
    memcpy(id, entry->key + skip, FB_ID_SIZE - 1);
    return fb_id_is_valid(id) && !fb_spool_ids_has(o->live, id)
               ? fb_s3_delete(o->s3, entry->key, err)
               : FB_OK;
}

static enum fb_status tidy_orphans(struct fb_spool *spool, int64_t keep_ms, struct fb_error *err)
{
    struct fb_s3 *s3 = fb_remote_s3(spool->remote);
    struct fb_spool_ids live = {0};
    uint64_t damaged = 0;
    int64_t age_ms = keep_ms > ORPHAN_AGE_MS ? keep_ms : ORPHAN_AGE_MS;
    int64_t begun_ms = fb_s3_now_ms(s3); /* what came later is not among the live ones */
    enum fb_status s = fb_spool_ids_read(spool, &live, &damaged, err);
    if (s == FB_OK) { /* the proof of sending goes after the erasure was written down */
        s = fb_remote_erase_flush(spool->remote, err);
    }
    if (s == FB_OK && damaged == 0) {
        struct orphans orphans = {s3, &live, fb_s3_now_ms(s3) - age_ms};
        s = fb_journal_remote_tidy(spool, &live, begun_ms, keep_ms, err);
        if (s == FB_OK) {
            s = fb_remote_each(spool->remote, "objects/", NULL, tidy_object, &orphans, err);
        }
    }
    free(live.ids);
    return s;
}

/* Looking at every segment is paid for, by every ingest. */
static bool is_due(struct fb_spool *spool, int64_t keep_ms)
{
    int64_t now = fb_mono_ms();
    fb_spool_lock(&spool->usage_lock);
    bool is_due = keep_ms == 0 || now >= spool->tidy_next_ms;
    if (is_due) {
        spool->tidy_next_ms = now + TIDY_MIN_MS + (int64_t)fb_random_below(TIDY_MIN_MS);
    }
    fb_spool_unlock(&spool->usage_lock);
    return is_due;
}

enum fb_status fb_remote_tidy(struct fb_spool *spool, int64_t keep_ms, struct fb_error *err)
{
    struct fb_fs_names segments = {0};
    struct walk w = {
        .spool = spool,
        .segments = &segments,
        .shred_age_ms = keep_ms < SHRED_AGE_MS ? keep_ms : SHRED_AGE_MS,
    };
    uint64_t swept = 0;
    if (!is_due(spool, keep_ms)) {
        return fb_journal_remote_tidy(spool, NULL, 0, 0, err);
    }
    /* Erasures are written down before what they speak of is removed. */
    enum fb_status s = fb_remote_erase_flush(spool->remote, err);
    if (s == FB_OK) {
        s = fb_remote_erase_read(spool->remote, err);
    }
    if (s == FB_OK) {
        s = fb_remote_each(spool->remote, "segments/", NULL, tidy_segment, &w, err);
    }
    if (s == FB_OK) {
        s = fb_remote_erase_tidy(spool->remote, &segments, NOTE_AGE_MS, err);
    }
    if (s == FB_OK) {
        s = tidy_orphans(spool, keep_ms, err);
    }
    if (s == FB_OK) {
        s = fb_s3_upload_sweep(fb_remote_s3(spool->remote), "", UPLOAD_AGE_MS, &swept, err);
    }
    fb_fs_names_free(&segments);
    return s == FB_OK ? FB_OK : fb_error_prefix(err, "tidy spool");
}

/* ---- usage ---- */

static bool add_size(void *ctx, const struct fb_s3_entry *entry)
{
    uint64_t *bytes = ctx;
    *bytes += entry->size;
    return true;
}

enum fb_status fb_remote_usage(const struct fb_remote *remote, uint64_t *bytes_r,
                               struct fb_error *err)
{
    uint64_t bytes = 0;
    enum fb_status s = fb_s3_list(fb_remote_s3(remote), "", NULL, add_size, &bytes, err);
    if (s == FB_OK) {
        *bytes_r = bytes;
    }
    return s;
}
