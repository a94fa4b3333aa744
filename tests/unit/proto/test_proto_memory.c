/* SPDX-License-Identifier: Apache-2.0
 *
 * Each decoder and encoder, once with the 1st, 2nd, 3rd... allocation failing: it says so
 * (no_space, which is tried again), gives nothing, and frees what it had.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "proto/envelope.h"
#include "proto/job.h"
#include "proto/limits.h"
#include "proto/plan.h"

static long countdown = -1; /* allocations until one fails; below 0: none does */
static bool is_unpack_failing;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
msgpack_unpack_return __real_msgpack_unpack_next(msgpack_unpacked *u, const char *p, size_t len,
                                                 size_t *off);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
msgpack_unpack_return __wrap_msgpack_unpack_next(msgpack_unpacked *u, const char *p, size_t len,
                                                 size_t *off);

static bool fails(void)
{
    return countdown >= 0 && countdown-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

msgpack_unpack_return __wrap_msgpack_unpack_next(msgpack_unpacked *u, const char *p, size_t len,
                                                 size_t *off)
{
    return is_unpack_failing ? MSGPACK_UNPACK_NOMEM_ERROR
                             : __real_msgpack_unpack_next(u, p, len, off);
}

union document {
    struct fb_job job;
    struct fb_envelope envelope;
    struct fb_plan plan;
    struct fb_parcel parcel;
};

static enum fb_status job_decode(struct fb_slice b, union document *d, struct fb_error *err)
{
    return fb_job_decode(b, &d->job, err);
}
static enum fb_status envelope_decode(struct fb_slice b, union document *d, struct fb_error *err)
{
    return fb_envelope_decode(b, &d->envelope, err);
}
static enum fb_status plan_decode(struct fb_slice b, union document *d, struct fb_error *err)
{
    return fb_plan_decode(b, &d->plan, err);
}
static enum fb_status parcel_decode(struct fb_slice b, union document *d, struct fb_error *err)
{
    return fb_parcel_decode(b, &d->parcel, err);
}

static enum fb_status job_encode(const union document *d, struct fb_buf *out)
{
    return fb_job_encode(&d->job, out);
}
static enum fb_status envelope_encode(const union document *d, struct fb_buf *out)
{
    return fb_envelope_encode(&d->envelope, out);
}
static enum fb_status plan_encode(const union document *d, struct fb_buf *out)
{
    return fb_plan_encode(&d->plan, out);
}
static enum fb_status parcel_encode(const union document *d, struct fb_buf *out)
{
    return fb_parcel_encode_secret(&d->parcel, out);
}

static void job_release(union document *d)
{
    (void)d;
}
static void envelope_release(union document *d)
{
    fb_envelope_deinit(&d->envelope);
}
static void plan_release(union document *d)
{
    fb_plan_deinit(&d->plan);
}
static void parcel_release(union document *d)
{
    fb_parcel_deinit(&d->parcel);
}

static const struct kind {
    const char *file;
    long least; /* allocations of ours at the least: the test would be void without */
    enum fb_status (*decode)(struct fb_slice b, union document *d, struct fb_error *err);
    enum fb_status (*encode)(const union document *d, struct fb_buf *out);
    void (*release)(union document *d);
} kinds[] = {
    {"job-revoke-recall", 5, job_decode, job_encode, job_release},
    {"envelope-full", 12, envelope_decode, envelope_encode, envelope_release},
    {"plan-every-kind", 60, plan_decode, plan_encode, plan_release},
    {"parcel-recipients", 15, parcel_decode, parcel_encode, parcel_release},
    {"job-v2-letter-recall", 6, job_decode, job_encode, job_release},
    {"parcel-facts", 19, parcel_decode, parcel_encode, parcel_release},
    {"parcel-fallback", 21, parcel_decode, parcel_encode, parcel_release},
};

static void read_vector(const char *name, struct fb_buf *bytes)
{
    char path[1024];
    struct fb_error err = {0};
    (void)snprintf(path, sizeof path, FB_VECTORS "/good/%s.msgpack", name);
    if (fb_read_file(path, 1U << 20, bytes, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
}

static void try_decoder(const struct kind *k, struct fb_slice bytes)
{
    union document *d = fb_xcalloc(1, sizeof *d), *untouched = fb_xcalloc(1, sizeof *untouched);
    for (long i = 0;; i++) {
        struct fb_error err = {0};
        countdown = i;
        enum fb_status s = k->decode(bytes, d, &err);
        bool has_failed = countdown < 0;
        countdown = -1;
        if (!has_failed) { /* it needed no more than i allocations */
            assert_int_equal(s, FB_OK);
            assert_true(i >= k->least);
            k->release(d);
            break;
        }
        if (s != FB_NO_SPACE || strstr(err.text, "no memory left") == NULL) {
            fail_msg("%s, allocation %ld: %s \"%s\"", k->file, i, fb_status_name(s), err.text);
        }
        assert_int_equal(fb_status_class(s), FB_CLASS_RETRY);
        assert_memory_equal(d, untouched, sizeof *d);
    }
    free(d);
    free(untouched);
}

static void a_decoder_without_memory_says_so_and_gives_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct fb_buf bytes;
        read_vector(kinds[i].file, &bytes);
        try_decoder(&kinds[i], fb_slice_buf(&bytes));
        fb_buf_deinit(&bytes);
    }
}

static void the_library_without_memory_is_no_bad_document(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        union document *d = fb_xcalloc(1, sizeof *d);
        struct fb_error err = {0};
        struct fb_buf bytes;
        read_vector(kinds[i].file, &bytes);
        is_unpack_failing = true;
        assert_int_equal(kinds[i].decode(fb_slice_buf(&bytes), d, &err), FB_NO_SPACE);
        is_unpack_failing = false;
        fb_buf_deinit(&bytes);
        free(d);
    }
}

static void an_encoder_without_memory_says_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        union document *d = fb_xcalloc(1, sizeof *d);
        struct fb_error err = {0};
        struct fb_buf bytes;
        read_vector(kinds[i].file, &bytes);
        assert_int_equal(kinds[i].decode(fb_slice_buf(&bytes), d, &err), FB_OK);
        enum fb_status s = FB_NO_SPACE;
        for (long n = 0; s == FB_NO_SPACE; n++) {
            struct fb_buf out;
            fb_buf_init(&out, FB_MAX_MANIFEST);
            countdown = n;
            s = kinds[i].encode(d, &out);
            assert_int_equal(countdown < 0, s == FB_NO_SPACE);
            countdown = -1;
            assert_true(s == FB_NO_SPACE || fb_slice_eq(fb_slice_buf(&out), fb_slice_buf(&bytes)));
            fb_buf_deinit(&out);
        }
        assert_int_equal(s, FB_OK);
        kinds[i].release(d);
        fb_buf_deinit(&bytes);
        free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decoder_without_memory_says_so_and_gives_nothing),
        cmocka_unit_test(the_library_without_memory_is_no_bad_document),
        cmocka_unit_test(an_encoder_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
