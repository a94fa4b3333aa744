/* SPDX-License-Identifier: Apache-2.0
 *
 * After a loss of Redis the manifests bring back what recall and expiry need, and never over what
 * is there. */
#include "tests/unit/queue/queue_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/rebuild.h"
#include "common/ledger/search.h"
#include "common/title.h"
#include "tests/unit/spool/fixture.h"

#define DAY_MS (86400LL * 1000)
#define TTL_MS (400 * DAY_MS)
#define KEY    "0123456789abcdef0123456789abcdef"

static struct fx *fx;

static int set_up(void **state)
{
    void *own = NULL;
    int rc = queue_test_wipe(state);
    if (rc == 0) {
        rc = fx_setup(&own);
        fx = own;
    }
    return rc;
}

static int tear_down(void **state)
{
    void *own = fx;
    int rc = fx_teardown(&own);
    return queue_test_close(state) != 0 ? -1 : rc;
}

static char word[] = "recipients", none[] = "", storage[] = "box", folder[] = "4711",
            link_[] = "https://box.example/s/secret", active[] = "active", pending[] = "pending",
            recalled[] = "recalled", from[] = "Sender@Example.jp", subject[] = "見積書 | 2026",
            language[] = "ja", rule[] = "out | bound";
static char grant_ids[2][72] = {"g1", "g2"};

/* A manifest of two recipients of a branch; more: what newer programs have in it. */
static void put_manifest_with(const char *msg_id, uint32_t branch, uint32_t first,
                              int64_t expires_ms, const struct fb_parcel *more,
                              char parcel_id[FB_PARCEL_ID_SIZE])
{
    char addresses[2][64];
    struct fb_buf bytes;
    fb_parcel_id_make(msg_id, branch, parcel_id);
    struct fb_parcel_grant grants[2];
    for (uint32_t i = 0; i < 2; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "Person%u@Example.com", first + i);
        grants[i] = (struct fb_parcel_grant){.recipient = first + i,
                                             .address = addresses[i],
                                             .grant_id = grant_ids[i],
                                             .state = i == 0 ? active : pending};
    }
    struct fb_parcel p = more != NULL ? *more : (struct fb_parcel){.version = 0};
    p.storage = storage;
    p.user = none;
    p.folder_id = folder;
    p.link = link_;
    p.password = none;
    p.access = word;
    p.can_download = true;
    p.expires_ms = expires_ms;
    p.grants = grants;
    p.grant_count = 2;
    if (more != NULL) {
        grants[0].state = recalled;
    }
    (void)snprintf(p.parcel_id, sizeof p.parcel_id, "%s", parcel_id);
    fb_buf_init(&bytes, 1U << 20);
    assert_status(FB_OK, fb_parcel_encode(&p, &bytes));
    assert_status(FB_OK, fb_spool_manifest_put(fx->spool, parcel_id, fb_slice_buf(&bytes), &q.err));
    fb_buf_deinit(&bytes);
}

/* As upload left it before the ledger's fields were in it. */
static void put_manifest(const char *msg_id, uint32_t branch, uint32_t first, int64_t expires_ms,
                         char parcel_id[FB_PARCEL_ID_SIZE])
{
    put_manifest_with(msg_id, branch, first, expires_ms, NULL, parcel_id);
}

static struct fb_rebuild_result rebuild(void)
{
    struct fb_rebuild_result r;
    assert_status(FB_OK, fb_ledger_rebuild(fx->spool, q.r, TTL_MS, KEY, &r, &q.err));
    return r;
}

static void note(void *ctx, const struct fb_ledger_message *m)
{
    (void)snprintf(ctx, FB_PARCEL_ID_SIZE, "%s", m->msg_id);
}

/* The mail of a sender or to a recipient, as a search finds it. */
static void find(const char *sender, const char *recipient, char found[FB_PARCEL_ID_SIZE])
{
    struct fb_search_end end = {.is_cut = false};
    const struct fb_search s = {
        .sender = sender, .recipient = recipient, .until_ms = INT64_MAX / 4, .limit = 10};
    assert_status(FB_OK, fb_ledger_search(q.r, &s, note, found, &end, &q.err));
}

static void parcels_grants_and_expiry_are_known_again(void **state)
{
    (void)state;
    char msg_id[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE], found[FB_PARCEL_ID_SIZE] = "";
    struct fb_ledger_message m;
    int64_t expires = fb_now_ms() + 30 * DAY_MS;
    fb_id_new(msg_id);
    put_manifest(msg_id, 0, 0, expires, parcel);
    struct fb_rebuild_result r = rebuild();
    assert_int_equal(r.restored, 1);
    assert_int_equal(r.known + r.in_flight + r.damaged, 0);
    assert_status(FB_OK, fb_ledger_get(q.r, msg_id, &m, &q.err));
    assert_string_equal(m.state, "done");
    assert_int_equal(m.accepted_ms, fb_id_time_ms(msg_id));
    assert_int_equal(m.recipient_count, 2);
    assert_string_equal(m.recipients[0].address, "Person0@Example.com");
    assert_string_equal(m.recipients[0].state, "sent");
    assert_string_equal(m.recipients[0].grant_state, "active");
    assert_string_equal(m.recipients[1].grant_state, "pending");
    assert_string_equal(m.recipients[1].grant_id, "g2");
    assert_int_equal(m.branch_count, 1);
    assert_string_equal(m.branches[0].kind, "secure");
    assert_string_equal(m.branches[0].parcel_id, parcel);
    assert_string_equal(m.branches[0].storage, "box");
    assert_string_equal(m.branches[0].folder_id, "4711");
    assert_int_equal(m.branches[0].expires_ms, expires);
    fb_ledger_message_deinit(&m);
    find(NULL, "person1@example.com", found);
    assert_string_equal(found, msg_id);
    struct fb_due_item item;
    size_t count = 0;
    assert_status(FB_OK, fb_ledger_due_take(q.r, 0, expires + 1, 1, 1, &item, &count, &q.err));
    assert_int_equal(count, 1);
    assert_int_equal(item.kind, FB_DUE_EXPIRE);
    assert_string_equal(item.id, parcel);
}

static void sender_title_rule_and_what_is_due_are_known_again(void **state)
{
    (void)state;
    char msg_id[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE], found[FB_PARCEL_ID_SIZE] = "";
    struct fb_ledger_message m;
    struct fb_title title;
    int64_t now = fb_now_ms();
    const struct fb_parcel more = {.from = from,
                                   .subject = subject,
                                   .language = language,
                                   .rule = rule,
                                   .accepted_ms = now - 5000,
                                   .remind_ms = now + 3 * DAY_MS,
                                   .purge_ms = now + 60 * DAY_MS,
                                   .sends_receipt = true};
    fb_id_new(msg_id);
    put_manifest_with(msg_id, 0, 0, now + 30 * DAY_MS, &more, parcel);
    assert_int_equal(rebuild().restored, 1);
    assert_status(FB_OK, fb_ledger_get(q.r, msg_id, &m, &q.err));
    assert_string_equal(m.from, "Sender@Example.jp");
    assert_int_equal(m.accepted_ms, now - 5000);
    assert_non_null(m.title);
    assert_null(strstr(m.title, "2026"));
    assert_status(FB_OK, fb_title_open(KEY, msg_id, m.title, &title));
    assert_string_equal(title.subject, subject);
    assert_string_equal(title.language, "ja");
    assert_string_equal(m.branches[0].rule, "out | bound");
    assert_true(m.branches[0].sends_receipt && m.branches[0].rebuilt_ms >= now);
    assert_int_equal(m.branches[0].remind_ms, now + 3 * DAY_MS);
    assert_int_equal(m.branches[0].purge_ms, now + 60 * DAY_MS);
    assert_string_equal(m.recipients[0].grant_state, "recalled");
    assert_true(m.recipients[0].is_recalled && !m.recipients[1].is_recalled);
    struct fb_evidence *e = NULL;
    assert_status(FB_OK, fb_ledger_evidence(q.r, &m, 1000, &e, &q.err));
    assert_int_equal(e[0].kind, FB_EV_CLOSED);
    assert_false(e[0].is_final);
    assert_int_equal(e[1].kind, FB_EV_OPEN);
    assert_true(e[0].log_from_ms > 0);
    free(e);
    fb_ledger_message_deinit(&m);
    find("sender@example.jp", NULL, found);
    assert_string_equal(found, msg_id);
    struct fb_due_item items[5];
    size_t count = 0;
    assert_status(FB_OK, fb_ledger_due_take(q.r, 0, INT64_MAX / 4, 1, 5, items, &count, &q.err));
    assert_int_equal(count, 3);
    assert_int_equal(items[0].kind, FB_DUE_UNOPENED);
    assert_int_equal(items[1].kind, FB_DUE_EXPIRE);
    assert_int_equal(items[2].kind, FB_DUE_PURGE);
}

static void who_reads_in_the_fallback_is_known_again(void **state)
{
    (void)state;
    char msg_id[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE];
    char vault[] = "vault",
         hash[] = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd";
    struct fb_ledger_message m;
    fb_id_new(msg_id);
    (void)snprintf(grant_ids[1], sizeof grant_ids[1], "%s", hash);
    const struct fb_parcel more = {.from = from, .fallback = vault};
    put_manifest_with(msg_id, 0, 0, fb_now_ms() + 30 * DAY_MS, &more, parcel);
    (void)snprintf(grant_ids[1], sizeof grant_ids[1], "g2");
    assert_int_equal(rebuild().restored, 1);
    assert_status(FB_OK, fb_ledger_get(q.r, msg_id, &m, &q.err));
    assert_string_equal(m.branches[0].fallback, "vault");
    assert_string_equal(m.branches[0].storage, "box");
    assert_false(m.recipients[0].is_vault);
    assert_true(m.recipients[1].is_vault);
    assert_string_equal(m.recipients[1].grant_id, hash);
    fb_ledger_message_deinit(&m);
}

static void a_reminder_of_long_ago_does_not_come_again(void **state)
{
    (void)state;
    char msg_id[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE];
    const struct fb_parcel more = {.from = from, .remind_ms = fb_now_ms() - 2 * DAY_MS};
    uint64_t count = 9;
    fb_id_new(msg_id);
    put_manifest_with(msg_id, 0, 0, 0, &more, parcel);
    assert_int_equal(rebuild().restored, 1);
    assert_status(FB_OK, fb_ledger_due_count(q.r, INT64_MAX / 4, &count, &q.err));
    assert_int_equal(count, 0);
}

static void a_rebuilt_message_can_be_recalled_and_was_out(void **state)
{
    (void)state;
    char msg_id[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE];
    bool was_out[2] = {false, false};
    fb_id_new(msg_id);
    put_manifest(msg_id, 0, 0, 0, parcel);
    (void)rebuild();
    assert_status(FB_OK, recall(q.r, msg_id, NULL, 0, false, "operator", was_out, &q.err));
    assert_true(was_out[0] && was_out[1]);
    struct fb_claim claim = take(FB_STAGE_REVOKE, "a");
    assert_string_equal(claim.job.msg_id, msg_id);
    assert_int_equal(claim.job.branch, 0);
}

static void branches_come_together_and_others_stay_unknown(void **state)
{
    (void)state;
    char msg_id[FB_ID_SIZE], parcel[2][FB_PARCEL_ID_SIZE];
    struct fb_ledger_message m;
    bool was_out[6] = {false};
    fb_id_new(msg_id);
    put_manifest(msg_id, 2, 4, 0, parcel[1]); /* branch 0 and recipients 0, 1 had no parcel */
    put_manifest(msg_id, 1, 2, 0, parcel[0]);
    assert_int_equal(rebuild().restored, 2);
    assert_status(FB_OK, fb_ledger_get(q.r, msg_id, &m, &q.err));
    assert_int_equal(m.recipient_count, 6);
    assert_int_equal(m.branch_count, 3);
    assert_string_equal(m.branches[0].parcel_id, "");
    assert_string_equal(m.branches[1].parcel_id, parcel[0]);
    assert_string_equal(m.branches[2].parcel_id, parcel[1]);
    assert_string_equal(m.recipients[0].address, "");
    assert_int_equal(m.recipients[2].branch, 1);
    assert_int_equal(m.recipients[5].branch, 2);
    fb_ledger_message_deinit(&m);
    const uint32_t one[] = {2};
    assert_status(FB_OK, recall(q.r, msg_id, one, 1, false, "operator", was_out, &q.err));
    struct fb_claim claim = take(FB_STAGE_REVOKE, "a");
    assert_int_equal(claim.job.branch, 1);
    assert_int_equal(claim.job.recipient_count, 1);
    assert_int_equal(claim.job.recipients[0], 2);
}

static void what_is_there_is_not_touched(void **state)
{
    (void)state;
    char msg_id[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE], key[100];
    fb_id_new(msg_id);
    put_manifest(msg_id, 0, 0, 0, parcel);
    (void)rebuild();
    (void)snprintf(key, sizeof key, "fb:{s0}:g:%s", parcel);
    assert_int_equal(redis_fixture_int(&q.redis, "HSET", key, "0", "recalled|g1|5||revoke", NULL),
                     0);
    struct fb_rebuild_result r = rebuild();
    assert_int_equal(r.restored, 0);
    assert_int_equal(r.known, 1);
    struct fb_ledger_message m;
    assert_status(FB_OK, fb_ledger_get(q.r, msg_id, &m, &q.err));
    assert_string_equal(m.recipients[0].grant_state, "recalled");
    fb_ledger_message_deinit(&m);
}

static void a_message_in_flight_is_left_to_its_jobs(void **state)
{
    (void)state;
    char parcel[FB_PARCEL_ID_SIZE], key[100];
    struct fb_job job = rendered(1);
    put_manifest(job.msg_id, 0, 0, 0, parcel);
    struct fb_rebuild_result r = rebuild();
    assert_int_equal(r.in_flight, 1);
    assert_int_equal(r.restored, 0);
    (void)snprintf(key, sizeof key, "fb:{s0}:p:%s", parcel);
    assert_int_equal(redis_fixture_int(&q.redis, "EXISTS", key, NULL), 0);
    assert_false(message_has(job.msg_id, "u:0"));
}

static void a_replay_does_not_send_a_rebuilt_message_again(void **state)
{
    (void)state;
    char parcel[FB_PARCEL_ID_SIZE];
    struct fb_job job = render_job();
    enum fb_status s = FB_BUG;
    put_manifest(job.msg_id, 0, 0, 0, parcel);
    (void)rebuild();
    assert_status(FB_OK, fb_queue_enqueue(q.r, &job, NULL, 1, &s, &q.err));
    assert_int_equal(s, FB_EXISTS);
    assert_int_equal(stats(FB_STAGE_RENDER).waiting, 0);
}

/* Its key is not there, it is damaged, the replay was interrupted: it is not delivered all the same. */
static void mail_that_lies_in_the_spool_is_never_taken_for_delivered(void **state)
{
    (void)state;
    char parcel[FB_PARCEL_ID_SIZE], ref[FB_REF_SIZE];
    struct fb_job job = render_job();
    enum fb_status s = FB_BUG;
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 1000, 1, "envelope", job.msg_id, ref);
    fb_spool_writer_free(&writer);
    put_manifest(job.msg_id, 0, 0, 0, parcel);
    struct fb_rebuild_result r = rebuild();
    assert_int_equal(r.restored, 0);
    assert_int_equal(r.in_flight, 1);
    assert_status(FB_OK, fb_queue_enqueue(q.r, &job, NULL, 1, &s, &q.err));
    assert_status(FB_OK, s);
}

static void everything_restored_has_an_end(void **state)
{
    (void)state;
    char msg_id[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE], key[100];
    fb_id_new(msg_id);
    put_manifest(msg_id, 0, 0, fb_now_ms() + 30 * DAY_MS, parcel);
    (void)rebuild();
    const char *const kinds[] = {"m", "g"};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(key, sizeof key, "fb:{s0}:%s:%s", kinds[i], i == 0 ? msg_id : parcel);
        long long ttl = redis_fixture_int(&q.redis, "TTL", key, NULL);
        assert_in_range(ttl, (TTL_MS + 29 * DAY_MS) / 1000, (TTL_MS + 31 * DAY_MS) / 1000);
    }
}

static void a_damaged_manifest_is_counted_and_does_not_stop_the_others(void **state)
{
    (void)state;
    char good[FB_ID_SIZE], bad[FB_ID_SIZE], parcel[FB_PARCEL_ID_SIZE];
    fb_id_new(bad);
    fb_parcel_id_make(bad, 0, parcel);
    assert_status(FB_OK,
                  fb_spool_manifest_put(fx->spool, parcel, FB_SLICE_LITERAL("rubbish"), &q.err));
    fb_id_new(good);
    put_manifest(good, 0, 0, 0, parcel);
    struct fb_rebuild_result r = rebuild();
    assert_int_equal(r.restored, 1);
    assert_int_equal(r.damaged, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(parcels_grants_and_expiry_are_known_again),
        TEST(sender_title_rule_and_what_is_due_are_known_again),
        TEST(who_reads_in_the_fallback_is_known_again),
        TEST(a_reminder_of_long_ago_does_not_come_again),
        TEST(a_rebuilt_message_can_be_recalled_and_was_out),
        TEST(branches_come_together_and_others_stay_unknown),
        TEST(what_is_there_is_not_touched),
        TEST(a_message_in_flight_is_left_to_its_jobs),
        TEST(a_replay_does_not_send_a_rebuilt_message_again),
        TEST(mail_that_lies_in_the_spool_is_never_taken_for_delivered),
        TEST(everything_restored_has_an_end),
        TEST(a_damaged_manifest_is_counted_and_does_not_stop_the_others),
    };
    return cmocka_run_group_tests(tests, queue_test_start, queue_test_stop);
}
