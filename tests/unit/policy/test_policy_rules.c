/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of the policy document: errors of conditions, of references and of what a storage can do,
 * each with its line; and which rules are reported as never reached.
 */
#include "help.h"
#include "tests/support/cpu_time.h"

static void errors_of_rules(void **state)
{
    (void)state;
    static const struct finding_row errors[] = {
        {"no name", "- {action: pass, when: {to: [legal]}}\n", 1, "rules[0]: \"name\" is missing"},
        {"doubled", "- {name: r, action: pass, when: {to: [legal]}}\n- {name: r, action: pass}\n",
         2, "rules[1].name: \"r\" is there twice"},
        {"unknown key", "- name: r\n  enable: no\n  action: pass\n", 2,
         "rules[0].enable: unknown key; known: name, enabled, when"},
        {"enabled", "- {name: r, enabled: 1, action: pass}\n", 1,
         "rules[0].enabled: must be true or false"},
        {"action", "- {name: r, action: drop}\n", 1,
         "action: must be one of secure, pass, reject, is \"drop\""},
        {"no storage", "- {name: r, action: secure, security: plain}\n", 1,
         "\"storage\" is missing; action: secure needs one"},
        {"no security", "- {name: r, action: secure, storage: box}\n", 1,
         "\"security\" is missing; action: secure needs one"},
        {"unknown storage", "- name: r\n  storage: bxo\n  security: plain\n", 2,
         "rules[0].storage: unknown storage \"bxo\"; known: box, vault"},
        {"unknown security", "- name: r\n  storage: box\n  security: plian\n", 3,
         "rules[0].security: unknown security definition \"plian\"; known: plain, password, open "
         "password"},
        {"secure nothing",
         "- name: r\n  storage: box\n  security: plain\n  secure: {body: false, attachments: "
         "false}\n",
         4, "body and attachments are both false"},
        {"secure key",
         "- name: r\n  storage: box\n  security: plain\n  secure:\n    bodies: false\n", 5,
         "rules[0].secure.bodies: unknown key; known: body, attachments"},
        {"secure type", "- {name: r, storage: box, security: plain, secure: true}\n", 1,
         "rules[0].secure: must be a map"},
        {"on_failure", "- {name: r, storage: box, security: plain, on_failure: drop}\n", 1,
         "on_failure: must be one of hold, bounce, deliver"},
        {"receipt", "- {name: r, storage: box, security: plain, receipt: never}\n", 1,
         "receipt: must be true or false"},
        {"remind word", "- {name: r, storage: box, security: plain, remind_after: soon}\n", 1,
         "remind_after: must be days"},
        {"remind hours", "- {name: r, storage: box, security: plain, remind_after: 30h}\n", 1,
         "remind_after: must be days"},
        {"remind negative", "- {name: r, storage: box, security: plain, remind_after: -1}\n", 1,
         "remind_after: must be days"},
        {"remind list", "- {name: r, storage: box, security: plain, remind_after: [1]}\n", 1,
         "remind_after: must be days"},
        {"fallback unknown", "- {name: r, storage: box, security: plain, without_account: none}\n",
         1, "without_account: must be invite, vault or the name"},
        {"fallback is box", "- {name: r, storage: box, security: plain, without_account: box}\n", 1,
         "without_account: \"box\" is no vault storage"},
        {"box with password", "- name: r\n  storage: box\n  security: password\n", 3,
         "Box has only for links with access: anyone"},
        {"box with counter", "- name: r\n  storage: box\n  security: counted\n", 3,
         "max_downloads, which only a vault can keep"},
        {"path out", "- {name: r, storage: box, security: plain, path: \"a/../b\"}\n", 1,
         "rules[0].path: has a folder name of dots or spaces alone"},
        {"path placeholder", "- {name: r, storage: box, security: plain, path: \"{subject}\"}\n", 1,
         "path: unknown placeholder {subject}; known: {sender}"},
        {"path absolute", "- {name: r, storage: box, security: plain, path: \"/a\"}\n", 1,
         "path: has an empty folder name"},
        {"path brace", "- {name: r, storage: box, security: plain, path: \"{sender\"}\n", 1,
         "without its counterpart"},
        {"path date", "- {name: r, storage: box, security: plain, path: \"{date:%s}\"}\n", 1,
         "date conversion that is none of"},
        {"path date out", "- {name: r, storage: box, security: plain, path: \"{date:%Y/../%m}\"}\n",
         1, "folder name of dots"},
    };
    static const struct finding_row warnings[] = {
        {"proof on box", "- {name: r, storage: box, security: view only, when: {to: [legal]}}\n", 1,
         "proof of \"view only\" is ignored"},
        {"preview on box", "- {name: r, storage: box, security: view only, when: {to: [legal]}}\n",
         1, "Box needs the role previewer"},
        {"vault needs no account",
         "- {name: r, storage: vault, without_account: vault, security: plain}\n", 1,
         "has no effect, a vault needs no account"},
        {"storage of a pass", "- name: r\n  action: pass\n  storage: box\n", 3,
         "rules[0].storage: has no effect with this action"},
        {"tag of a pass", "- name: r\n  action: reject\n  strip_tag: true\n", 3,
         "rules[0].strip_tag: has no effect"},
        {"nothing to strip", "- name: r\n  storage: box\n  security: plain\n  strip_tag: true\n", 4,
         "no subject condition is a [tag]"},
        {"odd path", "- {name: r, storage: box, security: plain, path: \"a:b\"}\n", 1,
         "in folder names become"},
    };
    check_errors(PRELUDE, PRELUDE_LINES, errors, sizeof(errors) / sizeof(errors[0]));
    check_warnings(PRELUDE, PRELUDE_LINES, warnings, sizeof(warnings) / sizeof(warnings[0]));
}

static void keys_of_the_vault_are_for_vaults(void **state)
{
    (void)state;
    static const char head[] =
        "storages:\n"
        "  - {name: box, type: box, auth_file: box.json}\n"
        "  - {name: v, type: vault, url: \"file:///srv/vault\", key_file: k}\n"
        "security_definitions:\n"
        "  - {name: told, access: anyone, password: generated, password_to: sender}\n"
        "  - {name: trusting, trusted_days: 30, members: true}\n"
        "rules:\n";
    static const struct finding_row errors[] = {
        {"password for the sender on box", "- name: r\n  storage: box\n  security: told\n", 3,
         "password_to: sender, which only a vault can keep"},
        {"password that nobody is told",
         "- {name: r, storage: v, security: told, receipt: false}\n", 1,
         "tells the password to the sender, in the receipt: set receipt: true"},
    };
    static const struct finding_row warnings[] = {
        {"on box", "- {name: r, storage: box, security: trusting}\n", 1,
         "trusted_days and members of \"trusting\" are ignored"},
        {"anyone in a vault", "- {name: r, storage: v, security: told}\n", 1,
         "in a vault each recipient has a link and proves that mailbox"},
    };
    check_errors(head, 7, errors, sizeof(errors) / sizeof(errors[0]));
    check_warnings(head, 7, warnings, sizeof(warnings) / sizeof(warnings[0]));
    /* Who has no account reads in the vault, where they count. */
    struct fb_policy_findings findings = {0};
    char text[700];
    (void)snprintf(text, sizeof(text),
                   "%s- {name: r, storage: box, without_account: v, security: trusting}\n", head);
    struct fb_policy *policy = parse_good(text, &findings);
    for (size_t i = 0; i < findings.count; i++) {
        assert_null(strstr(findings.items[i].text, "trusted_days"));
    }
    fb_policy_findings_deinit(&findings);
    fb_policy_unref(&policy);
}

static void a_reminder_comes_before_the_end_of_access(void **state)
{
    (void)state;
    static const char head[] =
        "storages: [{name: v, type: vault, url: \"file:///srv/vault\", key_file: k}]\n"
        "security_definitions: [{name: week, expires_after: 7d}, {name: ever}]\n"
        "rules:\n";
    static const struct finding_row warnings[] = {
        {"the same day", "- name: r\n  storage: v\n  security: week\n  remind_after: 7\n", 4,
         "rules[0].remind_after: has no effect, access ends before (expires_after of \"week\")"},
        {"later", "- name: r\n  storage: v\n  security: week\n  remind_after: 30d\n", 4,
         "take fewer days"},
    };
    check_warnings(head, 3, warnings, sizeof(warnings) / sizeof(warnings[0]));
    static const char *const fine[] = {"security: week, remind_after: 6", "security: week",
                                       "security: ever, remind_after: 300"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        char text[512];
        struct fb_policy_findings findings = {0};
        (void)snprintf(text, sizeof(text), "%s- {name: r, storage: v, when: {to: [a@b.c]}, %s}\n",
                       head, fine[i]);
        struct fb_policy *policy = parse_good(text, &findings);
        for (size_t k = 0; k < findings.count; k++) {
            assert_null(strstr(findings.items[k].text, "remind_after"));
        }
        fb_policy_findings_deinit(&findings);
        fb_policy_unref(&policy);
    }
}

static void errors_of_conditions(void **state)
{
    (void)state;
    static const struct finding_row errors[] = {
        {"unknown key", "    recipient: []\n", 1,
         "rules[0].when.recipient: unknown key; known: from, to, subject"},
        {"no list", "    to: \"@example.jp\"\n", 1,
         "rules[0].when.to: must be a list, is a single value; write [ ]"},
        {"empty term", "    to: [\"\"]\n", 1, "rules[0].when.to: must not be empty"},
        {"lone !", "    to: [\"!\"]\n", 1, "\"!\" alone negates nothing"},
        {"null term", "    subject: [~]\n", 1, "rules[0].when.subject: must not be empty"},
        {"map term", "    subject:\n      - a: b\n", 2,
         "rules[0].when.subject: must be a text, is a map"},
        {"bare domain", "    to:\n      - x@y.jp\n      - example.jp\n", 3,
         "\"example.jp\" is neither an address, \"@domain\", a glob, nor the name of a group; "
         "known groups: legal"},
        {"unknown group", "    from: [\"!group:sales\"]\n", 1,
         "unknown group \"sales\"; known: legal"},
        {"no domain", "    from: [\"a@\"]\n", 1, "has no valid domain"},
        {"dotted domain", "    from: [\"@a..b\"]\n", 1, "has no valid domain"},
        {"null recipient", "    to: [\"<>\"]\n", 1, "a recipient is never empty"},
        {"bad regex", "    subject:\n      - ok\n      - \"/[a/\"\n", 3,
         "bad regular expression /[a/: "},
        {"bad negated regex", "    body: [\"!/a{2,1}/\"]\n", 1,
         "bad regular expression /a{2,1}/: "},
        {"no interval", "    body: [\"/a{+1}/\"]\n", 1, "\"{\" begins {n}, {n,} or {n,m}"},
        {"empty regex", "    body: [\"//\"]\n", 1, "is an empty regular expression"},
        {"back-reference", "    body: ['/(a)\\1/']\n", 1, "back-references are not supported"},
        {"perl digit", "    body: ['/\\d{4}/']\n", 1, "\\d is not POSIX; write [0-9]"},
        {"perl newline", "    body: ['/a\\n/']\n", 1, "not POSIX"},
        {"lone backslash", "    body: ['/a\\/']\n", 1, "ends with a lone backslash"},
        {"repetition bomb", "    body: ['/((a{100}){100}){100}/']\n", 1, "repeats too much"},
        {"repetition bomb, flat", "    body: ['/a{200}{200}/']\n", 1, "repeats too much"},
        {"address regex", "    to: [\"/(/\"]\n", 1, "bad regular expression /(/"},
        {"header no map", "    header: [X-A]\n", 1, "rules[0].when.header: must be a map"},
        {"header name", "    header: {\"X A\": [b]}\n", 1, "is no name of a header field"},
        {"header twice", "    header:\n      X-A: [b]\n      x-a: [c]\n", 3,
         "the header is there twice"},
        {"header empty", "    header:\n      X-A: []\n", 2,
         "must say what the header holds; [\"/./\"] means anything"},
        {"header null", "    header:\n      X-A:\n", 2, "must say what the header holds"},
        {"header no list", "    header:\n      X-A: b\n", 2,
         "rules[0].when.header.X-A: must be a list"},
        {"attachments key", "    attachments: {names: []}\n", 1,
         "attachments.names: unknown key; known: present, name, type"},
        {"attachments no map", "    attachments: true\n", 1,
         "rules[0].when.attachments: must be a map"},
        {"present", "    attachments: {present: some}\n", 1,
         "attachments.present: must be true or false"},
        {"type", "    attachments: {type: [pdf]}\n", 1, "\"pdf\" is no media type"},
        {"larger_than", "    attachments: {larger_than: 10M}\n", 1,
         "attachments.larger_than: must be a size such as 10MiB"},
        {"count_over", "    attachments: {count_over: few}\n", 1,
         "attachments.count_over: must be a whole number"},
        {"size_over", "    size_over: big\n", 1, "rules[0].when.size_over: must be a size"},
        {"size_over list", "    size_over: [1]\n", 1,
         "rules[0].when.size_over: must be a single value"},
    };
    static const struct finding_row warnings[] = {
        {"half a regex", "    subject: [\"/tmp\"]\n", 1, "no regular expression"},
    };
    check_errors(PRELUDE "- name: r\n  action: pass\n  when:\n", PRELUDE_LINES + 3, errors,
                 sizeof(errors) / sizeof(errors[0]));
    check_warnings(PRELUDE "- name: r\n  action: pass\n  when:\n", PRELUDE_LINES + 3, warnings,
                   sizeof(warnings) / sizeof(warnings[0]));
}

static void the_only_vault_is_found_by_its_type(void **state)
{
    (void)state;
    static const char head[] =
        "security_definitions: [{name: s}]\n"
        "rules: [{name: r, storage: b, without_account: vault, security: s}]\n"
        "storages:\n"
        "  - {name: b, type: box, auth_file: a}\n";
    static const struct finding_row errors[] = {
        {"none", "", 2, "no storage of type vault is defined"},
        {"two",
         "  - {name: v1, type: vault, url: \"file:///1\", key_file: k}\n"
         "  - {name: v2, type: vault, url: \"file:///2\", key_file: k}\n",
         2, "several vaults are defined"},
    };
    for (size_t i = 0; i < 2; i++) {

        check_errors(head, 0, &errors[i], 1);
    }
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "%s  - {name: v, type: vault, url: \"file:///1\", key_file: k}\n", head);
    struct fb_policy *p = parse_good(text, NULL);
    assert_string_equal(p->rules[0].without_account->name, "v");
    fb_policy_unref(&p);
}

/* Two rules: is the second one reported as never reached? */
static void rules_that_are_never_reached_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *name, *earlier, *later;
        bool is_covered;
    } rows[] = {
        {"catch-all first", "", "when: {to: [a@b.jp]}", true},
        {"empty lists are no conditions", "when: {to: [], subject: []}", "when: {to: [a@b.jp]}",
         true},
        {"same conditions", "when: {to: [\"@b.jp\"], subject: [x]}",
         "when: {to: [\"@B.jp\"], subject: [X]}", true},
        {"disabled earlier", "enabled: false", "when: {to: [a@b.jp]}", false},
        {"shadow earlier", "shadow: true", "when: {to: [a@b.jp]}", false},
        {"disabled later", "", "enabled: false", false},
        {"shadow later", "", "shadow: true", true},
        {"address in domain", "when: {to: [\"@b.jp\"]}", "when: {to: [A@b.jp]}", true},
        {"domain over address", "when: {to: [a@b.jp]}", "when: {to: [\"@b.jp\"]}", false},
        {"sub-domain", "when: {to: [\"@.b.jp\"]}",
         "when: {to: [x@a.b.jp, \"@a.b.jp\", \"@.a.b.jp\"]}", true},
        {"domain is not its sub-domains", "when: {to: [\"@.b.jp\"]}", "when: {to: [\"@b.jp\"]}",
         false},
        {"one of two is wider", "when: {to: [\"@b.jp\"]}", "when: {to: [a@b.jp, a@c.jp]}", false},
        {"union covers", "when: {to: [\"@b.jp\", \"@c.jp\"]}", "when: {to: [a@b.jp, a@c.jp]}",
         true},
        {"earlier has one more condition", "when: {to: [\"@b.jp\"], subject: [x]}",
         "when: {to: [\"@b.jp\"]}", false},
        {"later has one more condition", "when: {to: [\"@b.jp\"]}",
         "when: {to: [\"@b.jp\"], body: [x]}", true},
        {"star", "when: {to: [\"*\"]}", "when: {to: [\"@b.jp\"]}", true},
        {"glob of a domain", "when: {to: [\"*@b.jp\"]}", "when: {to: [\"@b.jp\"]}", true},
        {"glob over address", "when: {to: [\"a*@b.jp\"]}", "when: {to: [abc@b.jp]}", true},
        {"glob not over domain", "when: {to: [\"a*@b.jp\"]}", "when: {to: [\"@b.jp\"]}", false},
        {"group by domain", "when: {to: [legal]}",
         "when: {to: [x@law.example.jp, \"@y.courts.example\"]}", true},
        {"group in domains",
         "when: {to: [a@example.jp, \"@law.example.jp\", \"@.courts.example\"]}",
         "when: {to: [legal]}", true},
        {"group wider", "when: {to: [\"@law.example.jp\"]}", "when: {to: [\"group:legal\"]}",
         false},
        {"group of both names", "when: {to: [legal]}", "when: {to: [\"group:legal\"]}", true},
        {"same exclusion", "when: {to: [\"!@b.jp\"]}", "when: {to: [\"!@b.jp\"], subject: [x]}",
         true},
        {"wider exclusion later", "when: {to: [\"!a@b.jp\"]}", "when: {to: [\"!@b.jp\"]}", true},
        {"narrower exclusion later", "when: {to: [\"!@b.jp\"]}", "when: {to: [\"!a@b.jp\"]}",
         false},
        {"exclusion apart", "when: {to: [\"!@b.jp\"]}", "when: {to: [\"@c.jp\"]}", true},
        {"exclusion not apart", "when: {to: [\"!@b.jp\"]}", "when: {to: [\"@c.jp\", a@b.jp]}",
         false},
        {"exclusion of nothing", "when: {to: [\"!@b.jp\"]}", "when: {subject: [x]}", false},
        {"contains less", "when: {subject: [secure]}", "when: {subject: [\"[SECURE]\"]}", true},
        {"contains more", "when: {subject: [\"[secure]\"]}", "when: {subject: [secure]}", false},
        {"same regex", "when: {subject: [\"/^a/\"]}", "when: {subject: [\"/^a/\"], to: [legal]}",
         true},
        {"other regex", "when: {subject: ['/\\w/']}", "when: {subject: ['/\\W/']}", false},
        {"null sender and regex", "when: {from: [\"/./\"]}", "when: {from: [\"<>\"]}", false},
        {"null sender and star", "when: {from: [\"*\"]}", "when: {from: [\"<>\"]}", true},
        {"header of another case", "when: {header: {X-A: [b]}}", "when: {header: {x-a: [abc]}}",
         true},
        {"other header", "when: {header: {X-A: [b]}}", "when: {header: {X-B: [b]}}", false},
        {"size", "when: {size_over: 1MB}", "when: {size_over: 2MB}", true},
        {"size the other way", "when: {size_over: 2MB}", "when: {size_over: 1MB}", false},
        {"size not asked", "when: {size_over: 0}", "when: {to: [legal]}", false},
        {"present by name", "when: {attachments: {present: true}}",
         "when: {attachments: {name: [\"*.x\"]}}", true},
        {"not present by absence", "when: {attachments: {present: true}}",
         "when: {attachments: {name: [\"!*.x\"]}}", false},
        {"absent", "when: {attachments: {present: false}}", "when: {attachments: {present: false}}",
         true},
        {"absent and any", "when: {attachments: {present: false}}", "when: {to: [legal]}", false},
        {"name glob", "when: {attachments: {name: [\"*.xlsx\"]}}",
         "when: {attachments: {name: [\"a.XLSX\"]}}", true},
        {"count", "when: {attachments: {count_over: 1}}", "when: {attachments: {count_over: 3}}",
         true},
        {"larger", "when: {attachments: {larger_than: 3MB}}",
         "when: {attachments: {larger_than: 1MB}}", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[2048];
        struct fb_policy_findings f = {0};
        (void)snprintf(text, sizeof(text),
                       PRELUDE
                       "  - {name: one, action: pass%s%s}\n  - {name: two, action: pass%s%s}\n",
                       rows[i].earlier[0] != '\0' ? ", " : "", rows[i].earlier,
                       rows[i].later[0] != '\0' ? ", " : "", rows[i].later);
        struct fb_policy *p = parse_good(text, &f);
        bool is_found =
            find_finding(&f, false, PRELUDE_LINES + 2,
                         "rules[1]: \"two\" is never reached: rules[0] \"one\" (line 13)") != NULL;
        if (is_found != rows[i].is_covered) {
            print_findings(&f);
            fail_msg("%s: got %d, want %d", rows[i].name, is_found, rows[i].is_covered);
        }
        fb_policy_unref(&p);
        fb_policy_findings_deinit(&f);
    }
}

static void looking_for_unreached_rules_is_bounded(void **state)
{
    (void)state;
    struct fb_buf text;
    struct fb_policy *policy = NULL;
    struct fb_policy_findings f = {0};
    fb_buf_init(&text, (size_t)4 * 1024 * 1024);
    assert_int_equal(fb_buf_add_str(&text, "rules:\n"), FB_OK);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fb_buf_printf(&text, "  - {name: r%d, action: pass, when: {to: [", i),
                         FB_OK);
        for (int j = 0; j < 500; j++) {
            assert_int_equal(fb_buf_printf(&text, "u%d-%d@x.jp,", i, j), FB_OK);
        }
        assert_int_equal(fb_buf_add_str(&text, "]}}\n"), FB_OK);
    }
    int64_t start = cpu_ms();
    assert_int_equal(fb_policy_parse(fb_slice_buf(&text), &policy, &f), FB_OK);
    assert_true(cpu_ms() - start < 30000);
    fb_policy_unref(&policy);
    fb_policy_findings_deinit(&f);
    fb_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_of_rules),
        cmocka_unit_test(keys_of_the_vault_are_for_vaults),
        cmocka_unit_test(a_reminder_comes_before_the_end_of_access),
        cmocka_unit_test(errors_of_conditions),
        cmocka_unit_test(the_only_vault_is_found_by_its_type),
        cmocka_unit_test(rules_that_are_never_reached_are_found),
        cmocka_unit_test(looking_for_unreached_rules_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
