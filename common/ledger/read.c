/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the ledger: one message with its parcels and grants, listings, history, due parcels.
 * States that follow from others are derived here and stored once: a recipient is "sent" when its
 * notice was claimed and its branch went out; a message is "held" when a branch is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"
#include "common/title.h"
#include "proto/limits.h"

#define VAULT_ID 64 /* SHA-256 in hex */

#define MAX_DIGITS 9

void fb_ledger_message_deinit(struct fb_ledger_message *m)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        free(m->recipients[i].address);
    }
    free(m->recipients);
    free(m->branches);
    free(m->from);
    free(m->title);
    memset(m, 0, sizeof(*m));
}

static void copy(char *out, size_t size, struct fb_slice s)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;
    if (n > 0) {
        memcpy(out, s.ptr, n);
    }
    out[n] = '\0';
}

struct fb_slice fb_ledger_next_field(struct fb_slice *s)
{
    const uint8_t *bar = s->len > 0 ? memchr(s->ptr, '|', s->len) : NULL;
    size_t n = bar != NULL ? (size_t)(bar - s->ptr) : s->len;
    struct fb_slice field = fb_slice_of(s->ptr, n);
    *s = bar != NULL ? fb_slice_of(bar + 1, s->len - n - 1) : fb_slice_of(NULL, 0);
    return field;
}

bool fb_ledger_indexed(struct fb_slice name, const char *prefix, const char *suffix, uint64_t below,
                       uint32_t *index_r)
{
    size_t n = strlen(prefix);
    size_t tail = strlen(suffix);
    if (name.len <= n + tail || name.len > n + tail + MAX_DIGITS ||
        memcmp(name.ptr, prefix, n) != 0 || memcmp(name.ptr + name.len - tail, suffix, tail) != 0) {
        return false;
    }
    for (size_t i = n; i < name.len - tail; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9') {
            return false;
        }
    }
    int64_t value = fb_slice_int(fb_slice_sub(name, n, name.len - tail - n));
    if ((uint64_t)value >= below) {
        return false;
    }
    *index_r = (uint32_t)value;
    return true;
}

static bool indexed(struct fb_slice name, const char *prefix, uint64_t below, uint32_t *index_r)
{
    return fb_ledger_indexed(name, prefix, "", below, index_r);
}

static enum fb_status get_hash(struct fb_redis *r, const char *key, redisReply **reply_r,
                               struct fb_error *err)
{
    enum fb_status s = fb_redis_call(r, reply_r, err, "HGETALL", key, NULL);
    if (s == FB_OK && (*reply_r)->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(*reply_r);
        *reply_r = NULL;
        s = fb_error_set(err, FB_BUG, "HGETALL: odd answer");
    }
    return s;
}

/* Fields without an index; tells how large the arrays must be. */
static void read_head(const redisReply *hash, struct fb_ledger_message *m, uint32_t *planned_r)
{
    uint32_t shown = 0; /* branches that something is known of */
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        struct fb_slice name = fb_reply_slice(hash->element[i]);
        struct fb_slice value = fb_reply_slice(hash->element[i + 1]);
        uint32_t index = 0;
        if (fb_slice_eq_str(name, "at")) {
            m->accepted_ms = fb_slice_int(value);
        } else if (fb_slice_eq_str(name, "from")) {
            free(m->from);
            m->from = fb_slice_dup_str(value);
        } else if (fb_slice_eq_str(name, "size")) {
            m->size = (uint64_t)fb_slice_int(value);
        } else if (fb_slice_eq_str(name, "state")) {
            copy(m->state, sizeof(m->state), value);
        } else if (fb_slice_eq_str(name, "recalled")) {
            m->is_recalled = true;
            m->recalled_ms = fb_slice_int(value);
        } else if (fb_slice_eq_str(name, "branches")) {
            int64_t n = fb_slice_int(value);
            *planned_r = n > 0 && n <= FB_MAX_BRANCHES ? (uint32_t)n : 0;
        } else if (indexed(name, "r:", FB_MAX_RECIPIENTS, &index) && index >= m->recipient_count) {
            m->recipient_count = (size_t)index + 1;
        } else if ((indexed(name, "h:", FB_MAX_BRANCHES, &index) ||
                    indexed(name, "bs:", FB_MAX_BRANCHES, &index)) &&
                   index >= shown) {
            shown = index + 1;
        }
    }
    if (m->from == NULL) {
        m->from = fb_xstrdup("");
    }
    /* Held before there was a plan, and what became of it: shown as branch 0. */
    m->branch_count = shown > *planned_r ? shown : *planned_r;
}

static void read_branch(struct fb_slice value, struct fb_ledger_branch *b)
{
    copy(b->kind, sizeof(b->kind), fb_ledger_next_field(&value));
    copy(b->parcel_id, sizeof(b->parcel_id), fb_ledger_next_field(&value));
    copy(b->rule, sizeof(b->rule), value); /* the last one: may hold '|' */
}

static void read_of_recipient(struct fb_slice name, struct fb_slice value,
                              struct fb_ledger_message *m)
{
    uint32_t at = 0;
    if (indexed(name, "r:", m->recipient_count, &at)) {
        free(m->recipients[at].address);
        m->recipients[at].address = fb_slice_dup_str(value);
    } else if (indexed(name, "s:", m->recipient_count, &at)) {
        copy(m->recipients[at].state, sizeof(m->recipients[at].state), value);
    } else if (indexed(name, "i:", m->recipient_count, &at)) {
        m->recipients[at].branch = (uint32_t)fb_slice_int(value);
    } else if (indexed(name, "x:", m->recipient_count, &at)) {
        m->recipients[at].is_recalled = true;
        m->recipients[at].recalled_ms = fb_slice_int(value);
    }
}

static void read_of_branch(struct fb_slice name, struct fb_slice value, struct fb_ledger_message *m)
{
    uint32_t at = 0;
    if (indexed(name, "b:", m->branch_count, &at)) {
        read_branch(value, &m->branches[at]);
    } else if (indexed(name, "bs:", m->branch_count, &at) && m->branches[at].state[0] == '\0') {
        copy(m->branches[at].state, sizeof(m->branches[at].state), value);
    } else if (indexed(name, "h:", m->branch_count, &at)) {
        copy(m->branches[at].state, sizeof(m->branches[at].state), FB_SLICE_LITERAL("held"));
        copy(m->branches[at].reason, sizeof(m->branches[at].reason), value);
        m->branches[at].is_held = true;
    } else if (indexed(name, "why:", m->branch_count, &at) && !m->branches[at].is_held) {
        copy(m->branches[at].reason, sizeof(m->branches[at].reason),
             value); /* else: what holds it */
    } else if (indexed(name, "u:", m->branch_count, &at)) {
        m->branches[at].uploaded_ms = fb_slice_int(value);
    } else if (indexed(name, "bt:", m->branch_count, &at)) {
        m->branches[at].ended_ms = fb_slice_int(value);
    } else if (indexed(name, "f:", m->branch_count, &at)) {
        copy(m->branches[at].forced, sizeof(m->branches[at].forced), value);
    }
}

static void read_indexed(const redisReply *hash, struct fb_ledger_message *m)
{
    struct fb_slice forced_all = {NULL, 0};
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        struct fb_slice name = fb_reply_slice(hash->element[i]);
        struct fb_slice value = fb_reply_slice(hash->element[i + 1]);
        read_of_recipient(name, value, m);
        read_of_branch(name, value, m);
        forced_all = fb_slice_eq_str(name, "f:all") ? value : forced_all;
    }
    for (size_t b = 0; b < m->branch_count; b++) {
        if (m->branches[b].forced[0] == '\0') { /* as fb_ledger_forced */
            copy(m->branches[b].forced, sizeof(m->branches[b].forced), forced_all);
        }
    }
}

static void derive(struct fb_ledger_message *m)
{
    for (size_t i = 0; i < m->recipient_count; i++) {
        struct fb_ledger_recipient *rcpt = &m->recipients[i];
        if (rcpt->address == NULL) {
            rcpt->address = fb_xstrdup("");
        }
        if (m->is_recalled && !rcpt->is_recalled) {
            rcpt->is_recalled = true;
            rcpt->recalled_ms = m->recalled_ms;
        }
        const char *branch = rcpt->branch < m->branch_count ? m->branches[rcpt->branch].state : "";
        bool is_over = strcmp(branch, "sent") == 0 || strcmp(branch, "refused") == 0;
        const char *state = rcpt->state;
        rcpt->is_claimed = strcmp(state, "sending") == 0 || strcmp(state, "sent") == 0;
        if (strcmp(state, "sending") == 0) {
            state = is_over ? branch : state;
        } else if (state[0] == '\0') {
            state = rcpt->is_recalled ? "recalled" : is_over ? branch : "waiting";
        }
        if (state != rcpt->state) {
            copy(rcpt->state, sizeof(rcpt->state), fb_slice_str(state));
        }
    }
}

/* Written from the second version on. */
static int64_t version_of(const redisReply *hash)
{
    int64_t version = 1;
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        if (fb_slice_eq_str(fb_reply_slice(hash->element[i]), "v")) {
            version = fb_reply_int(hash->element[i + 1]);
        }
    }
    return version;
}

static char *title_text(struct fb_slice sealed)
{
    struct fb_buf text;
    fb_buf_init(&text, FB_TITLE_SEALED);
    char *title =
        fb_title_unpack(sealed, &text) == FB_OK ? fb_slice_dup_str(fb_slice_buf(&text)) : NULL;
    fb_buf_deinit(&text);
    return title;
}

/* "title", "title:1", ...: in pieces (write.c); still older programs wrote it in one. */
static char *read_title(const redisReply *hash)
{
    struct fb_slice pieces[FB_TITLE_SEALED / FB_LEDGER_PIECE + 1] = {{NULL, 0}};
    uint32_t most = (uint32_t)(sizeof pieces / sizeof pieces[0]);
    struct fb_buf whole;
    uint32_t at = 0;
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        struct fb_slice name = fb_reply_slice(hash->element[i]);
        if (fb_slice_eq_str(name, "title")) {
            pieces[0] = fb_reply_slice(hash->element[i + 1]);
        } else if (indexed(name, "title:", most, &at) && at > 0) {
            pieces[at] = fb_reply_slice(hash->element[i + 1]);
        }
    }
    fb_buf_init(&whole, FB_TITLE_SEALED);
    enum fb_status s = FB_OK;
    for (uint32_t i = 0; i < most && pieces[i].len > 0 && s == FB_OK; i++) {
        s = fb_buf_add_slice(&whole, pieces[i]);
    }
    char *title = s == FB_OK && whole.len > 0 ? title_text(fb_slice_buf(&whole)) : NULL;
    fb_buf_deinit(&whole);
    return title;
}

/* Fills m_r from the record's hash. */
static enum fb_status parse(const redisReply *hash, const char *msg_id,
                            struct fb_ledger_message *m_r, uint32_t *planned_r,
                            struct fb_error *err)
{
    if (hash->elements == 0) {
        return fb_error_set(err, FB_NOT_FOUND, "the ledger does not know message %s", msg_id);
    }
    if (version_of(hash) > FB_LEDGER_VERSION) {
        return fb_error_set(err, FB_AGAIN,
                            "the ledger's record of message %s is of a newer version of Fumibako: "
                            "use the upgraded program",
                            msg_id);
    }
    struct fb_ledger_message m = {.accepted_ms = 0};
    uint32_t planned = 0;
    bool is_held = false;
    (void)snprintf(m.msg_id, sizeof(m.msg_id), "%s", msg_id);
    read_head(hash, &m, &planned);
    m.recipients = fb_xcalloc(m.recipient_count + 1, sizeof(*m.recipients));
    m.branches = fb_xcalloc(m.branch_count + 1, sizeof(*m.branches));
    read_indexed(hash, &m);
    m.title = read_title(hash);
    derive(&m);
    for (size_t b = 0; b < m.branch_count; b++) {
        is_held = is_held || m.branches[b].is_held;
    }
    if (strcmp(m.state, "done") != 0 && is_held) {
        copy(m.state, sizeof(m.state), FB_SLICE_LITERAL("held"));
    }
    *m_r = m;
    *planned_r = planned;
    return FB_OK;
}

enum fb_status fb_ledger_load(struct fb_redis *r, const char *msg_id, struct fb_ledger_message *m_r,
                              uint32_t *planned_r, struct fb_error *err)
{
    if (!fb_id_is_valid(msg_id)) {
        return fb_error_set(err, FB_NOT_FOUND, "not a message id");
    }
    char key[FB_KEY_SIZE];
    fb_key(key, fb_redis_shard(r, msg_id), "m:%s", msg_id);
    redisReply *hash = NULL;
    enum fb_status s = get_hash(r, key, &hash, err);
    if (s == FB_OK) {
        s = parse(hash, msg_id, m_r, planned_r, err);
        freeReplyObject(hash);
    }
    return s;
}

/* "n:<i>:preview", "n:<i>:download", "2:<i>": what the storage told of recipient i. */
static void parse_seen(const redisReply *hash, struct fb_ledger_message *m)
{
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        uint32_t at = 0;
        struct fb_slice name = fb_reply_slice(hash->element[i]);
        struct fb_slice value = fb_reply_slice(hash->element[i + 1]);
        if (indexed(name, "2:", m->recipient_count, &at)) {
            copy(m->recipients[at].two_step, sizeof(m->recipients[at].two_step), value);
        } else if (fb_ledger_indexed(name, "n:", ":preview", m->recipient_count, &at)) {
            m->recipients[at].previews = (uint64_t)fb_slice_int(value);
        } else if (fb_ledger_indexed(name, "n:", ":download", m->recipient_count, &at)) {
            m->recipients[at].downloads = (uint64_t)fb_slice_int(value);
        }
    }
}

/* A vault's grant is named by the hash of its secret; no other storage has ids of that form. */
static bool is_vault_id(const char *id)
{
    return strspn(id, "0123456789abcdef") == VAULT_ID && id[VAULT_ID] == '\0';
}

bool fb_ledger_is_by_link(const struct fb_ledger_branch *b)
{
    return b->access[0] != '\0' && strcmp(b->access, "recipients") != 0 && !b->is_vault;
}

/* "v:<i>": the id of a vault's grant, as bytes (write.c). */
static void parse_vault_ids(const redisReply *hash, struct fb_ledger_message *m)
{
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        uint32_t at = 0;
        struct fb_slice value = fb_reply_slice(hash->element[i + 1]);
        if (value.len == FB_VAULT_ID &&
            indexed(fb_reply_slice(hash->element[i]), "v:", m->recipient_count, &at)) {
            fb_hex(value.ptr, value.len, m->recipients[at].grant_id);
        }
    }
}

static void parse_grants(const redisReply *hash, struct fb_ledger_message *m,
                         struct fb_ledger_branch *b)
{
    parse_vault_ids(hash, m);
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        uint32_t at = 0;
        struct fb_slice value = fb_reply_slice(hash->element[i + 1]);
        if (indexed(fb_reply_slice(hash->element[i]), "", m->recipient_count, &at)) {
            struct fb_ledger_recipient *rcpt = &m->recipients[at];
            copy(rcpt->grant_state, sizeof(rcpt->grant_state), fb_ledger_next_field(&value));
            struct fb_slice id = fb_ledger_next_field(&value);
            if (id.len > 0) {
                copy(rcpt->grant_id, sizeof(rcpt->grant_id), id);
            }
            rcpt->grant_ms = fb_slice_int(fb_ledger_next_field(&value));
            rcpt->is_vault = is_vault_id(rcpt->grant_id);
            b->is_vault = b->is_vault || (rcpt->is_vault && b->fallback[0] == '\0');
        }
    }
}

static void parse_parcel(const redisReply *hash, struct fb_ledger_branch *b)
{
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        struct fb_slice name = fb_reply_slice(hash->element[i]);
        struct fb_slice value = fb_reply_slice(hash->element[i + 1]);
        if (fb_slice_eq_str(name, "storage")) {
            copy(b->storage, sizeof(b->storage), value);
        } else if (fb_slice_eq_str(name, "user")) {
            copy(b->user, sizeof(b->user), value);
        } else if (fb_slice_eq_str(name, "folder")) {
            copy(b->folder_id, sizeof(b->folder_id), value);
        } else if (fb_slice_eq_str(name, "fallback")) {
            copy(b->fallback, sizeof(b->fallback), value);
        } else if (fb_slice_eq_str(name, "access")) {
            copy(b->access, sizeof(b->access), value);
        } else if (fb_slice_eq_str(name, "expires")) {
            b->expires_ms = fb_slice_int(value);
        } else if (fb_slice_eq_str(name, "remind")) {
            b->remind_ms = fb_slice_int(value);
        } else if (fb_slice_eq_str(name, "purge")) {
            b->purge_ms = fb_slice_int(value);
        } else if (fb_slice_eq_str(name, "rebuilt")) {
            b->rebuilt_ms = fb_slice_int(value);
        } else if (fb_slice_eq_str(name, "receipt")) {
            b->sends_receipt = fb_slice_eq_str(value, "1");
        }
    }
}

/* ---- one or many ---- */

static enum fb_status append(struct fb_redis *r, int shard, const char *kind, const char *name,
                             struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    fb_key(key, shard, "%s:%s", kind, name);
    const struct fb_slice argv[] = {FB_SLICE_LITERAL("HGETALL"), fb_slice_str(key)};
    return fb_redis_append(r, 2, argv, err);
}

static enum fb_status fetch(struct fb_redis *r, redisReply **hash_r, struct fb_error *err)
{
    enum fb_status s = fb_redis_fetch(r, hash_r, err);
    if (s == FB_OK && (*hash_r)->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(*hash_r);
        s = fb_error_set(err, FB_BUG, "HGETALL: odd answer");
    }
    return s;
}

static enum fb_status fetch_records(struct fb_redis *r, const char *const *msg_ids, size_t count,
                                    struct fb_ledger_message *list_r, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        s = append(r, fb_redis_shard(r, msg_ids[i]), "m", msg_ids[i], err);
    }
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        redisReply *hash = NULL;
        uint32_t planned = 0;
        s = fetch(r, &hash, err);
        if (s == FB_OK) {
            s = parse(hash, msg_ids[i], &list_r[i], &planned, err);
            s = s == FB_NOT_FOUND ? FB_OK : s;
            freeReplyObject(hash);
        }
    }
    return s;
}

static enum fb_status fetch_parcel(struct fb_redis *r, struct fb_ledger_message *m,
                                   struct fb_ledger_branch *b, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (int part = 0; part < 3 && s == FB_OK; part++) {
        redisReply *hash = NULL;
        s = fetch(r, &hash, err);
        if (s != FB_OK) {
            break;
        }
        if (part == 0) {
            parse_parcel(hash, b);
        } else if (part == 1) {
            parse_parcel(hash, b);
            parse_grants(hash, m, b);
            parse_seen(hash, m);
        } else {
            parse_seen(hash, m);
        }
        freeReplyObject(hash);
    }
    return s;
}

static enum fb_status fetch_parcels(struct fb_redis *r, struct fb_ledger_message *list,
                                    size_t count, struct fb_error *err)
{
    static const char *const kinds[] = {"p", "g", "w"}; /* p and w: of older programs */
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        for (size_t b = 0; b < list[i].branch_count && s == FB_OK; b++) {
            const char *parcel = list[i].branches[b].parcel_id;
            for (size_t k = 0; k < 3 && parcel[0] != '\0' && s == FB_OK; k++) {
                s = append(r, fb_redis_shard(r, list[i].msg_id), kinds[k], parcel, err);
            }
        }
    }
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        for (size_t b = 0; b < list[i].branch_count && s == FB_OK; b++) {
            if (list[i].branches[b].parcel_id[0] != '\0') {
                s = fetch_parcel(r, &list[i], &list[i].branches[b], err);
            }
        }
    }
    return s;
}

/* Replies that nobody fetched. */
static enum fb_status end_pipeline(struct fb_redis *r, enum fb_status s)
{
    if (s != FB_OK) {
        fb_redis_reset(r);
    }
    return s;
}

enum fb_status fb_ledger_get_many(struct fb_redis *r, const char *const *msg_ids, size_t count,
                                  struct fb_ledger_message *list_r, struct fb_error *err)
{
    memset(list_r, 0, count * sizeof(*list_r));
    enum fb_status s = end_pipeline(r, fetch_records(r, msg_ids, count, list_r, err));
    for (size_t i = 0; i < count && s != FB_OK; i++) {
        fb_ledger_message_deinit(&list_r[i]);
    }
    return s;
}

enum fb_status fb_ledger_get_parcels(struct fb_redis *r, struct fb_ledger_message *list,
                                     size_t count, struct fb_error *err)
{
    return end_pipeline(r, fetch_parcels(r, list, count, err));
}

enum fb_status fb_ledger_get(struct fb_redis *r, const char *msg_id, struct fb_ledger_message *m_r,
                             struct fb_error *err)
{
    struct fb_ledger_message m = {.accepted_ms = 0};
    if (!fb_id_is_valid(msg_id)) {
        return fb_error_set(err, FB_NOT_FOUND, "not a message id");
    }
    enum fb_status s = fb_ledger_get_many(r, &msg_id, 1, &m, err);
    if (s == FB_OK && m.msg_id[0] == '\0') {
        s = fb_error_set(err, FB_NOT_FOUND, "the ledger does not know message %s", msg_id);
    }
    s = s == FB_OK ? fb_ledger_get_parcels(r, &m, 1, err) : s;
    if (s == FB_OK) {
        *m_r = m;
    } else {
        fb_ledger_message_deinit(&m);
    }
    return s;
}
