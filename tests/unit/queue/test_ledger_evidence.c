/* SPDX-License-Identifier: Apache-2.0
 *
 * Evidence says what is known, and never more.
 */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/access.h"

#define MSG    "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define PARCEL MSG "-0"
#define M      "fb:{s0}:m:" MSG
#define G      "fb:{s0}:g:" PARCEL
#define SETTLE 600

static void set(const char *key, const char *field, const char *value)
{
    assert_true(redis_fixture_int(&q.redis, "HSET", key, field, value, NULL) >= 0);
}

static void see(int64_t ms)
{
    char token[FB_LEASE_TOKEN] = "";
    assert_status(FB_OK, fb_lease_keep(q.r, "watch", 60000, token, &q.err));
    assert_status(FB_OK, fb_ledger_seen_set(q.r, token, "box user ", ms, &q.err));
}

/* A message with recipients a, b, c in one branch. */
static void message(const char *kind, const char *branch_state)
{
    char value[80];
    assert_int_equal(redis_fixture_int(&q.redis, "FLUSHALL", NULL), 0);
    bool is_secure = strcmp(kind, "secure") == 0;
    (void)snprintf(value, sizeof value, "%s|%s|rule", kind, is_secure ? PARCEL : "");
    set(M, "queued", "1");
    set(M, "branches", "1");
    set(M, "b:0", value);
    set(M, "bs:0", branch_state);
    for (int i = 0; i < 3; i++) {
        char r[16], b[16], address[16];
        (void)snprintf(r, sizeof r, "r:%d", i);
        (void)snprintf(b, sizeof b, "i:%d", i);
        (void)snprintf(address, sizeof address, "%c@x.jp", 'a' + i);
        set(M, r, address);
        set(M, b, "0");
    }
}

static void upload(const char *grant)
{
    set(M, "u:0", "50");
    set("fb:{s0}:p:" PARCEL, "storage", "box");
    set("fb:{s0}:p:" PARCEL, "user", "");
    for (int i = 0; i < 3; i++) {
        char field[16];
        (void)snprintf(field, sizeof field, "%d", i);
        set(G, field, grant);
    }
}

/* The evidence of all three; lives until the next call. */
static struct fb_ledger_message m;
static struct fb_evidence *list;

static void forget(void)
{
    free(list);
    list = NULL;
    fb_ledger_message_deinit(&m);
}

static const struct fb_evidence *look(void)
{
    forget();
    assert_status(FB_OK, fb_ledger_get(q.r, MSG, &m, &q.err));
    assert_status(FB_OK, fb_ledger_evidence(q.r, &m, SETTLE, &list, &q.err));
    assert_int_equal(m.recipient_count, 3);
    return list;
}

static void access_of(enum fb_ledger_event_kind kind, uint32_t who, int64_t at_ms)
{
    static unsigned n;
    char id[65];
    char token[FB_LEASE_TOKEN] = "";
    enum fb_ledger_recorded got = FB_EVENT_KNOWN;
    assert_status(FB_OK, fb_lease_keep(q.r, "watch", 60000, token, &q.err));
    (void)snprintf(id, sizeof id, "%064u", ++n);
    const struct fb_ledger_event e = {.id = id,
                                      .parcel_id = PARCEL,
                                      .kind = kind,
                                      .recipient = who,
                                      .at_ms = at_ms,
                                      .actor = "a@x.jp",
                                      .user_id = "",
                                      .source = "events"};
    const struct fb_ledger_page page = {.token = token, .events = &e, .count = 1};
    assert_status(FB_OK, fb_ledger_record(q.r, &page, &got, &q.err));
    assert_int_not_equal(got, FB_EVENT_KNOWN);
}

/* ---- each kind ---- */

struct row {
    const char *name;
    const char *kind, *branch, *claim, *grant; /* b:, bs:, s:0, g: */
    const char *mark, *forced;                 /* x:0, f:0 */
    enum fb_evidence_kind want;
    bool is_out, is_final;
    int64_t removed_ms;
};

/* The events were read until 2000, and it takes 600 to settle. */
static const struct row rows[] = {
    {"not sent yet", "pass", "rendered", NULL, NULL, NULL, NULL, FB_EV_WAITING, false, false, 0},
    {"being sent", "pass", "rendered", "sending", NULL, NULL, NULL, FB_EV_MAYBE_OUT, true, false,
     0},
    {"passed on", "pass", "sent", "sending", NULL, NULL, NULL, FB_EV_PLAIN, true, true, 0},
    {"passed on, then recalled", "pass", "sent", "sending", NULL, "70", NULL, FB_EV_PLAIN, true,
     true, 0},
    {"passed on to others, refused for this one", "pass", "sent", "refused", NULL, NULL, NULL,
     FB_EV_REFUSED, false, true, 0},
    {"refused by the relay", "pass", "refused", "sending", NULL, NULL, NULL, FB_EV_REFUSED, false,
     true, 0},
    {"tried, recalled, the others refused", "pass", "refused", "sending", NULL, "70", NULL,
     FB_EV_MAYBE_OUT, true, true, 0},
    {"recalled before it was sent", "pass", "recalled", "recalled", NULL, "70", NULL, FB_EV_STOPPED,
     false, true, 0},
    {"recalled, its branch still to come", "pass", "rendered", NULL, NULL, "70", NULL,
     FB_EV_STOPPED, false, true, 0},
    {"tried without an answer, then recalled", "pass", "recalled", "sending", NULL, "70", NULL,
     FB_EV_MAYBE_OUT, true, true, 0},
    {"the same while the branch goes on", "pass", "rendered", "sending", NULL, "70", NULL,
     FB_EV_MAYBE_OUT, true, false, 0},
    {"rejected by the policy", "reject", "rendered", NULL, NULL, NULL, NULL, FB_EV_REFUSED, false,
     false, 0},
    {"rejected and told", "reject", "refused", NULL, NULL, NULL, NULL, FB_EV_REFUSED, false, true,
     0},
    {"to be uploaded", "secure", "rendered", NULL, NULL, NULL, NULL, FB_EV_WAITING, false, false,
     0},
    {"recalled while the upload may be granting", "secure", "rendered", NULL, NULL, "70", NULL,
     FB_EV_STOPPED, false, false, 0},
    {"recalled before the upload began", "secure", "recalled", "recalled", NULL, "70", NULL,
     FB_EV_STOPPED, false, true, 0},
    {"granted, notice to come", "secure", "uploaded", NULL, "active|1|100||", NULL, NULL,
     FB_EV_WAITING, false, false, 0},
    {"open", "secure", "sent", "sending", "active|1|100||", NULL, NULL, FB_EV_OPEN, true, false, 0},
    {"opened", "secure", "sent", "sending", "opened|1|100||", NULL, NULL, FB_EV_OPEN, true, false,
     0},
    {"notice refused, the access stands", "secure", "refused", "sending", "active|1|100||", NULL,
     NULL, FB_EV_OPEN, false, false, 0},
    {"restored, its notice was kept back", "secure", "recalled", "recalled", "active|2|100||", NULL,
     NULL, FB_EV_OPEN, false, false, 0},
    {"recall asked", "secure", "sent", "sending", "active|1|100||", "70", NULL, FB_EV_CLOSING, true,
     false, 0},
    {"recall asked, notice stopped, access stands", "secure", "recalled", "recalled",
     "active|1|100||", "70", NULL, FB_EV_CLOSING, false, false, 0},
    {"recalled, log complete", "secure", "sent", "sending", "recalled|1|1400||", "70", NULL,
     FB_EV_CLOSED, true, true, 1400},
    {"recalled, log not complete", "secure", "sent", "sending", "recalled|1|1401||", "70", NULL,
     FB_EV_CLOSED, true, false, 1401},
    {"recalled with its content", "secure", "sent", "sending", "purged|1|1400||", "70", NULL,
     FB_EV_CLOSED, true, true, 1400},
    {"purged first, then recalled", "secure", "sent", "sending", "purged|1|1400||", "1500", NULL,
     FB_EV_ENDED, true, true, 1400},
    {"expired", "secure", "sent", "sending", "expired|1|1400||", NULL, NULL, FB_EV_ENDED, true,
     true, 1400},
    {"expired, log not complete", "secure", "sent", "sending", "expired|1|1500||", NULL, NULL,
     FB_EV_ENDED, true, false, 1500},
    {"stopped, its grant was taken back", "secure", "recalled", "recalled", "recalled|1|1400||",
     "70", NULL, FB_EV_STOPPED, false, true, 1400},
    {"the same, log not complete", "secure", "recalled", "recalled", "recalled|1|1900||", "70",
     NULL, FB_EV_STOPPED, false, false, 1900},
    {"sent, no grant is known", "secure", "sent", "sending", NULL, NULL, NULL, FB_EV_MAYBE_OUT,
     true, true, 0},
    {"secured in vain, then delivered as it came", "secure", "sent", "sending", "recalled|1|100||",
     "70", "deliver", FB_EV_PLAIN, true, true, 100},
    {"delivered as it came without a parcel", "secure", "sent", "sending", NULL, NULL, "deliver",
     FB_EV_PLAIN, true, true, 0},
    {"to be delivered as it came, recalled in time", "secure", "recalled", "recalled",
     "active|1|100||", "70", "deliver", FB_EV_CLOSING, false, false, 0},
    {"given up and rejected", "secure", "refused", NULL, NULL, NULL, "reject", FB_EV_REFUSED, false,
     true, 0},
};

static void each_kind_is_what_is_known_and_no_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        message(r->kind, r->branch);
        if (r->grant != NULL) {
            upload(r->grant);
        }
        if (r->claim != NULL) {
            set(M, "s:0", r->claim);
        }
        if (r->mark != NULL) {
            set(M, "x:0", r->mark);
        }
        if (r->forced != NULL) {
            set(M, "f:0", r->forced);
        }
        see(2000);
        const struct fb_evidence *e = look();
        if (e->kind != r->want || e->is_notice_out != r->is_out || e->is_final != r->is_final ||
            e->removed_ms != r->removed_ms) {
            fail_msg("%s: got %s out %d final %d removed %lld, want %s %d %d %lld", r->name,
                     fb_evidence_kind_name(e->kind), e->is_notice_out, e->is_final,
                     (long long)e->removed_ms, fb_evidence_kind_name(r->want), r->is_out,
                     r->is_final, (long long)r->removed_ms);
        }
        assert_int_equal(e->complete_ms, r->removed_ms > 0 ? r->removed_ms + SETTLE : 0);
        assert_string_equal(e->address, "a@x.jp");
    }
}

/* ---- the log ---- */

static void a_storage_that_tells_nothing_proves_nothing(void **state)
{
    (void)state;
    message("secure", "sent");
    upload("recalled|1|100||");
    set(M, "s:0", "sending");
    set(M, "x:0", "70");
    const struct fb_evidence *e = look();
    assert_int_equal(e->kind, FB_EV_CLOSED);
    assert_int_equal(e->log_until_ms, 0);
    assert_false(e->is_final);
    see(699);
    e = look();
    assert_int_equal(e->log_until_ms, 699);
    assert_false(e->is_final);
    see(700);
    assert_true(look()->is_final);
}

static void the_later_of_the_two_streams_counts_and_it_never_goes_back(void **state)
{
    (void)state;
    int64_t ms = -1;
    char token[FB_LEASE_TOKEN] = "";
    assert_status(FB_OK, fb_lease_keep(q.r, "watch", 60000, token, &q.err));
    assert_status(FB_OK, fb_ledger_seen(q.r, "box", "7", &ms, &q.err));
    assert_int_equal(ms, 0);
    assert_status(FB_OK, fb_ledger_seen_set(q.r, token, "box user 7", 500, &q.err));
    assert_status(FB_OK, fb_ledger_seen_set(q.r, token, "box user 8", 900, &q.err));
    assert_status(FB_OK, fb_ledger_seen_set(q.r, token, "other user 7", 900, &q.err));
    assert_status(FB_OK, fb_ledger_seen_set(q.r, token, "box user 7", 400, &q.err));
    assert_status(FB_OK, fb_ledger_seen(q.r, "box", "7", &ms, &q.err));
    assert_int_equal(ms, 500);
    assert_status(FB_OK, fb_ledger_seen_set(q.r, token, "box enterprise ", 600, &q.err));
    assert_status(FB_OK, fb_ledger_seen(q.r, "box", "7", &ms, &q.err));
    assert_int_equal(ms, 600);
    /* What is to be read again was not read. */
    assert_status(FB_OK, fb_ledger_positions_forget(q.r, &q.err));
    assert_status(FB_OK, fb_ledger_seen(q.r, "box", "7", &ms, &q.err));
    assert_int_equal(ms, 0);
}

/* What a storage did not keep, and what was passed over, is said to be lost; a gap that ended before
 * the mail came is none. */
static void a_gap_in_the_events_is_told(void **state)
{
    (void)state;
    const int64_t day = 86400000;
    char token[FB_LEASE_TOKEN] = "";
    message("secure", "sent");
    upload("active|1|100||");
    set(M, "at", "8640000000"); /* day 100 */
    set(M, "u:0", "8640000050");
    assert_status(FB_OK, fb_lease_keep(q.r, "watch", 60000, token, &q.err));
    see(100 * day); /* the first look: 14 days are kept */
    see(114 * day);
    assert_int_equal(look()->log_from_ms, 0);
    see(129 * day);
    assert_int_equal(look()->log_from_ms, 115 * day);
    assert_status(FB_OK, fb_ledger_seen_from(q.r, token, "box user ", 110 * day, &q.err));
    assert_int_equal(look()->log_from_ms, 115 * day);
    assert_status(FB_OK, fb_ledger_seen_from(q.r, token, "box user ", 120 * day, &q.err));
    assert_int_equal(look()->log_from_ms, 120 * day);
    set(M, "at", "10400000000"); /* behind it */
    assert_int_equal(look()->log_from_ms, 0);
}

/* Until the ledger knew the parcel its events were put by. */
static void nothing_is_said_of_the_time_before_the_parcel_was_known(void **state)
{
    (void)state;
    message("secure", "sent");
    upload("active|1|100||");
    set(M, "at", "1000");
    set(M, "u:0", "5000");
    see(4000);
    assert_int_equal(look()->log_until_ms, 1000);
    see(5000);
    assert_int_equal(look()->log_until_ms, 5000);
}

/* An event that was dropped for want of room is a gap. */
static void what_could_not_be_put_by_is_a_gap(void **state)
{
    (void)state;
    char token[FB_LEASE_TOKEN] = "";
    const char *const ids[] = {"x"};
    const char *const texts[] = {"{}"};
    message("secure", "sent");
    upload("active|1|100||");
    set(M, "at", "1000");
    see(5000);
    for (int i = 0; i < 10000; i++) {
        char field[16];
        (void)snprintf(field, sizeof field, "%d", i);
        set("fb:{s0}:watch:parked", field, "{}");
    }
    assert_status(FB_OK, fb_lease_keep(q.r, "watch", 60000, token, &q.err));
    const struct fb_ledger_page page = {.token = token,
                                        .stream = "box user ",
                                        .old_position = "",
                                        .new_position = "1",
                                        .park_ids = ids,
                                        .park_texts = texts,
                                        .park_count = 1};
    assert_int_equal(look()->log_from_ms, 0);
    enum fb_ledger_recorded got = FB_EVENT_KNOWN;
    assert_status(FB_OK, fb_ledger_record(q.r, &page, &got, &q.err));
    assert_true(look()->log_from_ms > 1000);
}

static void a_stalled_leader_cannot_say_how_far_it_read(void **state)
{
    (void)state;
    int64_t ms = -1;
    char old[FB_LEASE_TOKEN] = "";
    char fresh[FB_LEASE_TOKEN] = "";
    assert_status(FB_OK, fb_lease_keep(q.r, "old", 60000, old, &q.err));
    assert_status(FB_OK, fb_ledger_seen_set(q.r, old, "box user ", 100, &q.err));
    assert_status(FB_OK, fb_lease_end(q.r, "old", &q.err));
    assert_status(FB_OK, fb_lease_keep(q.r, "fresh", 60000, fresh, &q.err));
    assert_status(FB_LOST, fb_ledger_seen_set(q.r, old, "box user ", 900, &q.err));
    assert_status(FB_LOST, fb_ledger_seen_set(q.r, "", "box user ", 900, &q.err));
    assert_status(FB_OK, fb_ledger_seen(q.r, "box", "", &ms, &q.err));
    assert_int_equal(ms, 100);
}

/* ---- accesses ---- */

static void the_first_of_each_kind_of_access_is_told(void **state)
{
    (void)state;
    message("secure", "sent");
    upload("active|1|100||");
    set(M, "s:0", "sending");
    set(M, "s:1", "sending");
    access_of(FB_EVENT_PREVIEW, 0, 900);
    access_of(FB_EVENT_PREVIEW, 0, 800); /* comes late */
    access_of(FB_EVENT_PREVIEW, 0, 1000);
    access_of(FB_EVENT_DOWNLOAD, 0, 950);
    access_of(FB_EVENT_ACCEPTED, 1, 500);
    const struct fb_evidence *e = look();
    assert_int_equal(e[0].opened_ms, 800);
    assert_int_equal(e[0].downloaded_ms, 950);
    assert_int_equal(e[0].previews, 3);
    assert_int_equal(e[0].downloads, 1);
    assert_int_equal(e[1].opened_ms, 0);
    assert_int_equal(e[1].downloaded_ms, 0);
    assert_false(e[0].by_others);
}

static void accesses_of_others_are_told_as_theirs(void **state)
{
    (void)state;
    message("secure", "sent");
    upload("active|1|100||");
    set(M, "s:0", "sending");
    access_of(FB_EVENT_DOWNLOAD, UINT32_MAX, 900);
    access_of(FB_EVENT_PREVIEW, UINT32_MAX, 700);
    for (int i = 0; i < 3; i++) {
        const struct fb_evidence *e = &look()[i];
        assert_true(e->by_others);
        assert_int_equal(e->others_ms, 700);
        assert_int_equal(e->opened_ms + e->downloaded_ms, 0);
        assert_int_equal(e->previews + e->downloads, 0);
    }
    access_of(FB_EVENT_LINK_REMOVED, UINT32_MAX, 600); /* is no access */
    assert_int_equal(look()->others_ms, 700);
}

/* Without a notice, but with an account: whoever looked was not stopped. */
static void whoever_looked_was_not_stopped(void **state)
{
    (void)state;
    message("secure", "recalled");
    upload("active|1|100||");
    set(M, "s:0", "recalled");
    set(M, "x:0", "70");
    access_of(FB_EVENT_PREVIEW, 0, 60);
    set(G, "0", "recalled|1|1400||");
    see(2000);
    const struct fb_evidence *e = look();
    assert_int_equal(e->kind, FB_EV_CLOSED);
    assert_false(e->is_notice_out);
    assert_int_equal(e->opened_ms, 60);
    assert_true(e->is_final);
}

static void who_was_invited_is_pending(void **state)
{
    (void)state;
    message("secure", "sent");
    upload("pending|1|100||");
    set(M, "s:0", "sending");
    const struct fb_evidence *e = look();
    assert_int_equal(e->kind, FB_EV_OPEN);
    assert_true(e->is_pending);
}

/* ---- recalls ---- */

static void ask(const uint32_t *recipients, size_t count)
{
    assert_status(FB_OK, fb_queue_prepare(q.r, &q.err));
    assert_status(FB_OK, recall(q.r, MSG, recipients, count, false, "boss", NULL, &q.err));
}

static void end_job(const char *failure, uint32_t recipient, const char *state)
{
    struct fb_claim claim = take(FB_STAGE_REVOKE, "a");
    struct fb_ops *ops = fb_ops_new();
    if (failure != NULL) {
        struct fb_error why = {.status = FB_OK};
        (void)fb_error_set(&why, FB_DENIED, "%s", failure);
        fb_ledger_recall_job_failed(q.r, ops, &claim.job, &why);
    } else {
        fb_ledger_recall_job_done(q.r, ops, &claim.job);
        fb_ledger_grant(q.r, ops, PARCEL, recipient, "active", state, "1", "boss", "revoke");
    }
    assert_status(FB_OK, fb_queue_advance(q.r, "a", &claim, NULL, 0, ops, &q.err));
    fb_ops_free(&ops);
}

static void of_two_only_the_recalled_one_is_closed(void **state)
{
    (void)state;
    const uint32_t first[] = {0};
    message("secure", "sent");
    upload("active|1|100||");
    set(M, "s:0", "sending");
    set(M, "s:1", "sending");
    ask(first, 1);
    const struct fb_evidence *e = look();
    assert_int_equal(e[0].kind, FB_EV_CLOSING);
    assert_int_equal(e[1].kind, FB_EV_OPEN);
    int64_t before = fb_now_ms();
    end_job(NULL, 0, "recalled");
    e = look();
    assert_int_equal(e[0].kind, FB_EV_CLOSED);
    assert_true(e[0].removed_ms >= before && e[0].removed_ms <= fb_now_ms());
    assert_int_equal(e[1].kind, FB_EV_OPEN);
    assert_false(e[0].is_final || e[1].is_final);
    see(fb_now_ms() + SETTLE);
    e = look();
    assert_true(e[0].is_final);
    assert_false(e[1].is_final);
}

static void a_removal_that_failed_is_no_removal(void **state)
{
    (void)state;
    const uint32_t first[] = {0};
    message("secure", "sent");
    upload("active|1|100||");
    set(M, "s:0", "sending");
    set(M, "s:1", "sending");
    ask(first, 1);
    end_job("no", 0, "");
    see(fb_now_ms() + 10 * SETTLE);
    const struct fb_evidence *e = look();
    assert_int_equal(e[0].kind, FB_EV_FAILED);
    assert_int_equal(e[0].removed_ms, 0);
    assert_false(e[0].is_final);
    assert_int_equal(e[1].kind, FB_EV_OPEN);
    pause_ms(2);
    ask(NULL, 0); /* asked again: it is being tried */
    e = look();
    assert_int_equal(e[0].kind, FB_EV_CLOSING);
    assert_int_equal(e[1].kind, FB_EV_CLOSING);
    end_job("no again", 0, "");
    e = look();
    assert_int_equal(e[0].kind, FB_EV_FAILED);
    assert_int_equal(e[1].kind, FB_EV_FAILED);
}

static void restored_and_recalled_again_all_accesses_count(void **state)
{
    (void)state;
    const uint32_t first[] = {0};
    message("secure", "sent");
    upload("active|1|100||");
    set(M, "s:0", "sending");
    access_of(FB_EVENT_PREVIEW, 0, 500);
    ask(first, 1);
    end_job(NULL, 0, "recalled");
    assert_int_equal(look()->kind, FB_EV_CLOSED);
    /* Restored: as revoke does it, with a new grant. */
    struct fb_job job = {.stage = FB_STAGE_REVOKE, .op = FB_REVOKE_RESTORE, .msg_id = MSG};
    fb_trace_new(job.trace);
    struct fb_ops *ops = fb_ops_new();
    fb_ledger_restored(q.r, ops, MSG, 0, first, 1);
    fb_ledger_grant(q.r, ops, PARCEL, 0, "recalled", "active", "2", "boss", "revoke");
    assert_status(FB_OK, fb_queue_add(q.r, &job, ops, &q.err));
    fb_ops_free(&ops);
    (void)take(FB_STAGE_REVOKE, "a");
    const struct fb_evidence *e = look();
    assert_int_equal(e->kind, FB_EV_OPEN);
    assert_int_equal(e->removed_ms, 0);
    assert_false(e->is_final);
    assert_int_equal(e->opened_ms, 500);
    access_of(FB_EVENT_PREVIEW, 0, 1500);
    access_of(FB_EVENT_DOWNLOAD, 0, 1600);
    pause_ms(2);
    ask(first, 1);
    assert_int_equal(look()->kind, FB_EV_CLOSING);
    end_job(NULL, 0, "recalled");
    see(fb_now_ms() + SETTLE);
    e = look();
    assert_int_equal(e->kind, FB_EV_CLOSED);
    assert_true(e->is_final);
    assert_int_equal(e->opened_ms, 500);
    assert_int_equal(e->downloaded_ms, 1600);
    assert_int_equal(e->previews, 2);
    assert_int_equal(e->downloads, 1);
}

static void a_rebuilt_parcel_says_from_when_its_log_is(void **state)
{
    (void)state;
    message("secure", "sent");
    upload("active|1|100||");
    set("fb:{s0}:p:" PARCEL, "rebuilt", "1300000000000");
    set(M, "i:1", "9999"); /* a recipient of whom nothing came back */
    set(M, "r:1", "");
    assert_int_equal(redis_fixture_int(&q.redis, "HDEL", G, "1", NULL), 1);
    const struct fb_evidence *e = look();
    assert_int_equal(e[0].log_from_ms, 1300000000000 - 14LL * 86400000);
    assert_int_equal(e[1].kind, FB_EV_MAYBE_OUT);
    assert_true(e[1].is_notice_out);
    assert_int_equal(e[1].log_until_ms, 0);
}

#define VAULT_ID "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd"

/* No stream tells of a vault: its log is what the portal wrote, and complete as it is. */
static void a_vaults_log_reaches_until_now_and_is_final_with_the_recall(void **state)
{
    (void)state;
    char grant[200], now[24];
    message("secure", "sent");
    (void)snprintf(grant, sizeof grant, "active|" VAULT_ID "|100||");
    upload(grant);
    set("fb:{s0}:p:" PARCEL, "storage", "vault");
    set(M, "s:0", "sending");
    const struct fb_evidence *e = look();
    assert_true(m.recipients[0].is_vault && m.branches[0].is_vault);
    assert_string_equal(m.recipients[0].grant_id, VAULT_ID);
    assert_int_equal(e[0].kind, FB_EV_OPEN);
    assert_in_range(e[0].log_until_ms, fb_now_ms() - 60000, fb_now_ms());
    assert_int_equal(e[0].log_from_ms, 0);
    (void)snprintf(now, sizeof now, "%lld", (long long)fb_now_ms());
    (void)snprintf(grant, sizeof grant, "recalled|" VAULT_ID "|%s||", now);
    set(G, "0", grant);
    set(M, "x:0", "70");
    e = look();
    assert_int_equal(e[0].kind, FB_EV_CLOSED);
    assert_true(e[0].is_final); /* nothing is waited for */
    assert_int_equal(e[0].complete_ms, e[0].removed_ms);
    assert_false(e[1].is_final);
    /* One link for everybody is not a vault's, whatever its access. */
    set("fb:{s0}:p:" PARCEL, "access", "company");
    (void)look();
    assert_false(fb_ledger_is_by_link(&m.branches[0]));
    /* What was recorded before a rebuild is lost. */
    set("fb:{s0}:p:" PARCEL, "rebuilt", "1300000000000");
    assert_int_equal(look()[0].log_from_ms, 1300000000000);
}

static void of_a_parcel_with_a_fallback_each_grant_has_its_own_log(void **state)
{
    (void)state;
    message("secure", "sent");
    upload("active|1|100||");
    set("fb:{s0}:p:" PARCEL, "fallback", "vault");
    set(G, "1", "active|" VAULT_ID "|100||");
    see(2000);
    const struct fb_evidence *e = look();
    assert_string_equal(m.branches[0].fallback, "vault");
    assert_false(m.branches[0].is_vault);
    assert_false(m.recipients[0].is_vault);
    assert_true(m.recipients[1].is_vault);
    assert_int_equal(e[0].log_until_ms, 2000);
    assert_true(e[1].log_until_ms > 2000);
}

static int close_all(void **state)
{
    forget();
    return queue_test_close(state);
}

int main(void)
{
#define PROMISE(f) cmocka_unit_test_setup_teardown(f, queue_test_wipe, close_all)
    const struct CMUnitTest tests[] = {
        PROMISE(each_kind_is_what_is_known_and_no_more),
        PROMISE(a_storage_that_tells_nothing_proves_nothing),
        PROMISE(the_later_of_the_two_streams_counts_and_it_never_goes_back),
        PROMISE(a_stalled_leader_cannot_say_how_far_it_read),
        PROMISE(the_first_of_each_kind_of_access_is_told),
        PROMISE(a_gap_in_the_events_is_told),
        PROMISE(nothing_is_said_of_the_time_before_the_parcel_was_known),
        PROMISE(what_could_not_be_put_by_is_a_gap),
        PROMISE(accesses_of_others_are_told_as_theirs),
        PROMISE(whoever_looked_was_not_stopped),
        PROMISE(who_was_invited_is_pending),
        PROMISE(of_two_only_the_recalled_one_is_closed),
        PROMISE(a_removal_that_failed_is_no_removal),
        PROMISE(restored_and_recalled_again_all_accesses_count),
        PROMISE(a_rebuilt_parcel_says_from_when_its_log_is),
        PROMISE(a_vaults_log_reaches_until_now_and_is_final_with_the_recall),
        PROMISE(of_a_parcel_with_a_fallback_each_grant_has_its_own_log),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
