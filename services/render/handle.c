/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/ledger.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "proto/limits.h"
#include "services/render/native.h"

static bool wants_remote_images(const struct fb_policy *policy)
{
    bool wants = false;
    for (size_t i = 0; i < policy->rule_count; i++) {
        wants = wants || policy->rules[i].fetches_images;
    }
    return wants;
}

/* The policy that a first try used is kept beside the message: a second one must come to the same
 * branches, or a recipient could get the mail twice, or in a parcel and in the clear, or not at all.
 * Durable as the plan: a crash that takes parcels brings the mail back here, under whatever policy
 * is in force by then. */
static enum fb_status policy_of_message(struct render_worker *w, struct fb_spool_msg *msg,
                                        struct fb_buf *document, char version[65],
                                        bool *may_fetch_r, struct fb_error *err)
{
    enum fb_status s = fb_spool_object_get(msg, "policy", FB_POLICY_MAX, document, err);
    if (s == FB_OK) {
        struct fb_policy *stored = NULL;
        struct fb_policy_findings findings = {0};
        s = fb_policy_parse(fb_slice_buf(document), &stored, &findings);
        fb_policy_findings_deinit(&findings);
        if (s == FB_OK) {
            (void)snprintf(version, 65, "%s", stored->version);
            *may_fetch_r = wants_remote_images(stored);
            fb_policy_unref(&stored);
            return FB_OK;
        }
        fb_buf_deinit(document);
    }
    struct fb_policy *policy = fb_policy_follow_get(w->policy);
    if (policy == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "no policy is known; apply one with `fumibako policy apply`");
    }
    fb_buf_init(document, FB_POLICY_MAX);
    s = fb_buf_add(document, policy->document, policy->document_len);
    (void)snprintf(version, 65, "%s", policy->version);
    *may_fetch_r = wants_remote_images(policy);
    fb_policy_unref(&policy);
    if (s == FB_OK) {
        s = fb_spool_object_put(msg, "policy", fb_slice_buf(document), true, err);
    }
    if (s != FB_OK) {
        fb_buf_deinit(document);
    }
    return s;
}

static enum fb_status save_plan(struct fb_spool_msg *msg, const struct fb_plan *plan,
                                struct fb_error *err)
{
    struct fb_buf bytes;
    fb_buf_init(&bytes, FB_MAX_PLAN);
    enum fb_status s = fb_plan_encode(plan, &bytes);
    if (s != FB_OK) {
        s = fb_error_set(err, s, "the plan is too large");
    } else {
        s = fb_spool_object_put(msg, "plan", fb_slice_buf(&bytes), true, err);
    }
    fb_buf_deinit(&bytes);
    return s;
}

static enum fb_status render(struct render_worker *w, struct fb_spool_msg *msg,
                             struct fb_redis *redis, const struct fb_claim *claim,
                             struct fb_plan *plan_r, struct render_glyphs *glyphs_r,
                             bool *is_unpaintable_r, struct fb_error *err)
{
    struct fb_envelope envelope = {0};
    struct fb_buf document = {0};
    char version[65] = "";
    bool may_fetch = false;
    enum fb_status s = fb_envelope_decode(fb_spool_msg_envelope(msg), &envelope, err);
    if (s == FB_OK) {
        s = policy_of_message(w, msg, &document, version, &may_fetch, err);
    }
    if (s == FB_OK) {
        struct render_request request = {.msg = msg,
                                         .envelope = &envelope,
                                         .policy_document = fb_slice_buf(&document),
                                         .policy_version = version,
                                         .redis = redis,
                                         .first_ms = claim->job.first_ms,
                                         .may_fetch = may_fetch,
                                         .is_retry = claim->job.attempt > 0};
        s = render_converse(&w->service, &request, plan_r, err);
        *is_unpaintable_r = request.is_unpaintable;
        *glyphs_r = request.glyphs;
        if (s == FB_OK) {
            s = save_plan(msg, plan_r, err);
            if (s != FB_OK) {
                fb_plan_deinit(plan_r);
            }
        }
    }
    fb_buf_deinit(&document);
    fb_envelope_deinit(&envelope);
    return s;
}

/* The names came from the child: only those of rules are logged. */
static void log_shadows(const struct render_worker *w, const char *lines)
{
    struct fb_policy *policy = lines != NULL ? fb_policy_follow_get(w->policy) : NULL;
    while (policy != NULL && *lines != '\0') {
        size_t len = strcspn(lines, "\t");
        char *line = fb_slice_dup_str(fb_slice_of(lines, len));
        char *name = line != NULL ? strchr(line, ' ') : NULL;
        const struct fb_policy_rule *rule =
            name != NULL ? fb_policy_find_rule(policy, name + 1) : NULL;
        if (rule != NULL) {
            fb_log(FB_INFO, "shadow rule \"%s\" would have taken %ld of the recipients", rule->name,
                   strtol(line, NULL, 10));
        }
        free(line);
        lines += lines[len] == '\t' ? len + 1 : len;
    }
    fb_policy_unref(&policy);
}

static void hand_over(const struct render_worker *w, struct fb_redis *redis,
                      const struct fb_claim *claim, const struct fb_plan *plan,
                      struct fb_outcome *out)
{
    out->kind = FB_OUTCOME_ADVANCE;
    out->next = fb_xcalloc(plan->branch_count, sizeof *out->next);
    out->next_count = plan->branch_count;
    for (uint32_t i = 0; i < plan->branch_count; i++) {
        enum fb_stage stage =
            plan->branches[i].kind == FB_BRANCH_SECURE ? FB_STAGE_UPLOAD : FB_STAGE_REWRITE;
        fb_job_follow(claim, stage, i, &out->next[i]);
    }
    log_shadows(w, plan->shadows);
    out->ops = fb_ops_new();
    fb_ledger_planned(redis, out->ops, plan, w->service.config->rewrite.key);
}

/* One of a list: the word came from the child. */
static const char *known(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, list[i]) == 0) {
            return list[i];
        }
    }
    return NULL;
}

static const char *reason_of(const struct fb_plan *plan)
{
    static const char *const reasons[] = {"plain text", "inside the subset",
                                          "configured", "native gave up",
                                          "second try", "without structure"};
    char why[64]; /* what stands behind a semicolon is about the file, not the painter */
    (void)snprintf(why, sizeof why, "%.*s", (int)strcspn(plan->painter_reason, ";"),
                   plan->painter_reason);
    const char *found = known(why, reasons, sizeof reasons / sizeof reasons[0]);
    size_t count = 0;
    const struct render_native_feature *features = render_native_features(&count);
    for (size_t i = 0; i < count && found == NULL; i++) {
        found = strcmp(why, features[i].name) == 0 ? features[i].name : NULL;
    }
    return found != NULL ? found : "other";
}

static void count_painter(const struct fb_plan *plan)
{
    static const char *const painters[] = {"text", "native", "chromium"};
    if (plan->painter != NULL && plan->painter[0] != '\0') {
        char label[128];
        const char *painter = known(plan->painter, painters, 3);
        (void)snprintf(label, sizeof label, "engine=\"%s\",why=\"%s\"",
                       painter != NULL ? painter : "other", reason_of(plan));
        fb_metric_add("fumibako_painted_total", label, 1);
        fb_log_fields(FB_INFO, "painted", "engine", plan->painter, "why", plan->painter_reason,
                      NULL);
    }
}

/* Readers see boxes there.  Never the characters themselves: they are the mail's. */
static void count_missing(const struct render_glyphs *g)
{
    char blocks[320] = "";
    char count[24];
    size_t n = 0;
    for (uint32_t i = 0; i < g->block_count && n < sizeof blocks; i++) {
        n += (size_t)snprintf(blocks + n, sizeof blocks - n, "%s%s", i > 0 ? "; " : "",
                              render_glyphs_block(g->blocks[i]));
    }
    fb_metric_add("fumibako_missing_glyphs_total", NULL, (double)g->missing);
    if (g->missing > 0) {
        (void)snprintf(count, sizeof count, "%llu", (unsigned long long)g->missing);
        fb_log_fields(FB_WARN, "characters that no font has are boxes in the PDF", "count", count,
                      "blocks", blocks, NULL);
    }
}

void render_handle(void *ctx, void *thread, struct fb_redis *redis, const struct fb_claim *claim,
                   struct fb_outcome *out)
{
    (void)thread;
    struct render_worker *w = ctx;
    struct fb_spool_msg *msg = NULL;
    struct fb_plan plan = {0};
    struct fb_error err = {0};
    struct render_glyphs glyphs = {0};
    bool is_unpaintable = false;
    fb_log_context(claim->job.msg_id, NULL, "render", claim->job.trace, claim->job.attempt);
    enum fb_status s = fb_spool_msg_open(w->spool, claim->job.spool_ref, &msg, &err);
    if (s == FB_NOT_FOUND) {
        fb_outcome_without_mail(claim, out);
        return;
    }
    if (s == FB_OK) {
        s = render(w, msg, redis, claim, &plan, &glyphs, &is_unpaintable, &err);
    }
    if (s == FB_OK) {
        count_painter(&plan);
        count_missing(&glyphs);
        hand_over(w, redis, claim, &plan, out);
        fb_plan_deinit(&plan);
    } else if (fb_zygote_is_dead(w->service.zygote)) {
        out->kind = FB_OUTCOME_RELEASE; /* not this mail's fault: the next process takes it */
        out->reason = err;
        fb_service_stop();
    } else {
        /* A crash or time-out costs one retry; what breaks twice is held. */
        bool is_worth_it = fb_status_class(s) == FB_CLASS_RETRY && !is_unpaintable &&
                           !(s == FB_CRASHED && claim->job.attempt >= 1);
        struct fb_policy *policy = fb_policy_follow_get(w->policy);
        out->kind = is_worth_it ? FB_OUTCOME_RETRY : FB_OUTCOME_BURY;
        out->reason = err;
        if (policy == NULL && s == FB_CONFIG) {
            fb_outcome_soon(claim, out);
        }
        fb_policy_unref(&policy);
    }
    fb_spool_msg_close(&msg);
}
