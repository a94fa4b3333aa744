/* SPDX-License-Identifier: Apache-2.0
 *
 * From a folder, which is all that an event tells, to its parcel.  A key for each would cost three times what it says,
 * so they lie in hashes of many: fb:{sN}:f:b:<bucket>, "<folder> <storage>" = "<parcel> <day>", the day (since 1970)
 * from which on it may go.  Older programs wrote fb:{sN}:f:<folder>, <storage> = <parcel>, which is read as well.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/ledger/access.h"
#include "common/ledger/internal.h"

#define BUCKETS 0x4000U /* a shard; some 60 in each, with a million parcels */
#define DAY_S   86400
#define MAX_ID  64

void fb_ledger_folder_key(char key_r[FB_LEDGER_KEY], int shard, const char *folder_id)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (const char *c = folder_id; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 16777619U;
    }
    char bucket[16];
    (void)snprintf(bucket, sizeof bucket, "%" PRIx32, (hash ^ hash >> 16) % BUCKETS);
    fb_ledger_key(key_r, shard, "f:b", bucket);
}

static void field_of(char field_r[FB_LEDGER_FOLDER], const char *storage, const char *folder_id)
{
    (void)snprintf(field_r, FB_LEDGER_FOLDER, "%.64s %.128s", folder_id, storage);
}

bool fb_ledger_folder_entry(const struct fb_parcel *parcel, int64_t ttl_s,
                            struct fb_folder_entry *e_r)
{
    if (parcel->folder_id == NULL || parcel->folder_id[0] == '\0' || parcel->storage == NULL ||
        strlen(parcel->folder_id) > MAX_ID) {
        return false;
    }
    int64_t today = fb_now_ms() / 1000 / DAY_S;
    field_of(e_r->field, parcel->storage, parcel->folder_id);
    (void)snprintf(e_r->ttl, sizeof e_r->ttl, "%" PRId64, ttl_s > 0 ? ttl_s : 1);
    (void)snprintf(e_r->day, sizeof e_r->day, "%" PRId64, today + ttl_s / DAY_S + 1);
    (void)snprintf(e_r->today, sizeof e_r->today, "%" PRId64, today);
    return true;
}

void fb_ledger_folder(struct fb_redis *r, struct fb_ops *ops, const struct fb_parcel *parcel,
                      int64_t ttl_s)
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    char key[FB_LEDGER_KEY];
    struct fb_folder_entry e;
    if (fb_ledger_folder_entry(parcel, ttl_s, &e) &&
        fb_parcel_id_split(parcel->parcel_id, msg_id, &branch)) {
        fb_ledger_folder_key(key, fb_redis_shard(r, msg_id), parcel->folder_id);
        fb_ops_add(ops, "MAPIN", key, e.field, parcel->parcel_id, e.ttl, e.day, e.today, NULL);
    }
}

static enum fb_status ask(struct fb_redis *r, const char *key, const char *field,
                          struct fb_error *err)
{
    const struct fb_slice argv[] = {FB_SLICE_LITERAL("HGET"), fb_slice_str(key),
                                    fb_slice_str(field)};
    return fb_redis_append(r, 3, argv, err);
}

enum fb_status fb_ledger_folder_parcel(struct fb_redis *r, const char *storage,
                                       const char *folder_id, char parcel_id_r[FB_PARCEL_ID_SIZE],
                                       struct fb_error *err)
{
    int shards = fb_redis_shard_count(r);
    int asked = 0;
    enum fb_status s = FB_OK;
    bool is_found = false;
    char field[FB_LEDGER_FOLDER];
    field_of(field, storage, folder_id);
    for (int shard = 0; shard < shards && s == FB_OK; shard++) {
        char bucket[FB_LEDGER_KEY];
        char alone[FB_KEY_SIZE];
        fb_ledger_folder_key(bucket, shard, folder_id);
        fb_key(alone, shard, "f:%.64s", folder_id);
        s = ask(r, bucket, field, err);
        asked += s == FB_OK;
        if (s == FB_OK) {
            s = ask(r, alone, storage, err);
            asked += s == FB_OK;
        }
    }
    for (; asked > 0; asked--) {
        redisReply *reply = NULL;
        struct fb_error own = {0};
        enum fb_status one = fb_redis_fetch(r, &reply, &own);
        if (one != FB_OK) {
            s = fb_error_set(err, one, "%s", own.text);
            continue;
        }
        struct fb_slice text = fb_reply_slice(reply);
        text = fb_slice_sub(text, 0, fb_slice_find(text, FB_SLICE_LITERAL(" ")));
        if (text.len > 0 && text.len < FB_PARCEL_ID_SIZE) {
            memcpy(parcel_id_r, text.ptr, text.len);
            parcel_id_r[text.len] = '\0';
            is_found = true;
        }
        freeReplyObject(reply);
    }
    if (s == FB_OK && !is_found) {
        return fb_error_set(err, FB_NOT_FOUND, "no parcel has this folder");
    }
    return s;
}
