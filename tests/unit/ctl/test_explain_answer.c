/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer of the sandboxed child behind `fumibako policy test`, when the child lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/policy/explain.h"
#include "proto/plan.h"
#include "services/render/explain.h"
#include "services/render/explain_answer.h"
#include "services/render/rpc.h"

static const char document[] =
    "storages: [{name: v, type: vault, url: \"file:///v\", key_file: /k}]\n"
    "security_definitions: [{name: s}]\n"
    "rules:\n"
    "  - {name: through, when: {to: [a@b.c]}, action: pass}\n"
    "  - {name: secured, action: secure, storage: v, security: s}\n";

static char first[] = "a@b.c", second[] = "d@e.f";
static char *recipients[] = {first, second};

struct answer {
    uint64_t attachments, shown, count, kind, rule, shadow, rules, explained;
    const char *subject;
    uint64_t about, code, holds, term, reasons; /* of why the first rule does not take it */
    const char *found;
};
#define WHY FB_ABOUT_TO, FB_REASON_ADDRESS_NO_MATCH, 0, 0, 1, "d@e.f"
static const struct answer right = {1, 1, 2, FB_BRANCH_SECURE, 2, 0, 2, 1, "s", WHY};

static void number(struct fb_buf *b, uint64_t n)
{
    assert_int_equal(render_rpc_put_u64(b, n), FB_OK);
}

static void text(struct fb_buf *b, const char *s)
{
    assert_int_equal(render_rpc_put_bytes(b, fb_slice_str(s)), FB_OK);
}

static void reason(struct fb_buf *b, uint64_t about, uint64_t code, uint64_t holds, uint64_t term,
                   const char *found)
{
    number(b, about);
    number(b, code);
    number(b, holds);
    number(b, 0);
    number(b, term);
    number(b, 0);
    text(b, found);
}

/* Fields of `a` in their places; the first recipient is passed and right. */
static void write_answer(const struct answer *a, struct fb_buf *b)
{
    fb_buf_init(b, 1U << 20);
    text(b, a->subject);
    number(b, RENDER_EXPLAIN_ENCRYPTED);
    number(b, a->attachments);
    number(b, a->shown);
    text(b, "a.pdf");
    text(b, "application/pdf");
    number(b, 7);
    number(b, a->count);
    number(b, FB_BRANCH_PASS);
    text(b, "rule");
    number(b, 1);
    number(b, 0);
    number(b, 0);
    number(b, a->kind);
    text(b, "rule");
    number(b, a->rule);
    number(b, a->shadow);
    number(b, a->rules);
    number(b, 0);
    number(b, 0);
    number(b, a->reasons);
    reason(b, a->about, a->code, a->holds, a->term, a->found);
    number(b, a->explained);
    number(b, 1);
    number(b, 1);
    reason(b, FB_ABOUT_RULE, FB_REASON_NO_CONDITIONS, 1, 0, "");
}

static struct fb_policy *policy(void)
{
    struct fb_policy *p = NULL;
    struct fb_policy_findings findings = {0};
    assert_int_equal(fb_policy_parse(fb_slice_str(document), &p, &findings), FB_OK);
    fb_policy_findings_deinit(&findings);
    return p;
}

static json_t *ask_in(const struct fb_policy *p, struct fb_slice in, bool is_ja)
{
    const struct render_explain_question q = {
        .policy = p, .from = "x@y.z", .to = recipients, .to_count = 2, .size = 100, .is_ja = is_ja};
    return render_explain_answer(&q, in);
}

static json_t *ask(const struct fb_policy *p, struct fb_slice in)
{
    return ask_in(p, in, false);
}

static void a_true_answer_becomes_json(void **state)
{
    (void)state;
    struct fb_policy *p = policy();
    struct fb_buf b;
    write_answer(&right, &b);
    json_t *j = ask(p, fb_slice_buf(&b));
    assert_non_null(j);
    const json_t *r = json_array_get(json_object_get(j, "recipients"), 1);
    assert_string_equal(json_string_value(json_object_get(r, "address")), "d@e.f");
    assert_string_equal(json_string_value(json_object_get(r, "rule")), "secured");
    assert_string_equal(json_string_value(json_object_get(r, "storage")), "v");
    assert_int_equal(json_array_size(json_object_get(r, "rules")), 2);
    const json_t *rule = json_array_get(json_object_get(r, "rules"), 0);
    const json_t *reason = json_array_get(json_object_get(rule, "reasons"), 0);
    assert_string_equal(json_string_value(json_object_get(rule, "why")),
                        "to: d@e.f matches none of a@b.c");
    assert_string_equal(json_string_value(json_object_get(reason, "code")), "no_match");
    assert_string_equal(json_string_value(json_object_get(reason, "condition")), "to");
    assert_string_equal(json_string_value(json_object_get(reason, "found")), "d@e.f");
    assert_string_equal(json_string_value(json_array_get(json_object_get(reason, "terms"), 0)),
                        "a@b.c");
    assert_true(json_is_true(json_object_get(json_object_get(j, "mail"), "is_encrypted")));
    json_decref(j);
    fb_buf_deinit(&b);
    fb_policy_unref(&p);
}

static void only_the_words_are_in_the_language(void **state)
{
    (void)state;
    struct fb_policy *p = policy();
    struct fb_buf b;
    write_answer(&right, &b);
    json_t *en = ask_in(p, fb_slice_buf(&b), false);
    json_t *ja = ask_in(p, fb_slice_buf(&b), true);
    json_t *all[] = {en, ja};
    for (size_t i = 0; i < 2; i++) {
        json_t *r = json_array_get(json_object_get(all[i], "recipients"), 1);
        json_t *rule = json_array_get(json_object_get(r, "rules"), 0);
        json_t *reason = json_array_get(json_object_get(rule, "reasons"), 0);
        const char *want =
            i == 0 ? "to: d@e.f matches none of a@b.c" : "宛先: d@e.f は「a@b.c」に一致しません。";
        assert_string_equal(json_string_value(json_object_get(rule, "why")), want);
        assert_string_equal(json_string_value(json_object_get(reason, "text")), want);
        for (size_t k = 0; k < 2; k++) {
            rule = json_array_get(json_object_get(r, "rules"), k);
            (void)json_object_del(rule, "why");
            (void)json_object_del(json_array_get(json_object_get(rule, "reasons"), 0), "text");
        }
    }
    assert_true(json_equal(en, ja));
    json_decref(en);
    json_decref(ja);
    fb_buf_deinit(&b);
    fb_policy_unref(&p);
}

static void a_lie_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct answer a;
    } rows[] = {
        {"more attachments than are told", {1, 101, 2, 1, 2, 0, 2, 1, "s", WHY}},
        {"far more attachments", {1, UINT64_MAX, 2, 1, 2, 0, 2, 1, "s", WHY}},
        {"fewer recipients", {1, 1, 1, 1, 2, 0, 2, 1, "s", WHY}},
        {"far more recipients", {1, 1, UINT64_MAX, 1, 2, 0, 2, 1, "s", WHY}},
        {"a kind that is none", {1, 1, 2, 3, 2, 0, 2, 1, "s", WHY}},
        {"a rule that is none", {1, 1, 2, 1, 3, 0, 2, 1, "s", WHY}},
        {"a shadow rule that is none", {1, 1, 2, 1, 2, 3, 2, 1, "s", WHY}},
        {"secured by no rule", {1, 1, 2, 1, 0, 0, 2, 1, "s", WHY}},
        {"secured by a rule that passes", {1, 1, 2, 1, 1, 0, 2, 1, "s", WHY}},
        {"more rules than there are", {1, 1, 2, 1, 2, 0, 3, 1, "s", WHY}},
        {"far more rules", {1, 1, 2, 1, 2, 0, UINT64_MAX, 1, "s", WHY}},
        {"words of a rule that is none", {1, 1, 2, 1, 2, 0, 2, 2, "s", WHY}},
        {"a condition that is none",
         {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUTS, FB_REASON_ADDRESS_NO_MATCH, 0, 0, 1, "d@e.f"}},
        {"a verdict that is none",
         {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUT_TO, FB_REASON_CODES, 0, 0, 1, "d@e.f"}},
        {"a far verdict", {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUT_TO, UINT64_MAX, 0, 0, 1, "d@e.f"}},
        {"a verdict on another condition",
         {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUT_TO, FB_REASON_TEXT_CONTAINS, 0, 0, 1, "d@e.f"}},
        {"a header that is none",
         {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUT_HEADER, FB_REASON_TEXT_NO_MATCH, 0, 0, 1, ""}},
        {"a term that is none",
         {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUT_TO, FB_REASON_ADDRESS_MATCHES, 0, 1, 1, "d@e.f"}},
        {"a group that is none",
         {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUT_TO, FB_REASON_ADDRESS_IN_GROUP, 0, 0, 1, "d@e.f"}},
        {"neither true nor false",
         {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUT_TO, FB_REASON_ADDRESS_NO_MATCH, 2, 0, 1, "d@e.f"}},
        {"fewer reasons than follow",
         {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUT_TO, FB_REASON_ADDRESS_NO_MATCH, 0, 0, 0, "d@e.f"}},
        {"far more reasons",
         {1, 1, 2, 1, 2, 0, 2, 1, "s", FB_ABOUT_TO, FB_REASON_ADDRESS_NO_MATCH, 0, 0, UINT64_MAX,
          "d@e.f"}},
        {"bytes behind the end", {1, 1, 2, 1, 2, 0, 1, 1, "s", WHY}},
    };
    struct fb_policy *p = policy();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_buf b;
        write_answer(&rows[i].a, &b);
        json_t *j = ask(p, fb_slice_buf(&b));
        if (j != NULL) {
            fail_msg("%s: was believed", rows[i].name);
        }
        fb_buf_deinit(&b);
    }
    fb_policy_unref(&p);
}

static void half_an_answer_is_refused_wherever_it_ends(void **state)
{
    (void)state;
    struct fb_policy *p = policy();
    struct fb_buf b;
    write_answer(&right, &b);
    for (size_t n = 0; n < b.len; n++) {
        uint8_t *exact = malloc(n + 1); /* its end is one that the sanitizer watches */
        assert_non_null(exact);
        memcpy(exact, b.ptr, n);
        assert_null(ask(p, fb_slice_of(exact, n)));
        free(exact);
    }
    fb_buf_deinit(&b);
    fb_policy_unref(&p);
}

static void any_byte_may_be_wrong(void **state)
{
    (void)state;
    struct fb_policy *p = policy();
    struct fb_buf b;
    write_answer(&right, &b);
    for (size_t i = 0; i < b.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b.ptr[i] ^= (uint8_t)(1U << bit);
            json_t *j = ask(p, fb_slice_buf(&b));
            char *written = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
            assert_true(j == NULL || written != NULL);
            free(written);
            json_decref(j);
            b.ptr[i] ^= (uint8_t)(1U << bit);
        }
    }
    fb_buf_deinit(&b);
    fb_policy_unref(&p);
}

static void what_is_not_utf8_is_said_to_be_so(void **state)
{
    (void)state;
    struct fb_policy *p = policy();
    struct answer a = right;
    struct fb_buf b;
    a.subject = "\x8c\xa9";
    write_answer(&a, &b);
    json_t *j = ask(p, fb_slice_buf(&b));
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "mail"), "subject")),
                        "(not UTF-8)");
    json_decref(j);
    fb_buf_deinit(&b);
    fb_policy_unref(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_answer_becomes_json),
        cmocka_unit_test(only_the_words_are_in_the_language),
        cmocka_unit_test(a_lie_is_refused),
        cmocka_unit_test(half_an_answer_is_refused_wherever_it_ends),
        cmocka_unit_test(any_byte_may_be_wrong),
        cmocka_unit_test(what_is_not_utf8_is_said_to_be_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
