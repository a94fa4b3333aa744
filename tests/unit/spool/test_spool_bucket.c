/* SPDX-License-Identifier: Apache-2.0
 *
 * A spool in a bucket: what differs from files.  Several ingests and workers on other machines
 * share it, one commit is one object, erasures are seen by others, and nothing of it depends on a
 * store that never fails.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/s3/s3.h"
#include "common/spool/journal.h"
#include "tests/support/s3_fixture.h"

static struct fb_spool *another(struct fx *fx)
{
    struct fb_spool *spool = NULL;
    struct fb_error err = {0};
    if (fb_spool_open(fx->url, fx->key_file, &spool, &err) != FB_OK) {
        fail_msg("open: %s", err.text);
    }
    return spool;
}

static struct fb_s3 *raw(struct fx *fx)
{
    struct fb_s3 *s3 = NULL;
    assert_int_equal(fb_s3_open(fx->url, NULL, &s3, NULL), FB_OK);
    return s3;
}

struct keys {
    char first[200];
    size_t count;
    uint64_t bytes;
};

static bool on_key(void *ctx, const struct fb_s3_entry *entry)
{
    struct keys *keys = ctx;
    if (keys->count++ == 0) {
        (void)snprintf(keys->first, sizeof keys->first, "%s", entry->key);
    }
    keys->bytes += entry->size;
    return true;
}

static struct keys list(struct fx *fx, const char *prefix)
{
    struct keys keys = {0};
    struct fb_s3 *s3 = raw(fx);
    assert_int_equal(fb_s3_list(s3, prefix, NULL, on_key, &keys, NULL), FB_OK);
    fb_s3_close(&s3);
    return keys;
}

static void faults(const char *how)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/-/faults?%s", how);
    free(s3_fixture_ask(fx_server(), "POST", path));
}

static struct fb_spool_in *waiting(struct fb_spool_writer *writer, size_t i, char id[FB_ID_SIZE])
{
    return fx_message(writer, 1000 + i, i, id);
}

static void many_waiting_messages_become_few_objects(void **state)
{
    enum { COUNT = 200 };
    struct fx *fx = *state;
    struct fb_spool_in *in[COUNT];
    static struct fx_done done[COUNT];
    char id[COUNT][FB_ID_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    for (size_t i = 0; i < COUNT; i++) {
        in[i] = waiting(writer, i, id[i]);
    }
    faults("delay=100"); /* they wait for the one before them */
    for (size_t i = 0; i < COUNT; i++) {
        fb_spool_in_submit(&in[i], FB_SLICE_LITERAL("e"), fx_on_done, &done[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        fx_wait(&done[i]);
        assert_int_equal(done[i].status, FB_OK);
    }
    faults("delay=0");
    assert_true(list(fx, "segments/").count <= 20);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(fx_check(fx, done[i].ref, 1000 + i, i, "e"), FB_OK);
    }
    fb_spool_writer_free(&writer);
}

static void an_aborted_message_leaves_nothing(void **state)
{
    struct fx *fx = *state;
    char id[FB_ID_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    struct fb_spool_in *in = fx_message(writer, 3U << 20, 1, id);
    fb_spool_in_free(&in);
    fb_spool_writer_free(&writer);
    assert_int_equal(list(fx, "").count, 1); /* spool.id */
}

struct ingest {
    struct fx *fx;
    struct fb_spool *spool;
    char name[16];
    char refs[30][FB_REF_SIZE];
    char ids[30][FB_ID_SIZE];
    size_t sizes[30];
    uint64_t seed;
};

static void *take_mail(void *arg)
{
    struct ingest *g = arg;
    struct fb_spool_writer *writer = NULL;
    if (fb_spool_writer_new(g->spool, g->name, NULL, NULL, &writer, NULL) != FB_OK) {
        return NULL;
    }
    for (size_t i = 0; i < 30; i++) {
        g->sizes[i] = i == 29 ? 2000000 : 10 + i * i * 300;
        fx_put(writer, g->sizes[i], g->seed + i, "env", g->ids[i], g->refs[i]);
    }
    fb_spool_writer_free(&writer);
    return NULL;
}

static void several_ingests_share_a_bucket_that_fails_at_times(void **state)
{
    struct fx *fx = *state;
    static struct ingest ingests[3];
    pthread_t threads[3];
    faults("rate=0.1&seed=3");
    for (int i = 0; i < 3; i++) {
        ingests[i] = (struct ingest){.fx = fx, .spool = another(fx), .seed = (uint64_t)i * 100};
        /* Two with one name: a pod that ends while its successor begins. */
        (void)snprintf(ingests[i].name, sizeof ingests[i].name, "pod-%d", i / 2);
        assert_int_equal(pthread_create(&threads[i], NULL, take_mail, &ingests[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        fb_spool_close(&ingests[i].spool);
    }
    struct fx_scan *scan = malloc(sizeof *scan);
    assert_non_null(scan);
    fx_scan(fx, scan); /* a worker elsewhere */
    assert_int_equal(scan->count, 90);
    assert_int_equal(scan->damaged, 0);
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; k < 30; k++) {
            assert_true(fx_scan_has(scan, ingests[i].ids[k]));
            assert_int_equal(
                fx_check(fx, ingests[i].refs[k], ingests[i].sizes[k], ingests[i].seed + k, "env"),
                FB_OK);
        }
    }
    faults("rate=0");
    free(scan);
}

static void an_erased_message_is_gone_for_others_and_after_a_restart(void **state)
{
    struct fx *fx = *state;
    char id[3][FB_ID_SIZE];
    char ref[3][FB_REF_SIZE];
    static const size_t size[] = {100, 200, 2000000};
    struct fx_scan *scan = malloc(sizeof *scan);
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    assert_non_null(scan);
    for (size_t i = 0; i < 3; i++) {
        fx_put(writer, size[i], i, "e", id[i], ref[i]);
    }
    fb_spool_writer_free(&writer);
    struct fb_spool *worker = another(fx);
    assert_int_equal(fb_spool_msg_erase(worker, ref[0], id[1], NULL), FB_INVALID);
    assert_int_equal(fb_spool_msg_erase(worker, ref[0], id[0], NULL), FB_OK);
    assert_int_equal(fb_spool_msg_erase(worker, ref[2], id[2], NULL), FB_OK);
    assert_int_equal(fb_spool_msg_erase(worker, ref[0], id[0], NULL), FB_OK);
    struct fb_spool_msg *msg = NULL;
    assert_int_equal(fb_spool_msg_open(worker, ref[0], &msg, NULL), FB_NOT_FOUND);
    assert_int_equal(fb_spool_msg_open(worker, ref[2], &msg, NULL), FB_NOT_FOUND);
    fb_spool_close(&worker); /* writes its erasures down */
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 1);
    assert_true(fx_scan_has(scan, id[1]));
    assert_int_equal(fx_check(fx, ref[0], size[0], 0, "e"), FB_NOT_FOUND);
    fx_reopen(fx);
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 1);
    assert_int_equal(fx_check(fx, ref[1], size[1], 1, "e"), FB_OK);
    free(scan);
}

/* Two in one object. */
static void put_pair(struct fx *fx, char id[2][FB_ID_SIZE], char ref[2][FB_REF_SIZE])
{
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    for (int tries = 0; tries < 50; tries++) {
        struct fx_done done[3] = {{0}};
        char first[FB_ID_SIZE];
        struct fb_spool_in *in[3];
        in[0] = fx_message(writer, 10, 9, first); /* while this one is put the others gather */
        in[1] = fx_message(writer, 50000, 1, id[0]);
        in[2] = fx_message(writer, 60000, 2, id[1]);
        for (int i = 0; i < 3; i++) {
            fb_spool_in_submit(&in[i], FB_SLICE_LITERAL("e"), fx_on_done, &done[i]);
        }
        for (int i = 0; i < 3; i++) {
            fx_wait(&done[i]);
            assert_int_equal(done[i].status, FB_OK);
        }
        assert_int_equal(fb_spool_msg_erase(fx->spool, done[0].ref, first, NULL), FB_OK);
        memcpy(ref[0], done[1].ref, sizeof done[1].ref);
        memcpy(ref[1], done[2].ref, sizeof done[2].ref);
        size_t len = (size_t)(strrchr(ref[0], ':') - ref[0]);
        if (strncmp(ref[0], ref[1], len) == 0) {
            fb_spool_writer_free(&writer);
            return;
        }
        assert_int_equal(fb_spool_msg_erase(fx->spool, ref[0], id[0], NULL), FB_OK);
        assert_int_equal(fb_spool_msg_erase(fx->spool, ref[1], id[1], NULL), FB_OK);
    }
    fail_msg("no two messages came into one object");
}

static void tidy_removes_dead_segments_and_shreds_what_is_erased_in_others(void **state)
{
    struct fx *fx = *state;
    char id[2][FB_ID_SIZE];
    char ref[2][FB_REF_SIZE];
    char key[200];
    static uint8_t before[256];
    static uint8_t after[60000];
    size_t got = 0;
    put_pair(fx, id, ref);
    assert_int_equal(fb_spool_msg_erase(fx->spool, ref[0], id[0], NULL), FB_OK);
    struct fb_s3 *s3 = raw(fx);
    (void)snprintf(key, sizeof key, "segments/%.*s", (int)(strrchr(ref[0], ':') - ref[0] - 2),
                   ref[0] + 2);
    uint64_t offset = strtoull(strrchr(ref[0], ':') + 1, NULL, 10);
    assert_int_equal(fb_s3_get(s3, key, offset, before, sizeof before, NULL, &got, NULL, NULL),
                     FB_OK);
    assert_memory_equal(before + 128, "LIVE", 4); /* noted only */
    /* Segments carry seconds: what is older than nothing is old enough one second later. */
    fx_sleep_ms(1200);
    struct fb_error err = {0};
    if (fb_spool_tidy(fx->spool, 0, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(list(fx, "segments/").count, 1);
    assert_int_equal(fb_s3_get(s3, key, offset, after, 50000, NULL, &got, NULL, NULL), FB_OK);
    assert_memory_equal(after + 128, "GONE", 4);
    for (size_t i = 132; i < 192; i++) {
        assert_int_equal(after[i], 0); /* the wrapped key */
    }
    for (size_t i = 256; i < got; i++) {
        assert_int_equal(after[i], 0);
    }
    assert_int_equal(fx_check(fx, ref[0], 50000, 1, "e"), FB_NOT_FOUND);
    assert_int_equal(fx_check(fx, ref[1], 60000, 2, "e"), FB_OK); /* at its old place */
    assert_int_equal(fb_spool_msg_erase(fx->spool, ref[1], id[1], NULL), FB_OK);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(list(fx, "segments/").count, 0);
    assert_int_equal(fb_spool_msg_erase(fx->spool, ref[1], id[1], NULL), FB_OK); /* again */
    fb_s3_close(&s3);
}

static void journals_stay_while_a_message_of_theirs_lives(void **state)
{
    struct fx *fx = *state;
    char id[FB_ID_SIZE];
    char ref[FB_REF_SIZE];
    static const uint32_t rcpt[] = {4}, other[] = {5};
    bool has[1] = {false};
    struct fb_journal *journal = NULL;
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 10, 1, "e", id, ref);
    fb_spool_writer_free(&writer);
    assert_int_equal(fb_journal_open(fx->spool, "a", &journal, NULL), FB_OK);
    assert_int_equal(fb_journal_commit(journal, id, 0, FB_SENT_NOTICE, rcpt, 1, NULL), FB_OK);
    assert_int_equal(fb_journal_commit(journal, id, 0, FB_SENT_RECALLED, other, 1, NULL), FB_OK);
    fb_journal_close(&journal);
    fx_sleep_ms(1200);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(list(fx, "journal/").count, 2);
    assert_int_equal(fb_journal_open(fx->spool, "b", &journal, NULL), FB_OK);
    assert_int_equal(fb_journal_lookup(journal, id, FB_SENT_NOTICE, rcpt, 1, has, NULL), FB_OK);
    assert_true(has[0]);
    /* Each kind by itself, up to the last one. */
    assert_int_equal(fb_journal_lookup(journal, id, FB_SENT_RECALLED, other, 1, has, NULL), FB_OK);
    assert_true(has[0]);
    assert_int_equal(fb_journal_lookup(journal, id, FB_SENT_RECALLED, rcpt, 1, has, NULL), FB_OK);
    assert_false(has[0]);
    assert_int_equal(fb_spool_msg_erase(fx->spool, ref, id, NULL), FB_OK);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    assert_int_equal(list(fx, "journal/").count, 0);
    fb_journal_close(&journal);
}

struct committer {
    struct fb_journal *journal;
    char id[FB_ID_SIZE];
    uint32_t rcpt;
    enum fb_status status;
};

static void *commit_one(void *arg)
{
    struct committer *c = arg;
    c->status = fb_journal_commit(c->journal, c->id, 0, FB_SENT_PASS, &c->rcpt, 1, NULL);
    return NULL;
}

static void concurrent_journal_commits_share_objects(void **state)
{
    enum { COUNT = 40 };
    struct fx *fx = *state;
    struct fb_journal *journal = NULL;
    static struct committer all[COUNT];
    pthread_t threads[COUNT];
    assert_int_equal(fb_journal_open(fx->spool, "a", &journal, NULL), FB_OK);
    faults("delay=500"); /* long enough for all to be there, however slow the machine is */
    for (uint32_t i = 0; i < COUNT; i++) {
        all[i] = (struct committer){.journal = journal, .rcpt = i};
        fb_id_new(all[i].id);
        assert_int_equal(pthread_create(&threads[i], NULL, commit_one, &all[i]), 0);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(all[i].status, FB_OK);
    }
    faults("delay=0");
    assert_true(list(fx, "journal/").count <= 10);
    fb_journal_close(&journal);
    assert_int_equal(fb_journal_open(fx->spool, "b", &journal, NULL), FB_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        bool has = false;
        assert_int_equal(
            fb_journal_lookup(journal, all[i].id, FB_SENT_PASS, &all[i].rcpt, 1, &has, NULL),
            FB_OK);
        assert_true(has);
    }
    fb_journal_close(&journal);
}

static bool count_parcel(void *ctx, const char *parcel_id)
{
    size_t *count = ctx;
    (void)parcel_id;
    (*count)++;
    return true;
}

static void manifests_live_until_they_are_removed(void **state)
{
    struct fx *fx = *state;
    char id[FB_ID_SIZE];
    char parcel[FB_PARCEL_ID_SIZE];
    size_t count = 0;
    struct fb_buf bytes;
    fb_id_new(id);
    fb_parcel_id_make(id, 3, parcel);
    assert_int_equal(fb_spool_manifest_get(fx->spool, parcel, &bytes, NULL), FB_NOT_FOUND);
    for (int round = 0; round < 2; round++) {
        struct fb_slice text = fb_slice_str(round == 0 ? "first" : "second");
        assert_int_equal(fb_spool_manifest_put(fx->spool, parcel, text, NULL), FB_OK);
        assert_int_equal(fb_spool_manifest_get(fx->spool, parcel, &bytes, NULL), FB_OK);
        assert_true(fb_slice_eq_str(fb_slice_buf(&bytes), round == 0 ? "first" : "second"));
        fb_buf_deinit(&bytes);
    }
    assert_int_equal(fb_spool_manifest_each(fx->spool, count_parcel, &count, NULL), FB_OK);
    assert_int_equal(count, 1);
    assert_int_equal(fb_spool_manifest_remove(fx->spool, parcel, NULL), FB_OK);
    assert_int_equal(fb_spool_manifest_remove(fx->spool, parcel, NULL), FB_OK);
    assert_int_equal(fb_spool_manifest_get(fx->spool, parcel, &bytes, NULL), FB_NOT_FOUND);
}

static void damage_is_counted_and_never_read_as_mail(void **state)
{
    struct fx *fx = *state;
    char id[2][FB_ID_SIZE];
    char ref[2][FB_REF_SIZE];
    struct fx_scan *scan = malloc(sizeof *scan);
    struct fb_s3 *s3 = raw(fx);
    static uint8_t bytes[200000];
    size_t got = 0;
    assert_non_null(scan);
    put_pair(fx, id, ref);
    struct fb_s3_info info;
    char key[200];
    (void)snprintf(key, sizeof key, "segments/%.*s", (int)(strrchr(ref[0], ':') - ref[0] - 2),
                   ref[0] + 2);
    assert_int_equal(fb_s3_get(s3, key, 0, bytes, sizeof bytes, NULL, &got, &info, NULL), FB_OK);
    bytes[strtoull(strrchr(ref[0], ':') + 1, NULL, 10) + 20] ^= 1;   /* the first one's header */
    bytes[strtoull(strrchr(ref[1], ':') + 1, NULL, 10) + 3000] ^= 1; /* the second one's content */
    struct fb_slice damaged = fb_slice_of(bytes, got);
    assert_int_equal(fb_s3_put(s3, key, &damaged, 1, false, NULL), FB_OK);
    fx_scan(fx, scan);
    assert_int_equal(scan->damaged, 1);
    assert_int_equal(scan->count, 1);
    assert_int_equal(fx_check(fx, ref[0], 50000, 1, "e"), FB_CORRUPT);
    assert_int_equal(fx_check(fx, ref[1], 60000, 2, "e"), FB_CORRUPT);
    fx_sleep_ms(1200);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    struct fb_s3_info again;
    assert_int_equal(fb_s3_head(s3, key, &again, NULL), FB_OK); /* kept for people to look at */
    fb_s3_close(&s3);
    free(scan);
}

static void a_store_that_is_away_is_told_and_promises_nothing(void **state)
{
    struct fx *fx = *state;
    char id[FB_ID_SIZE];
    struct fx_done done = {0};
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    struct fb_spool_in *in = fx_message(writer, 100, 1, id);
    faults("rate=1&kind=503");
    fb_spool_in_submit(&in, FB_SLICE_LITERAL("e"), fx_on_done, &done);
    fx_wait(&done);
    faults("rate=0");
    assert_int_equal(done.status, FB_IO);
    assert_string_equal(done.ref, "");
    char ref[FB_REF_SIZE];
    fx_put(writer, 100, 1, "e", id, ref); /* and goes on when it is back */
    assert_int_equal(fx_check(fx, ref, 100, 1, "e"), FB_OK);
    fb_spool_writer_free(&writer);
}

/* What a list of calls in the server's counts says, as in "GET":3. */
static long calls(const char *name)
{
    char mark[40];
    (void)snprintf(mark, sizeof mark, "\"%s\":", name);
    char *counts = s3_fixture_ask(fx_server(), "GET", "/-/counts?reset=1");
    const char *at = strstr(counts, mark);
    long n = at != NULL ? strtol(at + strlen(mark), NULL, 10) : 0;
    free(counts);
    return n;
}

static void a_second_look_at_what_waits_reads_nothing_again(void **state)
{
    struct fx *fx = *state;
    struct fx_scan *scan = malloc(sizeof *scan);
    char id[4][FB_ID_SIZE], ref[4][FB_REF_SIZE];
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    assert_non_null(scan);
    for (size_t i = 0; i < 4; i++) {
        fx_put(writer, i == 3 ? 2000000 : 100, i, "e", id[i], ref[i]);
    }
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 4);
    assert_int_equal(fb_spool_msg_erase(fx->spool, ref[1], id[1], NULL), FB_OK);
    (void)calls("GET");
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 3);
    assert_false(fx_scan_has(scan, id[1]));
    assert_int_equal(calls("GET"), 0);
    fx_put(writer, 100, 4, "e", id[1], ref[1]);
    fx_scan(fx, scan);
    assert_int_equal(scan->count, 4);
    assert_int_equal(calls("GET"), 1); /* the new one alone */
    fb_spool_writer_free(&writer);
    free(scan);
}

static void a_small_message_does_not_wait_for_a_large_ones_upload(void **state)
{
    struct fx *fx = *state;
    char id[2][FB_ID_SIZE];
    struct fx_done large = {0}, small = {0};
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    struct fb_spool_in *first = fx_message(writer, 40U << 20, 1, id[0]);
    struct fb_spool_in *second = fx_message(writer, 1000, 2, id[1]);
    faults("delay=1000"); /* seven requests for the large one */
    fb_spool_in_submit(&first, FB_SLICE_LITERAL("e"), fx_on_done, &large);
    fx_sleep_ms(100);
    fb_spool_in_submit(&second, FB_SLICE_LITERAL("e"), fx_on_done, &small);
    fx_wait(&small);
    assert_int_equal(small.status, FB_OK);
    assert_int_equal(list(fx, "large/").count, 0);
    faults("delay=0");
    fx_wait(&large);
    assert_int_equal(large.status, FB_OK);
    assert_int_equal(fx_check(fx, large.ref, 40U << 20, 1, "e"), FB_OK);
    assert_int_equal(fx_check(fx, small.ref, 1000, 2, "e"), FB_OK);
    fb_spool_writer_free(&writer);
}

static bool is_sent(struct fb_journal *journal, const char *id, uint32_t rcpt)
{
    bool has = false;
    struct fb_error err = {0};
    if (fb_journal_lookup(journal, id, FB_SENT_PASS, &rcpt, 1, &has, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    return has;
}

static void the_journals_objects_are_merged_and_no_reader_misses_an_entry(void **state)
{
    enum { COUNT = 40 };
    struct fx *fx = *state;
    char id[FB_ID_SIZE], ref[FB_REF_SIZE], gone[FB_ID_SIZE], gone_ref[FB_REF_SIZE];
    struct fb_journal *writing = NULL, *reading = NULL, *fresh = NULL;
    struct fb_spool_writer *writer = fx_writer(fx, "w");
    fx_put(writer, 10, 1, "e", id, ref);
    fx_put(writer, 10, 2, "e", gone, gone_ref);
    fb_spool_writer_free(&writer);
    assert_int_equal(fb_journal_open(fx->spool, "a", &writing, NULL), FB_OK);
    assert_int_equal(fb_journal_open(fx->spool, "b", &reading, NULL), FB_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(
            fb_journal_commit(writing, i == 7 ? gone : id, 0, FB_SENT_PASS, &i, 1, NULL), FB_OK);
        if (i == COUNT / 2) { /* it has seen some of them, and sees the others after the merge */
            assert_true(is_sent(reading, id, 0));
        }
    }
    assert_int_equal(list(fx, "journal/").count, COUNT);
    assert_int_equal(fb_spool_msg_erase(fx->spool, gone_ref, gone, NULL), FB_OK);
    fx_sleep_ms(1200);
    assert_int_equal(fb_spool_tidy(fx->spool, 0, NULL), FB_OK);
    struct keys left = list(fx, "journal/");
    assert_int_equal(left.count, 1);
    assert_int_equal(left.bytes, (COUNT - 1) * 64); /* without the message that is gone */
    assert_int_equal(fb_journal_open(fx->spool, "c", &fresh, NULL), FB_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i != 7) {
            assert_true(is_sent(reading, id, i));
            assert_true(is_sent(fresh, id, i));
        }
    }
    assert_false(is_sent(fresh, id, COUNT));
    /* And again: what was merged takes what came since, and nothing is in it twice. */
    uint32_t more = COUNT;
    assert_int_equal(fb_journal_commit(writing, id, 0, FB_SENT_PASS, &more, 1, NULL), FB_OK);
    assert_true(is_sent(reading, id, COUNT));
    assert_true(is_sent(fresh, id, COUNT));
    fb_journal_close(&writing);
    fb_journal_close(&reading);
    fb_journal_close(&fresh);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(many_waiting_messages_become_few_objects),
        T(an_aborted_message_leaves_nothing),
        T(several_ingests_share_a_bucket_that_fails_at_times),
        T(an_erased_message_is_gone_for_others_and_after_a_restart),
        T(tidy_removes_dead_segments_and_shreds_what_is_erased_in_others),
        T(journals_stay_while_a_message_of_theirs_lives),
        T(concurrent_journal_commits_share_objects),
        T(manifests_live_until_they_are_removed),
        T(a_second_look_at_what_waits_reads_nothing_again),
        T(a_small_message_does_not_wait_for_a_large_ones_upload),
        T(the_journals_objects_are_merged_and_no_reader_misses_an_entry),
        T(damage_is_counted_and_never_read_as_mail),
        T(a_store_that_is_away_is_told_and_promises_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
