/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes into a vault comes out again, in a folder and in a bucket (FB_TEST_VAULT=s3); changes
 * are not lost in each other; what is purged is gone.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/sealed/sealed.h"

static const uint64_t sizes[] = {70000, 0, 1, 65536, 65537, 3 * 65536, 6000000};
#define COUNT (sizeof sizes / sizeof sizes[0])

static void a_parcel_comes_out_as_it_went_in(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, COUNT);
    struct fb_vault_parcel q = {0};
    assert_int_equal(p.revision, 2);
    vfx_reopen(fx);
    assert_int_equal(fb_vault_load(fx->vault, p.parcel_id, &q, &err), FB_OK);
    assert_int_equal(q.revision, 2);
    assert_string_equal(q.subject, p.subject);
    assert_string_equal(q.rule, ""); /* NULL is written as "" */
    assert_int_equal(q.proof, FB_PROOF_TOTP);
    assert_int_equal(q.expires_ms, p.expires_ms);
    assert_true(q.can_download && q.may_reply && !q.has_members && !q.has_password && !q.is_closed);
    assert_int_equal(q.grant_count, 2);
    assert_int_equal(q.grants[1].recipient, 7);
    assert_string_equal(q.grants[1].address, "reader1@example.com");
    assert_memory_equal(q.grants[1].secret_hash, p.grants[1].secret_hash, FB_VAULT_HASH);
    assert_int_equal(q.file_count, COUNT);
    for (uint32_t i = 0; i < q.file_count; i++) {
        struct fb_vault_reader *r = NULL;
        assert_string_equal(q.files[i].name, p.files[i].name);
        assert_int_equal(vfx_check(fx, q.parcel_id, q.files[i].id, sizes[i], i), FB_OK);
        assert_int_equal(fb_vault_file_open(fx->vault, q.parcel_id, q.files[i].id, &r, NULL, &err),
                         FB_OK);
        assert_string_equal(fb_vault_file_content(r)->type, p.files[i].type);
        assert_true(fb_vault_file_content(r)->is_body == (i == 0));
        fb_vault_file_close(&r);
    }
    fb_vault_parcel_deinit(&p);
    fb_vault_parcel_deinit(&q);
}

static void every_key_of_the_state_is_kept(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    struct fb_vault_parcel q = {0};
    p.access = FB_ACCESS_COMPANY;
    p.proof = FB_PROOF_LINK;
    p.can_download = false;
    p.may_reply = false;
    p.has_members = true;
    p.is_watermarked = true;
    p.is_closed = true;
    p.purge_ms = 1;
    p.has_password = true;
    memset(p.password_salt, 1, sizeof p.password_salt);
    memset(p.password_hash, 2, sizeof p.password_hash);
    p.grants[0].is_recalled = true;
    assert_int_equal(fb_vault_save(fx->vault, &p, &err), FB_OK);
    assert_int_equal(fb_vault_load(fx->vault, p.parcel_id, &q, &err), FB_OK);
    assert_true(q.access == FB_ACCESS_COMPANY && q.proof == FB_PROOF_LINK && !q.can_download);
    assert_true(!q.may_reply && q.has_members && q.is_watermarked && q.is_closed);
    assert_true(q.purge_ms == 1 && q.max_downloads == 5 && q.trusted_days == 30);
    assert_true(q.has_password && q.password_salt[15] == 1 && q.password_hash[31] == 2);
    assert_true(q.grants[0].is_recalled && !q.grants[1].is_recalled);
    fb_vault_parcel_deinit(&p);
    fb_vault_parcel_deinit(&q);
}

static void what_could_not_be_read_is_not_written(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    free(p.files[0].name);
    p.files[0].name = fb_xstrdup("two\nlines");
    assert_int_equal(fb_vault_save(fx->vault, &p, &err), FB_INVALID);
    assert_int_equal(p.revision, 2);
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_OK);
    fb_vault_parcel_deinit(&p);
}

static void an_equal_file_is_kept_and_another_one_replaced(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    char id[FB_VAULT_FILE_ID];
    uint64_t reads = 99;
    assert_int_equal(vfx_put(fx, p.parcel_id, 0, sizes[0], 0, id, &reads), FB_OK);
    assert_int_equal(reads, 0);
    assert_int_equal(vfx_put(fx, p.parcel_id, 0, 5000, 8, id, &reads), FB_OK);
    assert_true(reads > 0);
    assert_int_equal(vfx_check(fx, p.parcel_id, id, 5000, 8), FB_OK);
    fb_vault_parcel_deinit(&p);
}

static void a_file_that_is_not_what_was_announced_leaves_nothing(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    struct fb_vault_content content;
    char id[FB_VAULT_FILE_ID];
    fb_vault_file_id(p.parcel_id, 1, id);
    const struct {
        uint64_t size, fail_at;
        uint8_t flip;
        enum fb_status want;
    } rows[] = {
        {200000, 0, 1, FB_CORRUPT},      /* another SHA-1 */
        {200001, 0, 0, FB_CORRUPT},      /* longer */
        {199999, 0, 0, FB_CORRUPT},      /* shorter */
        {200000, 130000, 0, FB_NETWORK}, /* broken off */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vfx_source source = {.size = rows[i].size, .seed = 4, .fail_at = rows[i].fail_at};
        vfx_content(200000, 4, &content);
        content.sha1[3] ^= rows[i].flip;
        assert_int_equal(
            fb_vault_put(fx->vault, p.parcel_id, id, &content, vfx_read, &source, &err),
            rows[i].want);
        assert_int_equal(vfx_check(fx, p.parcel_id, id, 200000, 4), FB_NOT_FOUND);
    }
    struct fb_vault_verified sum = {0};
    const struct fb_vault_verify how = {0};
    assert_int_equal(fb_vault_verify(fx->vault, p.parcel_id, &how, &sum, &err), FB_OK);
    assert_int_equal(sum.faults[FB_VAULT_ORPHAN] + sum.faults[FB_VAULT_DAMAGED], 0);
    fb_vault_parcel_deinit(&p);
}

/* ---- changes ---- */

#define THREADS 6
#define CHANGES 10

struct changer {
    struct vfx *fx;
    const char *parcel_id;
};

/* cmocka's assertions are for the thread that runs the test. */
static void *change(void *ctx)
{
    const struct changer *c = ctx;
    struct fb_vault *own = NULL; /* as another process has it */
    struct fb_error err = {0};
    enum fb_status s = fb_vault_open(c->fx->url, c->fx->key_file, &own, &err);
    for (int done = 0; done < CHANGES && (s == FB_OK || s == FB_EXISTS);) {
        struct fb_vault_parcel p = {0};
        s = fb_vault_load(own, c->parcel_id, &p, &err);
        if (s == FB_OK) {
            p.max_downloads++;
            s = fb_vault_save(own, &p, &err);
            done += s == FB_OK;
        }
        fb_vault_parcel_deinit(&p);
    }
    fb_vault_close(&own);
    if (s != FB_OK) {
        (void)fprintf(stderr, "change: %s (%s)\n", err.text, fb_status_name(s));
        return NULL;
    }
    return ctx;
}

static void changes_at_the_same_time_are_not_lost_in_each_other(void **state)
{
    struct vfx *fx = *state;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    struct fb_vault_parcel q = {0};
    struct changer c = {fx, p.parcel_id};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, change, &c), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *is_done = NULL;
        assert_int_equal(pthread_join(threads[i], &is_done), 0);
        assert_non_null(is_done);
    }
    assert_int_equal(fb_vault_load(fx->vault, p.parcel_id, &q, NULL), FB_OK);
    assert_int_equal(q.max_downloads, 5 + THREADS * CHANGES);
    assert_int_equal(q.revision, 2 + THREADS * CHANGES);
    assert_int_equal(fb_vault_save(fx->vault, &p, NULL), FB_EXISTS); /* of long ago */
    fb_vault_parcel_deinit(&p);
    fb_vault_parcel_deinit(&q);
}

static void *create_one(void *ctx)
{
    const struct changer *c = ctx;
    struct fb_vault_parcel p = {0};
    struct fb_error err = {0};
    bool *is_new = fb_xcalloc(1, sizeof *is_new);
    (void)snprintf(p.parcel_id, sizeof p.parcel_id, "%s", c->parcel_id);
    if (fb_vault_create(c->fx->vault, &p, is_new, &err) != FB_OK) {
        (void)fprintf(stderr, "create: %s\n", err.text);
        free(is_new);
        return NULL;
    }
    return is_new;
}

static void a_parcel_is_made_once_whoever_makes_it(void **state)
{
    struct vfx *fx = *state;
    char id[FB_PARCEL_ID_SIZE];
    vfx_id(id);
    struct changer c = {fx, id};
    pthread_t threads[THREADS];
    int made = 0;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, create_one, &c), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *is_new = NULL;
        assert_int_equal(pthread_join(threads[i], &is_new), 0);
        assert_non_null(is_new);
        made += *(bool *)is_new;
        free(is_new);
    }
    assert_int_equal(made, 1);
    struct fb_vault_parcel p = {0};
    assert_int_equal(fb_vault_load(fx->vault, id, &p, NULL), FB_OK);
    assert_int_equal(p.revision, 1);
    assert_int_equal(p.grant_count, 0);
    fb_vault_parcel_deinit(&p);
}

/* ---- the end ---- */

static void a_purged_parcel_is_gone_and_may_be_made_anew(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    long before = fx->is_remote ? vfx_versions(fx) : 0;
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 3);
    assert_int_equal(fb_vault_purge(fx->vault, p.parcel_id, &err), FB_OK);
    assert_int_equal(fb_vault_purge(fx->vault, p.parcel_id, &err), FB_OK);
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_NOT_FOUND);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_NOT_FOUND);
    assert_int_equal(fb_vault_save(fx->vault, &p, &err), FB_NOT_FOUND);
    char id[FB_VAULT_FILE_ID];
    assert_int_equal(vfx_put(fx, p.parcel_id, 0, 10, 0, id, NULL), FB_NOT_FOUND);
    struct fb_vault_verified sum = {0};
    const struct fb_vault_verify how = {0};
    assert_int_equal(fb_vault_verify(fx->vault, p.parcel_id, &how, &sum, &err), FB_NOT_FOUND);
    if (fx->is_remote) { /* with all versions, and the marks that hide them */
        assert_int_equal(vfx_versions(fx), before);
    }
    struct fb_vault_parcel again = {0};
    bool is_new = false;
    memcpy(again.parcel_id, p.parcel_id, sizeof again.parcel_id);
    assert_int_equal(fb_vault_create(fx->vault, &again, &is_new, &err), FB_OK);
    assert_true(is_new);
    assert_int_equal(vfx_check(fx, p.parcel_id, p.files[0].id, sizes[0], 0), FB_NOT_FOUND);
    assert_int_equal(fb_vault_purge(fx->vault, p.parcel_id, &err), FB_OK);
    fb_vault_parcel_deinit(&p);
}

static bool count_one(void *ctx, const char *parcel_id)
{
    assert_true(fb_id_time_ms(parcel_id) >= 0);
    *(int *)ctx += 1;
    return true;
}

static void usage_quota_and_list_count_what_is_there(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    const uint64_t big[] = {1000000};
    struct fb_vault_parcel p = vfx_parcel(fx, big, 1);
    struct fb_vault_parcel q = vfx_parcel(fx, big, 1);
    char id[FB_VAULT_FILE_ID];
    uint64_t used = 0;
    uint64_t later = 0;
    int count = 0;
    assert_int_equal(fb_vault_each(fx->vault, count_one, &count, &err), FB_OK);
    assert_int_equal(count, 2);
    assert_int_equal(fb_vault_usage(fx->vault, &used, &err), FB_OK);
    assert_true(used > 2000000 && used < 2300000);
    assert_int_equal(vfx_put(fx, p.parcel_id, 1, 500000, 3, id, NULL), FB_OK);
    assert_int_equal(fb_vault_usage(fx->vault, &later, &err), FB_OK); /* known without counting */
    assert_true(later - used > 500000 && later - used < 510000);
    fb_vault_set_quota(fx->vault, later + 100000);
    assert_int_equal(vfx_put(fx, p.parcel_id, 2, 90000, 3, id, NULL), FB_OK);
    assert_int_equal(vfx_put(fx, p.parcel_id, 3, 90000, 3, id, NULL), FB_NO_SPACE);
    assert_int_equal(vfx_put(fx, p.parcel_id, 1, 500000, 3, id, NULL), FB_OK); /* is there */
    fb_vault_parcel_deinit(&p);
    fb_vault_parcel_deinit(&q);
}

/* ---- what is not there, what is not ours ---- */

static void nothing_is_found_under_names_that_are_none(void **state)
{
    struct vfx *fx = *state;
    static const char *const ids[] = {"", "..", "../../etc", "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                                      "01ARZ3NDEKTSV4RRFFQ69G5FAV-1/../x"};
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    struct fb_vault_reader *r = NULL;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(vfx_load(fx, ids[i], NULL), FB_NOT_FOUND);
        assert_int_equal(fb_vault_file_open(fx->vault, ids[i], p.files[0].id, &r, NULL, NULL),
                         FB_NOT_FOUND);
        assert_int_equal(fb_vault_file_open(fx->vault, p.parcel_id, ids[i], &r, NULL, NULL),
                         FB_NOT_FOUND);
    }
    static const char *const names[] = {"key",
                                        "state",
                                        "0123456789abcdeg",
                                        "0123456789ABCDEF",
                                        "0123456789abcdef0",
                                        "0123456789abcdef"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(fb_vault_file_open(fx->vault, p.parcel_id, names[i], &r, NULL, NULL),
                         FB_NOT_FOUND);
    }
    fb_vault_parcel_deinit(&p);
}

static void a_vault_opens_with_its_keys_only(void **state)
{
    struct vfx *fx = *state;
    struct fb_error err = {0};
    struct fb_vault_parcel p = vfx_parcel(fx, sizes, 1);
    char other[400];
    char words[FB_ERROR_MAX];
    uint8_t bytes[32];
    struct fb_buf line;
    fb_random(bytes, sizeof bytes);
    fb_buf_init(&line, 4096);
    assert_int_equal(fb_buf_add_str(&line, "new:"), FB_OK);
    assert_int_equal(fb_base64_encode(fb_slice_of(bytes, sizeof bytes), &line), FB_OK);
    assert_int_equal(fb_buf_add_char(&line, '\n'), FB_OK);
    (void)snprintf(other, sizeof other, "%s/other", fx->dir);
    vfx_store(other, line.ptr, line.len);
    struct fb_vault *v = NULL;
    struct fb_vault *own = fx->vault;
    assert_int_equal(fb_vault_open(fx->url, other, &v, &err), FB_OK);
    fx->vault = v;
    assert_int_equal(vfx_load(fx, p.parcel_id, words), FB_CONFIG);
    assert_non_null(strstr(words, "is not in the key file"));
    fb_vault_close(&v);
    /* Rotation: the new one first, the old one behind it. */
    size_t len = 0;
    uint8_t *old = vfx_bytes(fx->key_file, &len);
    assert_int_equal(fb_buf_add(&line, old, len), FB_OK);
    vfx_store(other, line.ptr, line.len);
    assert_int_equal(fb_vault_open(fx->url, other, &v, &err), FB_OK);
    fx->vault = v;
    assert_int_equal(vfx_load(fx, p.parcel_id, NULL), FB_OK);
    struct fb_vault_parcel q = vfx_parcel(fx, sizes, 1);
    fb_vault_close(&v);
    fx->vault = own;
    assert_int_equal(vfx_load(fx, q.parcel_id, NULL), FB_CONFIG); /* sealed with the new one */
    /* Another key of the same name. */
    char *text = (char *)old;
    text[len - 10] = text[len - 10] == 'A' ? 'B' : 'A';
    vfx_store(other, old, len);
    assert_int_equal(fb_vault_open(fx->url, other, &v, &err), FB_OK);
    fx->vault = v;
    assert_int_equal(vfx_load(fx, p.parcel_id, words), FB_CONFIG);
    assert_non_null(strstr(words, "is another one"));
    fb_vault_close(&v);
    fx->vault = own;
    free(old);
    fb_buf_deinit(&line);
    fb_vault_parcel_deinit(&p);
    fb_vault_parcel_deinit(&q);
}

static void the_vault_keeps_its_id(void **state)
{
    struct vfx *fx = *state;
    char id[FB_ID_SIZE];
    (void)snprintf(id, sizeof id, "%s", fb_vault_id(fx->vault));
    assert_true(fb_id_is_valid(id));
    vfx_reopen(fx);
    assert_string_equal(fb_vault_id(fx->vault), id);
}

static void passwords_are_hashed_as_rfc_7914_says(void **state)
{
    (void)state;
    uint8_t salt[FB_VAULT_SALT];
    uint8_t hash[FB_VAULT_HASH];
    char hex[2 * FB_VAULT_HASH + 1];
    for (size_t i = 0; i < sizeof salt; i++) {
        salt[i] = (uint8_t)i;
    }
    assert_int_equal(fb_vault_password_hash("pleaseletmein", salt, hash, NULL), FB_OK);
    fb_hex(hash, sizeof hash, hex);
    assert_string_equal(hex, "186e14cb910dac4f2a1bc3d1782fb5b4fae093ea02937860e081f41fbac1b804");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_parcel_comes_out_as_it_went_in, vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(every_key_of_the_state_is_kept, vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(what_could_not_be_read_is_not_written, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(an_equal_file_is_kept_and_another_one_replaced, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_what_was_announced_leaves_nothing,
                                        vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(changes_at_the_same_time_are_not_lost_in_each_other,
                                        vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(a_parcel_is_made_once_whoever_makes_it, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(usage_quota_and_list_count_what_is_there, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(nothing_is_found_under_names_that_are_none, vfx_setup,
                                        vfx_teardown),
        cmocka_unit_test_setup_teardown(a_vault_opens_with_its_keys_only, vfx_setup, vfx_teardown),
        cmocka_unit_test_setup_teardown(the_vault_keeps_its_id, vfx_setup, vfx_teardown),
        cmocka_unit_test(passwords_are_hashed_as_rfc_7914_says),
        cmocka_unit_test_setup_teardown(a_purged_parcel_is_gone_and_may_be_made_anew, vfx_setup,
                                        vfx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
