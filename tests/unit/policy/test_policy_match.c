/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluation: which recipient which rule takes, and the words that say why.
 */
#include "help.h"
#include "tests/support/cpu_time.h"

static const struct fb_policy_header_fact some_headers[] = {
    {"X-Classification", "Company Confidential"},
    {"Received", "from a"},
    {"received", "from b"},
};
static const struct fb_policy_attachment_fact some_attachments[] = {
    {"見積書.XLSX", "application/vnd.ms-excel", 2000},
    {"photo.jpg", "image/jpeg", 5000},
};
static const struct fb_policy_facts base = {
    .from = "Alice@Example.JP",
    .subject = "Re: [SECURE] ＡＢＣ Straße Ünal 見積の件",
    .headers = some_headers,
    .header_count = 3,
    .body = "first line\nカード 4111-1111-1111-1111\nlast line",
    .attachments = some_attachments,
    .attachment_count = 2,
    .size = 10000,
};

/* Conditions of one rule on the facts above and the recipient bob@partner.example.com. */
static void conditions(void **state)
{
    (void)state;
    static const struct {
        const char *name, *when;
        bool want;
        const char *why;
    } rows[] = {
        {"none", "", true, "the rule has no conditions"},
        {"from address", "from: [alice@example.jp]", true,
         "from: alice@example.jp matches alice@example.jp"},
        {"from domain", "from: [\"@EXAMPLE.jp\"]", true, "matches @example.jp"},
        {"from other", "from: [\"@example.com\", b@c.d]", false,
         "from: alice@example.jp matches none of @example.com, b@c.d"},
        {"from domain is exact", "from: [\"@jp\"]", false, "matches none of @jp"},
        {"from sub-domain", "from: [\"@.jp\"]", true, "matches @.jp"},
        {"from not its own sub-domain", "from: [\"@.example.jp\"]", false, "matches none of"},
        {"from part of a domain", "from: [\"@.xample.jp\"]", false, "matches none of"},
        {"from glob", "from: [\"al*@*.jp\"]", true, "matches al*@*.jp"},
        {"from glob, one character", "from: [\"?lice@example.jp\"]", true, "matches ?lice@"},
        {"from regex", "from: [\"/^ALICE@/\"]", true, "matches /^ALICE@/"},
        {"from null", "from: [\"<>\"]", false, "from: alice@example.jp matches none of <>"},
        {"to domain", "to: [\"@partner.example.com\"]", true,
         "to: bob@partner.example.com matches"},
        {"to excluded", "to: [\"!@partner.example.com\"]", false,
         "to: bob@partner.example.com is excluded by !@partner.example.com"},
        {"to not excluded", "to: [\"!@example.jp\", \"!@example.org\"]", true,
         "to: bob@partner.example.com matches none of !@example.jp, !@example.org"},
        {"to both", "to: [\"@.example.com\", \"!bob@partner.example.com\"]", false,
         "is excluded by !bob@"},
        {"to one but not the other", "to: [\"@.example.com\", \"!eve@partner.example.com\"]", true,
         "matches @.example.com"},
        {"to group", "to: [\"group:legal\"]", false, "matches none of group:legal"},
        {"subject contains", "subject: [\"[secure]\"]", true, "subject: contains [secure]"},
        {"subject any of", "subject: [nope, 見積]", true, "subject: contains 見積"},
        {"subject none of", "subject: [nope, never]", false,
         "subject: contains none of nope, never"},
        {"subject excluded", "subject: [\"!見積\"]", false, "subject: contains the excluded 見積"},
        {"subject not excluded", "subject: [\"!見本\"]", true, "subject: contains none of !見本"},
        {"subject full-width folds", "subject: [ａｂｃ]", true, "subject: contains ａｂｃ"},
        {"subject full-width is not half-width", "subject: [abc]", false, "contains none of abc"},
        {"subject umlaut folds", "subject: [üNAL]", true, "contains üNAL"},
        {"subject regex", "subject: [\"/^re: .secure/\"]", true, "subject: matches /^re: .secure/"},
        {"subject regex of characters", "subject: [\"/[社秘見]積/\"]", true,
         "matches /[社秘見]積/"},
        {"subject regex of other characters", "subject: [\"/[社秘]積/\"]", false,
         "contains none of /[社秘]積/"},
        {"subject regex full-width class", "subject: [\"/ａ..\\\\s/\"]", true, "matches"},
        {"header", "header: {x-classification: [confidential]}", true,
         "header x-classification: contains confidential"},
        {"header none of", "header: {X-Classification: [public]}", false,
         "header X-Classification: contains none of public"},
        {"header absent", "header: {X-Other: [a]}", false, "header X-Other: the mail has none"},
        {"header absent, negated", "header: {X-Other: [\"!a\"]}", true,
         "header X-Other: the mail has none"},
        {"header any occurrence", "header: {Received: [\"from b\"]}", true,
         "header Received: contains from b"},
        {"header no occurrence", "header: {Received: [\"!from b\"]}", false,
         "header Received: contains the excluded from b"},
        {"header anything", "header: {Received: [\"/./\"]}", true, "header Received: matches /./"},
        {"two headers", "header: {Received: [a], X-Other: [\"/./\"]}", false,
         "header X-Other: the mail has none"},
        {"body contains", "body: [\"LAST line\"]", true, "body: contains LAST line"},
        {"body regex", "body: [\"/[0-9]{4}-[0-9]{4}-[0-9]{4}/\"]", true, "body: matches"},
        {"body none", "body: [foo]", false, "body: contains none of foo"},
        {"present", "attachments: {present: true}", true, "attachments.present: there are 2"},
        {"absent", "attachments: {present: false}", false, "attachments.present: there are 2"},
        {"name glob", "attachments: {name: [\"*.xlsx\"]}", true,
         "attachments.name: attachment 見積書.XLSX matches *.xlsx"},
        {"name glob, Japanese", "attachments: {name: [\"見積?.*\"]}", true, "matches 見積?.*"},
        {"name exact", "attachments: {name: [photo]}", false,
         "attachments.name: none of 2 attachments matches photo"},
        {"name regex", "attachments: {name: [\"/^PHOTO/\"]}", true,
         "attachment photo.jpg matches /^PHOTO/"},
        {"name excluded", "attachments: {name: [\"!*.jpg\"]}", false,
         "attachment photo.jpg is excluded by !*.jpg"},
        {"type", "attachments: {type: [\"image/*\"]}", true,
         "attachment image/jpeg matches image/*"},
        {"type none", "attachments: {type: [\"video/*\"]}", false,
         "none of 2 attachments matches video/*"},
        {"larger, at the limit", "attachments: {larger_than: 5000}", false,
         "the largest with 5000 is not over 5000"},
        {"larger, one below", "attachments: {larger_than: 4999}", true,
         "the largest with 5000 is over 4999"},
        {"count, at the limit", "attachments: {count_over: 2}", false, "count 2 is not over 2"},
        {"count", "attachments: {count_over: 1}", true, "count 2 is over 1"},
        {"size, at the limit", "size_over: 10000", false,
         "size_over: size 10000 is not over 10000"},
        {"size", "size_over: 9999", true, "size_over: size 10000 is over 9999"},
        {"all must hold", "from: [\"@example.jp\"], to: [\"@example.jp\"], body: [foo]", false,
         "to: bob@partner.example.com matches none of @example.jp; body: contains none of foo"},
        {"all hold", "from: [\"@example.jp\"], subject: [re]", true,
         "from: alice@example.jp matches @example.jp; subject: contains re"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[2048];
        char why[500];
        (void)snprintf(text, sizeof(text), PRELUDE "  - {name: r, action: reject, when: {%s}}\n",
                       rows[i].when);
        struct fb_policy *p = parse_good(text, NULL);
        struct fb_policy_decision d = fb_policy_decide(p, &base, "Bob@Partner.Example.COM");
        bool is_explained =
            explain(&p->rules[0], &base, "Bob@Partner.Example.COM", false, why, sizeof(why));
        if ((d.rule != NULL) != rows[i].want || is_explained != rows[i].want ||
            strstr(why, rows[i].why) == NULL) {
            fail_msg("%s: decided %d, explained %d \"%s\", want %d \"%s\"", rows[i].name,
                     d.rule != NULL, is_explained, why, rows[i].want, rows[i].why);
        }
        assert_int_equal(d.action, rows[i].want ? FB_ACTION_REJECT : FB_ACTION_PASS);
        assert_string_equal(d.reason, rows[i].want ? "rule" : "no rule");
        fb_policy_unref(&p);
    }
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *term, *address;
        bool want;
    } rows[] = {
        {"a@example.jp", "A@EXAMPLE.JP", true},
        {"A@Example.jp", "a@example.jp", true},
        {"a@example.jp", "a@example.jp.", true},
        {"a@example.jp", "\"a\"@example.jp", true},
        {"a@example.jp", "\"\\a\"@example.jp", true},
        {"a b@example.jp", "\"a b\"@example.jp", true},
        {"@example.jp", "\"x@other.jp\"@example.jp", true},
        {"@other.jp", "\"x@other.jp\"@example.jp", false},
        {"@example.jp", "postmaster", false},
        {"@.example.jp", "x@a.b.example.jp", true},
        {"@.example.jp", "x@example.jp", false},
        {"@.example.jp", "x@badexample.jp", false},
        {"group:legal", "A@example.jp", true},
        {"legal", "x@LAW.example.jp", true},
        {"legal", "x@sub.law.example.jp", false},
        {"legal", "x@tokyo.courts.example", true},
        {"legal", "x@a.tokyo.courts.example", true},
        {"legal", "x@courts.example", false},
        {"legal", "b@example.jp", false},
        {"社長@例え.jp", "社長@例え.jp", true},
        {"@xn--r8jz45g.jp", "a@例え.jp", false},
        {"*", "anything@at.all", true},
        {"*", "", true},
        {"*+tag@*", "joe+TAG@x.y", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[2048];
        (void)snprintf(text, sizeof(text),
                       PRELUDE "  - {name: r, action: pass, when: {to: ['%s']}}\n", rows[i].term);
        struct fb_policy *p = parse_good(text, NULL);
        bool got = fb_policy_decide(p, &base, rows[i].address).rule != NULL;
        if (got != rows[i].want) {
            fail_msg("%s on %s: want %d", rows[i].term, rows[i].address, rows[i].want);
        }
        fb_policy_unref(&p);
    }
}

static void the_null_sender_has_its_own_term(void **state)
{
    (void)state;
    struct fb_policy *p =
        parse_good(PRELUDE "  - {name: bounces, action: pass, when: {from: ['<>']}}\n"
                           "  - {name: inside, action: reject, when: {from: ['@example.jp']}}\n",
                   NULL);
    struct fb_policy_facts facts = base;
    facts.from = "";
    assert_string_equal(fb_policy_decide(p, &facts, "a@b.c").rule->name, "bounces");
    facts.from = NULL;
    assert_string_equal(fb_policy_decide(p, &facts, "a@b.c").rule->name, "bounces");
    assert_string_equal(fb_policy_decide(p, &base, "a@b.c").rule->name, "inside");
    fb_policy_unref(&p);
}

static void the_first_match_wins_and_shadows_change_nothing(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(
        PRELUDE "  - {name: off, enabled: false, action: reject}\n"
                "  - {name: dark, shadow: true, action: reject, when: {to: ['@a.jp', '@b.jp']}}\n"
                "  - {name: dark too, shadow: true, action: reject}\n"
                "  - {name: a, action: pass, when: {to: ['@a.jp']}}\n"
                "  - {name: ab, storage: box, security: plain, when: {to: ['@a.jp', '@b.jp']}}\n"
                "  - {name: dark late, shadow: true, action: reject}\n",
        NULL);
    static const struct {
        const char *to, *rule, *shadow;
        enum fb_action action;
    } rows[] = {
        {"x@a.jp", "a", "dark", FB_ACTION_PASS},
        {"x@b.jp", "ab", "dark", FB_ACTION_SECURE},
        {"x@c.jp", NULL, "dark too", FB_ACTION_PASS},
    };
    const char *recipients[3];
    struct fb_policy_decision decisions[3];
    char why[100];
    for (size_t i = 0; i < 3; i++) {
        recipients[i] = rows[i].to;
    }
    fb_policy_decide_many(p, &base, recipients, 3, decisions);
    for (size_t i = 0; i < 3; i++) {
        struct fb_policy_decision one = fb_policy_decide(p, &base, rows[i].to);
        assert_int_equal(one.action,
                         decisions[i].action); /* member by member: padding is anything */
        assert_ptr_equal(one.rule, decisions[i].rule);
        assert_ptr_equal(one.shadow, decisions[i].shadow);
        assert_string_equal(one.reason, decisions[i].reason);
        assert_int_equal(one.action, rows[i].action);
        assert_string_equal(one.shadow->name, rows[i].shadow);
        if (rows[i].rule != NULL) {
            assert_string_equal(one.rule->name, rows[i].rule);
        } else {
            assert_null(one.rule);
        }
    }
    assert_false(explain(&p->rules[0], &base, "x@a.jp", false, why, sizeof(why)));
    assert_string_equal(why, "the rule is disabled");
    assert_true(explain(&p->rules[1], &base, "x@a.jp", false, why, sizeof(why)));
    assert_string_equal(why, "to: x@a.jp matches @a.jp (shadow: changes nothing)");
    fb_policy_unref(&p);
}

static void what_passes_before_the_rules(void **state)
{
    (void)state;
    static const struct {
        const char *name, *pass;
        bool has_signature, is_report, is_auto, is_encrypted;
        const char *reason;
    } rows[] = {
        {"ordinary", "", false, false, false, false, "rule"},
        {"through already", "", true, true, true, true, "already through"},
        {"report", "", false, true, false, false, "delivery report"},
        {"report, off", "pass: {delivery_reports: false}\n", false, true, false, false, "rule"},
        {"auto reply", "", false, false, true, false, "rule"},
        {"auto reply, on", "pass: {auto_replies: true}\n", false, false, true, false, "auto reply"},
        {"encrypted", "", false, false, false, true, "encrypted"},
        {"encrypted, off", "pass: {encrypted: false}\n", false, false, false, true, "rule"},
        {"report off but encrypted", "pass: {delivery_reports: false}\n", false, true, false, true,
         "encrypted"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[2048];
        (void)snprintf(text, sizeof(text), "%s" PRELUDE "  - {name: r, action: reject}\n",
                       rows[i].pass);
        struct fb_policy *p = parse_good(text, NULL);
        struct fb_policy_facts facts = base;
        facts.has_our_signature = rows[i].has_signature;
        facts.is_delivery_report = rows[i].is_report;
        facts.is_auto_reply = rows[i].is_auto;
        facts.is_encrypted = rows[i].is_encrypted;
        struct fb_policy_decision d = fb_policy_decide(p, &facts, "a@b.c");
        if (strcmp(d.reason, rows[i].reason) != 0) {
            fail_msg("%s: got %s, want %s", rows[i].name, d.reason, rows[i].reason);
        }
        assert_int_equal(d.rule != NULL, strcmp(d.reason, "rule") == 0);
        fb_policy_unref(&p);
    }
}

static void the_matched_tag_is_found_as_it_is_written(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(PRELUDE "  - {name: r, action: pass, when: {subject: ['!x', "
                                             "'plain', '/\\[a\\]/', '[secure]', '[社外秘]']}}\n",
                                     NULL);
    const struct fb_policy_rule *r = &p->rules[0];
    size_t offset = 0;
    size_t len = 0;
    const char *subject = "Re: ＡＢ [SECURE] hello";
    const char *tag = fb_policy_matched_tag(r, subject);
    assert_string_equal(tag, "[secure]");
    assert_true(fb_policy_find_tag(subject, tag, &offset, &len));
    assert_memory_equal(subject + offset, "[SECURE]", len);
    assert_int_equal(len, 8);
    tag = fb_policy_matched_tag(r, "件名[社外秘]");
    assert_string_equal(tag, "[社外秘]");
    assert_true(fb_policy_find_tag("\xff\xfe件名[社外秘]", tag, &offset, &len));
    assert_int_equal(offset, 8);
    assert_int_equal(len, 11);
    /* The Kelvin sign folds to k, and takes three bytes. */
    assert_true(fb_policy_find_tag("x[\xe2\x84\xaa]y", "[k]", &offset, &len));
    assert_int_equal(offset, 1);
    assert_int_equal(len, 5);
    assert_null(fb_policy_matched_tag(r, "plain [a]"));
    assert_null(fb_policy_matched_tag(r, ""));
    assert_null(fb_policy_matched_tag(r, NULL));
    assert_false(fb_policy_find_tag("[secure", "[secure]", &offset, &len));
    fb_policy_unref(&p);
}

static void missing_facts_are_empty(void **state)
{
    (void)state;
    static const struct fb_policy_facts nothing = {0};
    struct fb_policy *p = parse_good(
        PRELUDE
        "  - {name: r, action: reject, when: {from: ['<>'], subject: ['!a'], body: ['!b'],\n"
        "     header: {X: ['!c']}, attachments: {name: ['!d'], type: ['!e/f'], present: false}}}\n",
        NULL);
    char why[2000];
    assert_non_null(fb_policy_decide(p, &nothing, "a@b.c").rule);
    assert_non_null(fb_policy_decide(p, &nothing, NULL).rule);
    assert_true(explain(&p->rules[0], &nothing, "a@b.c", false, why, sizeof(why)));
    assert_non_null(strstr(why, "from: <> matches <>"));
    assert_non_null(strstr(why, "attachments.name: there is no attachment to match !d"));
    fb_policy_unref(&p);
}

static void a_small_buffer_gets_a_whole_character(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(
        PRELUDE "  - {name: r, action: pass, when: {subject: ['社外秘社外秘社外秘']}}\n", NULL);
    for (size_t size = 9; size < 60; size++) {
        char why[64];
        memset(why, 'x', sizeof(why));
        assert_false(explain(&p->rules[0], &base, "a@b.c", false, why, size));
        assert_true(strlen(why) < size);
        assert_null(strchr(why, '?'));
        assert_int_equal(why[size], 'x');
    }
    fb_policy_unref(&p);
}

/* What an attacker would send against "contains", globs and expressions. */
static void hostile_text_takes_little_time(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(
        PRELUDE "  - {name: r, action: pass, when: {body: "
                "['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab',\n"
                "     '/(a|aa)+$b/', '/^(a*)*b$/'], attachments: {name: ['!*a*a*a*a*a*b']}}}\n",
        NULL);
    size_t size = (size_t)2 * 1024 * 1024;
    char *body = malloc(size + 1);
    char name[4001];
    assert_non_null(body);
    memset(body, 'a', size);
    body[size] = '\0';
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct fb_policy_attachment_fact attachment = {name, "a/b", 1};
    struct fb_policy_facts facts = {
        .body = body, .attachments = &attachment, .attachment_count = 1};
    const char *recipients[1000];
    static struct fb_policy_decision decisions[1000];
    for (size_t i = 0; i < 1000; i++) {
        recipients[i] = "a@b.c";
    }
    int64_t start = cpu_ms();
    fb_policy_decide_many(p, &facts, recipients, 1000, decisions);
    int64_t took = cpu_ms() - start;
    print_message("hostile text: %lld ms\n", (long long)took);
    assert_true(took < 20000);
    assert_null(decisions[999].rule);
    free(body);
    fb_policy_unref(&p);
}

/* Postfix obeys a route in the local part of an address whose domain is its own. */
static void a_routed_address_is_judged_as_all_that_it_may_lead_to(void **state)
{
    (void)state;
    static const struct {
        const char *to;
        enum fb_action want;
    } rows[] = {
        {"a@example.jp", FB_ACTION_PASS},
        {"a%evil.example@example.jp", FB_ACTION_SECURE},
        {"\"a@evil.example\"@example.jp", FB_ACTION_SECURE},
        {"evil.example!a@example.jp", FB_ACTION_SECURE},
        {"a%evil.example%example.jp@example.jp", FB_ACTION_SECURE},
        {"\"a%evil.example@example.jp\"@example.jp", FB_ACTION_SECURE},
        {"example.jp!evil.example!a@example.jp", FB_ACTION_SECURE},
        {"a%example.jp@example.jp", FB_ACTION_PASS},
        {"a%example.jp@evil.example", FB_ACTION_SECURE},
        {"a%never.example@example.jp", FB_ACTION_REJECT},
        {"a%b%c%d%@example.jp", FB_ACTION_SECURE},
        {"!@example.jp", FB_ACTION_SECURE},
        {"postmaster", FB_ACTION_SECURE},
    };
    struct fb_policy *p =
        parse_good(PRELUDE "  - {name: never, action: reject, when: {to: ['@never.example']}}\n"
                           "  - {name: in, action: pass, when: {to: ['@example.jp']}}\n"
                           "  - {name: out, storage: box, security: plain}\n",
                   NULL);
    struct fb_policy_facts facts = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fb_policy_decision d = fb_policy_decide(p, &facts, rows[i].to);
        if (d.action != rows[i].want) {
            fail_msg("%s: action %d, want %d", rows[i].to, (int)d.action, (int)rows[i].want);
        }
    }
    char many[1000];
    memset(many, '%', sizeof many);
    memcpy(many + sizeof many - 12, "@example.jp", 12);
    assert_int_equal(fb_policy_decide(p, &facts, many).action, FB_ACTION_SECURE);
    fb_policy_unref(&p);
}

static void only_the_first_megabyte_of_the_body_is_searched(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(
        PRELUDE "  - {name: r, action: pass, when: {body: ['needle', '/nee[d]le/']}}\n", NULL);
    size_t limit = (size_t)1024 * 1024;
    char *body = malloc(limit + 64);
    assert_non_null(body);
    memset(body, ' ', limit + 63);
    body[limit + 63] = '\0';
    struct fb_policy_facts facts = {.body = body};
    memcpy(body + limit - 6, "needle", 6);
    assert_non_null(fb_policy_decide(p, &facts, "a@b.c").rule);
    memcpy(body + limit - 6, " needle", 7);
    assert_null(fb_policy_decide(p, &facts, "a@b.c").rule);
    free(body);
    fb_policy_unref(&p);
}

#define MANY_BLANKS ((size_t)1 << 20)
/* Mailers break lines at 72 columns, in the middle of what a rule looks for. */
static void a_line_break_in_the_body_hides_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *term, *body;
        bool want;
    } rows[] = {
        {"top secret", "this is top\nsecret", true},
        {"top secret", "this is top \n secret", true},
        {"top secret", "this is top\r\n\tSECRET", true},
        {"社外秘", "この資料は社外\n秘です", true},
        {"社外秘", "この資料は社\n外\n秘です", true},
        {"top secret", "top   secret", false},
        {"top secret", "topsecret", false},
        {"a b c", "a\nb\nc", true},
        {"aab", "aa\nab", true},
        {"x", "\n\n\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text,
                       PRELUDE "  - {name: r, action: pass, when: {body: [\"%s\"]}}\n",
                       rows[i].term);
        struct fb_policy *p = parse_good(text, NULL);
        struct fb_policy_facts facts = {.body = rows[i].body};
        if ((fb_policy_decide(p, &facts, "a@b.c").rule != NULL) != rows[i].want) {
            fail_msg("row %zu", i);
        }
        fb_policy_unref(&p);
    }
    char *blanks = malloc(MANY_BLANKS + 1);
    assert_non_null(blanks);
    memset(blanks, ' ', MANY_BLANKS);
    blanks[MANY_BLANKS] = '\0';
    int64_t start = cpu_ms();
    struct fb_policy *p =
        parse_good(PRELUDE "  - {name: r, action: pass, when: {body: [\"top secret\"]}}\n", NULL);
    struct fb_policy_facts facts = {.body = blanks};
    assert_null(fb_policy_decide(p, &facts, "a@b.c").rule);
    assert_true(cpu_ms() - start < 20000);
    fb_policy_unref(&p);
    free(blanks);
}
#undef MANY_BLANKS

static void a_body_that_is_not_seen_to_its_end_is_protected(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        bool is_taken, is_taken_whole; /* when cut, when not */
    } rows[] = {
        {"action: secure, storage: box, security: plain, when: {body: [secret]}", true, false},
        {"action: secure, storage: box, security: plain, when: {body: [word]}", true, true},
        {"action: secure, storage: box, security: plain, when: {body: ['!word']}", false, false},
        {"action: reject, when: {body: [secret]}", true, false},
        {"action: pass, when: {body: [secret]}", false, false},
        {"action: pass, when: {body: [word]}", true, true},
        {"action: pass, when: {body: ['!secret']}", false, true},
        {"action: pass, when: {subject: [s]}", true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, PRELUDE "  - {name: r, %s}\n", rows[i].rule);
        struct fb_policy *p = parse_good(text, NULL);
        struct fb_policy_facts facts = {.subject = "s", .body = "a word", .is_body_cut = true};
        bool is_taken = fb_policy_decide(p, &facts, "a@b.c").rule != NULL;
        facts.is_body_cut = false;
        bool is_taken_whole = fb_policy_decide(p, &facts, "a@b.c").rule != NULL;
        if (is_taken != rows[i].is_taken || is_taken_whole != rows[i].is_taken_whole) {
            fail_msg("%s: cut %d, whole %d", rows[i].rule, is_taken, is_taken_whole);
        }
        fb_policy_unref(&p);
    }
}

/* A byte that is no UTF-8 must not hide what stands behind it from a rule. */
static void broken_characters_hide_nothing(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(
        PRELUDE "  - {name: r, storage: box, security: plain, when: {body: ['/secret [0-9]+/']}}\n",
        NULL);
    struct fb_policy_facts facts = base;
    facts.body = "\xff\xfe caf\xe9 \x83\x5c and secret 42";
    assert_int_equal(fb_policy_decide(p, &facts, "x@a.jp").action, FB_ACTION_SECURE);
    facts.body = "\xff\xfe caf\xe9 and no more";
    assert_int_equal(fb_policy_decide(p, &facts, "x@a.jp").action, FB_ACTION_PASS);
    fb_policy_unref(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions),
        cmocka_unit_test(addresses),
        cmocka_unit_test(the_null_sender_has_its_own_term),
        cmocka_unit_test(the_first_match_wins_and_shadows_change_nothing),
        cmocka_unit_test(what_passes_before_the_rules),
        cmocka_unit_test(the_matched_tag_is_found_as_it_is_written),
        cmocka_unit_test(missing_facts_are_empty),
        cmocka_unit_test(a_small_buffer_gets_a_whole_character),
        cmocka_unit_test(hostile_text_takes_little_time),
        cmocka_unit_test(broken_characters_hide_nothing),
        cmocka_unit_test(a_routed_address_is_judged_as_all_that_it_may_lead_to),
        cmocka_unit_test(a_body_that_is_not_seen_to_its_end_is_protected),
        cmocka_unit_test(a_line_break_in_the_body_hides_nothing),
        cmocka_unit_test(only_the_first_megabyte_of_the_body_is_searched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
