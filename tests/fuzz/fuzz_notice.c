/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as what strangers write into our notices, letters and mails with a code: subject, names
 * of files, addresses, a recall's reason; and as values of the header fields that we write.  Octet 0
 * chooses the text, octet 1 what the parcel is like; then values, separated by one octet 0x1e.
 *
 * Checked: in HTML the tree is the same as with harmless values, element for element and attribute
 * for attribute, and no attribute but a link's has a value that the harmless text has not; in text
 * there are as many lines; a Subject is one line; a field is ASCII, folded, and holds what was given
 * to it.
 */
#include <gumbo.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/mime_write.h"
#include "services/render/charset.h"
#include "services/render/words.h"
#include "services/rewrite/code_text.h"
#include "services/rewrite/letter_text.h"
#include "services/rewrite/notice_text.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VALUES 5

static struct fb_policy *policy;
static const char *const languages[] = {"ja", "en", "both"};
static const char *const accesses[] = {"recipients", "company", "anyone"};

static char *lend(const char *text)
{
    union {
        const char *in;
        char *out;
    } lent = {.in = text};
    return lent.out;
}

/* ---- the texts ---- */

static void write_notice(uint8_t what, uint8_t how, char *const v[VALUES], enum notice_form form,
                         struct fb_buf *out)
{
    struct fb_parcel_file files[2] = {{.name = v[1], .file_id = lend("5"), .size = 1536},
                                      {.name = lend("b.pdf"), .file_id = lend("6"), .size = 12}};
    struct fb_parcel parcel = {.parcel_id = "01HZZZZZZZZZZZZZZZZZZZZZZZ-0",
                               .storage = lend((how & 1) != 0 ? "box" : "vault"),
                               .link = lend("https://box.example/s/abc?x=1&y=2"),
                               .password = lend((how & 2) != 0 ? "s3cret" : ""),
                               .access = lend(accesses[(how >> 2) % 3]),
                               .can_download = (how & 16) != 0,
                               .expires_ms = (how & 32) != 0 ? 1767225600000 : 0,
                               .files = files,
                               .file_count = (how & 64) != 0 ? 2 : 1};
    struct fb_branch branch = {.kind = FB_BRANCH_SECURE,
                               .rule = lend("tagged"),
                               .security = lend("s"),
                               .storage = lend("box")};
    struct fb_plan plan = {.msg_id = "01HZZZZZZZZZZZZZZZZZZZZZZZ",
                           .subject = v[0],
                           .language = lend(languages[what % 3]),
                           .branches = &branch,
                           .branch_count = 1,
                           .date_ms = 1767225600000};
    struct fb_envelope envelope = {.reverse_path = v[2]};
    const char *readers[] = {v[3], "c@example.com"};
    const struct notice_facts f = {.policy = policy,
                                   .plan = &plan,
                                   .branch = &branch,
                                   .parcel = &parcel,
                                   .envelope = &envelope,
                                   .link = parcel.link,
                                   .storage = parcel.storage,
                                   .is_vault = (what & 64) != 0,
                                   .recipient = (how & 128) != 0 ? v[4] : NULL,
                                   .readers = readers,
                                   .reader_count = 2};
    enum fb_status s = what % 5 == 0   ? notice_write_block(&f, form, out)
                       : what % 5 == 1 ? notice_write(&f, "password", form, out)
                                       : notice_write(&f, "notice", form, out);
    FB_ASSERT(s == FB_OK);
}

static void make_letter(uint8_t what, uint8_t how, char *const v[VALUES], struct fb_evidence *e,
                        struct letter_person person[2], struct fb_parcel_file *file,
                        struct letter_facts *f)
{
    *e = (struct fb_evidence){.address = v[3],
                              .kind = (enum fb_evidence_kind)(how % 4),
                              .is_notice_out = (how & 4) != 0,
                              .removed_ms = 1767225600000,
                              .opened_ms = (how & 8) != 0 ? 1767225500000 : 0,
                              .previews = (how & 8) != 0 ? 2 : 0,
                              .is_final = (how & 16) != 0};
    person[0] =
        (struct letter_person){.address = v[3], .is_pending = (how & 1) != 0, .evidence = e};
    person[1] = (struct letter_person){.address = "c@example.com", .evidence = e};
    *file = (struct fb_parcel_file){.name = v[1], .file_id = lend("5"), .size = 99};
    *f = (struct letter_facts){.letter = (enum fb_letter)(FB_LETTER_RECEIPT + what % 4),
                               .policy = policy,
                               .has_title = (how & 2) != 0,
                               .language = languages[(what >> 2) % 3],
                               .subject = v[0],
                               .sender = v[2],
                               .postmaster = "postmaster@example.jp",
                               .msg_id = "01HZZZZZZZZZZZZZZZZZZZZZZZ",
                               .accepted_ms = 1767225600000,
                               .page = (how & 32) != 0 ? "https://mail.example.jp/m/x" : "",
                               .persons = person,
                               .person_count = 2,
                               .rule = "tagged",
                               .security = "s",
                               .storage = "box",
                               .access = accesses[how % 3],
                               .files = file,
                               .file_count = 1,
                               .has_parcel = true,
                               .is_vault = (what & 32) != 0,
                               .password = (how & 4) != 0 ? v[1] : "",
                               .why = FB_NETWORK,
                               .recalled_ms = 1767225600000,
                               .actor = v[2],
                               .reason = v[4],
                               .is_final = (how & 16) != 0,
                               .is_given_up = (how & 64) != 0};
}

static void write_letter(uint8_t what, uint8_t how, char *const v[VALUES], enum notice_form form,
                         struct fb_buf *out)
{
    struct fb_evidence evidence;
    struct letter_person person[2];
    struct fb_parcel_file file;
    struct letter_facts f;
    struct fb_buf subject;
    make_letter(what, how, v, &evidence, person, &file, &f);
    FB_ASSERT(letter_write(&f, form, out) == FB_OK);
    fb_buf_init(&subject, 1U << 16);
    FB_ASSERT(letter_write_subject(&f, &subject) == FB_OK);
    FB_ASSERT(subject.len > 0 && strpbrk(fb_buf_str(&subject), "\r\n") == NULL);
    fb_buf_deinit(&subject);
}

static void write_code(uint8_t what, uint8_t how, char *const v[VALUES], enum notice_form form,
                       struct fb_buf *out)
{
    const struct code_facts f = {.policy = policy,
                                 .language = languages[what % 3],
                                 .code = "042917",
                                 .to = v[3],
                                 .sender = (how & 1) != 0 ? v[2] : "",
                                 .postmaster = v[4],
                                 .msg_id = "01HZZZZZZZZZZZZZZZZZZZZZZZ",
                                 .minutes = how % 11};
    FB_ASSERT(code_write(&f, form, out) == FB_OK);
}

/* ---- HTML: the same tree ---- */

static bool is_link(const char *name)
{
    return strcasecmp(name, "href") == 0;
}

static void compare_elements(const GumboElement *a, const GumboElement *b)
{
    FB_ASSERT(a->tag == b->tag && a->attributes.length == b->attributes.length);
    FB_ASSERT(a->tag != GUMBO_TAG_UNKNOWN && a->tag != GUMBO_TAG_SCRIPT);
    for (unsigned i = 0; i < a->attributes.length; i++) {
        const GumboAttribute *x = a->attributes.data[i];
        const GumboAttribute *y = b->attributes.data[i];
        FB_ASSERT(strcmp(x->name, y->name) == 0);
        FB_ASSERT(is_link(x->name) ? strncmp(x->value, "https://", 8) == 0
                                   : strcmp(x->value, y->value) == 0);
    }
}

static void compare_trees(const GumboNode *a, const GumboNode *b)
{
    FB_ASSERT((a->type == GUMBO_NODE_ELEMENT) == (b->type == GUMBO_NODE_ELEMENT));
    if (a->type != GUMBO_NODE_ELEMENT) {
        FB_ASSERT(a->type != GUMBO_NODE_COMMENT && a->type != GUMBO_NODE_CDATA);
        return;
    }
    compare_elements(&a->v.element, &b->v.element);
    FB_ASSERT(a->v.element.children.length == b->v.element.children.length);
    for (unsigned i = 0; i < a->v.element.children.length; i++) {
        compare_trees(a->v.element.children.data[i], b->v.element.children.data[i]);
    }
}

static void compare_html(struct fb_slice hostile, struct fb_slice harmless)
{
    GumboOutput *a =
        gumbo_parse_with_options(&kGumboDefaultOptions, (const char *)hostile.ptr, hostile.len);
    GumboOutput *b =
        gumbo_parse_with_options(&kGumboDefaultOptions, (const char *)harmless.ptr, harmless.len);
    compare_trees(a->root, b->root);
    gumbo_destroy_output(&kGumboDefaultOptions, a);
    gumbo_destroy_output(&kGumboDefaultOptions, b);
}

static size_t count_lines(struct fb_slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        n += text.ptr[i] == '\n';
    }
    return n;
}

static void try_text(uint8_t what, uint8_t how, char *const v[VALUES], enum notice_form form)
{
    char *harmless_values[VALUES];
    struct fb_buf hostile, harmless;
    fb_buf_init(&hostile, 8U << 20);
    fb_buf_init(&harmless, 8U << 20);
    for (size_t i = 0; i < VALUES; i++) {
        harmless_values[i] = lend("x");
    }
    void (*write)(uint8_t, uint8_t, char *const[VALUES], enum notice_form, struct fb_buf *) =
        (what & 128) != 0   ? write_letter
        : (what & 96) == 96 ? write_code
                            : write_notice;
    write(what & 127, how, v, form, &hostile);
    write(what & 127, how, harmless_values, form, &harmless);
    struct fb_slice text = fb_slice_buf(&hostile);
    FB_ASSERT(memchr(text.ptr, '\0', text.len) == NULL && render_utf8_is_valid(text));
    if (form == NOTICE_HTML) {
        compare_html(text, fb_slice_buf(&harmless));
    } else {
        FB_ASSERT(count_lines(text) == count_lines(fb_slice_buf(&harmless)));
    }
    fb_buf_deinit(&hostile);
    fb_buf_deinit(&harmless);
}

/* ---- fields ---- */

static void check_field(const struct fb_buf *field)
{
    size_t at = 0;
    FB_ASSERT(field->len > 2 && memcmp(field->ptr + field->len - 2, "\r\n", 2) == 0);
    for (size_t i = 0; i < field->len; i++) {
        uint8_t c = field->ptr[i];
        FB_ASSERT(c < 0x7f && (c >= 0x20 || c == '\r' || c == '\n' || c == '\t'));
        FB_ASSERT(c != '\r' || (i + 1 < field->len && field->ptr[i + 1] == '\n'));
        if (c == '\n') {
            FB_ASSERT(field->ptr[i - 1] == '\r' && i - at <= 1000);
            FB_ASSERT(i + 1 == field->len || field->ptr[i + 1] == ' ' || field->ptr[i + 1] == '\t');
            at = i + 1;
        }
    }
}

static void try_field(const char *value)
{
    struct fb_buf field;
    fb_buf_init(&field, 1U << 20);
    FB_ASSERT(fb_mime_write_field(&field, "Subject", value) == FB_OK);
    check_field(&field);
    /* Read again by the parser of the other end, which folds blanks and drops controls as well. */
    struct fb_slice body = fb_slice_sub(fb_slice_buf(&field), 8, SIZE_MAX);
    char *read = render_words_dup(fb_slice_trim(body), 1U << 16);
    FB_ASSERT(read != NULL && strpbrk(read, "\r\n") == NULL);
    bool is_plain = value[0] > ' ' && strstr(value, "=?") == NULL;
    for (const char *p = value; *p != '\0'; p++) {
        is_plain = is_plain && ((unsigned char)*p > 0x20 && *p != 0x7f);
    }
    /* C1 controls and directions are ours to drop. */
    is_plain = is_plain && strstr(value, "\xc2") == NULL && strstr(value, "\xe2") == NULL &&
               strlen(value) < 900;
    FB_ASSERT(!is_plain || strcmp(read, value) == 0);
    free(read);
    fb_buf_clear(&field);
    FB_ASSERT(fb_mime_write_mailbox(&field, "From", value, "a@example.jp") == FB_OK);
    check_field(&field);
    FB_ASSERT(fb_slice_find(fb_slice_buf(&field), FB_SLICE_LITERAL("<a@example.jp>")) != SIZE_MAX);
    fb_buf_clear(&field);
    FB_ASSERT(fb_buf_add_str(&field, "Content-Type: application/pdf") == FB_OK);
    FB_ASSERT(fb_mime_write_parameter(&field, "name", value) == FB_OK);
    FB_ASSERT(fb_buf_add_str(&field, "\r\n") == FB_OK);
    check_field(&field);
    fb_buf_deinit(&field);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char yaml[] =
        "storages:\n"
        "  - {name: box, type: box, auth_file: /x.json, root_folder: \"0\"}\n"
        "  - {name: vault, type: vault, url: \"file:///v\", key_file: /v.key}\n"
        "security_definitions:\n  - {name: s}\n"
        "rules:\n"
        "  - {name: tagged, when: {subject: [\"[secure]\"]}, action: secure, storage: box, "
        "security: s}\n"
        "  - {name: other, when: {from: [\"@v\"]}, action: secure, storage: vault, security: s}\n"
        "notices: {language: auto, organisation: \"A & B\"}\n";
    struct fb_policy_findings findings = {0};
    (void)argc;
    (void)argv;
    fb_log_init("fuzz", FB_FATAL, true);
    render_charset_init();
    FB_ASSERT(fb_policy_parse(FB_SLICE_LITERAL(yaml), &policy, &findings) == FB_OK);
    fb_policy_findings_deinit(&findings);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    char *v[VALUES];
    struct fb_slice rest = fb_slice_of(data + 2, size - 2);
    for (size_t i = 0; i < VALUES; i++) {
        struct fb_buf text;
        size_t n = fb_slice_find(rest, FB_SLICE_LITERAL("\x1e"));
        struct fb_slice one = fb_slice_sub(rest, 0, n == SIZE_MAX ? rest.len : n);
        rest = fb_slice_sub(rest, one.len + 1, SIZE_MAX);
        fb_buf_init(&text, 8192);
        FB_ASSERT(fb_buf_add_char(&text, 'x') == FB_OK); /* an empty one may change the text */
        FB_ASSERT(render_charset_to_utf8(fb_slice_sub(one, 0, 500), "utf-8", &text) == FB_OK);
        v[i] = fb_xstrdup(fb_buf_str(&text));
        fb_buf_deinit(&text);
    }
    try_text(data[0], data[1], v, NOTICE_TEXT);
    try_text(data[0], data[1], v, NOTICE_HTML);
    for (size_t i = 0; i < VALUES; i++) {
        try_field(v[i]);
        try_field(v[i] + 1);
        free(v[i]);
    }
    return 0;
}
