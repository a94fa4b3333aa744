/* SPDX-License-Identifier: Apache-2.0
 *
 * The authenticator app: asked for, enrolled, and got around with a recovery code when it is lost. */
#include <stdio.h>
#include <string.h>

#include "services/portal/door.h"

#define TYPED 64

/* Whose app is asked for: who proved a mailbox in this session, else whom the link was sent to.  NULL: this is not the
 * time for it. */
static const char *app_owner(const struct reader *r)
{
    bool has_any = r->session.id_hash[0] != '\0';
    if (r->has_session || door_required(r) != READER_PROOF_TOTP) {
        return NULL;
    }
    if (has_any) {
        return r->session.need == READER_NEEDS_TOTP ? r->session.address : NULL;
    }
    return r->grant->address;
}

/* Counts a try, and says 429 where there is none left.  False: a page was answered. */
static bool take_try(struct reader *r, const char *kind, const char *owner, unsigned *left_r)
{
    struct fb_error err = {0};
    int64_t wait_ms = 0, until_ms = 0;
    enum fb_status s = door_look_network(r, &wait_ms, &err);
    if (s == FB_OK && wait_ms == 0) {
        s = fb_door_try(r->redis, kind, owner, fb_now_ms(), &until_ms, left_r, &err);
    }
    if (s != FB_OK) {
        page_unavailable(r->visit, &err);
    } else if (wait_ms > 0 || until_ms > 0) {
        door_note_refused(r, kind);
        door_too_many(r, wait_ms > 0 ? wait_ms : until_ms - fb_now_ms());
    }
    return s == FB_OK && wait_ms == 0 && until_ms == 0;
}

static void admit(struct reader *r, const struct door_proved *p)
{
    struct fb_error err = {0};
    enum fb_reading why = FB_READING_ALLOWED;
    enum fb_status s = door_admit(r, p, &why, &err);
    door_admitted(r, s, why, &err);
}

static bool is_ticked(const struct reader *r, const char *name)
{
    char value[4];
    return reader_field(r, name, value, sizeof value) && strcmp(value, "1") == 0;
}

/* ---- a code of the app ---- */

/* FB_OK: right, and its step is taken.  FB_DENIED: wrong.  FB_EXISTS: its step was taken before. */
static enum fb_status check_app(struct reader *r, const char *owner, const char *code,
                                struct fb_error *err)
{
    struct fb_door_totp totp;
    uint8_t secret[FB_TOTP_SECRET];
    int64_t step = 0;
    enum fb_status s = fb_door_totp_get(r->redis, owner, &totp, err);
    if (s != FB_OK) {
        return s == FB_NOT_FOUND ? fb_error_set(err, FB_DENIED, "no app is enrolled") : s;
    }
    bool is_right = fb_totp_unseal(r->visit->portal->door_key, owner, totp.sealed, secret) &&
                    fb_totp_check(secret, code, fb_now_ms(), &step);
    fb_wipe(secret, sizeof secret);
    s = is_right ? fb_door_totp_take(r->redis, owner, step, err)
                 : fb_error_set(err, FB_DENIED, "a wrong code");
    return s == FB_NOT_FOUND ? fb_error_set(err, FB_DENIED, "no app is enrolled") : s;
}

void door_totp(struct reader *r)
{
    char code[DOOR_CODE_DIGITS + 1], owner[FB_DOOR_HASH];
    struct fb_error err = {0};
    unsigned left = 0;
    const char *address = app_owner(r);
    if (address == NULL) {
        reader_see(r, "");
        return;
    }
    if (!door_take_code(r, code)) {
        return;
    }
    fb_door_owner(address, owner);
    if (!take_try(r, "totp", owner, &left)) {
        return;
    }
    enum fb_status s = check_app(r, owner, code, &err);
    if (s == FB_OK) {
        s = fb_door_try_clear(r->redis, "totp", owner, &err);
    }
    if (s == FB_OK) {
        const struct door_proved p = {
            .address = address, .proof = READER_PROOF_TOTP, .trusts = is_ticked(r, "trust")};
        door_note(r, "totp", "right", address);
        admit(r, &p);
    } else if (s == FB_DENIED || s == FB_EXISTS) {
        door_note_wrong(r, "totp", address, left == 0);
        door_page(r, &(const struct door_said){.alert = s == FB_EXISTS ? DOOR_USED : DOOR_WRONG,
                                               .tries_left = left,
                                               .status = 403,
                                               .at = "code"});
    } else {
        page_unavailable(r->visit, &err);
    }
}

/* ---- enrolment ---- */

/* Writes it down with fresh recovery codes. */
static enum fb_status write_down(struct reader *r, const char *owner, int64_t step,
                                 char codes_r[FB_DOOR_RECOVERY][FB_TOTP_RECOVERY],
                                 struct fb_error *err)
{
    char hashes[FB_DOOR_RECOVERY][FB_DOOR_HASH];
    for (size_t i = 0; i < FB_DOOR_RECOVERY; i++) {
        fb_totp_recovery_new(codes_r[i]);
        door_hmac(r->visit->portal->door_key, "recovery", owner, codes_r[i], hashes[i]);
    }
    const struct fb_door_enrol e = {.sealed = r->session.sealed,
                                    .step = step,
                                    .recovery = hashes,
                                    .replaces = r->session.replaces,
                                    .now_ms = fb_now_ms()};
    return fb_door_totp_enrol(r->redis, owner, &e, err);
}

/* The app is enrolled: everything else of the session, and the recovery codes, once. */
static void enrolled(struct reader *r, char codes[FB_DOOR_RECOVERY][FB_TOTP_RECOVERY])
{
    char address[READER_ADDRESS];
    struct fb_error err = {0};
    enum fb_reading why = FB_READING_ALLOWED;
    (void)snprintf(address, sizeof address, "%s", r->session.address);
    const struct door_proved p = {
        .address = address, .proof = READER_PROOF_TOTP, .trusts = is_ticked(r, "trust")};
    door_note(r, "totp", "enrolled", address);
    enum fb_status s = door_admit(r, &p, &why, &err);
    if (s == FB_OK) {
        door_recovery_page(r, codes);
    } else {
        door_admitted(r, s, why, &err);
    }
}

void door_enrol(struct reader *r)
{
    char code[DOOR_CODE_DIGITS + 1], owner[FB_DOOR_HASH];
    char codes[FB_DOOR_RECOVERY][FB_TOTP_RECOVERY];
    uint8_t secret[FB_TOTP_SECRET];
    struct fb_error err = {0};
    int64_t step = 0;
    if (r->session.id_hash[0] == '\0' || r->session.need != READER_NEEDS_ENROL) {
        reader_see(r, "");
        return;
    }
    if (!door_take_code(r, code)) {
        return;
    }
    fb_door_owner(r->session.address, owner);
    if (!fb_totp_unseal(r->visit->portal->door_key, owner, r->session.sealed, secret)) {
        (void)fb_error_set(&err, FB_CORRUPT, "the secret of an enrolment does not open");
        page_unavailable(r->visit, &err);
        return;
    }
    bool is_right = fb_totp_check(secret, code, fb_now_ms(), &step);
    fb_wipe(secret, sizeof secret);
    if (!is_right) {
        /* Whoever is here sees the secret: there is nothing to guess. */
        door_page(r, &(const struct door_said){.alert = DOOR_WRONG, .status = 403, .at = "code"});
        return;
    }
    enum fb_status s = write_down(r, owner, step, codes, &err);
    if (s == FB_OK) {
        enrolled(r, codes);
    } else if (s == FB_EXISTS) { /* in another window meanwhile: that app is asked for now */
        const struct door_proved p = {.address = r->session.address, .proof = READER_PROOF_CODE};
        admit(r, &p);
    } else {
        page_unavailable(r->visit, &err);
    }
    fb_wipe(codes, sizeof codes);
}

/* ---- without the app ---- */

void door_recovery(struct reader *r)
{
    char typed[TYPED], code[FB_TOTP_RECOVERY], owner[FB_DOOR_HASH], hash[FB_DOOR_HASH];
    struct fb_error err = {0};
    unsigned left = 0, codes_left = 0;
    const char *address = app_owner(r);
    if (address == NULL) {
        reader_see(r, "");
        return;
    }
    if (!reader_field(r, "recovery", typed, sizeof typed) || !fb_totp_recovery_read(typed, code)) {
        door_page(r, &(const struct door_said){
                         .alert = DOOR_NOT_A_CODE, .status = 400, .at = "recovery"});
        return;
    }
    fb_door_owner(address, owner);
    if (!take_try(r, "recovery", owner, &left)) {
        return;
    }
    door_hmac(r->visit->portal->door_key, "recovery", owner, code, hash);
    enum fb_status s = fb_door_totp_recover(r->redis, owner, hash, &codes_left, &err);
    if (s == FB_OK) {
        s = fb_door_try_clear(r->redis, "recovery", owner, &err);
    }
    if (s == FB_OK) {
        const struct door_proved p = {.address = address,
                                      .proof = READER_PROOF_TOTP,
                                      .enrols_again = is_ticked(r, "again") || codes_left == 0};
        door_note(r, "recovery", "right", address);
        admit(r, &p);
    } else if (s == FB_NOT_FOUND) {
        door_note_wrong(r, "recovery", address, left == 0);
        door_page(r, &(const struct door_said){
                         .alert = DOOR_WRONG, .tries_left = left, .status = 403, .at = "recovery"});
    } else {
        page_unavailable(r->visit, &err);
    }
    fb_wipe(typed, sizeof typed);
    fb_wipe(code, sizeof code);
}
