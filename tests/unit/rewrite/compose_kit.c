/* SPDX-License-Identifier: Apache-2.0 */
#include "compose_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/policy/policy.h"
#include "proto/transfer.h"

#define MAX_MAIL (64U << 20)

static const char policy_head[] =
    "storages:\n"
    "  - {name: box, type: box, auth_file: /x.json, root_folder: \"0\"}\n"
    "  - {name: vault, type: vault, url: \"file:///v\", key_file: /v.key}\n"
    "security_definitions:\n"
    "  - {name: s}\n"
    "  - {name: link, proof: link}\n"
    "  - {name: totp, proof: totp}\n"
    "  - {name: members, members: true}\n"
    "rules:\n"
    "  - {name: tagged, when: {subject: [\"[secure]\"]}, action: secure, storage: box, security: "
    "s, strip_tag: true}\n"
    "  - {name: other, when: {from: [\"@v\"]}, action: secure, storage: vault, security: s}\n"
    "notices: ";

char *kit_lend(const char *literal)
{
    union {
        const char *in;
        char *out;
    } lent = {.in = literal};
    return lent.out;
}

void kit_policy(struct kit *k, const char *notices)
{
    struct fb_buf yaml;
    struct fb_policy_findings findings = {0};
    fb_buf_init(&yaml, 4U << 20);
    assert_int_equal(fb_buf_printf(&yaml, "%s%s\n", policy_head, notices), FB_OK);
    fb_policy_unref(&k->policy);
    if (fb_policy_parse(fb_slice_buf(&yaml), &k->policy, &findings) != FB_OK) {
        fail_msg("policy: line %d: %s", findings.items[0].line, findings.items[0].text);
    }
    fb_policy_findings_deinit(&findings);
    fb_buf_deinit(&yaml);
    k->facts.policy = k->policy;
}

void kit_message(struct kit *k, const char *content)
{
    char id[FB_ID_SIZE];
    struct fb_error err = {0};
    struct fb_spool_in *in = NULL;
    struct fx_done done = {0};
    fb_id_new(id);
    fb_spool_msg_close(&k->msg);
    assert_int_equal(fb_spool_in_new(k->writer, id, &in, &err), FB_OK);
    assert_int_equal(fb_spool_in_add(in, content, strlen(content), &err), FB_OK);
    fb_spool_in_submit(&in, FB_SLICE_LITERAL("envelope"), fx_on_done, &done);
    fx_wait(&done);
    assert_int_equal(done.status, FB_OK);
    assert_int_equal(fb_spool_msg_open(k->fx->spool, done.ref, &k->msg, &err), FB_OK);
    (void)snprintf(k->plan.msg_id, sizeof k->plan.msg_id, "%s", id);
    k->plan.content_size = strlen(content);
    kit_object(k, "head", FB_SLICE_LITERAL("Subject: Report\r\nFrom: a@example.jp\r\n"));
}

void kit_object(struct kit *k, const char *name, struct fb_slice bytes)
{
    struct fb_error err = {0};
    assert_int_equal(fb_spool_object_put(k->msg, name, bytes, false, &err), FB_OK);
}

int kit_setup(void **state)
{
    struct kit *k = fb_xcalloc(1, sizeof *k);
    void *fx = NULL;
    (void)fx_setup(&fx);
    k->fx = fx;
    k->writer = fx_writer(k->fx, "kit");
    k->recipients[0] = (struct fb_recipient){.address = kit_lend("b@y")};
    k->recipients[1] = (struct fb_recipient){.address = kit_lend("c@y")};
    k->envelope = (struct fb_envelope){.reverse_path = kit_lend("a@example.jp"),
                                       .recipients = k->recipients,
                                       .recipient_count = 2,
                                       .received_ms = 1764000000000};
    k->branch = (struct fb_branch){.kind = FB_BRANCH_SECURE,
                                   .rule = kit_lend("tagged"),
                                   .secures_body = true,
                                   .secures_attachments = true,
                                   .parts = k->branch_parts};
    k->files[0] = (struct fb_parcel_file){.name = kit_lend("report.xlsx"), .size = 1536};
    k->parcel = (struct fb_parcel){.storage = kit_lend("box"),
                                   .link = kit_lend(KIT_LINK),
                                   .password = kit_lend(""),
                                   .access = kit_lend("recipients"),
                                   .can_download = true,
                                   .expires_ms = 1767225600000, /* 2026-01-01T00:00Z */
                                   .files = k->files,
                                   .file_count = 1};
    k->plan = (struct fb_plan){.subject = kit_lend("Report"),
                               .language = kit_lend("en"),
                               .head_object = kit_lend("head"),
                               .kept_text_object = kit_lend(""),
                               .kept_html_object = kit_lend(""),
                               .parts = k->parts,
                               .branches = &k->branch,
                               .branch_count = 1};
    k->readers[0] = "b@y";
    k->readers[1] = "c@y";
    k->facts = (struct notice_facts){.plan = &k->plan,
                                     .branch = &k->branch,
                                     .parcel = &k->parcel,
                                     .envelope = &k->envelope,
                                     .link = KIT_LINK,
                                     .storage = "box",
                                     .readers = k->readers,
                                     .reader_count = 2};
    kit_policy(k, "{language: auto}");
    kit_message(k, "Subject: Report\r\n\r\nbody\r\n");
    *state = k;
    return 0;
}

int kit_teardown(void **state)
{
    struct kit *k = *state;
    void *fx = k->fx;
    fb_policy_unref(&k->policy);
    fb_spool_msg_close(&k->msg);
    fb_spool_writer_free(&k->writer);
    (void)fx_teardown(&fx);
    free(k);
    return 0;
}

struct fb_buf kit_read(struct content *c)
{
    struct fb_buf out;
    struct fb_error err = {0};
    fb_buf_init(&out, MAX_MAIL);
    content_rewind(c);
    for (size_t n = 1; n > 0;) {
        uint8_t chunk[977]; /* an odd size: no piece may depend on it */
        assert_int_equal(content_read(c, chunk, sizeof chunk, &n, &err), FB_OK);
        assert_int_equal(fb_buf_add(&out, chunk, n), FB_OK);
    }
    assert_int_equal(out.len, content_size(c));
    return out;
}

struct fb_buf kit_part(const struct fb_buf *mail, const char *type)
{
    char field[100];
    struct fb_buf out;
    struct fb_transfer t;
    uint8_t room[64 + FB_TRANSFER_SLACK];
    (void)snprintf(field, sizeof field, "Content-Type: %s", type);
    size_t at = fb_slice_find(fb_slice_buf(mail), fb_slice_str(field));
    if (at == SIZE_MAX) {
        fail_msg("no part %s in: %s", type, fb_buf_str(mail));
    }
    struct fb_slice rest = fb_slice_sub(fb_slice_buf(mail), at, SIZE_MAX);
    size_t head = fb_slice_find(rest, FB_SLICE_LITERAL("\r\n\r\n"));
    assert_int_not_equal(head, SIZE_MAX);
    struct fb_slice fields = fb_slice_sub(rest, 0, head);
    rest = fb_slice_sub(rest, head + 2,
                        SIZE_MAX); /* an empty part ends with the line end of its header */
    size_t end = fb_slice_find(rest, FB_SLICE_LITERAL("\r\n--=_fb_"));
    rest = fb_slice_sub(fb_slice_sub(rest, 0, end), 2, SIZE_MAX);
    fb_buf_init(&out, MAX_MAIL);
    bool is_base64 = fb_slice_find(fields, FB_SLICE_LITERAL("Encoding: base64")) != SIZE_MAX;
    bool is_qp = fb_slice_find(fields, FB_SLICE_LITERAL("Encoding: quoted-printable")) != SIZE_MAX;
    fb_transfer_init(&t, is_base64 ? FB_ENC_BASE64 : is_qp ? FB_ENC_QP : FB_ENC_IDENTITY);
    for (size_t i = 0; i < rest.len; i += 64) {
        struct fb_slice piece = fb_slice_sub(rest, i, 64);
        size_t n = fb_transfer_step(&t, piece.ptr, piece.len, room);
        assert_int_equal(fb_buf_add(&out, room, n), FB_OK);
    }
    size_t n = fb_transfer_end(&t, room);
    assert_int_equal(fb_buf_add(&out, room, n), FB_OK);
    return out;
}

void kit_check_lines(const struct fb_buf *mail)
{
    struct fb_slice rest = fb_slice_buf(mail);
    bool is_head = true;
    while (rest.len > 0) {
        size_t end = fb_slice_find(rest, FB_SLICE_LITERAL("\r\n"));
        struct fb_slice line = fb_slice_sub(rest, 0, end);
        assert_int_not_equal(end, SIZE_MAX);
        assert_int_equal(fb_slice_find(line, FB_SLICE_LITERAL("\n")), SIZE_MAX);
        assert_int_equal(fb_slice_find(line, FB_SLICE_LITERAL("\r")), SIZE_MAX);
        is_head = is_head && line.len > 0;
        bool has_blank =
            fb_slice_find(fb_slice_sub(line, 1, SIZE_MAX), FB_SLICE_LITERAL(" ")) != SIZE_MAX;
        bool is_trace = fb_slice_istarts(line, "X-Fumibako-Id:");
        if (line.len > 998 || (is_head && has_blank && !is_trace && line.len > 78)) {
            fail_msg("line of %zu: %.*s", line.len, (int)line.len, (const char *)line.ptr);
        }
        rest = fb_slice_sub(rest, end + 2, SIZE_MAX);
    }
}
