/* SPDX-License-Identifier: Apache-2.0
 *
 * A parcel whose recipients read in two places: each place is asked for its own grants alone, and one
 * that fails does not keep the other from being closed, nor its answer from being written down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "services/upload/pair.h"

/* What a place was asked for last. */
struct asked {
    char what[16];
    char storage[16];
    uint32_t grants[4], recipients[4];
    size_t grant_count, count;
    enum fb_status answer;
};
static struct asked box, vault;

static struct asked *of(struct storage_session *session)
{
    return (struct asked *)(void *)session;
}

static void note(struct asked *a, const char *what, const struct fb_parcel *parcel)
{
    (void)snprintf(a->what, sizeof a->what, "%s", what);
    (void)snprintf(a->storage, sizeof a->storage, "%s", parcel->storage);
    a->grant_count = parcel->grant_count;
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        a->grants[i] = parcel->grants[i].recipient;
        assert_null(parcel->grants[i].storage);
    }
    assert_null(parcel->fallback);
}

static enum fb_status answer(const struct asked *a, struct fb_error *err)
{
    return a->answer == FB_OK ? FB_OK : fb_error_set(err, a->answer, "%s", a->storage);
}

static enum fb_status fake_revoke(struct storage_session *session, const struct fb_parcel *parcel,
                                  const uint32_t *recipients, size_t count, enum storage_end end,
                                  bool *closed_r, struct fb_error *err)
{
    struct asked *a = of(session);
    note(a, end == STORAGE_FOR_GOOD ? "end" : "revoke", parcel);
    a->count = count;
    for (size_t i = 0; i < count; i++) {
        a->recipients[i] = recipients[i];
    }
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        closed_r[i] = a->answer == FB_OK;
    }
    return answer(a, err);
}

static enum fb_status fake_reopen(struct storage_session *session,
                                  const struct storage_grant_request *requests, size_t count,
                                  struct fb_parcel *parcel, struct fb_error *err)
{
    struct asked *a = of(session);
    note(a, "reopen", parcel);
    a->count = count;
    for (size_t i = 0; i < count; i++) {
        a->recipients[i] = requests[i].recipient;
        for (uint32_t k = 0; k < parcel->grant_count && a->answer == FB_OK; k++) {
            if (parcel->grants[k].recipient == requests[i].recipient) {
                free(parcel->grants[k].state);
                parcel->grants[k].state = fb_xstrdup("active");
            }
        }
    }
    return answer(a, err);
}

static enum fb_status fake_purge(struct storage_session *session, const struct fb_parcel *parcel,
                                 struct fb_error *err)
{
    note(of(session), "purge", parcel);
    return answer(of(session), err);
}

static const struct storage fake = {
    .type = "fake", .revoke = fake_revoke, .reopen = fake_reopen, .purge = fake_purge};

static struct storage_pair pair(void)
{
    box = (struct asked){.answer = FB_OK};
    vault = (struct asked){.answer = FB_OK};
    return (struct storage_pair){.storage = &fake,
                                 .session = (struct storage_session *)(void *)&box,
                                 .fallback = &fake,
                                 .fallback_session = (struct storage_session *)(void *)&vault};
}

/* 0 and 2 in Box, 1 and 3 in the vault. */
static struct fb_parcel parcel(void)
{
    struct fb_parcel p = {.parcel_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV-0",
                          .storage = fb_xstrdup("box"),
                          .user = fb_xstrdup("7"),
                          .folder_id = fb_xstrdup("11"),
                          .link = fb_xstrdup("https://box.example/x"),
                          .password = fb_xstrdup(""),
                          .access = fb_xstrdup("recipients"),
                          .fallback = fb_xstrdup("vault"),
                          .grants = fb_xcalloc(4, sizeof *p.grants),
                          .grant_count = 4};
    for (uint32_t i = 0; i < 4; i++) {
        p.grants[i] = (struct fb_parcel_grant){.recipient = i,
                                               .address = fb_xstrdup("a@x"),
                                               .grant_id = fb_xstrdup("1"),
                                               .state = fb_xstrdup("recalled"),
                                               .has_secret = i % 2 == 1,
                                               .storage = i % 2 == 1 ? fb_xstrdup("vault") : NULL};
    }
    return p;
}

static void assert_list(const uint32_t *got, size_t count, const char *want)
{
    char text[64] = "";
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(text);
        (void)snprintf(text + n, sizeof text - n, "%u", (unsigned)got[i]);
    }
    assert_string_equal(text, want);
}

static void each_place_is_asked_for_its_own(void **state)
{
    (void)state;
    struct fb_parcel p = parcel();
    struct fb_error err = {0};
    bool closed[4] = {false};
    struct storage_pair both = pair();
    const uint32_t some[] = {3, 0};
    assert_int_equal(storage_pair_revoke(&both, &p, some, 2, STORAGE_FOR_NOW, closed, &err), FB_OK);
    assert_string_equal(box.storage, "box");
    assert_string_equal(vault.storage, "vault");
    assert_list(box.grants, box.grant_count, "02");
    assert_list(box.recipients, box.count, "0");
    assert_list(vault.grants, vault.grant_count, "13");
    assert_list(vault.recipients, vault.count, "3");
    both = pair(); /* nobody of Box: it is left alone, or "none" would mean all */
    const uint32_t one[] = {1};
    assert_int_equal(storage_pair_revoke(&both, &p, one, 1, STORAGE_FOR_NOW, closed, &err), FB_OK);
    assert_string_equal(box.what, "");
    assert_list(vault.recipients, vault.count, "1");
    both = pair();
    assert_int_equal(storage_pair_revoke(&both, &p, NULL, 0, STORAGE_FOR_GOOD, closed, &err),
                     FB_OK);
    assert_string_equal(box.what, "end");
    assert_string_equal(vault.what, "end");
    assert_int_equal(box.count + vault.count, 0);
    assert_true(closed[0] && closed[1] && closed[2] && closed[3]);
    fb_parcel_deinit(&p);
}

static void one_that_fails_does_not_keep_the_other_open(void **state)
{
    (void)state;
    struct fb_parcel p = parcel();
    struct fb_error err = {0};
    bool closed[4] = {false};
    struct storage_pair both = pair();
    vault.answer = FB_NETWORK;
    assert_int_equal(storage_pair_revoke(&both, &p, NULL, 0, STORAGE_FOR_NOW, closed, &err),
                     FB_NETWORK);
    assert_true(closed[0] && !closed[1] && closed[2] && !closed[3]);
    both = pair();
    box.answer = FB_DENIED; /* for good: the one that may pass decides what becomes of the job */
    vault.answer = FB_AGAIN;
    assert_int_equal(storage_pair_revoke(&both, &p, NULL, 0, STORAGE_FOR_NOW, closed, &err),
                     FB_AGAIN);
    assert_string_equal(err.text, "vault");
    both = pair();
    box.answer = FB_DENIED; /* retention: the vault's content goes all the same */
    assert_int_equal(storage_pair_purge(&both, &p, &err), FB_DENIED);
    assert_string_equal(vault.what, "purge");
    assert_string_equal(err.text, "box");
    fb_parcel_deinit(&p);
}

static void what_is_given_back_is_in_the_parcel_with_its_place(void **state)
{
    (void)state;
    struct fb_parcel p = parcel();
    struct fb_error err = {0};
    struct storage_pair both = pair();
    const struct storage_grant_request requests[] = {{1, "a@x"}, {2, "a@x"}};
    box.answer = FB_NETWORK;
    assert_int_equal(storage_pair_reopen(&both, requests, 2, &p, &err), FB_NETWORK);
    assert_list(vault.recipients, vault.count, "1");
    assert_list(box.recipients, box.count, "2");
    assert_string_equal(p.grants[1].state, "active");
    assert_string_equal(p.grants[2].state, "recalled");
    assert_string_equal(p.grants[1].storage, "vault");
    assert_true(p.grants[1].has_secret);
    fb_parcel_deinit(&p);
}

static void a_view_is_a_parcel_of_its_own(void **state)
{
    (void)state;
    struct fb_parcel p = parcel();
    struct fb_parcel view = {0};
    struct fb_error err = {0};
    assert_int_equal(storage_pair_view(&p, true, &view, &err), FB_OK);
    assert_string_equal(view.storage, "vault");
    assert_string_equal(view.link, "");
    assert_string_equal(view.user, "");
    assert_true(view.grants[0].has_secret);
    fb_parcel_deinit(&view);
    assert_int_equal(storage_pair_view(&p, false, &view, &err), FB_OK);
    assert_string_equal(view.link, "https://box.example/x");
    assert_string_equal(view.user, "7");
    assert_int_equal(view.grant_count, 2);
    fb_parcel_deinit(&view);
    fb_parcel_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_place_is_asked_for_its_own),
        cmocka_unit_test(one_that_fails_does_not_keep_the_other_open),
        cmocka_unit_test(what_is_given_back_is_in_the_parcel_with_its_place),
        cmocka_unit_test(a_view_is_a_parcel_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
