/* SPDX-License-Identifier: Apache-2.0
 *
 * The sample policy with bytes deleted, doubled, swapped or replaced, and with allocations failing:
 * the parser either accepts it or says why, and never more.  What it accepts is evaluated too.
 * Seeded, so that a failure can be repeated.
 */
#include "help.h"

#define ROUNDS 2000

static uint64_t seed = 20260203;

/* xorshift64: the test needs the same sequence everywhere, not a good one. */
static size_t next_below(size_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % below);
}

static size_t mutate(const char *in, size_t len, char *out)
{
    static const char odd[] = "{}[]:-,#&*!|>'\"%@`/\\ \n\t\0\xff\xe3";
    size_t count = 1 + next_below(4);
    memcpy(out, in, len);
    for (size_t i = 0; i < count && len > 1; i++) {
        size_t at = next_below(len);
        size_t run = 1 + next_below(len - at < 40 ? len - at : 40);
        switch (next_below(4)) {
        case 0: /* delete a run */
            memmove(out + at, out + at + run, len - at - run);
            len -= run;
            break;
        case 1: /* double a run; out has room for it */
            memmove(out + at + run, out + at, len - at);
            len += run;
            break;
        case 2: /* replace by what YAML knows */
            out[at] = odd[next_below(sizeof(odd) - 1)];
            break;
        default: /* swap two */
        {
            size_t other = next_below(len);
            char c = out[at];
            out[at] = out[other];
            out[other] = c;
            break;
        }
        }
    }
    return len;
}

static void evaluate(const struct fb_policy *p)
{
    static const struct fb_policy_header_fact headers[] = {{"X-Classification", "confidential"}};
    static const struct fb_policy_attachment_fact attachments[] = {
        {"a.pdf", "application/pdf", 1 << 20}};
    static const struct fb_policy_facts facts = {.from = "a@example.jp",
                                                 .subject = "[secure] x",
                                                 .headers = headers,
                                                 .header_count = 1,
                                                 .body = "4111 1111 1111 1111",
                                                 .attachments = attachments,
                                                 .attachment_count = 1,
                                                 .size = 1 << 24};
    struct fb_policy_decision d = fb_policy_decide(p, &facts, "x@example.org");
    assert_non_null(d.reason);
    for (size_t i = 0; i < p->rule_count; i++) {
        char why[300];
        struct fb_buf path;
        struct fb_error err = {0};
        (void)explain(&p->rules[i], &facts, "x@example.org", i % 2 == 1, why, sizeof(why));
        (void)fb_policy_matched_tag(&p->rules[i], facts.subject);
        fb_buf_init(&path, 65536);
        assert_int_equal(
            fb_policy_expand_path(&p->rules[i], facts.from, "example.org", 1, "id", &path, &err),
            FB_OK);
        fb_buf_deinit(&path);
    }
}

static void a_mutated_policy_is_accepted_or_explained(void **state)
{
    (void)state;
    struct fb_buf text;
    size_t accepted = 0;
    read_source_file("deploy/policy.sample.yaml", &text);
    for (size_t i = 0; i < ROUNDS; i++) {
        /* Its exact size, so that a read beyond the end is seen. */
        char *room = malloc(text.len + 4 * 41);
        assert_non_null(room);
        size_t len = mutate((const char *)text.ptr, text.len, room);
        char *exact = malloc(len > 0 ? len : 1);
        assert_non_null(exact);
        memcpy(exact, room, len);
        struct fb_policy *policy = NULL;
        struct fb_policy_findings f = {0};
        enum fb_status status = fb_policy_parse(fb_slice_of(exact, len), &policy, &f);
        if (status == FB_OK) {
            assert_non_null(policy);
            assert_int_equal(f.error_count, 0);
            evaluate(policy);
            accepted++;
        } else {
            assert_int_equal(status, FB_INVALID);
            assert_null(policy);
            assert_true(f.error_count > 0 && f.count > 0);
        }
        for (size_t j = 0; j < f.count; j++) {
            assert_true(f.items[j].line >= 0 && f.items[j].text[0] != '\0');
        }
        fb_policy_unref(&policy);
        fb_policy_findings_deinit(&f);
        free(exact);
        free(room);
    }
    print_message("%zu of %d mutations are policies still\n", accepted, ROUNDS);
    fb_buf_deinit(&text);
}

static void a_cut_policy_is_accepted_or_explained(void **state)
{
    (void)state;
    struct fb_buf text;
    read_source_file("deploy/policy.sample.yaml", &text);
    for (size_t len = 0; len < text.len; len += 7) {
        char *exact = malloc(len > 0 ? len : 1);
        struct fb_policy *policy = NULL;
        struct fb_policy_findings f = {0};
        assert_non_null(exact);
        memcpy(exact, text.ptr, len);
        enum fb_status status = fb_policy_parse(fb_slice_of(exact, len), &policy, &f);
        assert_int_equal(status == FB_OK, f.error_count == 0);
        fb_policy_unref(&policy);
        fb_policy_findings_deinit(&f);
        free(exact);
    }
    fb_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutated_policy_is_accepted_or_explained),
        cmocka_unit_test(a_cut_policy_is_accepted_or_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
