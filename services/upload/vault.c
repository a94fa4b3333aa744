/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/id.h"
#include "common/vault/vault.h"
#include "services/upload/away.h"
#include "services/upload/box_share.h"
#include "services/upload/password.h"
#include "services/upload/vault_check.h"

#define ATTEMPTS 8 /* of a change that others were faster with */

_Static_assert(FB_PARCEL_SECRET == FB_SHA256_SIZE, "a secret is as long as its hash");

struct vault_session {
    const struct fb_policy_storage *storage;
    struct fb_vault *vault;
};

static struct vault_session *of(struct storage_session *session)
{
    return (struct vault_session *)(void *)session;
}

/* ---- opening ---- */

/* What away.h is to know: a folder or bucket that does not answer. */
static enum fb_status told(const struct fb_policy_storage *storage, enum fb_status s)
{
    if (s == FB_NETWORK || s == FB_IO) {
        storage_away_tell(storage->name, false);
    } else if (s != FB_AGAIN) { /* which says neither */
        storage_away_tell(storage->name, true);
    }
    return s;
}

static void vault_close(struct storage_session *session)
{
    struct vault_session *s = of(session);
    if (s != NULL) {
        fb_vault_close(&s->vault);
        free(s);
    }
}

static enum fb_status vault_open(const struct fb_policy_storage *storage,
                                 const struct fb_config *config, struct fb_redis *redis,
                                 struct storage_session **session_r, struct fb_error *err)
{
    (void)redis;
    struct vault_session *s = fb_xcalloc(1, sizeof *s);
    s->storage = storage;
    enum fb_status st = fb_vault_check_root(config, storage->url, err);
    if (st == FB_OK) {
        st = told(storage, fb_vault_open(storage->url, storage->key_file, &s->vault, err));
    }
    if (st != FB_OK) {
        free(s);
        return fb_error_prefix(err, "storage \"%s\"", storage->name);
    }
    fb_vault_set_quota(s->vault, storage->quota > 0 ? (uint64_t)storage->quota : 0);
    *session_r = (struct storage_session *)(void *)s;
    return FB_OK;
}

/* Whether the parcel was put into this very vault; "" and folders of another storage say nothing. */
static enum fb_status check_vault(const struct vault_session *s, const struct fb_parcel *parcel,
                                  struct fb_error *err)
{
    const char *folder = parcel->folder_id != NULL ? parcel->folder_id : "";
    const char *slash = strchr(folder, '/');
    if (slash == NULL || strcmp(slash + 1, parcel->parcel_id) != 0 ||
        strncmp(folder, fb_vault_id(s->vault), (size_t)(slash - folder)) == 0) {
        return FB_OK;
    }
    return fb_error_set(err, FB_CONFIG,
                        "storage \"%s\": the parcel lies in the vault %.*s, but at its url is the "
                        "vault %s: mount the right folder, or correct the url",
                        s->storage->name, (int)(slash - folder), folder, fb_vault_id(s->vault));
}

static void replace(char **text, char *by)
{
    free(*text);
    *text = by;
}

/* ---- making ---- */

static enum fb_status vault_create(struct storage_session *session, const char *parcel_id,
                                   const char *path, struct fb_parcel *parcel, struct fb_error *err)
{
    (void)path;
    struct vault_session *s = of(session);
    char folder[FB_ID_SIZE + FB_PARCEL_ID_SIZE];
    struct fb_vault_parcel state = {.storage = s->storage->name};
    enum fb_status st = check_vault(s, parcel, err);
    if (st != FB_OK) {
        return st;
    }
    (void)snprintf(state.parcel_id, sizeof state.parcel_id, "%s", parcel_id);
    (void)snprintf(folder, sizeof folder, "%s/%s", fb_vault_id(s->vault), parcel_id);
    st = told(s->storage, fb_vault_create(s->vault, &state, NULL, err));
    if (st == FB_OK) {
        replace(&parcel->storage, fb_xstrdup(s->storage->name));
        replace(&parcel->user, fb_xstrdup(""));
        replace(&parcel->folder_id, fb_xstrdup(folder));
        replace(&parcel->link, fb_xstrdup(""));
    }
    return st;
}

/* A purge took the parcel from under our hands: it is made again. */
static enum fb_status purged(enum fb_status s, struct fb_error *err)
{
    return s == FB_NOT_FOUND
               ? fb_error_set(err, FB_AGAIN, "the parcel was purged while it was made")
               : s;
}

static enum fb_status vault_put(struct storage_session *session, const struct fb_parcel *parcel,
                                const char *name, const char *type, struct upload_stream *stream,
                                struct fb_parcel_file *file_r, struct fb_error *err)
{
    (void)name; /* stands in the state document */
    struct vault_session *s = of(session);
    char id[FB_VAULT_FILE_ID];
    struct fb_vault_content content = {
        .size = stream->size, .type = type, .is_body = stream->is_body};
    memcpy(content.sha1, stream->sha1, sizeof content.sha1);
    fb_vault_file_id(parcel->parcel_id, (uint32_t)(file_r - parcel->files), id);
    enum fb_status st =
        fb_vault_put(s->vault, parcel->parcel_id, id, &content, stream->read, stream->ctx, err);
    st = told(s->storage, purged(st, err));
    if (st == FB_OK) {
        replace(&file_r->file_id, fb_xstrdup(id));
        file_r->size = stream->size;
        memcpy(file_r->sha1, stream->sha1, sizeof file_r->sha1);
    }
    return st;
}

/* ---- letting in ---- */

static const struct fb_parcel_grant *earlier_grant(const struct fb_parcel *parcel,
                                                   uint32_t recipient)
{
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        if (parcel->grants[i].recipient == recipient && parcel->grants[i].has_secret) {
            return &parcel->grants[i];
        }
    }
    return NULL;
}

/* The parcel's grants, each with the secret that an earlier try gave it, or a fresh one. */
static void make_grants(const struct storage_grant_request *requests, size_t count,
                        struct fb_parcel *parcel)
{
    struct fb_parcel_grant *grants = fb_xcalloc(count + 1, sizeof *grants);
    for (size_t i = 0; i < count; i++) {
        const struct fb_parcel_grant *old = earlier_grant(parcel, requests[i].recipient);
        struct fb_parcel_grant *g = &grants[i];
        uint8_t hash[FB_SHA256_SIZE];
        char hex[2 * sizeof hash + 1];
        *g = (struct fb_parcel_grant){.recipient = requests[i].recipient,
                                      .address = fb_xstrdup(requests[i].address),
                                      .state = fb_xstrdup("active"),
                                      .has_secret = true};
        if (old != NULL) {
            memcpy(g->secret, old->secret, sizeof g->secret);
        } else {
            fb_random(g->secret, sizeof g->secret);
        }
        fb_sha256(g->secret, sizeof g->secret, hash);
        fb_hex(hash, sizeof hash, hex);
        g->grant_id = fb_xstrdup(hex);
    }
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        fb_wipe(parcel->grants[i].secret, sizeof parcel->grants[i].secret);
    }
    box_clear_grants(parcel);
    parcel->grants = grants;
    parcel->grant_count = (uint32_t)count;
}

static bool has_grant(const struct fb_parcel *parcel, uint32_t recipient)
{
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        if (parcel->grants[i].recipient == recipient) {
            return true;
        }
    }
    return false;
}

/* Those of the parcel, and who was let in by an earlier try and recalled meanwhile. */
static void state_grants(const struct fb_parcel *parcel, struct fb_vault_parcel *state)
{
    struct fb_vault_grant *grants =
        fb_xcalloc((size_t)parcel->grant_count + state->grant_count + 1, sizeof *grants);
    uint32_t count = 0;
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        struct fb_vault_grant *g = &grants[count++];
        g->recipient = parcel->grants[i].recipient;
        g->address = fb_xstrdup(parcel->grants[i].address);
        fb_sha256(parcel->grants[i].secret, sizeof parcel->grants[i].secret, g->secret_hash);
    }
    for (uint32_t i = 0; i < state->grant_count; i++) {
        struct fb_vault_grant *old = &state->grants[i];
        if (has_grant(parcel, old->recipient)) {
            free(old->address);
        } else {
            grants[count] = *old;
            grants[count++].is_recalled = true;
        }
    }
    free(state->grants);
    state->grants = grants;
    state->grant_count = count;
}

/* Type and mark stand with the file in the vault. */
static enum fb_status state_files(struct vault_session *s, const struct fb_parcel *parcel,
                                  struct fb_vault_parcel *state, struct fb_error *err)
{
    enum fb_status st = FB_OK;
    for (uint32_t i = 0; i < state->file_count; i++) {
        free(state->files[i].name);
        free(state->files[i].type);
    }
    free(state->files);
    state->files = fb_xcalloc((size_t)parcel->file_count + 1, sizeof *state->files);
    state->file_count = 0;
    for (uint32_t i = 0; i < parcel->file_count && st == FB_OK; i++) {
        const struct fb_parcel_file *file = &parcel->files[i];
        struct fb_vault_reader *reader = NULL;
        st = fb_vault_file_open(s->vault, parcel->parcel_id, file->file_id, &reader, NULL, err);
        if (st == FB_OK) {
            const struct fb_vault_content *content = fb_vault_file_content(reader);
            struct fb_vault_file *f = &state->files[state->file_count++];
            f->name = fb_xstrdup(file->name);
            f->type = fb_xstrdup(content->type);
            f->size = content->size;
            f->is_body = content->is_body;
            memcpy(f->sha1, content->sha1, sizeof f->sha1);
            (void)snprintf(f->id, sizeof f->id, "%s", file->file_id);
            fb_vault_file_close(&reader);
        }
    }
    return st;
}

static char *text_of(const char *text)
{
    return fb_xstrdup(text != NULL ? text : "");
}

static enum fb_status state_password(const struct fb_parcel *parcel, struct fb_vault_parcel *state,
                                     struct fb_error *err)
{
    state->has_password = parcel->password[0] != '\0';
    if (!state->has_password) {
        return FB_OK;
    }
    fb_random(state->password_salt, sizeof state->password_salt);
    return fb_vault_password_hash(parcel->password, state->password_salt, state->password_hash,
                                  err);
}

static enum fb_status fill_state(struct vault_session *s, const struct fb_policy_security *security,
                                 const struct fb_parcel *parcel, struct fb_vault_parcel *state,
                                 struct fb_error *err)
{
    replace(&state->storage, fb_xstrdup(s->storage->name));
    replace(&state->from, text_of(parcel->from));
    replace(&state->subject, text_of(parcel->subject));
    replace(&state->language, text_of(parcel->language));
    replace(&state->rule, text_of(parcel->rule));
    replace(&state->security, text_of(security->name));
    state->accepted_ms = parcel->accepted_ms;
    state->expires_ms = parcel->expires_ms;
    state->purge_ms = parcel->purge_ms;
    state->access = security->access;
    state->proof = security->proof;
    state->can_download = security->can_download;
    state->is_watermarked = security->is_watermarked;
    state->has_members = security->has_members || security->access == FB_ACCESS_COMPANY;
    state->may_reply = security->may_reply;
    state->max_downloads = security->max_downloads;
    state->trusted_days = security->trusted_days;
    state->is_closed = false;
    state_grants(parcel, state);
    enum fb_status st = state_password(parcel, state, err);
    return st == FB_OK ? state_files(s, parcel, state, err) : st;
}

static enum fb_status vault_share(struct storage_session *session,
                                  const struct fb_policy_security *security,
                                  const struct storage_grant_request *requests, size_t count,
                                  struct fb_parcel *parcel, struct fb_error *err)
{
    struct vault_session *s = of(session);
    enum fb_status st = FB_EXISTS;
    storage_password(security->is_password_generated, parcel);
    make_grants(requests, count, parcel);
    for (int attempt = 0; attempt < ATTEMPTS && st == FB_EXISTS; attempt++) {
        struct fb_vault_parcel state = {0};
        st = fb_vault_load(s->vault, parcel->parcel_id, &state, err);
        if (st == FB_OK) {
            st = fill_state(s, security, parcel, &state, err);
        }
        if (st == FB_OK) {
            st = fb_vault_save(s->vault, &state, err);
        }
        fb_vault_parcel_deinit(&state);
    }
    st = st == FB_EXISTS ? fb_error_set(err, FB_AGAIN, "others changed the parcel all the time")
                         : purged(st, err);
    if (told(s->storage, st) == FB_OK) {
        /* What is open by one link for everybody elsewhere is open by a link for each here. */
        replace(&parcel->access, fb_xstrdup("recipients"));
        parcel->can_download = security->can_download;
        parcel->password_to_sender =
            security->is_password_generated && security->password_to_sender;
    }
    return st;
}

/* ---- taking away, giving back ---- */

/* A change of the state: false when there is nothing to change (any more). */
typedef enum fb_status change_fn(void *ctx, struct fb_vault_parcel *state, bool *has_changed,
                                 struct fb_error *err);

/* FB_NOT_FOUND: there is no such parcel, or it was purged. */
static enum fb_status change(struct vault_session *s, const char *parcel_id, change_fn *apply,
                             void *ctx, struct fb_error *err)
{
    enum fb_status st = FB_EXISTS;
    for (int attempt = 0; attempt < ATTEMPTS && st == FB_EXISTS; attempt++) {
        struct fb_vault_parcel state = {0};
        bool has_changed = false;
        st = fb_vault_load(s->vault, parcel_id, &state, err);
        if (st == FB_OK) {
            st = apply(ctx, &state, &has_changed, err);
        }
        if (st == FB_OK && has_changed) {
            st = fb_vault_save(s->vault, &state, err);
        }
        fb_vault_parcel_deinit(&state);
    }
    st = st == FB_EXISTS ? fb_error_set(err, FB_AGAIN, "others changed the parcel all the time")
                         : st;
    return told(s->storage, st);
}

struct closing {
    const uint32_t *recipients;
    size_t count; /* 0: all */
    bool is_for_good;
};

static bool is_named(const struct closing *c, uint32_t recipient)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->recipients[i] == recipient) {
            return true;
        }
    }
    return c->count == 0;
}

static enum fb_status close_grants(void *ctx, struct fb_vault_parcel *state, bool *has_changed,
                                   struct fb_error *err)
{
    const struct closing *c = ctx;
    (void)err;
    for (uint32_t i = 0; i < state->grant_count; i++) {
        struct fb_vault_grant *g = &state->grants[i];
        if (is_named(c, g->recipient) && !g->is_recalled) {
            g->is_recalled = true;
            *has_changed = true;
        }
    }
    if (c->is_for_good && c->count == 0 && !state->is_closed) {
        state->is_closed = true;
        *has_changed = true;
    }
    return FB_OK;
}

static enum fb_status vault_revoke(struct storage_session *session, const struct fb_parcel *parcel,
                                   const uint32_t *recipients, size_t count, enum storage_end end,
                                   bool *closed_r, struct fb_error *err)
{
    struct vault_session *s = of(session);
    struct closing c = {recipients, count, end == STORAGE_FOR_GOOD};
    enum fb_status st = check_vault(s, parcel, err);
    if (st == FB_OK) {
        st = change(s, parcel->parcel_id, close_grants, &c, err);
        st = st == FB_NOT_FOUND ? FB_OK : st; /* nothing is open of what is not there */
    }
    for (uint32_t i = 0; i < parcel->grant_count && closed_r != NULL; i++) {
        const struct fb_parcel_grant *g = &parcel->grants[i];
        bool is_gone = g->state != NULL && strcmp(g->state, "recalled") == 0;
        closed_r[i] = (is_gone || st == FB_OK) && is_named(&c, g->recipient);
    }
    return st;
}

struct opening {
    const struct storage_grant_request *requests;
    size_t count;
    struct fb_vault_grant *opened; /* as many; only recipient and hash */
};

static struct fb_vault_grant *find_grant(struct fb_vault_parcel *state, uint32_t recipient)
{
    for (uint32_t i = 0; i < state->grant_count; i++) {
        if (state->grants[i].recipient == recipient) {
            return &state->grants[i];
        }
    }
    return NULL;
}

static enum fb_status open_grants(void *ctx, struct fb_vault_parcel *state, bool *has_changed,
                                  struct fb_error *err)
{
    const struct opening *o = ctx;
    if (state->is_closed) {
        return fb_error_set(err, FB_DENIED, "the parcel was ended for good: send the mail again");
    }
    if (state->expires_ms > 0 && state->expires_ms <= fb_now_ms() + 1000) {
        return fb_error_set(err, FB_DENIED, "the parcel's time is over: send the mail again");
    }
    for (size_t i = 0; i < o->count; i++) {
        struct fb_vault_grant *g = find_grant(state, o->requests[i].recipient);
        if (g == NULL) {
            return fb_error_set(err, FB_DENIED,
                                "recipient %u was never given a link: send the mail again",
                                (unsigned)o->requests[i].recipient);
        }
        o->opened[i].recipient = g->recipient;
        memcpy(o->opened[i].secret_hash, g->secret_hash, sizeof g->secret_hash);
        *has_changed = *has_changed || g->is_recalled;
        g->is_recalled = false;
    }
    return FB_OK;
}

static enum fb_status vault_reopen(struct storage_session *session,
                                   const struct storage_grant_request *requests, size_t count,
                                   struct fb_parcel *parcel, struct fb_error *err)
{
    struct vault_session *s = of(session);
    struct opening o = {requests, count, fb_xcalloc(count + 1, sizeof *o.opened)};
    enum fb_status st = check_vault(s, parcel, err);
    if (st == FB_OK) {
        st = change(s, parcel->parcel_id, open_grants, &o, err);
    }
    if (st == FB_NOT_FOUND) {
        st = fb_error_set(err, FB_DENIED, "the parcel was purged: send the mail again");
    }
    for (size_t i = 0; i < count && st == FB_OK; i++) {
        for (uint32_t k = 0; k < parcel->grant_count; k++) {
            struct fb_parcel_grant *g = &parcel->grants[k];
            if (g->recipient == o.opened[i].recipient) {
                char hex[2 * FB_VAULT_HASH + 1];
                fb_hex(o.opened[i].secret_hash, FB_VAULT_HASH, hex);
                replace(&g->grant_id, fb_xstrdup(hex));
                replace(&g->state, fb_xstrdup("active"));
            }
        }
    }
    free(o.opened);
    return st;
}

static enum fb_status vault_purge(struct storage_session *session, const struct fb_parcel *parcel,
                                  struct fb_error *err)
{
    struct vault_session *s = of(session);
    enum fb_status st = check_vault(s, parcel, err);
    return st == FB_OK ? told(s->storage, fb_vault_purge(s->vault, parcel->parcel_id, err)) : st;
}

static void check(struct storage_session *session, bool writes, struct fb_storage_report *report)
{
    struct vault_session *s = of(session);
    vault_check(s->storage, s->vault, writes, report);
}

const struct storage vault_storage = {
    .type = "vault",
    .open = vault_open,
    .close = vault_close,
    .create = vault_create,
    .put = vault_put,
    .share = vault_share,
    .revoke = vault_revoke,
    .reopen = vault_reopen,
    .purge = vault_purge,
    .check = check,
    .safe_name = box_safe_name, /* what Box and Windows take, every reader's machine takes */
};
