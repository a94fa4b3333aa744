/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing the policy document: what is accepted, with which defaults, and every kind of error with
 * its line. Conditions and rules have their own tables in test_policy_rules.c.
 */
#include "common/policy/text.h"
#include "help.h"

static void every_key_reaches_the_policy(void **state)
{
    (void)state;
    struct fb_policy *p =
        parse_good("storages:\n"
                   "  - {name: b, type: box, auth_file: /x/box.json, root_folder: 12, users: [1, "
                   "{id: \"2\", root_folder: \"3\"}],\n"
                   "     events: enterprise, "
                   "     box_auth: ccg, api_url: \"http://127.0.0.1:1/2.0/\", upload_url: "
                   "\"https://u/\", token_url: \"https://t/t\"}\n"
                   "  - {name: v, type: vault, url: \"s3://bucket/p\", key_file: /x/key, quota: "
                   "2GiB}\n"
                   "groups: [{name: g, members: [B@Example.JP, \"@example.com\"]}]\n"
                   "security_definitions:\n"
                   "  - {name: s, access: anyone, download: false, expires_after: 12h, "
                   "purge_after: 30d, password: generated, proof: link,\n"
                   "     watermark: true}\n"
                   "  - {name: t, trusted_days: 90, members: true, reply: false, password: "
                   "generated, password_to: sender}\n"
                   "rules:\n"
                   "  - name: r\n"
                   "    enabled: true\n"
                   "    when: {from: [g], to: [\"!@x.jp\"], subject: [\"[s]\"], header: {X-A: "
                   "[b]}, body: [c],\n"
                   "           attachments: {present: true, name: [\"*.x\"], type: [\"a/*\"], "
                   "larger_than: 1KiB, count_over: 2},\n"
                   "           size_over: 3MB}\n"
                   "    action: secure\n"
                   "    secure: {body: false, attachments: true}\n"
                   "    storage: b\n"
                   "    without_account: vault\n"
                   "    security: s\n"
                   "    path: \"a/{sender}\"\n"
                   "    receipt: false\n"
                   "    on_failure: deliver\n"
                   "    strip_tag: true\n"
                   "    shadow: true\n"
                   "    remind_after: 3d\n"
                   "pass: {delivery_reports: false, auto_replies: true, encrypted: false}\n"
                   "notices: {language: ja, organisation: O, logo: /l.png, templates: "
                   "{notice.en.text: \"{{link}}\"}}\n",
                   NULL);
    assert_int_equal(p->storage_count, 2);
    const struct fb_policy_storage *b = fb_policy_find_storage(p, "b");
    assert_int_equal(b->type, FB_STORAGE_BOX);
    assert_string_equal(b->auth_file, "/x/box.json");
    assert_string_equal(b->root_folder, "12");
    assert_string_equal(b->box_auth, "ccg");
    assert_true(b->follows_enterprise);
    assert_string_equal(b->api_url, "http://127.0.0.1:1/2.0");
    assert_string_equal(b->upload_url, "https://u");
    assert_string_equal(b->token_url, "https://t/t");
    assert_int_equal(b->user_count, 2);
    assert_string_equal(b->users[0].id, "1");
    assert_string_equal(b->users[0].root_folder, "12");
    assert_string_equal(b->users[1].id, "2");
    assert_string_equal(b->users[1].root_folder, "3");
    const struct fb_policy_storage *v = fb_policy_find_storage(p, "v");
    assert_int_equal(v->type, FB_STORAGE_VAULT);
    assert_string_equal(v->url, "s3://bucket/p");
    assert_string_equal(v->key_file, "/x/key");
    assert_int_equal(p->groups[0].member_count, 2);
    const struct fb_policy_security *s = fb_policy_find_security(p, "s");
    assert_int_equal(s->access, FB_ACCESS_ANYONE);
    assert_false(s->can_download);
    assert_int_equal(s->expires_after_s, 43200);
    assert_int_equal(s->purge_after_s, 30 * 86400);
    assert_true(s->is_password_generated);
    assert_int_equal(s->proof, FB_PROOF_LINK);
    assert_true(s->is_watermarked);
    const struct fb_policy_security *t = fb_policy_find_security(p, "t");
    assert_int_equal(t->trusted_days, 90);
    assert_true(t->has_members && !t->may_reply && t->password_to_sender);
    assert_int_equal(fb_policy_find_storage(p, "v")->quota, (int64_t)2 << 30);
    const struct fb_policy_rule *r = fb_policy_find_rule(p, "r");
    assert_int_equal(r->line, 11);
    assert_ptr_equal(r->from.items[0].group, &p->groups[0]);
    assert_true(r->to.items[0].is_negated);
    assert_string_equal(r->headers[0].name, "X-A");
    assert_int_equal(r->attachments_present, 1);
    assert_int_equal(r->attachment_larger_than, 1024);
    assert_int_equal(r->attachment_count_over, 2);
    assert_int_equal(r->size_over, 3000000);
    assert_false(r->secures_body);
    assert_true(r->secures_attachments);
    assert_ptr_equal(r->storage, b);
    assert_ptr_equal(r->without_account, v);
    assert_ptr_equal(r->security, s);
    assert_string_equal(r->path, "a/{sender}");
    assert_false(r->sends_receipt);
    assert_int_equal(r->on_failure, FB_FAILURE_DELIVER);
    assert_true(r->strips_tag);
    assert_true(r->is_shadow);
    assert_int_equal(r->remind_after_days, 3);
    assert_false(p->passes_delivery_reports);
    assert_true(p->passes_auto_replies);
    assert_false(p->passes_encrypted);
    assert_string_equal(p->notices.language, "ja");
    assert_string_equal(p->notices.organisation, "O");
    assert_string_equal(p->notices.logo, "/l.png");
    assert_int_equal(p->notices.template_count, 1);
    assert_string_equal(p->notices.templates[0].key, "notice.en.text");
    fb_policy_unref(&p);
    assert_null(p);
}

static void remote_images_are_fetched_for_a_secured_body_alone(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(PRELUDE "  - {name: r, storage: box, security: plain, "
                                             "secure: {remote_images: true}}\n",
                                     NULL);
    assert_true(p->rules[0].fetches_images && p->rules[0].secures_body);
    fb_policy_unref(&p);
    static const char bad[] = PRELUDE "  - {name: r, storage: box, security: plain, "
                                      "secure: {body: false, remote_images: true}}\n";
    struct fb_policy_findings findings = {0};
    assert_int_not_equal(fb_policy_parse(fb_slice_str(bad), &p, &findings), FB_OK);
    bool is_found = false;
    for (size_t i = 0; i < findings.count; i++) {
        is_found = is_found || strstr(findings.items[i].text, "remote_images is for the body");
    }
    assert_true(findings.error_count == 1 && is_found);
    fb_policy_findings_deinit(&findings);
}

static void attached_images_are_shown_behind_a_secured_body_alone(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(PRELUDE "  - {name: r, storage: box, security: plain, "
                                             "secure: {images: true}}\n",
                                     NULL);
    assert_true(p->rules[0].shows_images && p->rules[0].secures_body);
    fb_policy_unref(&p);
    static const char bad[] = PRELUDE "  - {name: r, storage: box, security: plain, "
                                      "secure: {body: false, images: true}}\n";
    struct fb_policy_findings findings = {0};
    assert_int_not_equal(fb_policy_parse(fb_slice_str(bad), &p, &findings), FB_OK);
    bool is_found = false;
    for (size_t i = 0; i < findings.count; i++) {
        is_found = is_found || strstr(findings.items[i].text, ": images is for the body");
    }
    assert_true(findings.error_count == 1 && is_found);
    fb_policy_findings_deinit(&findings);
}

static void defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good(
        PRELUDE "  - {name: r, storage: box, security: plain, path: ~, when: ~}\n", NULL);
    const struct fb_policy_rule *r = &p->rules[0];
    const struct fb_policy_security *s = fb_policy_find_security(p, "plain");
    assert_true(r->is_enabled);
    assert_int_equal(r->action, FB_ACTION_SECURE);
    assert_true(r->secures_body && r->secures_attachments && !r->fetches_images);
    assert_null(r->without_account);
    assert_string_equal(r->path, "");
    assert_true(r->sends_receipt);
    assert_int_equal(r->on_failure, FB_FAILURE_HOLD);
    assert_false(r->strips_tag || r->is_shadow);
    assert_int_equal(r->remind_after_days, 0);
    assert_int_equal(r->attachments_present, -1);
    assert_int_equal(r->size_over, -1);
    assert_int_equal(s->access, FB_ACCESS_RECIPIENTS);
    assert_true(s->can_download);
    assert_int_equal(s->expires_after_s, 0);
    assert_int_equal(s->purge_after_s, 0);
    assert_false(s->is_password_generated || s->is_watermarked);
    assert_int_equal(s->proof, FB_PROOF_CODE);
    assert_int_equal(s->max_downloads, 0);
    assert_int_equal(s->trusted_days, 0);
    assert_false(s->has_members || s->password_to_sender);
    assert_true(s->may_reply);
    assert_int_equal(p->storages[1].quota, 0);
    assert_string_equal(p->storages[0].root_folder, "0");
    assert_string_equal(p->storages[0].api_url, "https://api.box.com/2.0");
    assert_string_equal(p->storages[0].upload_url, "https://upload.box.com/api/2.0");
    assert_string_equal(p->storages[0].token_url, "https://api.box.com/oauth2/token");
    assert_null(p->storages[0].box_auth);
    assert_false(p->storages[0].follows_enterprise);
    assert_true(p->passes_delivery_reports && p->passes_encrypted && !p->passes_auto_replies);
    assert_string_equal(p->notices.language, "auto");
    assert_string_equal(p->notices.organisation, "");
    assert_null(p->notices.logo);
    fb_policy_unref(&p);
}

static void the_version_is_the_digest_of_the_bytes(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good("rules: []\n", NULL);
    assert_string_equal(p->version,
                        "e0dfa70eb69d47fe9cb2be8a4fcd53e74cf7fe26fcbb1f06912b57a9c028e4e0");
    fb_policy_unref(&p);
}

static void references_are_counted(void **state)
{
    (void)state;
    struct fb_policy *p = parse_good("rules: []\n", NULL);
    struct fb_policy *second = fb_policy_ref(p);
    assert_ptr_equal(second, p);
    fb_policy_unref(&p);
    assert_null(p);
    assert_int_equal(strlen(second->version), 64);
    fb_policy_unref(&second);
    fb_policy_unref(&second);
}

static void errors_of_the_whole_document(void **state)
{
    (void)state;
    static const struct finding_row errors[] = {
        {"empty", "", 0, "document: is empty"},
        {"null", "~\n", 0, "document: is empty"},
        {"not a map", "\n- a\n", 2, "document: must be a map (key: value), is a list"},
        {"syntax", "rules:\n  - {a: b\n", 3, "document: did not find"},
        {"doubled key", "rules: []\nrules: []\n", 2, "the key \"rules\" is there twice"},
        {"alias", "rules: &a []\nx: *a\n", 2, "aliases"},
        {"unknown key", "rules: []\nrule: []\n", 2,
         "rule: unknown key; known: storages, groups, security_definitions"},
        {"rules missing", "pass: {}\n", 1, "\"rules\" is missing"},
        {"rules null", "rules:\n", 1, "\"rules\" is missing"},
        {"rules no list", "rules: {}\n", 1, "rules: must be a list, is a map"},
        {"rule no map", "rules:\n  - x\n", 2, "rules[0]: must be a map"},
        {"pass key", "rules: []\npass:\n  autoreplies: true\n", 3,
         "pass.autoreplies: unknown key; known: delivery_reports"},
        {"pass type", "rules: []\npass:\n  encrypted: \"true\"\n", 3,
         "pass.encrypted: must be true or false"},
        {"pass word", "rules: []\npass: {encrypted: maybe}\n", 2,
         "pass.encrypted: must be true or false"},
        {"pass no map", "rules: []\npass: true\n", 2, "pass: must be a map"},
        {"storages no list", "rules: []\nstorages: {name: box}\n", 2,
         "storages: must be a list, is a map; write [ ]"},
    };
    static const struct finding_row warnings[] = {
        {"no rules", "rules: []\n", 1, "all mail passes untouched"},
    };
    check_errors("", 0, errors, sizeof(errors) / sizeof(errors[0]));
    check_warnings("", 0, warnings, sizeof(warnings) / sizeof(warnings[0]));
}

static void errors_of_storages(void **state)
{
    (void)state;
    static const struct finding_row errors[] = {
        {"no name", "- {type: vault, url: \"file:///v\", key_file: k}\n", 1,
         "storages[0]: \"name\" is missing"},
        {"empty name", "- {name: \"\", type: vault, url: \"file:///v\", key_file: k}\n", 1,
         "storages[0].name: must not be empty"},
        {"name no text", "- {name: [a], type: vault, url: \"file:///v\", key_file: k}\n", 1,
         "storages[0].name: must be a text, is a list"},
        {"name with a newline",
         "- {name: \"a\\nb\", type: vault, url: \"file:///v\", key_file: k}\n", 1,
         "without control characters"},
        {"doubled name",
         "- {name: v, type: vault, url: \"file:///v\", key_file: k}\n- name: v\n  type: vault\n  "
         "url: \"file:///v\"\n  key_file: k\n",
         2, "storages[1].name: \"v\" is there twice"},
        {"reserved name", "- {name: invite, type: vault, url: \"file:///v\", key_file: k}\n", 1,
         "\"invite\" has a meaning"},
        {"no type", "- {name: v}\n", 1, "\"type\" is missing (box or vault)"},
        {"unknown type", "- name: v\n  type: s3\n", 2,
         "storages[0].type: must be one of box, vault, is \"s3\""},
        {"unknown key",
         "- name: v\n  type: vault\n  url: \"file:///v\"\n  keyfile: k\n  key_file: k\n", 4,
         "storages[0].keyfile: unknown key; known: name, type, url, key_file"},
        {"box key in a vault",
         "- {name: v, type: vault, url: \"file:///v\", key_file: k, root_folder: \"0\"}\n", 1,
         "root_folder: unknown key"},
        {"vault without url", "- {name: v, type: vault, key_file: k}\n", 1,
         "storages[0]: \"url\" is missing"},
        {"vault without key", "- {name: v, type: vault, url: \"file:///v\"}\n", 1,
         "storages[0]: \"key_file\" is missing"},
        {"relative url", "- {name: v, type: vault, url: \"file://v\", key_file: k}\n", 1,
         "must be file:///directory or s3://"},
        {"other scheme", "- {name: v, type: vault, url: \"gs://b/\", key_file: k}\n", 1,
         "must be file:///directory or s3://"},
        {"no bucket", "- {name: v, type: vault, url: \"s3:///p\", key_file: k}\n", 1,
         "must be file:///directory or s3://"},
        {"climbing to the end", "- {name: v, type: vault, url: \"file:///a/..\", key_file: k}\n", 1,
         "storages[0].url: must be file:///directory"},
        {"quota", "- {name: v, type: vault, url: \"file:///v\", key_file: k, quota: big}\n", 1,
         "storages[0].quota: must be a size"},
        {"climbing url", "- {name: v, type: vault, url: \"file:///a/../b\", key_file: k}\n", 1,
         "must be file:///directory"},
        {"box without auth", "- {name: b, type: box}\n", 1,
         "storages[0]: \"auth_file\" is missing"},
        {"auth null", "- {name: b, type: box, auth_file: }\n", 1,
         "storages[0]: \"auth_file\" is missing"},
        {"root no id", "- {name: b, type: box, auth_file: a, root_folder: /mail}\n", 1,
         "root_folder: must be a Box id (digits), is \"/mail\""},
        {"auth kind", "- {name: b, type: box, auth_file: a, box_auth: oauth}\n", 1,
         "box_auth: must be one of jwt, ccg"},
        {"event stream", "- {name: b, type: box, auth_file: a, events: all}\n", 1,
         "events: must be one of user, enterprise"},
        {"users no list", "- {name: b, type: box, auth_file: a, users: 12}\n", 1,
         "users: must be a list"},
        {"user no id", "- {name: b, type: box, auth_file: a, users: [joe]}\n", 1,
         "users[0]: must be a Box user id"},
        {"user map no id", "- {name: b, type: box, auth_file: a, users: [{root_folder: \"1\"}]}\n",
         1, "users[0]: \"id\" is missing"},
        {"user unknown key",
         "- {name: b, type: box, auth_file: a, users: [{id: \"1\", root: \"1\"}]}\n", 1,
         "unknown key; known: id, root_folder"},
        {"user twice",
         "- name: b\n  type: box\n  auth_file: a\n  users:\n    - \"1\"\n    - {id: \"1\"}\n", 6,
         "users[1]: user 1 is there twice"},
        {"api url", "- {name: b, type: box, auth_file: a, api_url: api.box.com}\n", 1,
         "api_url: must be a URL https://"},
        {"url with user", "- {name: b, type: box, auth_file: a, token_url: \"https://u:p@h/\"}\n",
         1, "token_url: must be a URL"},
    };
    static const struct finding_row warnings[] = {
        {"plain http abroad",
         "- {name: b, type: box, auth_file: a, upload_url: \"http://box.example/\"}\n", 1,
         "http sends access tokens unencrypted"},
    };
    check_errors("rules: []\nstorages:\n", 2, errors, sizeof(errors) / sizeof(errors[0]));
    check_warnings("rules: []\nstorages:\n", 2, warnings, sizeof(warnings) / sizeof(warnings[0]));
}

static void errors_of_groups(void **state)
{
    (void)state;
    static const struct finding_row errors[] = {
        {"no name", "- {members: [a@b.c]}\n", 1, "groups[0]: \"name\" is missing"},
        {"doubled", "- {name: g, members: [a@b.c]}\n- {name: g, members: [a@b.c]}\n", 2,
         "groups[1].name: \"g\" is there twice"},
        {"unknown key", "- name: g\n  member: [a@b.c]\n  members: [a@b.c]\n", 2,
         "groups[0].member: unknown key; known: name, members"},
        {"no members", "- {name: g}\n", 1, "groups[0].members: a group needs at least one member"},
        {"null members", "- name: g\n  members:\n", 2, "a group needs at least one member"},
        {"empty", "- name: g\n  members: []\n", 2, "a group needs at least one member"},
        {"no list", "- {name: g, members: a@b.c}\n", 1, "groups[0].members: must be a list"},
        {"bare domain", "- name: g\n  members:\n    - a@b.c\n    - example.jp\n", 4,
         "\"example.jp\": is no address; a whole domain is written"},
        {"no domain", "- {name: g, members: [\"a@\"]}\n", 1, "has no valid domain"},
        {"glob", "- {name: g, members: [\"*@b.c\"]}\n", 1, "no \"!\", globs or expressions"},
        {"negated", "- {name: g, members: [\"!a@b.c\"]}\n", 1, "no \"!\", globs or expressions"},
        {"empty member", "- {name: g, members: [a@b.c, \"\"]}\n", 1, "members: must not be empty"},
        {"map member", "- {name: g, members: [a@b.c, {x: y}]}\n", 1,
         "members: must be a text, is a map"},
        {"name like an address", "- {name: \"a@b\", members: [a@b.c]}\n", 1,
         "a group's name holds none of"},
        {"name like a reference", "- {name: \"group:x\", members: [a@b.c]}\n", 1,
         "a group's name holds none of"},
    };
    static const struct finding_row warnings[] = {
        {"member twice", "- {name: g, members: [a@b.c, A@B.C]}\n", 1, "\"a@b.c\" is there twice"},
        {"unused", "- {name: g, members: [a@b.c]}\n", 1, "\"g\" is used by no rule"},
    };
    check_errors("rules: []\ngroups:\n", 2, errors, sizeof(errors) / sizeof(errors[0]));
    check_warnings("rules: []\ngroups:\n", 2, warnings, sizeof(warnings) / sizeof(warnings[0]));
}

static void errors_of_security_definitions(void **state)
{
    (void)state;
    static const struct finding_row errors[] = {
        {"no name", "- {access: anyone}\n", 1, "security_definitions[0]: \"name\" is missing"},
        {"doubled", "- {name: s}\n- {name: s}\n", 2,
         "security_definitions[1].name: \"s\" is there twice"},
        {"unknown key", "- name: s\n  acess: anyone\n", 2,
         "security_definitions[0].acess: unknown key; known: name, access"},
        {"access", "- {name: s, access: all}\n", 1,
         "access: must be one of recipients, company, anyone, is \"all\""},
        {"download", "- {name: s, download: 1}\n", 1, "download: must be true or false"},
        {"number as duration", "- {name: s, expires_after: 30}\n", 1,
         "expires_after: must be a duration such as 30d"},
        {"negative duration", "- {name: s, expires_after: -3d}\n", 1,
         "expires_after: must be a duration"},
        {"half a second", "- {name: s, expires_after: 500ms}\n", 1, "must be whole seconds"},
        {"eleven years", "- {name: s, expires_after: 4000d}\n", 1, "at most 3650d"},
        {"purge without expiry", "- name: s\n  purge_after: 60d\n", 2,
         "security_definitions[0].purge_after: counts from the end of access and needs "
         "expires_after"},
        {"purge with expiry of 0", "- {name: s, expires_after: 0, purge_after: 1d}\n", 1,
         "purge_after: counts from the end of access"},
        {"purge as number", "- {name: s, expires_after: 1d, purge_after: 60}\n", 1,
         "purge_after: must be a duration such as 30d"},
        {"purge in eleven years", "- {name: s, expires_after: 1d, purge_after: 4000d}\n", 1,
         "at most 3650d"},
        {"password", "- {name: s, password: secret}\n", 1,
         "password: must be one of none, generated"},
        {"proof", "- {name: s, proof: sms}\n", 1, "proof: must be one of link, code, totp"},
        {"watermark", "- {name: s, watermark: [yes]}\n", 1,
         "watermark: must be a single value, is a list"},
        {"quoted number", "- {name: s, max_downloads: \"3\"}\n", 1,
         "max_downloads: must be a whole number (without quotes)"},
        {"negative number", "- {name: s, max_downloads: -1}\n", 1,
         "max_downloads: must be between 0 and 1000000, is -1"},
        {"trusted for a year", "- {name: s, trusted_days: 365}\n", 1,
         "trusted_days: must be between 0 and 90, is 365"},
        {"members", "- {name: s, members: [a]}\n", 1, "members: must be a single value"},
        {"reply", "- {name: s, reply: 1}\n", 1, "reply: must be true or false"},
        {"password to", "- {name: s, password_to: both}\n", 1,
         "password_to: must be one of recipient, sender"},
    };
    static const struct finding_row warnings[] = {
        {"contradiction", "- {name: s, max_downloads: 3, download: false}\n", 1,
         "no effect with download: false"},
        {"no password to tell", "- {name: s, password_to: sender}\n", 1,
         "password_to has no effect without password: generated"},
        {"nothing to trust", "- {name: s, proof: link, trusted_days: 3}\n", 1,
         "trusted_days has no effect with proof: link"},
    };
    check_errors("rules: []\nsecurity_definitions:\n", 2, errors,
                 sizeof(errors) / sizeof(errors[0]));
    check_warnings("rules: []\nsecurity_definitions:\n", 2, warnings,
                   sizeof(warnings) / sizeof(warnings[0]));
}

static void errors_of_notices(void **state)
{
    (void)state;
    static const struct finding_row errors[] = {
        {"unknown key", "  lang: ja\n", 1,
         "notices.lang: unknown key; known: language, organisation, logo, templates"},
        {"language", "  language: de\n", 1,
         "notices.language: must be one of auto, ja, en, is \"de\""},
        {"header injection", "  organisation: \"a\\r\\nBcc: x\"\n", 1,
         "organisation: must be one line"},
        {"relative logo", "  logo: logo.png\n", 1, "notices.logo: must be the absolute path"},
        {"svg logo", "  logo: \"data:image/svg+xml;base64,AAAA\"\n", 1, "notices.logo: must be"},
        {"templates no map", "  templates: [a]\n", 1, "notices.templates: must be a map"},
        {"template kind", "  templates:\n    letter.ja.text: x\n", 2,
         "notices.templates.letter.ja.text: unknown template"},
        {"template language", "  templates:\n    notice.de.text: \"{{link}}\"\n", 2,
         "unknown template"},
        {"template format", "  templates:\n    notice.ja.rtf: \"{{link}}\"\n", 2,
         "unknown template"},
        {"template no text", "  templates:\n    notice.ja.text: [x]\n", 2, "must be a text"},
        {"template empty", "  templates:\n    notice.ja.text:\n", 2, "must be a text"},
        {"placeholder", "  templates:\n    receipt.ja.text: \"{{who}}\"\n", 2,
         "unknown placeholder {{who}}; known: recipients"},
        {"placeholder of another", "  templates:\n    notice.ja.text: \"{{link}} {{password}}\"\n",
         2, "unknown placeholder {{password}}"},
        {"notice without link", "  templates:\n    notice.ja.html: \"{{sender}}\"\n", 2,
         "must hold {{link}}"},
        {"code without code", "  templates:\n    code.en.text: \"hello\"\n", 2,
         "must hold {{code}}"},
    };
    check_errors("rules: []\nnotices:\n", 2, errors, sizeof(errors) / sizeof(errors[0]));
}

static void all_errors_are_reported_sorted_by_line(void **state)
{
    (void)state;
    static const struct {
        int line;
        const char *want;
    } want[] = {
        {3, "storages[0].root: unknown key"},
        {4, "storages[1].name: \"box\" is there twice"},
        {4, "storages[1].url: must be file:///"},
        {5, "storages[2]: \"name\" is missing"},
        {5, "storages[2].type: must be one of"},
        {7, "groups[0].members: a group needs"},
        {9, "access: must be one of"},
        {9, "download: must be true or false"},
        {9, "expires_after: must be a duration"},
        {12, "rules[0].enable: unknown key"},
        {14, "rules[0].when.subject: must be a list"},
        {15, "rules[0].when.body: bad regular expression /(/"},
        {16, "\"example.jp\" is neither an address"},
        {16, "unknown group \"unknown\"; known: nobody"},
        {18, "rules[0].storage: unknown storage \"bxo\"; known: box, box"},
        {20, "a path cannot leave its root folder"},
        {21, "notice: unknown key"},
    };
    struct fb_buf text;
    struct fb_policy *policy = NULL;
    struct fb_policy_findings f = {0};
    read_source_file("tests/fixtures/policies/broken-many.yaml", &text);
    assert_int_equal(fb_policy_parse(fb_slice_buf(&text), &policy, &f), FB_INVALID);
    assert_null(policy);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        if (find_finding(&f, true, want[i].line, want[i].want) == NULL) {
            print_findings(&f);
            fail_msg("line %d: %s", want[i].line, want[i].want);
        }
    }
    for (size_t i = 1; i < f.count; i++) {
        assert_true(f.items[i - 1].line <= f.items[i].line);
    }
    fb_policy_findings_deinit(&f);
    fb_buf_deinit(&text);
}

static void findings_come_in_japanese_with_the_same_values(void **state)
{
    (void)state;
    static const struct finding_row rows[] = {
        {"a kind", "rules: [a]\n", 1,
         "rules[0]: マップ (キー: 値) を指定してください (現在は単一の値)"},
        {"none known", "rules:\n  - {name: x, action: secure, storage: none, security: y}\n", 2,
         "rules[0].storage: 保管先「none」はありません。使える保管先: なし"},
        {"a part", "rules:\n  - {name: x, action: pass, when: {subject: [\"/a{/\"]}}\n", 2,
         "rules[0].when.subject: 正規表現 /a{/ が正しくありません: \"{\" は {n}、{n,}、{n,m} "
         "の始まり"},
        {"put together", "rules:\n  - {name: x, action: pass, path: \"{who}\"}\n", 2,
         "rules[0].path: 差し込み項目 {who} は使えません。使える項目: {sender} "},
        {"not an address", "groups: [{name: g, members: [x]}]\nrules: []\n", 1,
         "groups[0].members: 「x」: アドレスではありません。"},
        {"YAML", "rules: []\nrules: []\n", 2,
         "document: キー「rules」が重複しています (最初は 1 行目)。"},
        {"libyaml", "rules: [a\nb: c\n", 2,
         "document: \",\" または \"]\" がありません ([ ] の途中)"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fb_policy *policy = NULL;
        struct fb_policy_findings f = {0};
        assert_int_equal(fb_policy_parse_in(fb_slice_str(rows[i].text), true, &policy, &f),
                         FB_INVALID);
        if (find_finding(&f, true, rows[i].line, rows[i].want) == NULL) {
            print_findings(&f);
            fail_msg("%s: %s", rows[i].name, rows[i].want);
        }
        fb_policy_findings_deinit(&f);
    }
}

/* Whatever a value holds and wherever it is cut: text of its language, within its room. */
static void japanese_findings_are_whole_characters_within_their_room(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 3; shift++) {
        struct fb_buf text;
        struct fb_policy *policy = NULL;
        struct fb_policy_findings f = {0};
        fb_buf_init(&text, 4096);
        assert_int_equal(fb_buf_printf(&text, "rules:\n  - {name: r, action: pass, path: '%s{",
                                       &"xx"[2 - shift]),
                         FB_OK);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(fb_buf_add_str(&text, "箱"), FB_OK);
        }
        assert_int_equal(fb_buf_printf(&text, "}', when: {to: [%s", &"xx"[2 - shift]), FB_OK);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(fb_buf_add_str(&text, "箱"), FB_OK);
        }
        assert_int_equal(fb_buf_add_str(&text, "]}}\ngroups:\n"), FB_OK);
        for (int i = 0; i < 9; i++) {
            assert_int_equal(
                fb_buf_printf(
                    &text,
                    "  - {name: 箱箱箱箱箱箱箱箱箱箱箱箱箱箱箱箱箱箱箱箱%d, members: [x@a]}\n", i),
                FB_OK);
        }
        assert_int_equal(fb_policy_parse_in(fb_slice_buf(&text), true, &policy, &f), FB_INVALID);
        assert_int_equal(f.error_count, 2);
        for (size_t i = 0; i < f.count; i++) {
            const char *p = f.items[i].text;
            const char *end = p + strlen(p);
            assert_true((size_t)(end - p) < sizeof(f.items[i].text));
            while (p < end) {
                uint32_t c = fb_pol_utf8_next(&p, end);
                assert_true(c >= 0x20 && (c < 0xdc00 || c > 0xdfff));
            }
        }
        fb_buf_deinit(&text);
        fb_policy_findings_deinit(&f);
    }
}

static void the_list_of_findings_is_bounded(void **state)
{
    (void)state;
    struct fb_buf text;
    struct fb_policy *policy = NULL;
    struct fb_policy_findings f = {0};
    fb_buf_init(&text, 1024 * 1024);
    assert_int_equal(fb_buf_add_str(&text, "rules:\n"), FB_OK);
    for (int i = 0; i < 450; i++) {
        assert_int_equal(fb_buf_printf(&text, "  - {action: pass, when: {to: [x%d]}}\n", i), FB_OK);
    }
    assert_int_equal(fb_policy_parse(fb_slice_buf(&text), &policy, &f), FB_INVALID);
    assert_int_equal(f.error_count, 900);
    assert_int_equal(f.count, 301);
    assert_int_equal(f.items[0].line, 0);
    assert_non_null(strstr(f.items[0].text, "the rest is not listed"));
    fb_policy_findings_deinit(&f);
    fb_buf_deinit(&text);
}

static void findings_are_clean_text(void **state)
{
    (void)state;
    struct fb_policy *policy = NULL;
    struct fb_policy_findings f = {0};
    const char *text =
        "rules: []\n\"bad\\x1b[31m\\u0085キー社外秘社外秘社外秘社外秘社外秘社外秘社外秘社外秘\": "
        "x\n";
    assert_int_equal(fb_policy_parse(fb_slice_str(text), &policy, &f), FB_INVALID);
    for (const unsigned char *p = (const unsigned char *)f.items[f.count - 1].text; *p != '\0';
         p++) {
        assert_true(*p >= 0x20 && *p != 0x7f);
    }
    assert_non_null(strstr(f.items[f.count - 1].text, "bad?[31m??キー"));
    fb_policy_findings_deinit(&f);
}

static void a_document_larger_than_4_mib_is_refused(void **state)
{
    (void)state;
    size_t size = (size_t)4 * 1024 * 1024 + 1;
    char *text = malloc(size);
    struct fb_policy *policy = NULL;
    struct fb_policy_findings f = {0};
    assert_non_null(text);
    memset(text, '\n', size);
    assert_int_equal(fb_policy_parse(fb_slice_of(text, size), &policy, &f), FB_INVALID);
    assert_non_null(find_finding(&f, true, 0, "is larger than 4194304 bytes"));
    fb_policy_findings_deinit(&f);
    free(text);
}

static void fixtures_are_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t errors, warnings;
    } rows[] = {
        {"deploy/policy.sample.yaml", 0, 0},
        {"tests/fixtures/policies/minimal.yaml", 0, 1},
        {"tests/fixtures/policies/vault-only.yaml", 0, 0},
        {"tests/fixtures/policies/box-simulator.yaml", 0, 0},
        {"tests/fixtures/policies/unreachable.yaml", 0, 2},
        {"tests/fixtures/policies/broken-syntax.yaml", 1, 0},
        {"tests/fixtures/policies/broken-box.yaml", 3, 4},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fb_buf text;
        struct fb_policy *policy = NULL;
        struct fb_policy_findings f = {0};
        read_source_file(rows[i].path, &text);
        enum fb_status status = fb_policy_parse(fb_slice_buf(&text), &policy, &f);
        if ((status == FB_OK) != (rows[i].errors == 0) || f.error_count != rows[i].errors ||
            f.count - f.error_count != rows[i].warnings) {
            print_findings(&f);
            fail_msg("%s: %zu errors, %zu warnings", rows[i].path, f.error_count,
                     f.count - f.error_count);
        }
        fb_policy_unref(&policy);
        fb_policy_findings_deinit(&f);
        fb_buf_deinit(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_reaches_the_policy),
        cmocka_unit_test(remote_images_are_fetched_for_a_secured_body_alone),
        cmocka_unit_test(attached_images_are_shown_behind_a_secured_body_alone),
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(the_version_is_the_digest_of_the_bytes),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(errors_of_the_whole_document),
        cmocka_unit_test(errors_of_storages),
        cmocka_unit_test(errors_of_groups),
        cmocka_unit_test(errors_of_security_definitions),
        cmocka_unit_test(errors_of_notices),
        cmocka_unit_test(all_errors_are_reported_sorted_by_line),
        cmocka_unit_test(findings_come_in_japanese_with_the_same_values),
        cmocka_unit_test(japanese_findings_are_whole_characters_within_their_room),
        cmocka_unit_test(the_list_of_findings_is_bounded),
        cmocka_unit_test(findings_are_clean_text),
        cmocka_unit_test(a_document_larger_than_4_mib_is_refused),
        cmocka_unit_test(fixtures_are_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
