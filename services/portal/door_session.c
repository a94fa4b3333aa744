/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions and trusted devices.  Cookies: known to no script (HttpOnly), sent to this link's paths alone, and with a
 * request that another site begins only when it is a link that somebody follows (SameSite=Lax: with Strict, a link
 * opened out of webmail would come without the session, and make the browser a stranger to its own code).  A POST needs
 * our origin and a token besides (reader.c). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/id.h"
#include "common/log.h"
#include "services/portal/door.h"

#define DAY_MS   INT64_C(86400000)
#define TAG_SIZE 8 /* of an address, in the name of a device's cookie */

static const char *const proof_names[] = {"link", "code", "totp"};
static const char *const need_names[] = {"", "totp", "enrol", "password"};

enum reader_proof door_required(const struct reader *r)
{
    return r->parcel.proof == FB_PROOF_TOTP   ? READER_PROOF_TOTP
           : r->parcel.proof == FB_PROOF_CODE ? READER_PROOF_CODE
                                              : READER_PROOF_LINK;
}

/* What is written in Redis; anything else is no session. */
static bool find_word(const char *word, const char *const *words, size_t count, size_t *at_r)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            *at_r = i;
            return true;
        }
    }
    return false;
}

/* ---- cookies ---- */

static const char *prefix(const struct reader *r)
{
    return r->visit->portal->is_https ? "__Secure-" : "";
}

/* max_age_s: below 0 = until the browser is closed, 0 = away. */
static void set_cookie(struct reader *r, const char *name, const char *value, bool is_of_link,
                       int64_t max_age_s)
{
    char age[40] = "";
    if (max_age_s >= 0) {
        (void)snprintf(age, sizeof age, "; Max-Age=%" PRId64, max_age_s);
    }
    fb_http_answer_header(r->visit->answer, "Set-Cookie",
                          "%s%s=%s; Path=/r%s%s%s; HttpOnly; SameSite=Lax%s", prefix(r), name,
                          value, is_of_link ? "/" : "", is_of_link ? r->text : "", age,
                          r->visit->portal->is_https ? "; Secure" : "");
}

static const char *get_cookie(const struct reader *r, const char *name)
{
    char full[64];
    (void)snprintf(full, sizeof full, "%s%s", prefix(r), name);
    const char *value = fb_http_cookie(r->visit->request, full);
    return value != NULL && fb_random_text_is_valid(value) ? value : NULL;
}

bool reader_session_name(const struct portal *p, const struct fb_http_request *request,
                         char id_hash_r[READER_ID_HASH])
{
    const char *cookie =
        fb_http_cookie(request, p->is_https ? "__Secure-fumibako-session" : "fumibako-session");
    if (cookie == NULL || !fb_random_text_is_valid(cookie)) {
        return false;
    }
    door_sha256(cookie, id_hash_r);
    return true;
}

void door_set_browser(struct reader *r, bool is_rotated)
{
    struct visit *v = r->visit;
    if (v->has_cookie && !is_rotated) {
        return;
    }
    form_cookie_new(v->cookie);
    v->has_cookie = true;
    set_cookie(r, "fumibako", v->cookie, true, -1);
}

void door_browser(const struct reader *r, char out_r[FB_DOOR_HASH])
{
    door_sha256(r->visit->cookie, out_r);
}

/* Each address has a cookie of its own, so that somebody who reads for two of them is trusted for both. */
static void device_cookie(const struct reader *r, const char *address, char out_r[40])
{
    char owner[FB_DOOR_HASH], tag[FB_DOOR_HASH];
    fb_door_owner(address, owner);
    door_hmac(r->visit->portal->door_key, "device", owner, "", tag);
    (void)snprintf(out_r, 40, "fumibako-device-%.*s", TAG_SIZE, tag);
}

/* ---- sessions ---- */

static void name_grant(const struct reader *r, char out_r[64])
{
    (void)snprintf(out_r, 64, "%s.%" PRIu32 ".%s", r->parcel_id, r->recipient, r->grant_tag);
}

static void fill(struct reader *r, const char *id_hash, const struct fb_door_session *s,
                 enum reader_proof proof, enum reader_need need)
{
    struct reader_session *to = &r->session;
    (void)snprintf(to->id_hash, sizeof to->id_hash, "%s", id_hash);
    (void)snprintf(to->address, sizeof to->address, "%s", s->address);
    (void)snprintf(to->form_secret, sizeof to->form_secret, "%s", s->form);
    (void)snprintf(to->sealed, sizeof to->sealed, "%s", s->sealed);
    to->replaces = s->replaces;
    to->proof = proof;
    to->need = need;
    to->since_ms = s->since_ms;
    to->idle_until_ms = s->idle_until_ms;
    to->until_ms = s->until_ms;
    r->has_session = need == READER_NEEDS_NOTHING && proof >= door_required(r);
}

/* A member's session is worth nothing where members may not (any more). */
static bool may_be(const struct reader *r, const char *address)
{
    char theirs[FB_DOOR_HASH], wanted[FB_DOOR_HASH];
    fb_door_owner(address, theirs);
    fb_door_owner(r->grant->address, wanted);
    return strcmp(theirs, wanted) == 0 ||
           (r->parcel.has_members && door_is_member(address, r->grant->address));
}

enum fb_status door_session_load(struct reader *r, struct fb_error *err)
{
    const struct fb_config *config = r->visit->portal->config;
    struct fb_door_session s;
    char id_hash[FB_DOOR_HASH], grant[64];
    size_t proof = 0, need = 0;
    const char *cookie = get_cookie(r, "fumibako-session");
    if (cookie == NULL) {
        return FB_OK;
    }
    door_sha256(cookie, id_hash);
    name_grant(r, grant);
    enum fb_status status = fb_door_session_get(
        r->redis, r->shard, id_hash, config->portal.session_idle_ms, fb_now_ms(), &s, err);
    if (status == FB_OK && strcmp(s.grant, grant) == 0 &&
        find_word(s.proof, proof_names, sizeof proof_names / sizeof proof_names[0], &proof) &&
        find_word(s.need, need_names, sizeof need_names / sizeof need_names[0], &need) &&
        may_be(r, s.address)) {
        fill(r, id_hash, &s, (enum reader_proof)proof, (enum reader_need)need);
    }
    return status == FB_NOT_FOUND ? FB_OK : status;
}

/* ---- proved ---- */

static enum fb_status trust(struct reader *r, const struct door_proved *p, struct fb_error *err)
{
    char cookie[FB_RANDOM_TEXT], name[FB_DOOR_HASH], cookie_name[40];
    struct fb_door_device d = {.since_ms = fb_now_ms()};
    int64_t days = r->parcel.trusted_days;
    fb_random_text(cookie);
    door_sha256(cookie, name);
    fb_door_owner(p->address, d.owner);
    (void)snprintf(d.proof, sizeof d.proof, "%s", proof_names[p->proof]);
    enum fb_status s = fb_door_device_put(r->redis, name, &d, days * DAY_MS, err);
    if (s == FB_OK) {
        device_cookie(r, p->address, cookie_name);
        set_cookie(r, cookie_name, cookie, false, days * DAY_MS / 1000);
    }
    fb_wipe(cookie, sizeof cookie);
    return s;
}

/* Only for the address that the mail went to: who is somebody else is asked each time. */
static bool may_trust(const struct reader *r, const struct door_proved *p)
{
    char mine[FB_DOOR_HASH], theirs[FB_DOOR_HASH];
    fb_door_owner(p->address, mine);
    fb_door_owner(r->grant->address, theirs);
    return p->trusts && r->parcel.trusted_days > 0 && p->proof >= READER_PROOF_CODE &&
           p->proof >= door_required(r) && strcmp(mine, theirs) == 0;
}

static enum fb_status find_need(struct reader *r, const struct door_proved *p,
                                enum reader_need *need_r, bool *replaces_r, struct fb_error *err)
{
    bool has_app = false;
    *replaces_r = p->enrols_again;
    enum fb_status s = FB_OK;
    if (p->enrols_again) {
        *need_r = READER_NEEDS_ENROL;
    } else if (p->proof < door_required(r)) { /* a code where an app is asked for */
        s = door_has_app(r, p->address, &has_app, replaces_r, err);
        *need_r = has_app ? READER_NEEDS_TOTP : READER_NEEDS_ENROL;
    } else {
        *need_r = r->parcel.has_password && !p->has_password ? READER_NEEDS_PASSWORD
                                                             : READER_NEEDS_NOTHING;
    }
    return s;
}

static void new_app_secret(struct reader *r, struct fb_door_session *s, bool replaces)
{
    uint8_t secret[FB_TOTP_SECRET];
    char owner[FB_DOOR_HASH];
    fb_random(secret, sizeof secret);
    fb_door_owner(s->address, owner);
    fb_totp_seal(r->visit->portal->door_key, owner, secret, s->sealed);
    s->replaces = replaces;
    fb_wipe(secret, sizeof secret);
}

enum fb_status door_admit(struct reader *r, const struct door_proved *p, enum fb_reading *why_r,
                          struct fb_error *err)
{
    const struct fb_config *config = r->visit->portal->config;
    enum reader_need need = READER_NEEDS_NOTHING;
    struct fb_door_session s = {.since_ms = fb_now_ms()};
    char cookie[FB_RANDOM_TEXT], id_hash[FB_DOOR_HASH];
    bool replaces = false;
    if (strlen(p->address) >= sizeof s.address) {
        return fb_error_set(err, FB_INVALID, "an address that is too long");
    }
    memcpy(s.address, p->address, strlen(p->address) + 1);
    enum fb_status status = find_need(r, p, &need, &replaces, err);
    *why_r = FB_READING_ALLOWED;
    if (status == FB_OK && need == READER_NEEDS_NOTHING) {
        status = fb_ledger_reading_record(r->redis, r->parcel_id, r->recipient, FB_EVENT_PREVIEW,
                                          s.address, 0, why_r, err);
    }
    if (status == FB_OK && *why_r != FB_READING_ALLOWED) {
        return fb_error_set(err, FB_DENIED, "not to be read any more");
    }
    if (status == FB_OK && may_trust(r, p)) {
        status = trust(r, p, err);
    }
    if (status != FB_OK) {
        return status;
    }
    name_grant(r, s.grant);
    (void)snprintf(s.proof, sizeof s.proof, "%s", proof_names[p->proof]);
    (void)snprintf(s.need, sizeof s.need, "%s", need_names[need]);
    s.until_ms = s.since_ms + config->portal.session_max_ms;
    s.idle_until_ms = s.since_ms + config->portal.session_idle_ms;
    if (need == READER_NEEDS_ENROL) {
        new_app_secret(r, &s, replaces);
    }
    fb_random_text(cookie);
    door_hmac(r->visit->portal->door_key, "form", cookie, "", s.form);
    door_sha256(cookie, id_hash);
    status = fb_door_session_put(r->redis, r->shard, id_hash, r->session.id_hash, &s,
                                 config->portal.session_idle_ms, s.since_ms, err);
    if (status == FB_OK) {
        set_cookie(r, "fumibako-session", cookie, true, -1);
        door_set_browser(r, true);
        fill(r, id_hash, &s, p->proof, need);
        if (need == READER_NEEDS_NOTHING) {
            door_note(r, "session", "opened", s.address);
        }
    }
    fb_wipe(cookie, sizeof cookie);
    fb_wipe(&s, sizeof s);
    return status;
}

/* ---- the end ---- */

enum fb_status door_end(struct reader *r, struct fb_error *err)
{
    char name[FB_DOOR_HASH], cookie_name[40];
    enum fb_status s = FB_OK;
    device_cookie(r, r->grant->address, cookie_name);
    const char *device = get_cookie(r, cookie_name);
    if (r->session.id_hash[0] != '\0') {
        s = fb_door_session_end(r->redis, r->shard, r->session.id_hash, err);
    }
    if (s == FB_OK && device != NULL) {
        door_sha256(device, name);
        s = fb_door_device_end(r->redis, name, err);
    }
    if (s == FB_OK) {
        set_cookie(r, "fumibako-session", "", true, 0);
        set_cookie(r, cookie_name, "", false, 0);
        door_set_browser(r, true);
    }
    return s;
}

/* ---- trusted devices ---- */

enum fb_status door_is_trusted(struct reader *r, bool *is_trusted_r, enum reader_proof *proof_r,
                               struct fb_error *err)
{
    char name[FB_DOOR_HASH], cookie_name[40], owner[FB_DOOR_HASH];
    struct fb_door_device d;
    size_t proof = 0;
    *is_trusted_r = false;
    device_cookie(r, r->grant->address, cookie_name);
    const char *cookie = get_cookie(r, cookie_name);
    if (cookie == NULL || r->parcel.trusted_days <= 0) {
        return FB_OK;
    }
    door_sha256(cookie, name);
    enum fb_status s = fb_door_device_get(r->redis, name, &d, err);
    if (s == FB_OK) {
        fb_door_owner(r->grant->address, owner);
        *is_trusted_r =
            strcmp(d.owner, owner) == 0 &&
            find_word(d.proof, proof_names, sizeof proof_names / sizeof proof_names[0], &proof) &&
            (enum reader_proof)proof >= door_required(r) &&
            fb_now_ms() - d.since_ms < r->parcel.trusted_days * DAY_MS;
        *proof_r = (enum reader_proof)proof;
    }
    return s == FB_NOT_FOUND ? FB_OK : s;
}

/* A secret that was sealed with an earlier rewrite.key opens nothing: its owner enrols once more. */
enum fb_status door_has_app(struct reader *r, const char *address, bool *has_r, bool *is_stale_r,
                            struct fb_error *err)
{
    struct fb_door_totp totp;
    uint8_t secret[FB_TOTP_SECRET];
    char owner[FB_DOOR_HASH];
    fb_door_owner(address, owner);
    *has_r = false;
    *is_stale_r = false;
    enum fb_status s = fb_door_totp_get(r->redis, owner, &totp, err);
    if (s == FB_OK) {
        *has_r = fb_totp_unseal(r->visit->portal->door_key, owner, totp.sealed, secret);
        *is_stale_r = !*has_r;
        fb_wipe(secret, sizeof secret);
    }
    return s == FB_NOT_FOUND ? FB_OK : s;
}
