/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sources of common/ledger share.  Nobody else includes it.
 */
#ifndef FB_COMMON_LEDGER_INTERNAL_H
#define FB_COMMON_LEDGER_INTERNAL_H

#include "common/ledger/ledger.h"
#include "common/queue/internal.h"

#define FB_LEDGER_KEY   1280 /* fb:{sN}:l:s:<period>:<address of FB_MAX_ADDRESS> */
#define FB_LEDGER_PIECE 60   /* of a long value: below hash-max-listpack-value, 64 */
/* A hash with a longer value takes three times the memory, for good (hash-max-listpack-value). */
#define FB_LEDGER_COMPACT      "64"
#define FB_LEDGER_COMPACT_SIZE 64
#define FB_LEDGER_IN_FLIGHT_S                                                                      \
    (90 *                                                                                          \
     86400) /* of a message that never ends: longer than any lifetime and retention of dead letters */
#define FB_VAULT_ID 32 /* bytes: a SHA-256, in the ledger's structs as hex */
#define FB_LEDGER_LOST_TTL                                                                         \
    "34560000" /* 400 d, for a key that had lost its own time to live (EXPIRE NX) */

/* fb:{sN}:<kind>:<name> */
void fb_ledger_key(char key[FB_LEDGER_KEY], int shard, const char *kind, const char *name);
/* The address as it is indexed: ASCII letters in lower case. */
void fb_ledger_fold(const char *address, char *out, size_t size);
/* The "101..." of an answer {code, bits}. */
void fb_ledger_read_bits(const redisReply *reply, size_t count, bool *bits_r);
/* fb_ledger_get without parcels and grants; planned_r: how many branches the plan has (0: no plan
 * yet). */
FB_MUST_USE enum fb_status fb_ledger_load(struct fb_redis *r, const char *msg_id,
                                          struct fb_ledger_message *m_r, uint32_t *planned_r,
                                          struct fb_error *err);
/* Of many at once, in one pipeline, without parcels and grants; one that the ledger does not know has an empty
 * msg_id. */
FB_MUST_USE enum fb_status fb_ledger_get_many(struct fb_redis *r, const char *const *msg_ids,
                                              size_t count, struct fb_ledger_message *list_r,
                                              struct fb_error *err);
/* Adds their parcels and grants, in another one; an empty entry is passed over. */
FB_MUST_USE enum fb_status fb_ledger_get_parcels(struct fb_redis *r, struct fb_ledger_message *list,
                                                 size_t count, struct fb_error *err);
/* Merges fb:{sN}:<kind>[:<name>] of all shards by score, `limit` (10,000 at most) of the newest or oldest; stops when
 * each returns false.  Those of one score are in the order of their names, with the newest first in the opposite
 * one. */
FB_MUST_USE enum fb_status fb_ledger_walk(struct fb_redis *r, const char *kind, const char *name,
                                          bool is_newest_first, int64_t low, int64_t high,
                                          size_t limit,
                                          bool (*each)(void *ctx, const char *id, int64_t score),
                                          void *ctx, struct fb_error *err);
/* Where the way from a folder to its parcel lies (folder.c), and what is written there; false: there is none. */
#define FB_LEDGER_FOLDER 200
struct fb_folder_entry {
    char field[FB_LEDGER_FOLDER];
    char ttl[24], day[24], today[24];
};
void fb_ledger_folder_key(char key_r[FB_LEDGER_KEY], int shard, const char *folder_id);
bool fb_ledger_folder_entry(const struct fb_parcel *parcel, int64_t ttl_s,
                            struct fb_folder_entry *e_r);
/* The field before the next '|'; what is behind that stays in *s. */
struct fb_slice fb_ledger_next_field(struct fb_slice *s);
/* "<prefix><number><suffix>": the number, when it is below `below`. */
bool fb_ledger_indexed(struct fb_slice name, const char *prefix, const char *suffix, uint64_t below,
                       uint32_t *index_r);
/* Whether what r wrote to the shard before would outlive a fail-over: a replica confirms it within
 * timeout_ms, or there is none.  Best effort: false also when the connection was another one than
 * `connections` (fb_redis_connections right behind the write) says, and when Redis does not
 * answer. */
bool fb_ledger_is_kept(struct fb_redis *r, int shard, uint64_t connections, int timeout_ms);
/* failed_r[i] becomes true where the latest recall of recipient i has a job for it that was buried.
 */
FB_MUST_USE enum fb_status fb_ledger_recall_failures(struct fb_redis *r,
                                                     const struct fb_ledger_message *m,
                                                     bool *failed_r, struct fb_error *err);

#endif
