/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking whether a parcel is whole: its key opens, its state fits, every file that the state names
 * is there with the size and SHA-1 of the state, and nothing else lies in its folder.
 *
 * An orphan is what no parcel needs: what a purge left behind it, what a crash left half written
 * (no writer holds it, and it is an hour old), a file that the state of a shared parcel does not
 * name.  Removing one takes nothing away from anybody.
 */
#include <stdlib.h>
#include <string.h>

#include "common/vault/internal.h"

#define LEFT_MS  ((int64_t)60 * 60 * 1000) /* something that a writer may be at is younger */
#define COPY     ((size_t)1 << 20)
#define MAX_LIST 4096U /* files of one parcel, with what crashes left; the next run finds more */

const char *fb_vault_fault_name(enum fb_vault_fault fault)
{
    static const char *const names[] = {"damaged", "missing", "unknown", "orphan", "half_made"};
    return names[fault];
}

struct item {
    char name[FB_FS_NAME_SIZE];
    int64_t modified_ms;
    bool is_known;
};

struct work {
    struct fb_vault *v;
    const char *parcel_id;
    const struct fb_vault_verify *how;
    struct fb_vault_verified *sum;
    struct item *items;
    size_t item_count;
    int64_t now_ms;
};

static void tell(struct work *w, enum fb_vault_fault fault, const char *name, bool is_repaired,
                 const char *text)
{
    const struct fb_vault_finding finding = {.fault = fault,
                                             .parcel_id = w->parcel_id,
                                             .name = name,
                                             .text = text,
                                             .is_repaired = is_repaired};
    w->sum->faults[fault]++;
    w->sum->repaired += is_repaired ? 1 : 0;
    if (w->how->found != NULL) {
        w->how->found(w->how->ctx, &finding);
    }
}

/* What a status says of the thing; FB_OK when it was told, else the status: it could not be looked
 * at. */
static enum fb_status judge(struct work *w, const char *name, enum fb_status s,
                            const struct fb_error *err)
{
    enum fb_vault_fault fault = FB_VAULT_DAMAGED;
    switch (s) {
    case FB_CORRUPT:
        break;
    case FB_NOT_FOUND:
        fault = FB_VAULT_MISSING;
        break;
    case FB_CONFIG:
    case FB_AGAIN:
        fault = FB_VAULT_UNKNOWN;
        break;
    default:
        return s;
    }
    tell(w, fault, name, false, err->text);
    return FB_OK;
}

static bool keep_item(void *ctx, const struct fb_vault_entry *entry)
{
    struct work *w = ctx;
    size_t len = strlen(entry->name);
    if (len >= sizeof w->items[0].name) {
        return true; /* not ours */
    }
    struct item *item = &w->items[w->item_count++];
    *item = (struct item){.modified_ms = entry->modified_ms};
    memcpy(item->name, entry->name, len + 1);
    item->is_known = strcmp(entry->name, FB_VAULT_KEY_NAME) == 0 ||
                     strcmp(entry->name, FB_VAULT_STATE_NAME) == 0;
    return w->item_count < MAX_LIST;
}

static void know(struct work *w, const char *name)
{
    for (size_t i = 0; i < w->item_count; i++) {
        w->items[i].is_known = w->items[i].is_known || strcmp(w->items[i].name, name) == 0;
    }
}

/* ---- content ---- */

static enum fb_status read_through(struct work *w, struct fb_vault_reader *r,
                                   const struct fb_vault_file *file, struct fb_error *err)
{
    uint8_t digest[FB_SHA1_SIZE];
    struct fb_hash hash;
    uint8_t *bytes = fb_alloc_bounded(COPY, COPY);
    enum fb_status s = bytes != NULL ? FB_OK : fb_error_set(err, FB_NO_SPACE, "no memory to read");
    uint64_t at = 0;
    size_t got = 1;
    fb_hash_init(&hash, FB_HASH_SHA1);
    while (s == FB_OK && got > 0) {
        s = fb_vault_file_read(r, at, bytes, COPY, &got, err);
        if (s == FB_OK) {
            fb_hash_update(&hash, bytes, got);
            at += got;
        }
    }
    fb_hash_final(&hash, digest);
    fb_hash_deinit(&hash);
    if (bytes != NULL) {
        fb_wipe(bytes, COPY);
        free(bytes);
    }
    w->sum->bytes += at;
    if (s == FB_OK && (at != file->size || memcmp(digest, file->sha1, sizeof digest) != 0)) {
        s = fb_error_set(err, FB_CORRUPT, "its content is not what the state says (size or SHA-1)");
    }
    return s;
}

static enum fb_status verify_file(struct work *w, const struct fb_vault_file *file,
                                  struct fb_error *err)
{
    struct fb_vault_reader *r = NULL;
    struct fb_error own = {0};
    know(w, file->id);
    w->sum->files++;
    enum fb_status s = fb_vault_file_open(w->v, w->parcel_id, file->id, &r, NULL, &own);
    if (s == FB_OK) {
        s = read_through(w, r, file, &own);
        fb_vault_file_close(&r);
    }
    s = s == FB_OK ? FB_OK : judge(w, file->id, s, &own);
    if (s != FB_OK && err != NULL) {
        *err = own;
    }
    return s;
}

/* ---- what nobody needs ---- */

static enum fb_status orphan(struct work *w, const char *name, const char *text,
                             struct fb_error *err)
{
    enum fb_status s = FB_AGAIN;
    if (w->how->repairs_orphans) {
        s = name[0] != '\0' ? w->v->backend->remove(w->v, w->parcel_id, name, err)
                            : fb_vault_purge(w->v, w->parcel_id, err);
        if (s != FB_OK && s != FB_AGAIN) {
            return s;
        }
    }
    tell(w, FB_VAULT_ORPHAN, name, s == FB_OK, text);
    return FB_OK;
}

static enum fb_status verify_rest(struct work *w, bool is_shared, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    size_t end = strlen(FB_VAULT_TEMP);
    for (size_t i = 0; i < w->item_count && s == FB_OK; i++) {
        const struct item *item = &w->items[i];
        size_t len = strlen(item->name);
        bool is_temp = len > end && strcmp(item->name + len - end, FB_VAULT_TEMP) == 0;
        if (item->is_known || w->now_ms - item->modified_ms < LEFT_MS) {
            continue;
        }
        if (is_temp) {
            s = orphan(w, item->name, "half written, by somebody who is gone", err);
        } else if (is_shared) {
            s = orphan(w, item->name, "the state does not name it", err);
        }
    }
    return s;
}

static bool is_parcel_old(const struct work *w)
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    return w->how->half_made_ms > 0 && fb_parcel_id_split(w->parcel_id, msg_id, &branch) &&
           w->now_ms - fb_id_time_ms(msg_id) > w->how->half_made_ms;
}

/* Never shared: a job is at it, or its mail was ended before. */
static enum fb_status half_made(struct work *w, struct fb_error *err)
{
    if (is_parcel_old(w)) {
        return orphan(w, "", "half made, and its mail is long gone", err);
    }
    tell(w, FB_VAULT_HALF_MADE, "", false, "half made: a job may still be at it");
    return FB_OK;
}

static enum fb_status verify_state(struct work *w, struct fb_error *err)
{
    struct fb_vault_parcel parcel = {0};
    struct fb_error own = {0};
    enum fb_status s = fb_vault_load(w->v, w->parcel_id, &parcel, &own);
    if (s == FB_NOT_FOUND) {
        return half_made(w, err);
    }
    if (s != FB_OK) {
        s = judge(w, FB_VAULT_STATE_NAME, s, &own);
        if (s != FB_OK && err != NULL) {
            *err = own;
        }
        return s;
    }
    w->sum->parcels++;
    for (uint32_t i = 0; i < parcel.file_count && s == FB_OK; i++) {
        s = verify_file(w, &parcel.files[i], err);
    }
    bool is_shared = parcel.grant_count > 0 || parcel.is_closed;
    if (s == FB_OK && !is_shared) {
        s = half_made(w, err);
    }
    s = s == FB_OK ? verify_rest(w, is_shared, err) : s;
    fb_vault_parcel_deinit(&parcel);
    return s;
}

static enum fb_status verify_listed(struct work *w, struct fb_error *err)
{
    uint8_t key[FB_KEY_SIZE];
    struct fb_error own = {0};
    enum fb_status s = w->v->backend->list(w->v, w->parcel_id, keep_item, w, err);
    if (s != FB_OK) {
        return s;
    }
    s = fb_vault_key_get(w->v, w->parcel_id, key, &own);
    fb_wipe(key, sizeof key);
    if (s == FB_OK) {
        return verify_state(w, err);
    }
    if (s == FB_NOT_FOUND) { /* nothing of it can be read any more */
        int64_t youngest = 0;
        for (size_t i = 0; i < w->item_count; i++) {
            youngest = w->items[i].modified_ms > youngest ? w->items[i].modified_ms : youngest;
        }
        return w->now_ms - youngest < LEFT_MS
                   ? FB_OK /* being made, or being purged */
                   : orphan(w, "", "what is left of a purged parcel", err);
    }
    s = judge(w, FB_VAULT_KEY_NAME, s, &own);
    if (s != FB_OK && err != NULL) {
        *err = own;
    }
    return s;
}

enum fb_status fb_vault_verify(struct fb_vault *vault, const char *parcel_id,
                               const struct fb_vault_verify *how, struct fb_vault_verified *sum,
                               struct fb_error *err)
{
    char place[FB_FS_PLACE];
    enum fb_status s = fb_fs_parcel_place(parcel_id, place, err);
    if (s != FB_OK) {
        return s;
    }
    struct work w = {.v = vault,
                     .parcel_id = parcel_id,
                     .how = how,
                     .sum = sum,
                     .items = fb_xcalloc(MAX_LIST, sizeof *w.items),
                     .now_ms = fb_now_ms()};
    s = verify_listed(&w, err);
    free(w.items);
    return s;
}
