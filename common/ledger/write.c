/* SPDX-License-Identifier: Apache-2.0
 *
 * Ledger changes as ops.  They ride in the queue's scripts, so nothing here talks to Redis and
 * nothing can fail: an error sticks in the ops and comes out of the queue's call.  ledger.md lists
 * keys and fields.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/access.h"
#include "common/ledger/internal.h"
#include "common/ledger/listing.h"
#include "common/ledger/stats.h"
#include "common/title.h"
#include "proto/limits.h"

#define HISTORY_MAX "-10000"

void fb_ledger_key(char key[FB_LEDGER_KEY], int shard, const char *kind, const char *name)
{
    (void)snprintf(key, FB_LEDGER_KEY, "fb:{s%d}:%s:%s", shard, kind, name);
}

void fb_ledger_fold(const char *address, char *out, size_t size)
{
    size_t n = 0;
    for (; address[n] != '\0' && n + 1 < size; n++) {
        char c = address[n];
        out[n] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    out[n] = '\0';
}

static void number(char out[24], int64_t n)
{
    (void)snprintf(out, 24, "%" PRId64, n);
}

static void expire(struct fb_ops *ops, const char *key, int64_t seconds)
{
    char text[24];
    number(text, seconds > 0 ? seconds : 1);
    fb_ops_add(ops, "EXPIRE", key, text, NULL);
}

void fb_ledger_accepted(struct fb_redis *r, struct fb_ops *ops, const struct fb_job *job,
                        const struct fb_envelope *envelope, uint64_t size, int64_t ttl_ms)
{
    int shard = fb_redis_shard(r, job->msg_id);
    char key[FB_LEDGER_KEY];
    char at[24];
    char bytes[24];
    char count[24];
    char ttl[24];
    fb_ledger_key(key, shard, "m", job->msg_id);
    number(at, job->first_ms);
    (void)snprintf(bytes, sizeof(bytes), "%" PRIu64, size);
    (void)snprintf(count, sizeof(count), "%zu", envelope->recipient_count);
    number(ttl, ttl_ms);
    size_t n = envelope->recipient_count;
    const char *const fixed[] = {"at",  at,    "from", envelope->reverse_path, "size", bytes, "n",
                                 count, "ttl", ttl};
    size_t used = sizeof fixed / sizeof fixed[0];
    struct fb_slice *args = fb_xcalloc(used + n * 2, sizeof(*args));
    char(*names)[24] = fb_xcalloc(n + 1, sizeof(*names));
    for (size_t i = 0; i < used; i++) {
        args[i] = fb_slice_str(fixed[i]);
    }
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "r:%zu", i);
        args[used++] = fb_slice_str(names[i]);
        args[used++] = fb_slice_str(envelope->recipients[i].address);
    }
    fb_ops_add_slices(ops, "HSET", key, args, used);
    free(args);
    free(names);
    expire(ops, key,
           ttl_ms / 1000 +
               FB_LEDGER_IN_FLIGHT_S); /* for a message that never ends; its end sets ttl */
    fb_ledger_count(r, ops, job->msg_id, FB_STAT_ACCEPTED, 1, job->first_ms);
    fb_listing_add(ops, shard, job->msg_id, envelope, ttl_ms);
}

static const char *kind_name(enum fb_branch_kind kind)
{
    switch (kind) {
    case FB_BRANCH_PASS:
        return "pass";
    case FB_BRANCH_SECURE:
        return "secure";
    case FB_BRANCH_REJECT:
    default:
        return "reject";
    }
}

/* Once: a restart must not make it another one, because each has a new nonce.  In pieces: one long value makes Redis
 * keep the whole record in a form that takes three times the memory (hash-max-listpack-value).  As bytes, which are a
 * quarter less than the text. */
static void add_title(struct fb_ops *ops, const char *m, const char *msg_id, const char *subject,
                      const char *language, const char *key)
{
    struct fb_buf text;
    struct fb_buf title;
    fb_buf_init(&text, FB_TITLE_SEALED);
    fb_buf_init(&title, FB_TITLE_SEALED);
    if (fb_title_seal(key, msg_id, subject, language, &text) == FB_OK &&
        fb_title_pack(fb_slice_buf(&text), &title) == FB_OK) {
        struct fb_slice rest = fb_slice_buf(&title);
        for (unsigned i = 0; rest.len > 0; i++) {
            char field[24];
            struct fb_slice part = fb_slice_sub(rest, 0, FB_LEDGER_PIECE);
            (void)snprintf(field, sizeof field, i == 0 ? "title" : "title:%u", i);
            const struct fb_slice args[] = {fb_slice_str(field), part};
            fb_ops_add_slices(ops, "HSETNX", m, args, 2);
            rest = fb_slice_sub(rest, part.len, SIZE_MAX);
        }
    }
    fb_buf_deinit(&text);
    fb_buf_deinit(&title);
}

void fb_ledger_planned(struct fb_redis *r, struct fb_ops *ops, const struct fb_plan *plan,
                       const char *key_of_titles)
{
    int shard = fb_redis_shard(r, plan->msg_id);
    char key[FB_LEDGER_KEY];
    char count[24];
    fb_ledger_key(key, shard, "m", plan->msg_id);
    (void)snprintf(count, sizeof(count), "%" PRIu32, plan->branch_count);
    fb_ops_add(ops, "HSET", key, "branches", count, NULL);
    fb_ledger_count_plan(r, ops, plan, fb_now_ms());
    add_title(ops, key, plan->msg_id, plan->subject, plan->language, key_of_titles);
    for (uint32_t b = 0; b < plan->branch_count; b++) {
        const struct fb_branch *branch = &plan->branches[b];
        char field[24];
        char state[24];
        char value[64 + 128];
        char parcel[FB_PARCEL_ID_SIZE] = "";
        if (branch->kind == FB_BRANCH_SECURE) {
            fb_parcel_id_make(plan->msg_id, b, parcel);
        }
        (void)snprintf(field, sizeof(field), "b:%" PRIu32, b);
        (void)snprintf(state, sizeof(state), "bs:%" PRIu32, b);
        (void)snprintf(value, sizeof(value), "%s|%s|%s", kind_name(branch->kind), parcel,
                       branch->rule != NULL ? branch->rule : "");
        fb_ops_add(ops, "HSET", key, field, value, NULL);
        fb_ops_add(ops, "HSETNX", key, state, "rendered",
                   NULL); /* a restart must not undo "sent" */
        if (branch->reason != NULL && strcmp(branch->reason, "rule") != 0) {
            char why[24];
            (void)snprintf(why, sizeof(why), "why:%" PRIu32, b);
            fb_ops_add(ops, "HSET", key, why, branch->reason, NULL);
        }
        struct fb_slice *args = fb_xcalloc((size_t)branch->recipient_count * 2 + 1, sizeof(*args));
        char(*names)[24] = fb_xcalloc((size_t)branch->recipient_count + 1, sizeof(*names));
        for (uint32_t i = 0; i < branch->recipient_count; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "i:%" PRIu32, branch->recipients[i]);
            args[2 * i] = fb_slice_str(names[i]);
            args[2 * i + 1] = fb_slice_str(field + 2);
        }
        fb_ops_add_slices(ops, "HSET", key, args, (size_t)branch->recipient_count * 2);
        free(args);
        free(names);
    }
}

/* '|' separates the fields of a grant. */
static void clean(char *out, size_t size, const char *in)
{
    size_t n = 0;
    for (; in != NULL && in[n] != '\0' && n + 1 < size; n++) {
        out[n] = in[n] == '|' || (unsigned char)in[n] < 0x20 ? '?' : in[n];
    }
    out[n] = '\0';
}

/* The id of a vault's grant, 64 digits, lies beside the grant as bytes, so that no value of the record is a long one;
 * for the same reason a long actor is in the history only.  True: the grant is a vault's. */
static bool set_grant(struct fb_ops *ops, const char *key, uint32_t recipient, const char *state,
                      const char *grant_id, int64_t now, const char *actor, const char *source)
{
    char state_part[24], id_part[72], actor_part[200], source_part[64], value[400], field[24];
    uint8_t vault[FB_VAULT_ID];
    clean(state_part, sizeof state_part, state);
    clean(id_part, sizeof id_part, grant_id);
    clean(actor_part, sizeof actor_part, actor);
    clean(source_part, sizeof source_part, source);
    bool is_vault = strspn(id_part, "0123456789abcdef") == 2 * sizeof vault &&
                    fb_unhex(id_part, vault, sizeof vault);
    for (int i = 0; i < 2; i++) {
        int n = snprintf(value, sizeof value, "%s|%s|%" PRId64 "|%s|%s", state_part,
                         is_vault ? "" : id_part, now, i == 0 ? actor_part : "", source_part);
        if (n <= FB_LEDGER_COMPACT_SIZE) {
            break;
        }
    }
    (void)snprintf(field, sizeof field, "%" PRIu32, recipient);
    fb_ops_add(ops, "HSET", key, field, value, NULL);
    if (is_vault) {
        (void)snprintf(field, sizeof field, "v:%" PRIu32, recipient);
        const struct fb_slice args[] = {fb_slice_str(field), fb_slice_of(vault, sizeof vault)};
        fb_ops_add_slices(ops, "HSET", key, args, 2);
    }
    return is_vault;
}

static void add_history(struct fb_ops *ops, const char *key, int64_t now, uint32_t recipient,
                        const char *from, const char *to, const char *actor, const char *source)
{
    json_t *line = json_pack("{s:I, s:i, s:s, s:s, s:s, s:s}", "at", (json_int_t)now, "recipient",
                             (int)recipient, "from", from != NULL ? from : "", "to", to, "actor",
                             actor != NULL ? actor : "", "source", source != NULL ? source : "");
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text != NULL) { /* NULL: not UTF-8; the state itself is kept by the grant */
        fb_ops_add(ops, "RPUSH", key, text, NULL);
    }
    free(text);
    json_decref(line);
}

/* Who has no account yet is asked about, from now on (watch). */
static void add_pending(struct fb_ops *ops, int shard, const struct fb_parcel *parcel,
                        uint32_t recipient, int64_t now, int64_t ttl_s)
{
    char key[FB_LEDGER_KEY];
    char member[FB_PARCEL_ID_SIZE + 16];
    char at[24];
    fb_ledger_key(key, shard, "pending", parcel->storage != NULL ? parcel->storage : "");
    (void)snprintf(member, sizeof(member), "%s/%" PRIu32, parcel->parcel_id, recipient);
    number(at, now);
    fb_ops_add(ops, "ZADD", key, at, member, NULL);
    expire(ops, key, ttl_s);
}

/* Whoever reads it takes what is not there for 0 or empty: most parcels have no such thing. */
static void add_if(struct fb_ops *ops, const char *key, const char *field, const char *value)
{
    if (value[0] != '\0' && strcmp(value, "0") != 0) {
        fb_ops_add(ops, "HSET", key, field, value, NULL);
    }
}

static void uploaded_parcel(struct fb_ops *ops, const char *key, const struct fb_parcel *parcel,
                            int64_t now)
{
    char expires[24];
    char at[24];
    char remind[24];
    char purge[24];
    number(remind, parcel->remind_ms);
    number(purge, parcel->purge_ms);
    number(expires, parcel->expires_ms);
    number(at, now);
    fb_ops_add(ops, "HSET", key, "storage", parcel->storage != NULL ? parcel->storage : "",
               "folder", parcel->folder_id != NULL ? parcel->folder_id : "", "access",
               parcel->access != NULL ? parcel->access : "", "at", at, "expires", expires, NULL);
    add_if(ops, key, "user", parcel->user != NULL ? parcel->user : "");
    add_if(ops, key, "remind", remind);
    add_if(ops, key, "purge", purge);
    add_if(ops, key, "receipt", parcel->sends_receipt ? "1" : "0");
    add_if(ops, key, "fallback", parcel->fallback != NULL ? parcel->fallback : "");
}

static void add_dates(struct fb_redis *r, struct fb_ops *ops, const struct fb_parcel *parcel)
{
    const struct {
        enum fb_due kind;
        int64_t at_ms;
    } dates[] = {{FB_DUE_EXPIRE, parcel->expires_ms},
                 {FB_DUE_PURGE, parcel->purge_ms},
                 {FB_DUE_UNOPENED, parcel->remind_ms}};
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        if (dates[i].at_ms > 0) {
            fb_ledger_due_add(r, ops, dates[i].kind, parcel->parcel_id, dates[i].at_ms);
        }
    }
}

void fb_ledger_uploaded(struct fb_redis *r, struct fb_ops *ops, const struct fb_plan *plan,
                        uint32_t branch, const struct fb_parcel *parcel, int64_t ttl_ms)
{
    FB_ASSERT(branch < plan->branch_count);
    int shard = fb_redis_shard(r, plan->msg_id);
    int64_t now = fb_now_ms();
    /* Kept for ttl after the parcel's end. */
    int64_t end = parcel->expires_ms > parcel->purge_ms ? parcel->expires_ms : parcel->purge_ms;
    int64_t ttl_s = ttl_ms / 1000 + (end > now ? (end - now) / 1000 : 0);
    char key[FB_LEDGER_KEY];
    char history[FB_LEDGER_KEY];
    char field[24];
    char at[24];
    number(at, now);
    fb_ledger_key(key, shard, "m", plan->msg_id);
    (void)snprintf(field, sizeof(field), "u:%" PRIu32, branch);
    fb_ops_add(ops, "HSET", key, field, at, NULL);
    (void)snprintf(field, sizeof(field), "bs:%" PRIu32, branch);
    fb_ops_add(ops, "HSET", key, field, "uploaded", NULL);
    fb_ledger_key(key, shard, "g", parcel->parcel_id);
    uploaded_parcel(ops, key, parcel, now);
    fb_ledger_key(history, shard, "h", parcel->parcel_id);
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        const struct fb_parcel_grant *g = &parcel->grants[i];
        const char *state = g->state != NULL ? g->state : "active";
        (void)set_grant(ops, key, g->recipient, state, g->grant_id, now, "", "upload");
        if (strcmp(state, "active") !=
            0) { /* else it is told out of the record: fb_ledger_history */
            add_history(ops, history, now, g->recipient, "", state, "", "upload");
        }
        if (strcmp(state, "pending") == 0) {
            add_pending(ops, shard, parcel, g->recipient, now, ttl_s);
        }
    }
    fb_ledger_folder(r, ops, parcel, ttl_s);
    expire(ops, key, ttl_s);
    if (parcel->grant_count > 0) {
        fb_ops_add(ops, "LTRIM", history, HISTORY_MAX, "-1", NULL);
        expire(ops, history, ttl_s);
    }
    add_dates(r, ops, parcel);
}

void fb_ledger_sent(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, uint32_t branch,
                    const char *state)
{
    char key[FB_LEDGER_KEY];
    char field[24];
    char when[24];
    char at[24];
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "m", msg_id);
    (void)snprintf(field, sizeof(field), "bs:%" PRIu32, branch);
    (void)snprintf(when, sizeof(when), "bt:%" PRIu32, branch);
    int64_t now = fb_now_ms();
    number(at, now);
    fb_ops_add(ops, "HSET", key, field, state, when, at, NULL);
    if (strcmp(state, "sent") == 0) {
        int64_t took = now - fb_id_time_ms(msg_id);
        fb_ledger_count(r, ops, msg_id, FB_STAT_SENT, 1, now);
        fb_ledger_count(r, ops, msg_id, FB_STAT_LATENCY_MS, took > 0 ? took : 0, now);
    }
}

/* A claim of an earlier try whose outcome nobody knows stays: that one may have gone out. */
void fb_ledger_refused(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                       const uint32_t *recipients, size_t count)
{
    char key[FB_LEDGER_KEY];
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "m", msg_id);
    fb_ledger_release_sending(r, ops, msg_id, recipients, count);
    for (size_t i = 0; i < count; i++) {
        char field[24];
        (void)snprintf(field, sizeof(field), "s:%" PRIu32, recipients[i]);
        fb_ops_add(ops, "HSETNX", key, field, "refused", NULL);
    }
}

void fb_ledger_out(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                   const uint32_t *recipients, size_t count)
{
    char key[FB_LEDGER_KEY];
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "m", msg_id);
    for (size_t i = 0; i < count; i++) {
        char field[24];
        (void)snprintf(field, sizeof(field), "s:%" PRIu32, recipients[i]);
        fb_ops_add(ops, "HSETNX", key, field, "sending", NULL);
    }
}

void fb_ledger_held(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, uint32_t branch,
                    const struct fb_error *reason)
{
    char key[FB_LEDGER_KEY];
    char field[24];
    char value[FB_ERROR_MAX + 32];
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "m", msg_id);
    (void)snprintf(field, sizeof(field), "h:%" PRIu32, branch);
    (void)snprintf(value, sizeof(value), "%s|%s", fb_status_name(reason->status), reason->text);
    fb_ops_add(ops, "HSET", key, field, value, NULL);
    fb_ledger_count(r, ops, msg_id, FB_STAT_HELD, 1, fb_now_ms());
}

void fb_ledger_grant(struct fb_redis *r, struct fb_ops *ops, const char *parcel_id,
                     uint32_t recipient, const char *old_state, const char *new_state,
                     const char *grant_id, const char *actor, const char *source)
{
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    if (!fb_parcel_id_split(parcel_id, msg_id, &branch)) {
        fb_ops_add(ops, "DEL", "", NULL); /* sticks as FB_BUG */
        return;
    }
    int shard = fb_redis_shard(r, msg_id);
    int64_t now = fb_now_ms();
    char key[FB_LEDGER_KEY];
    fb_ledger_key(key, shard, "g", parcel_id);
    if (!set_grant(ops, key, recipient, new_state, grant_id, now, actor, source)) {
        char was[24];
        (void)snprintf(was, sizeof was, "v:%" PRIu32, recipient);
        fb_ops_add(ops, "HDEL", key, was, NULL);
    }
    fb_ops_add(ops, "EXPIRE", key, FB_LEDGER_LOST_TTL, "NX", NULL);
    if (strcmp(new_state, "expired") == 0) {
        return; /* it is told out of the grant: fb_ledger_history */
    }
    fb_ledger_key(key, shard, "h", parcel_id);
    add_history(ops, key, now, recipient, old_state, new_state, actor, source);
    fb_ops_add(ops, "LTRIM", key, HISTORY_MAX, "-1", NULL);
    fb_ops_add(ops, "EXPIRE", key, FB_LEDGER_LOST_TTL, "NX", NULL);
}

void fb_ledger_restored(struct fb_redis *r, struct fb_ops *ops, const char *msg_id, uint32_t branch,
                        const uint32_t *recipients, size_t count)
{
    char key[FB_LEDGER_KEY];
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "m", msg_id);
    fb_ops_add(ops, "HDEL", key, "recalled", NULL);
    struct fb_slice *args = fb_xcalloc(count + 64, sizeof(*args));
    char(*names)[24] = fb_xcalloc(count + 64, sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "x:%" PRIu32, recipients[i]);
        args[i] = fb_slice_str(names[i]);
    }
    for (size_t k = 0; k < 64; k++) { /* revoke jobs that wait for the upload */
        (void)snprintf(names[count + k], sizeof(names[0]), "v:%" PRIu32 ":%zu", branch, k);
        args[count + k] = fb_slice_str(names[count + k]);
    }
    fb_ops_add_slices(ops, "HDEL", key, args, count + 64);
    free(args);
    free(names);
}
