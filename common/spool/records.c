/* SPDX-License-Identifier: Apache-2.0 */
#include "common/spool/records.h"

#include <stdio.h>
#include <string.h>

#include "common/crypto.h"
#include "proto/limits.h"

enum fb_status fb_spool_plan_load(struct fb_spool_msg *msg, struct fb_plan *plan_r,
                                  struct fb_error *err)
{
    struct fb_buf bytes;
    enum fb_status s = fb_spool_object_get(msg, "plan", FB_MAX_PLAN, &bytes, err);
    if (s == FB_OK) {
        s = fb_plan_decode(fb_slice_buf(&bytes), plan_r, err);
        fb_buf_deinit(&bytes);
        if (s == FB_INVALID) {
            s = fb_error_set(err, FB_CORRUPT, "the stored plan cannot be read");
        }
    }
    return s;
}

/* FB_NOT_FOUND: none was kept, or not this one. */
static enum fb_status kept_policy(struct fb_spool_msg *msg, const char *version,
                                  struct fb_policy **policy_r, struct fb_error *err)
{
    struct fb_buf document;
    struct fb_policy *policy = NULL;
    struct fb_policy_findings findings = {0};
    enum fb_status s = fb_spool_object_get(msg, "policy", FB_POLICY_MAX, &document, err);
    if (s != FB_OK) {
        return s == FB_CORRUPT || s == FB_TOO_BIG
                   ? fb_error_set(err, FB_NOT_FOUND, "the mail's policy cannot be read")
                   : s;
    }
    s = fb_policy_parse(fb_slice_buf(&document), &policy, &findings);
    fb_policy_findings_deinit(&findings);
    fb_buf_deinit(&document);
    if (s == FB_OK && strcmp(policy->version, version) == 0) {
        *policy_r = policy;
        return FB_OK;
    }
    fb_policy_unref(&policy);
    return fb_error_set(err, FB_NOT_FOUND, "another policy lies beside the mail");
}

enum fb_status fb_spool_policy_load(struct fb_spool_msg *msg, const struct fb_plan *plan,
                                    struct fb_policy_follow *follow, struct fb_policy **policy_r,
                                    struct fb_error *err)
{
    struct fb_policy *now = fb_policy_follow_get(follow);
    struct fb_policy *kept = NULL;
    if (now != NULL && strcmp(now->version, plan->policy_version) == 0) {
        *policy_r = now;
        return FB_OK;
    }
    enum fb_status s = kept_policy(msg, plan->policy_version, &kept, err);
    if (s == FB_NOT_FOUND && now != NULL) {
        *policy_r = now;
        return FB_OK;
    }
    fb_policy_unref(&now);
    if (s == FB_NOT_FOUND) {
        return fb_error_set(err, FB_CONFIG,
                            "no policy is known; apply one with `fumibako policy apply`");
    }
    if (s == FB_OK) {
        *policy_r = kept;
    }
    return s;
}

static void object_name(uint32_t branch, char name[32])
{
    (void)snprintf(name, 32, "parcel.%u", branch);
}

enum fb_status fb_spool_parcel_load(struct fb_spool_msg *msg, uint32_t branch,
                                    struct fb_parcel *parcel_r, struct fb_error *err)
{
    char name[32];
    struct fb_buf bytes;
    object_name(branch, name);
    enum fb_status s = fb_spool_object_get(msg, name, FB_MAX_MANIFEST, &bytes, err);
    if (s == FB_OK) {
        s = fb_parcel_decode(fb_slice_buf(&bytes), parcel_r, err);
        fb_wipe(bytes.ptr, bytes.len);
        fb_buf_deinit(&bytes);
        if (s == FB_INVALID) {
            s = fb_error_set(err, FB_CORRUPT, "the stored parcel cannot be read");
        }
    }
    return s;
}

enum fb_status fb_spool_parcel_save(struct fb_spool *spool, struct fb_spool_msg *msg,
                                    uint32_t branch, const struct fb_parcel *parcel, bool is_final,
                                    struct fb_error *err)
{
    char name[32];
    struct fb_buf bytes;
    object_name(branch, name);
    fb_buf_init(&bytes, FB_MAX_MANIFEST);
    enum fb_status s = is_final ? fb_parcel_encode(parcel, &bytes) : FB_OK;
    bool is_written = s == FB_OK;
    if (s == FB_OK && is_final) {
        s = fb_spool_manifest_put(spool, parcel->parcel_id, fb_slice_buf(&bytes), err);
    }
    if (s == FB_OK) {
        fb_buf_clear(&bytes);
        s = fb_parcel_encode_secret(parcel, &bytes);
        is_written = s == FB_OK;
    }
    if (!is_written) {
        s = fb_error_set(err, s, "the parcel cannot be written down");
    } else if (s == FB_OK) {
        /* Nothing can make the same secrets again: after a power cut a part of the notices would be
         * out with links that open nothing. */
        s = fb_spool_object_put(msg, name, fb_slice_buf(&bytes), fb_parcel_has_secret(parcel), err);
    }
    fb_wipe(bytes.ptr, bytes.len);
    fb_buf_deinit(&bytes);
    return s;
}
