/* SPDX-License-Identifier: Apache-2.0
 *
 * What the door's forms do.  Each POST was found to come from our page (reader.c); each secret is counted before, or in
 * the same step as, it is looked at (common/ledger/door.h). */
#include "common/id.h"
#include "services/portal/door.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/ledger/code.h"
#include "common/log.h"
#include "common/proof_code.h"

#define SECRET_FIELD 200 /* a code or password as typed */

void door_too_many(struct reader *r, int64_t wait_ms)
{
    int64_t now_ms = fb_now_ms();
    door_page(r, &(const struct door_said){
                     .alert = DOOR_LOCKED, .until_ms = now_ms + wait_ms, .status = 429, .at = ""});
}

void door_admitted(struct reader *r, enum fb_status s, enum fb_reading why,
                   const struct fb_error *err)
{
    if (s == FB_OK) {
        reader_see(r, "");
    } else if (s == FB_DENIED) {
        reader_refuse(r, why);
    } else {
        page_unavailable(r->visit, err);
    }
}

static void admit(struct reader *r, const struct door_proved *p)
{
    struct fb_error err = {0};
    enum fb_reading why = FB_READING_ALLOWED;
    enum fb_status s = door_admit(r, p, &why, &err);
    door_admitted(r, s, why, &err);
}

static bool trusts(const struct reader *r)
{
    char value[4];
    return reader_field(r, "trust", value, sizeof value) && strcmp(value, "1") == 0;
}

/* ---- link, trusted device ---- */

void door_open(struct reader *r)
{
    struct fb_error err = {0};
    bool is_trusted = false;
    struct door_proved p = {.address = r->grant->address, .proof = READER_PROOF_LINK};
    enum fb_status s = FB_OK;
    if (r->session.id_hash[0] != '\0') {
        reader_see(r, ""); /* sent twice */
        return;
    }
    if (door_required(r) != READER_PROOF_LINK) {
        s = door_is_trusted(r, &is_trusted, &p.proof, &err);
    }
    if (s != FB_OK) {
        page_unavailable(r->visit, &err);
    } else if (is_trusted || door_required(r) == READER_PROOF_LINK) {
        door_note(r, is_trusted ? "device" : "link", "right", p.address);
        admit(r, &p);
    } else {
        reader_see(r, "");
    }
}

/* ---- the code: asked for ---- */

/* Whose mailbox is to be proved.  False: what was typed is no address. */
static bool take_address(struct reader *r, char address_r[READER_ADDRESS], bool *fits_r)
{
    char typed[READER_ADDRESS + 8];
    bool has_typed = r->parcel.has_members && reader_field(r, "address", typed, sizeof typed);
    struct fb_slice trimmed = fb_slice_trim(fb_slice_str(has_typed ? typed : ""));
    *fits_r = true;
    if (trimmed.len == 0) {
        (void)snprintf(address_r, READER_ADDRESS, "%s", r->grant->address);
        return strlen(r->grant->address) < READER_ADDRESS;
    }
    if (trimmed.len >= READER_ADDRESS) {
        return false;
    }
    memcpy(address_r, trimmed.ptr, trimmed.len);
    address_r[trimmed.len] = '\0';
    *fits_r = door_is_member(address_r, r->grant->address);
    return door_is_address(address_r);
}

static void hash_code(const struct reader *r, const char *code, char out_r[FB_DOOR_HASH])
{
    char grant[64], bound[FB_DOOR_HASH + FB_RANDOM_TEXT], browser[FB_DOOR_HASH];
    door_browser(r, browser);
    (void)snprintf(grant, sizeof grant, "%s.%" PRIu32, r->parcel_id, r->recipient);
    (void)snprintf(bound, sizeof bound, "%s %s", browser, code);
    door_hmac(r->visit->portal->door_key, "code", grant, bound, out_r);
    fb_wipe(bound, sizeof bound);
}

/* Makes the code and sends it.  Where the address does not fit nothing is sent, and no code fits. */
static enum fb_status ask(struct reader *r, const char *address, bool fits, int64_t *until_ms_r,
                          struct fb_error *err)
{
    const struct fb_door_grant grant = {.parcel_id = r->parcel_id, .recipient = r->recipient};
    char code[DOOR_CODE_DIGITS + 1], nonsense[FB_RANDOM_TEXT], browser[FB_DOOR_HASH],
        hash[FB_DOOR_HASH];
    int64_t now_ms = fb_now_ms();
    struct fb_buf sealed;
    door_code_new(code);
    fb_random_text(nonsense);
    door_browser(r, browser);
    hash_code(r, fits ? code : nonsense, hash);
    fb_buf_init(&sealed, FB_DOOR_SEALED);
    enum fb_status s = fb_proof_code_seal(r->visit->portal->config->rewrite.key, r->parcel_id,
                                          r->recipient, code, &sealed);
    const struct fb_door_ask asked = {.browser = browser,
                                      .to = address,
                                      .sealed = fits ? fb_buf_str(&sealed) : NULL,
                                      .hash = hash};
    s = s == FB_OK ? fb_door_code_ask(r->redis, &grant, &asked, now_ms, until_ms_r, err)
                   : fb_error_set(err, s, "the code could not be sealed");
    if (s == FB_OK && fits) {
        s = fb_ledger_code_send(r->redis, r->parcel_id, r->recipient, now_ms, err);
    }
    fb_wipe(code, sizeof code);
    fb_buf_deinit(&sealed);
    return s;
}

void door_code(struct reader *r)
{
    const struct fb_door_grant grant = {.parcel_id = r->parcel_id, .recipient = r->recipient};
    char address[READER_ADDRESS], browser[FB_DOOR_HASH];
    struct fb_door_code now = {.to = ""};
    struct fb_error err = {0};
    int64_t wait_ms = 0, until_ms = 0;
    bool fits = false;
    if (r->has_session || door_required(r) == READER_PROOF_LINK) {
        reader_see(r, "");
        return;
    }
    if (!take_address(r, address, &fits)) {
        door_page(r, &(const struct door_said){
                         .alert = DOOR_BAD_ADDRESS, .status = 400, .at = "address"});
        return;
    }
    door_browser(r, browser);
    /* Who comes too early shall not use up what may be sent to the address in an hour. */
    enum fb_status s = fb_door_code_get(r->redis, &grant, browser, fb_now_ms(), &now, &err);
    until_ms = now.next_ms;
    if (s == FB_OK && until_ms == 0) {
        s = door_take_mail(r, fits ? address : NULL, &wait_ms, &err);
    }
    if (s == FB_OK && until_ms == 0 && wait_ms == 0) {
        s = ask(r, address, fits, &until_ms, &err);
        if (s == FB_OK) {
            door_note(r, "code", "asked", address);
            reader_see(r, "");
            return;
        }
    }
    if (s != FB_OK && (s != FB_AGAIN || until_ms == 0)) {
        page_unavailable(r->visit, &err);
        return;
    }
    door_note_refused(r, "code ask");
    door_page(r,
              &(const struct door_said){.alert = now.locked_until_ms > 0 ? DOOR_LOCKED : DOOR_EARLY,
                                        .until_ms = until_ms > 0 ? until_ms : fb_now_ms() + wait_ms,
                                        .status = 429,
                                        .at = ""});
}

/* ---- the code: entered ---- */

static void say_check(struct reader *r, const struct fb_door_check *c, const char *address)
{
    switch (c->found) {
    case FB_DOOR_WRONG:
        door_note_wrong(r, "code", address, false);
        door_page(
            r, &(const struct door_said){
                   .alert = DOOR_WRONG, .tries_left = c->tries_left, .status = 403, .at = "code"});
        break;
    case FB_DOOR_LOCKED:
        if (c->is_new_lock) {
            door_note_wrong(r, "code", address, true);
        } else {
            door_note_refused(r, "code");
        }
        door_page(r, &(const struct door_said){
                         .alert = DOOR_LOCKED, .until_ms = c->until_ms, .status = 429, .at = ""});
        break;
    default:
        door_page(r, &(const struct door_said){.alert = DOOR_NO_CODE, .status = 403, .at = ""});
        break;
    }
}

bool door_take_code(struct reader *r, char code_r[DOOR_CODE_DIGITS + 1])
{
    char typed[SECRET_FIELD];
    bool is_code = reader_field(r, "code", typed, sizeof typed) && fb_totp_code_read(typed, code_r);
    fb_wipe(typed, sizeof typed);
    if (!is_code) {
        door_page(r,
                  &(const struct door_said){.alert = DOOR_NOT_A_CODE, .status = 400, .at = "code"});
    }
    return is_code;
}

void door_enter(struct reader *r)
{
    const struct fb_door_grant grant = {.parcel_id = r->parcel_id, .recipient = r->recipient};
    char code[DOOR_CODE_DIGITS + 1], browser[FB_DOOR_HASH], hash[FB_DOOR_HASH];
    struct fb_door_check check = {.to = ""};
    struct fb_error err = {0};
    int64_t wait_ms = 0;
    if (r->session.id_hash[0] != '\0') {
        reader_see(r, "");
        return;
    }
    if (!door_take_code(r, code)) {
        return;
    }
    door_browser(r, browser);
    hash_code(r, code, hash);
    enum fb_status s = door_look_network(r, &wait_ms, &err);
    if (s == FB_OK && wait_ms == 0) {
        s = fb_door_code_enter(r->redis, &grant, browser, hash, fb_now_ms(), &check, &err);
    }
    fb_wipe(code, sizeof code);
    if (s != FB_OK) {
        page_unavailable(r->visit, &err);
    } else if (wait_ms > 0) {
        door_note_refused(r, "code");
        door_too_many(r, wait_ms);
    } else if (check.found == FB_DOOR_RIGHT) {
        const struct door_proved p = {
            .address = check.to, .proof = READER_PROOF_CODE, .trusts = trusts(r)};
        door_note(r, "code", "right", check.to);
        admit(r, &p);
    } else {
        say_check(r, &check, r->grant->address);
    }
}

/* ---- the parcel's password ---- */

/* FB_OK: looked at.  The try was counted before. */
static enum fb_status check_password(struct reader *r, bool *is_right_r, struct fb_error *err)
{
    char typed[SECRET_FIELD];
    uint8_t hash[FB_VAULT_HASH];
    *is_right_r = false;
    if (!reader_field(r, "password", typed, sizeof typed)) {
        return FB_OK;
    }
    struct fb_slice trimmed = fb_slice_trim(fb_slice_str(typed)); /* copied out of a mail */
    memmove(typed, trimmed.ptr, trimmed.len);
    typed[trimmed.len] = '\0';
    enum fb_status s = fb_vault_password_hash(typed, r->parcel.password_salt, hash, err);
    *is_right_r = s == FB_OK && fb_equal_secret(hash, r->parcel.password_hash, sizeof hash);
    fb_wipe(typed, sizeof typed);
    fb_wipe(hash, sizeof hash);
    return s;
}

void door_password(struct reader *r)
{
    char grant[64], name[FB_DOOR_HASH];
    struct fb_error err = {0};
    int64_t wait_ms = 0, until_ms = 0;
    unsigned left = 0;
    bool is_right = false;
    bool is_half = r->session.id_hash[0] != '\0' && r->session.need == READER_NEEDS_PASSWORD;
    if (r->has_session || !r->parcel.has_password ||
        (!is_half && (door_required(r) != READER_PROOF_LINK || r->session.id_hash[0] != '\0'))) {
        reader_see(r, "");
        return;
    }
    struct door_proved p = {.address = is_half ? r->session.address : r->grant->address,
                            .proof = is_half ? r->session.proof : READER_PROOF_LINK,
                            .has_password = true};
    (void)snprintf(grant, sizeof grant, "%s.%" PRIu32, r->parcel_id, r->recipient);
    door_sha256(grant, name);
    enum fb_status s = door_look_network(r, &wait_ms, &err);
    if (s == FB_OK && wait_ms == 0) {
        s = fb_door_try(r->redis, "password", name, fb_now_ms(), &until_ms, &left, &err);
    }
    if (s == FB_OK && wait_ms == 0 && until_ms == 0) {
        s = check_password(r, &is_right, &err);
    }
    if (s == FB_OK && is_right) {
        s = fb_door_try_clear(r->redis, "password", name, &err);
    }
    if (s != FB_OK) {
        page_unavailable(r->visit, &err);
    } else if (wait_ms > 0 || until_ms > 0) {
        door_note_refused(r, "password");
        door_too_many(r, wait_ms > 0 ? wait_ms : until_ms - fb_now_ms());
    } else if (is_right) {
        char address[READER_ADDRESS];
        (void)snprintf(address, sizeof address, "%s",
                       p.address); /* the session is about to change */
        p.address = address;
        door_note(r, "password", "right", address);
        admit(r, &p);
    } else {
        door_note_wrong(r, "password", p.address, left == 0);
        door_page(r, &(const struct door_said){
                         .alert = DOOR_WRONG, .tries_left = left, .status = 403, .at = "password"});
    }
}

/* ---- the end ---- */

void door_leave(struct reader *r)
{
    struct fb_error err = {0};
    bool had_session = r->session.id_hash[0] != '\0';
    enum fb_status s = door_end(r, &err);
    if (s != FB_OK) {
        page_unavailable(r->visit, &err);
        return;
    }
    if (had_session) {
        door_note(r, "session", "ended", r->session.address);
    }
    r->session = (struct reader_session){.id_hash = ""};
    r->has_session = false;
    door_page(r, &(const struct door_said){.alert = DOOR_LEFT, .status = 200, .at = ""});
}
