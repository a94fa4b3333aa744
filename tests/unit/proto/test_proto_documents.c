/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs, envelopes, plans and parcels at their limits and one beyond; what a reader may rely on.
 * (Bytes are compared in test_proto_vectors.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/envelope.h"
#include "proto/job.h"
#include "proto/limits.h"
#include "proto/plan.h"

#define ID    "01J8ZQ4W8N7Y2V3K5M6P9R0STX"
#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void a_job_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct fb_job job = {.stage = FB_STAGE_REVOKE,
                         .msg_id = ID,
                         .branch = 7,
                         .attempt = 3,
                         .first_ms = 1760000000123,
                         .trace = TRACE,
                         .op = FB_REVOKE_RECALL,
                         .takes_content = true,
                         .recipients = {4, 9999},
                         .recipient_count = 2};
    struct fb_job *got = fb_xcalloc(1, sizeof *got);
    struct fb_buf bytes;
    struct fb_error err = {0};
    fb_buf_init(&bytes, FB_MAX_JOB);
    assert_int_equal(fb_job_encode(&job, &bytes), FB_OK);
    assert_int_equal(fb_job_decode(fb_slice_buf(&bytes), got, &err), FB_OK);
    assert_int_equal(got->version, 1); /* the lowest that can say it */
    assert_string_equal(got->recall_id, "");
    assert_int_equal(got->stage, FB_STAGE_REVOKE);
    assert_string_equal(got->msg_id, ID);
    assert_string_equal(got->spool_ref, "");
    assert_int_equal(got->branch, 7);
    assert_int_equal(got->attempt, 3);
    assert_int_equal(got->first_ms, 1760000000123);
    assert_string_equal(got->trace, TRACE);
    assert_int_equal(got->op, FB_REVOKE_RECALL);
    assert_true(got->takes_content);
    assert_int_equal(got->recipient_count, 2);
    assert_int_equal(got->recipients[1], 9999);
    fb_buf_deinit(&bytes);
    free(got);
}

static void the_largest_job_fits_its_limit(void **state)
{
    (void)state;
    struct fb_job *job = fb_xcalloc(1, sizeof *job);
    struct fb_buf bytes;
    struct fb_error err = {0};
    *job = (struct fb_job){.stage = FB_STAGE_REVOKE,
                           .msg_id = ID,
                           .branch = FB_MAX_BRANCHES - 1,
                           .attempt = 1000000,
                           .first_ms = INT64_MAX,
                           .trace = TRACE,
                           .op = FB_REVOKE_RESTORE,
                           .recipient_count = FB_MAX_JOB_RCPT};
    memset(job->spool_ref, 's', sizeof job->spool_ref - 1);
    for (uint32_t i = 0; i < FB_MAX_JOB_RCPT; i++) {
        job->recipients[i] = FB_MAX_RECIPIENTS - 1;
    }
    fb_buf_init(&bytes, FB_MAX_JOB);
    assert_int_equal(fb_job_encode(job, &bytes), FB_OK);
    assert_int_equal(fb_job_decode(fb_slice_buf(&bytes), job, &err), FB_OK);
    assert_int_equal(job->recipient_count, FB_MAX_JOB_RCPT);
    fb_buf_deinit(&bytes);
    free(job);
}

static void a_refused_document_leaves_the_output_alone(void **state)
{
    (void)state;
    struct fb_job *job = fb_xcalloc(1, sizeof *job);
    struct fb_envelope envelope = {.recipient_count = 77};
    struct fb_plan plan = {.part_count = 77};
    struct fb_parcel parcel = {.file_count = 77};
    struct fb_slice nothing = FB_SLICE_LITERAL("\x81\xa1v\x01");
    struct fb_error err = {0};
    job->branch = 77;
    assert_int_equal(fb_job_decode(nothing, job, &err), FB_INVALID);
    assert_string_equal(err.text, "job.stage: missing");
    assert_int_equal(fb_envelope_decode(nothing, &envelope, &err), FB_INVALID);
    assert_string_equal(err.text, "envelope.from: missing");
    assert_int_equal(fb_plan_decode(nothing, &plan, NULL), FB_INVALID);
    assert_int_equal(fb_parcel_decode(nothing, &parcel, &err), FB_INVALID);
    assert_string_equal(err.text, "parcel.parcel: missing");
    assert_int_equal(job->branch, 77);
    assert_int_equal(envelope.recipient_count, 77);
    assert_int_equal(plan.part_count, 77);
    assert_int_equal(parcel.file_count, 77);
    free(job);
}

/* A parcel of two grants in the vault and one in Box, each key of the vault set. */
static void secret_parcel(struct fb_parcel *p, struct fb_parcel_grant grants[3])
{
    static char text[] = "x", vault[] = "vault", password[] = "k7Fq-9xWd-2mTz";
    for (uint32_t i = 0; i < 3; i++) {
        grants[i] = (struct fb_parcel_grant){.recipient = i,
                                             .address = text,
                                             .grant_id = text,
                                             .state = text,
                                             .storage = i == 2 ? vault : NULL,
                                             .has_secret = i > 0};
        memset(grants[i].secret, 0xA0 + (int)i, sizeof grants[i].secret);
    }
    *p = (struct fb_parcel){.parcel_id = ID "-0",
                            .storage = text,
                            .user = text,
                            .folder_id = text,
                            .link = text,
                            .password = password,
                            .access = text,
                            .grants = grants,
                            .grant_count = 3,
                            .fallback = vault};
}

static void a_manifest_has_neither_secrets_nor_what_only_readers_know(void **state)
{
    (void)state;
    struct fb_parcel_grant grants[3];
    struct fb_parcel p, got = {0};
    struct fb_buf bytes;
    struct fb_error err = {0};
    secret_parcel(&p, grants);
    fb_buf_init(&bytes, FB_MAX_MANIFEST);
    assert_int_equal(fb_parcel_encode(&p, &bytes), FB_OK);
    for (int i = 0; i < 3; i++) {
        assert_null(memmem(bytes.ptr, bytes.len, grants[i].secret, 8));
    }
    assert_null(memmem(bytes.ptr, bytes.len, "k7Fq", 4));
    assert_int_equal(fb_parcel_decode(fb_slice_buf(&bytes), &got, &err), FB_OK);
    assert_false(fb_parcel_has_secret(&got));
    assert_string_equal(got.grants[2].storage, "vault");
    assert_null(got.grants[1].storage);
    assert_string_equal(got.fallback, "vault");
    assert_string_equal(got.password, "");
    assert_true(got.password_to_readers); /* a receipt may say that there is one */
    fb_buf_clear(&bytes);
    assert_int_equal(fb_parcel_encode(&got, &bytes), FB_OK); /* as revoke writes it again */
    fb_parcel_deinit(&got);
    assert_int_equal(fb_parcel_decode(fb_slice_buf(&bytes), &got, &err), FB_OK);
    assert_true(got.password_to_readers);
    fb_parcel_deinit(&got);

    p.password_to_sender = true; /* the receipt, which is made from the manifest, shows it */
    fb_buf_clear(&bytes);
    assert_int_equal(fb_parcel_encode(&p, &bytes), FB_OK);
    assert_int_equal(fb_parcel_decode(fb_slice_buf(&bytes), &got, &err), FB_OK);
    assert_true(got.password_to_sender);
    assert_string_equal(got.password, "k7Fq-9xWd-2mTz");
    assert_false(fb_parcel_has_secret(&got));
    fb_parcel_deinit(&got);

    grants[1].has_secret = grants[2].has_secret = false; /* Box: its link is opened again with it */
    p.password_to_sender = false;
    fb_buf_clear(&bytes);
    assert_int_equal(fb_parcel_encode(&p, &bytes), FB_OK);
    assert_non_null(memmem(bytes.ptr, bytes.len, "k7Fq", 4));
    fb_buf_deinit(&bytes);
}

static void a_parcel_in_flight_keeps_the_secrets_of_those_who_have_one(void **state)
{
    (void)state;
    struct fb_parcel_grant grants[3];
    struct fb_parcel p, got = {0};
    struct fb_buf bytes;
    struct fb_error err = {0};
    secret_parcel(&p, grants);
    fb_buf_init(&bytes, FB_MAX_MANIFEST);
    assert_int_equal(fb_parcel_encode_secret(&p, &bytes), FB_OK);
    assert_int_equal(fb_parcel_decode(fb_slice_buf(&bytes), &got, &err), FB_OK);
    assert_false(got.grants[0].has_secret);
    assert_true(got.grants[1].has_secret && got.grants[2].has_secret);
    assert_memory_equal(got.grants[2].secret, grants[2].secret, FB_PARCEL_SECRET);
    assert_string_equal(got.password, "k7Fq-9xWd-2mTz");
    fb_parcel_deinit(&got);
    fb_buf_deinit(&bytes);
}

static void the_letter_with_a_code_is_version_3_and_names_its_reader(void **state)
{
    (void)state;
    struct fb_job job = {.stage = FB_STAGE_REWRITE,
                         .msg_id = ID,
                         .trace = TRACE,
                         .letter = FB_LETTER_CODE,
                         .reader = 9999};
    struct fb_job *got = fb_xcalloc(1, sizeof *got);
    struct fb_buf bytes;
    struct fb_error err = {0};
    fb_buf_init(&bytes, FB_MAX_JOB);
    assert_int_equal(fb_job_encode(&job, &bytes), FB_OK);
    assert_int_equal(fb_job_decode(fb_slice_buf(&bytes), got, &err), FB_OK);
    assert_int_equal(got->version, 3);
    assert_int_equal(got->letter, FB_LETTER_CODE);
    assert_int_equal(got->reader, 9999);
    assert_true(fb_job_is_side(got));
    job.letter = FB_LETTER_RECEIPT; /* all others as before */
    fb_buf_clear(&bytes);
    assert_int_equal(fb_job_encode(&job, &bytes), FB_OK);
    assert_int_equal(fb_job_decode(fb_slice_buf(&bytes), got, &err), FB_OK);
    assert_int_equal(got->version, 2);
    assert_int_equal(got->reader, 0);
    fb_buf_deinit(&bytes);
    free(got);
}

static void encode_into_too_little_fails(void **state)
{
    (void)state;
    struct fb_job job = {.msg_id = ID, .trace = TRACE};
    for (size_t max = 0; max < 40; max++) {
        struct fb_buf bytes;
        fb_buf_init(&bytes, max);
        assert_int_equal(fb_job_encode(&job, &bytes), FB_TOO_BIG);
        fb_buf_deinit(&bytes);
    }
}

/* An envelope of count recipients, encoded. */
static enum fb_status encode_recipients(size_t count, struct fb_buf *bytes)
{
    char from[] = "taro@example.jp", to[] = "hanako@example.com",
         notify[] = "SUCCESS,FAILURE,DELAY";
    struct fb_envelope e = {.reverse_path = from, .recipient_count = count};
    e.recipients = fb_xcalloc(count, sizeof *e.recipients);
    for (size_t i = 0; i < count; i++) {
        e.recipients[i] = (struct fb_recipient){.address = to, .notify = notify};
    }
    fb_buf_init(bytes, FB_MAX_ENVELOPE);
    enum fb_status s = fb_envelope_encode(&e, bytes);
    free(e.recipients);
    return s;
}

static void an_envelope_has_at_most_ten_thousand_recipients(void **state)
{
    (void)state;
    struct fb_buf bytes;
    struct fb_envelope e = {0};
    struct fb_error err = {0};
    assert_int_equal(encode_recipients(FB_MAX_RECIPIENTS, &bytes), FB_OK);
    assert_int_equal(fb_envelope_decode(fb_slice_buf(&bytes), &e, &err), FB_OK);
    assert_int_equal(e.recipient_count, FB_MAX_RECIPIENTS);
    assert_string_equal(e.recipients[FB_MAX_RECIPIENTS - 1].address, "hanako@example.com");
    assert_null(e.recipients[0].orcpt);
    fb_envelope_deinit(&e);
    fb_buf_deinit(&bytes);
    assert_int_equal(encode_recipients(FB_MAX_RECIPIENTS + 1, &bytes), FB_OK);
    assert_int_equal(fb_envelope_decode(fb_slice_buf(&bytes), &e, &err), FB_INVALID);
    assert_string_equal(err.text, "envelope.rcpts: too many items");
    fb_buf_deinit(&bytes);
}

/* A plan of so many parts, branches and part references per branch. */
static enum fb_status encode_plan(uint32_t parts, uint32_t branches, struct fb_buf *bytes)
{
    char name[] = "a.bin", type[] = "application/octet-stream", language[] = "en", text[] = "";
    struct fb_plan p = {
        .msg_id = ID, .language = language, .part_count = parts, .branch_count = branches};
    uint32_t *indices = fb_xcalloc(parts, sizeof *indices);
    uint32_t *rcpts = fb_xcalloc(branches, sizeof *rcpts);
    p.parts = fb_xcalloc(parts, sizeof *p.parts);
    p.branches = fb_xcalloc(branches, sizeof *p.branches);
    for (uint32_t i = 0; i < parts; i++) {
        p.parts[i] = (struct fb_part){.name = name, .type = type};
        indices[i] = i;
    }
    for (uint32_t i = 0; i < branches; i++) {
        rcpts[i] = i;
        p.branches[i] = (struct fb_branch){.kind = FB_BRANCH_SECURE,
                                           .recipients = &rcpts[i],
                                           .recipient_count = 1,
                                           .rule = text,
                                           .reason = text,
                                           .parts = indices,
                                           .part_count = parts};
    }
    fb_buf_init(bytes, FB_MAX_PLAN);
    enum fb_status s = fb_plan_encode(&p, bytes);
    free(p.parts);
    free(p.branches);
    free(indices);
    free(rcpts);
    return s;
}

static void the_largest_plan_is_written_and_read(void **state)
{
    (void)state;
    struct fb_buf bytes;
    struct fb_plan p = {0};
    struct fb_error err = {0};
    assert_int_equal(encode_plan(FB_MAX_PARTS + 1, FB_MAX_BRANCHES - 1, &bytes), FB_OK);
    if (fb_plan_decode(fb_slice_buf(&bytes), &p, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(p.branch_count, FB_MAX_BRANCHES - 1);
    assert_int_equal(p.branches[999].parts[2000], 2000);
    assert_int_equal(fb_plan_check(&p, FB_MAX_BRANCHES - 1, &err), FB_OK);
    fb_plan_deinit(&p);
    fb_buf_deinit(&bytes);
}

static void one_part_or_branch_more_is_refused(void **state)
{
    (void)state;
    struct fb_buf bytes;
    struct fb_plan p = {0};
    struct fb_error err = {0};
    assert_int_equal(encode_plan(FB_MAX_PARTS + 2, 1, &bytes), FB_OK);
    assert_int_equal(fb_plan_decode(fb_slice_buf(&bytes), &p, &err), FB_INVALID);
    assert_string_equal(err.text, "plan.parts: too many items");
    fb_buf_deinit(&bytes);
    assert_int_equal(encode_plan(1, FB_MAX_BRANCHES, &bytes), FB_OK);
    assert_int_equal(fb_plan_decode(fb_slice_buf(&bytes), &p, &err), FB_INVALID);
    assert_string_equal(err.text, "plan.branches: too many items");
    fb_buf_deinit(&bytes);
}

/* One byte makes 24 in memory: without a bound 8 MiB of them would be 200. */
static void a_document_of_millions_of_elements_is_refused_before_memory_is_taken(void **state)
{
    (void)state;
    size_t count = 4U << 20;
    struct fb_buf bytes;
    struct fb_plan p = {0};
    struct fb_error err = {0};
    fb_buf_init(&bytes, FB_MAX_PLAN);
    assert_int_equal(fb_buf_add(&bytes, "\x81\xa1x\xdd\x00\x40\x00\x00", 8), FB_OK);
    assert_int_equal(fb_buf_reserve(&bytes, count), FB_OK);
    memset(bytes.ptr + bytes.len, 0, count);
    bytes.len += count;
    assert_int_equal(fb_plan_decode(fb_slice_buf(&bytes), &p, &err), FB_INVALID);
    assert_non_null(strstr(err.text, "too many elements"));
    fb_buf_deinit(&bytes);
}

static void every_recipient_is_in_exactly_one_branch(void **state)
{
    (void)state;
    uint32_t first[] = {0, 2}, second[] = {1}, twice[] = {2}, outside[] = {3};
    struct fb_branch branches[2] = {{.recipients = first, .recipient_count = 2},
                                    {.recipients = second, .recipient_count = 1}};
    struct fb_plan p = {.branches = branches, .branch_count = 2};
    struct fb_error err = {0};
    assert_int_equal(fb_plan_check(&p, 3, &err), FB_OK);
    assert_int_equal(fb_plan_check(&p, 4, &err), FB_INVALID);
    assert_string_equal(err.text, "plan: 1 of 4 recipients are in no branch");
    branches[1].recipients = twice;
    assert_int_equal(fb_plan_check(&p, 3, &err), FB_INVALID);
    assert_string_equal(err.text, "plan: recipient 2 is in two branches");
    branches[1].recipients = outside;
    assert_int_equal(fb_plan_check(&p, 3, &err), FB_INVALID);
    assert_string_equal(err.text, "plan: recipient 3 is not in the envelope");
}

static void stages_have_the_names_of_their_streams(void **state)
{
    (void)state;
    static const char *const names[FB_STAGE_COUNT] = {"render", "upload", "rewrite", "revoke"};
    for (int i = 0; i < FB_STAGE_COUNT; i++) {
        enum fb_stage stage = FB_STAGE_COUNT;
        assert_string_equal(fb_stage_name((enum fb_stage)i), names[i]);
        assert_true(fb_stage_parse(names[i], &stage));
        assert_int_equal(stage, i);
    }
    enum fb_stage stage = FB_STAGE_UPLOAD;
    assert_false(fb_stage_parse("Render", &stage));
    assert_false(fb_stage_parse("", &stage));
    assert_int_equal(stage, FB_STAGE_UPLOAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_comes_back_as_it_was_written),
        cmocka_unit_test(the_largest_job_fits_its_limit),
        cmocka_unit_test(a_refused_document_leaves_the_output_alone),
        cmocka_unit_test(a_manifest_has_neither_secrets_nor_what_only_readers_know),
        cmocka_unit_test(a_parcel_in_flight_keeps_the_secrets_of_those_who_have_one),
        cmocka_unit_test(the_letter_with_a_code_is_version_3_and_names_its_reader),
        cmocka_unit_test(encode_into_too_little_fails),
        cmocka_unit_test(an_envelope_has_at_most_ten_thousand_recipients),
        cmocka_unit_test(the_largest_plan_is_written_and_read),
        cmocka_unit_test(one_part_or_branch_more_is_refused),
        cmocka_unit_test(a_document_of_millions_of_elements_is_refused_before_memory_is_taken),
        cmocka_unit_test(every_recipient_is_in_exactly_one_branch),
        cmocka_unit_test(stages_have_the_names_of_their_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
