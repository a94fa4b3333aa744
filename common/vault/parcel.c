/* SPDX-License-Identifier: Apache-2.0
 *
 * Parcels: made, read, changed, ended.  Order of writing, so that a crash in any line leaves what
 * the next call goes on from:
 *
 *   create   key, then a state that lets nobody in
 *   save     the new state beside the old one, then in its place
 *   purge    key destroyed, then the rest removed; without its key nothing of a parcel is readable
 */
#include <string.h>

#include "common/vault/internal.h"

#define ATTEMPTS 3

/* Reads, opens and decodes; mark_r, revision and key for a writing that follows. */
static enum fb_status read_state(struct fb_vault *v, const char *parcel_id,
                                 const uint8_t key[FB_KEY_SIZE], struct fb_vault_parcel *parcel_r,
                                 struct fb_vault_mark *mark_r, struct fb_error *err)
{
    struct fb_buf sealed;
    enum fb_status s = v->backend->state_read(v, parcel_id, &sealed, mark_r, err);
    if (s == FB_OK) {
        s = fb_vault_state_unseal(parcel_id, key, fb_slice_buf(&sealed), parcel_r, err);
    }
    fb_buf_deinit(&sealed);
    return s;
}

enum fb_status fb_vault_load(struct fb_vault *v, const char *parcel_id,
                             struct fb_vault_parcel *parcel_r, struct fb_error *err)
{
    uint8_t key[FB_KEY_SIZE];
    char place[FB_FS_PLACE];
    struct fb_vault_mark mark;
    if (fb_fs_parcel_place(parcel_id, place, NULL) != FB_OK) {
        return fb_error_set(err, FB_NOT_FOUND, "there is no such parcel in the vault");
    }
    enum fb_status s = fb_vault_key_get(v, parcel_id, key, err);
    if (s == FB_OK) {
        s = read_state(v, parcel_id, key, parcel_r, &mark, err);
        fb_wipe(key, sizeof key);
    }
    return s;
}

static enum fb_status write_state(struct fb_vault *v, struct fb_vault_parcel *parcel,
                                  const uint8_t key[FB_KEY_SIZE], const struct fb_vault_mark *mark,
                                  struct fb_error *err)
{
    struct fb_buf sealed;
    parcel->revision++;
    enum fb_status s = fb_vault_state_seal(parcel, key, &sealed, err);
    if (s == FB_OK) {
        s = v->backend->state_write(v, parcel->parcel_id, fb_slice_buf(&sealed), mark, err);
        fb_buf_deinit(&sealed);
    }
    if (s != FB_OK) {
        parcel->revision--;
    }
    return s;
}

enum fb_status fb_vault_save(struct fb_vault *v, struct fb_vault_parcel *parcel,
                             struct fb_error *err)
{
    uint8_t key[FB_KEY_SIZE];
    struct fb_vault_parcel now = {0};
    struct fb_vault_mark mark = {.text = ""};
    enum fb_status s = fb_vault_key_get(v, parcel->parcel_id, key, err);
    if (s != FB_OK) {
        return s;
    }
    s = read_state(v, parcel->parcel_id, key, &now, &mark, err);
    if (s == FB_NOT_FOUND && parcel->revision == 0) {
        s = FB_OK;
    } else if (s == FB_OK && now.revision != parcel->revision) {
        s = fb_error_set(err, FB_EXISTS, "somebody else wrote the state of parcel %s meanwhile",
                         parcel->parcel_id);
    }
    fb_vault_parcel_deinit(&now);
    if (s == FB_OK) {
        s = write_state(v, parcel, key, &mark, err);
    }
    fb_wipe(key, sizeof key);
    return s;
}

/* The key: the one that is there, or a fresh one. */
static enum fb_status find_key(struct fb_vault *v, const char *parcel_id, struct fb_error *err)
{
    uint8_t bytes[FB_VAULT_KEY_SIZE];
    enum fb_status s = v->backend->key_read(v, parcel_id, bytes, err);
    if (s == FB_OK && fb_vault_key_is_gone(bytes)) { /* a purge that did not come to its end */
        s = fb_vault_purge(v, parcel_id, err);
        s = s == FB_OK ? FB_NOT_FOUND : s;
    }
    if (s == FB_NOT_FOUND) {
        fb_vault_key_make(v, parcel_id, bytes);
        s = v->backend->key_new(v, parcel_id, bytes, err);
        s = s == FB_EXISTS ? FB_OK : s; /* another one was faster, with the same right */
    }
    fb_wipe(bytes, sizeof bytes);
    return s;
}

/* Names of what earlier tries left half written; more than these are for verifying. */
struct leftovers {
    char names[16][FB_FS_NAME_SIZE];
    size_t count;
};

static bool keep_leftover(void *ctx, const struct fb_vault_entry *entry)
{
    struct leftovers *l = ctx;
    size_t len = strlen(entry->name);
    size_t end = strlen(FB_VAULT_TEMP);
    if (len > end && len < FB_FS_NAME_SIZE && strcmp(entry->name + len - end, FB_VAULT_TEMP) == 0) {
        memcpy(l->names[l->count++], entry->name, len + 1);
    }
    return l->count < sizeof l->names / sizeof l->names[0];
}

/* What somebody is writing is locked, and stays. */
static void remove_leftovers(struct fb_vault *v, const char *parcel_id)
{
    struct leftovers l = {.count = 0};
    if (v->backend->list(v, parcel_id, keep_leftover, &l, NULL) != FB_OK) {
        return; /* they do no harm but take room */
    }
    for (size_t i = 0; i < l.count; i++) {
        if (v->backend->remove(v, parcel_id, l.names[i], NULL) != FB_OK) {
            return;
        }
    }
}

enum fb_status fb_vault_create(struct fb_vault *v, struct fb_vault_parcel *parcel, bool *is_new_r,
                               struct fb_error *err)
{
    char place[FB_FS_PLACE];
    enum fb_status s = fb_fs_parcel_place(parcel->parcel_id, place, err);
    bool is_new = false;
    bool is_done = false;
    for (int attempt = 0; attempt < ATTEMPTS && s == FB_OK && !is_done; attempt++) {
        struct fb_vault_parcel now = {0};
        s = find_key(v, parcel->parcel_id, err);
        if (s == FB_OK) {
            s = fb_vault_load(v, parcel->parcel_id, &now, err);
        }
        fb_vault_parcel_deinit(&now);
        is_done = s == FB_OK;
        if (s == FB_NOT_FOUND) {
            parcel->revision = 0;
            s = fb_vault_save(v, parcel, err);
            is_new = s == FB_OK;
            is_done = is_new;
            s = s == FB_EXISTS || s == FB_NOT_FOUND ? FB_OK : s; /* look again */
        }
    }
    if (s == FB_OK && !is_done) {
        s = fb_error_set(err, FB_AGAIN, "parcel %s is made and purged at the same time",
                         parcel->parcel_id);
    }
    if (s == FB_OK && v->s3 == NULL) { /* also of a try that had no key yet */
        remove_leftovers(v, parcel->parcel_id);
    }
    if (s == FB_OK && is_new_r != NULL) {
        *is_new_r = is_new;
    }
    return s;
}

enum fb_status fb_vault_purge(struct fb_vault *v, const char *parcel_id, struct fb_error *err)
{
    char place[FB_FS_PLACE];
    enum fb_status s = fb_fs_parcel_place(parcel_id, place, err);
    if (s == FB_OK) {
        s = v->backend->key_destroy(v, parcel_id, err);
    }
    return s == FB_OK ? v->backend->remove_all(v, parcel_id, err) : s;
}
