/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a job, an envelope, a plan and a parcel.
 *
 * Checked: a refusal names what was read and leaves the output alone; what was accepted can be
 * written, read again, and written to the same bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/envelope.h"
#include "proto/job.h"
#include "proto/limits.h"
#include "proto/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(enum fb_status s, const struct fb_error *err, const char *what)
{
    FB_ASSERT(s == FB_INVALID || s == FB_TOO_BIG || s == FB_AGAIN);
    FB_ASSERT(err->status == s && strncmp(err->text, what, strlen(what)) == 0);
}

#define ROUND_TRIP(name, type, max)                                                                \
    static void try_##name(struct fb_slice bytes)                                                  \
    {                                                                                              \
        type first = {0}, second = {0};                                                            \
        struct fb_error err = {0};                                                                 \
        struct fb_buf once, twice;                                                                 \
        fb_buf_init(&once, max);                                                                   \
        fb_buf_init(&twice, max);                                                                  \
        enum fb_status s = fb_##name##_decode(bytes, &first, &err);                                \
        if (s != FB_OK) {                                                                          \
            static const type untouched;                                                           \
            check_refusal(s, &err, #name);                                                         \
            FB_ASSERT(memcmp(&first, &untouched, sizeof first) == 0);                              \
            return;                                                                                \
        }                                                                                          \
        FB_ASSERT(ENCODE_##name(&first, &once) == FB_OK);                                          \
        FB_ASSERT(fb_##name##_decode(fb_slice_buf(&once), &second, &err) == FB_OK);                \
        FB_ASSERT(ENCODE_##name(&second, &twice) == FB_OK);                                        \
        FB_ASSERT(fb_slice_eq(fb_slice_buf(&once), fb_slice_buf(&twice)));                         \
        RELEASE_##name(&first);                                                                    \
        RELEASE_##name(&second);                                                                   \
        fb_buf_deinit(&once);                                                                      \
        fb_buf_deinit(&twice);                                                                     \
    }

#define ENCODE_job      fb_job_encode
#define ENCODE_envelope fb_envelope_encode
#define ENCODE_plan     fb_plan_encode
#define ENCODE_parcel   fb_parcel_encode_secret

#define RELEASE_job(job)    (void)(job)
#define RELEASE_envelope(e) fb_envelope_deinit(e)
#define RELEASE_parcel(p)   release_parcel(p)
#define RELEASE_plan(p)     release_plan(p)

static void release_plan(struct fb_plan *plan)
{
    struct fb_error err = {0};
    enum fb_status s = fb_plan_check(plan, 3, &err);
    FB_ASSERT(s == FB_OK || s == FB_INVALID);
    fb_plan_deinit(plan);
}

/* What is kept for longer than the mail holds no secret. */
static void release_parcel(struct fb_parcel *parcel)
{
    struct fb_parcel kept = {0};
    struct fb_error err = {0};
    struct fb_buf bytes;
    fb_buf_init(&bytes, FB_MAX_MANIFEST);
    FB_ASSERT(fb_parcel_encode(parcel, &bytes) == FB_OK);
    FB_ASSERT(fb_parcel_decode(fb_slice_buf(&bytes), &kept, &err) == FB_OK);
    FB_ASSERT(!fb_parcel_has_secret(&kept) && kept.grant_count == parcel->grant_count);
    fb_parcel_deinit(&kept);
    fb_parcel_deinit(parcel);
    fb_buf_deinit(&bytes);
}

ROUND_TRIP(job, struct fb_job, FB_MAX_JOB)
ROUND_TRIP(envelope, struct fb_envelope, FB_MAX_ENVELOPE)
ROUND_TRIP(plan, struct fb_plan, FB_MAX_PLAN)
ROUND_TRIP(parcel, struct fb_parcel, FB_MAX_MANIFEST)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fb_slice bytes = fb_slice_of(data, size);
    try_job(bytes);
    try_envelope(bytes);
    try_plan(bytes);
    try_parcel(bytes);
    return 0;
}
