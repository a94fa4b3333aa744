/* SPDX-License-Identifier: Apache-2.0 */
#include "services/render/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "services/render/child_body.h"
#include "services/render/child_remote.h"
#include "services/render/child_section.h"
#include "services/render/child_signature.h"
#include "services/render/child_talk.h"
#include "services/render/decide.h"
#include "services/render/headers.h"
#include "services/render/html_prepare.h"
#include "services/render/native.h"
#include "services/render/text_paint.h"

#define MAX_PREPARED      (32U << 20)
#define NATIVE_AUTO_MS    3000 /* of processor time: what takes longer, Chromium may try */
#define NATIVE_MS         15000
#define WITHOUT_STRUCTURE "without structure" /* why, for plan, log and metric (handle.c) */

struct job {
    struct child_talk talk;
    struct fb_envelope envelope;
    struct fb_policy *policy;
    struct render_mail mail;
    struct fb_plan plan;
    const char *note; /* about the body PDF */
};

void render_child_warm(void)
{
    render_mime_init();
    render_text_warm();
    child_body_warm();
}

static enum fb_status read_message(struct job *j, struct fb_error *err)
{
    struct render_source source = child_source(&j->talk);
    struct render_sink sink = child_sink(&j->talk);
    enum fb_status s = fb_envelope_decode(j->talk.start.envelope, &j->envelope, err);
    if (s == FB_OK) {
        s = render_mime_parse(&source, &sink, &j->envelope, &j->mail, err);
    }
    if (s == FB_OK) {
        s = child_look_for_signature(&j->talk, &j->mail, err);
    }
    if (s == FB_OK) {
        struct fb_policy_findings findings = {0};
        s = fb_policy_parse(j->talk.start.policy, &j->policy, &findings);
        if (s != FB_OK) {
            s = fb_error_set(err, FB_CONFIG, "the policy cannot be read: %s",
                             findings.count > 0 ? findings.items[0].text : "empty");
        }
        fb_policy_findings_deinit(&findings);
    }
    return s;
}

/* What ends in a header, a log or a page holds no control character. */
static void clean(char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = ' ';
        }
    }
}

static void clean_plan(struct fb_plan *p)
{
    clean(p->subject);
    for (uint32_t i = 0; i < p->visible_count; i++) {
        clean(p->visible[i]);
    }
    for (uint32_t i = 0; i < p->part_count; i++) {
        clean(p->parts[i].name);
        clean(p->parts[i].cid);
        if (p->parts[i].cid != NULL && strpbrk(p->parts[i].cid, "<> \t") != NULL) {
            free(p->parts[i].cid); /* no field body can hold it: the image is then not found */
            p->parts[i].cid = NULL;
        }
    }
}

/* Moves what the mail owns and the plan needs. */
static void fill_plan(struct job *j)
{
    struct fb_plan *p = &j->plan;
    struct render_mail *m = &j->mail;
    p->version = FB_PLAN_VERSION;
    (void)snprintf(p->msg_id, sizeof p->msg_id, "%s", j->talk.start.msg_id);
    (void)snprintf(p->policy_version, sizeof p->policy_version, "%s", j->talk.start.policy_version);
    p->content_size = j->talk.start.size;
    p->subject = fb_xstrdup(m->subject);
    p->language = fb_xstrdup(m->language);
    p->visible = m->visible;
    p->visible_count = m->visible_count;
    m->visible = NULL;
    m->visible_count = 0;
    p->date_ms = m->date_ms;
    /* Room for one more: the body PDF. */
    p->parts = fb_xcalloc(m->part_count + 1, sizeof *p->parts);
    if (m->part_count > 0) {
        memcpy(p->parts, m->parts, m->part_count * sizeof *p->parts);
        memset(m->parts, 0, m->part_count * sizeof *m->parts);
    }
    p->part_count = m->part_count;
    m->part_count = 0;
    p->head_object = fb_xstrdup("");
    p->kept_text_object = fb_xstrdup("");
    p->kept_html_object = fb_xstrdup("");
    p->painter = fb_xstrdup("");
    p->painter_reason = fb_xstrdup("");
    clean_plan(p);
}

static void replace(char **at, const char *text)
{
    free(*at);
    *at = fb_xstrdup(text);
}

static bool is_second_try(const struct job *j)
{
    return strcmp(j->talk.start.engine, RENDER_ENGINE_SECOND) == 0;
}

/* Better a letter without structure than none: where Cairo refused it, or the first child may have died of
 * it. */
static enum fb_status paint_text(struct job *j, struct render_rpc_stored *stored,
                                 struct render_glyphs *glyphs, struct fb_error *err)
{
    struct fb_buf pdf;
    struct render_letter *letter = &j->mail.letter;
    bool is_structured = letter->is_tagged;
    fb_buf_init(&pdf, FB_MAX_OBJECT);
    letter->is_tagged = is_structured && !is_second_try(j);
    enum fb_status s = render_text_paint(letter, j->talk.start.paper, &pdf, err);
    if (s == FB_BUG && letter->is_tagged) {
        *err = (struct fb_error){0};
        letter->is_tagged = false;
        fb_buf_clear(&pdf);
        s = render_text_paint(letter, j->talk.start.paper, &pdf, err);
    }
    if (s == FB_OK) {
        s = child_store_body(&j->talk, &j->mail.letter, fb_slice_buf(&pdf), &j->note, stored, err);
    }
    fb_buf_deinit(&pdf);
    render_glyphs_look_letter(glyphs, &j->mail.letter);
    replace(&j->plan.painter, "text");
    replace(&j->plan.painter_reason,
            is_structured && !letter->is_tagged ? WITHOUT_STRUCTURE : "plain text");
    return s;
}

static enum fb_status paint_untagged(struct job *j, const struct render_html_document *document,
                                     struct render_native **native, struct fb_buf *pdf,
                                     struct fb_error *why)
{
    *why = (struct fb_error){0};
    j->mail.letter.is_tagged = false;
    fb_buf_clear(pdf);
    render_native_free(native);
    *native =
        render_native_new(&j->mail.letter, document->tree, j->talk.start.paper, false, NATIVE_MS);
    return render_native_paint(*native, pdf, why);
}

/* What becomes of HTML, and why: "auto" takes native where the document lies inside its subset. */
static enum fb_status paint_native(struct job *j, const struct render_html_document *document,
                                   struct render_rpc_stored *stored, struct fb_error *err)
{
    bool is_auto = strcmp(j->talk.start.engine, "native") != 0;
    struct fb_buf pdf;
    struct fb_error why = {0};
    int limit_ms = is_auto ? NATIVE_AUTO_MS : NATIVE_MS;
    struct render_native *native =
        render_native_new(&j->mail.letter, document->tree, j->talk.start.paper, is_auto, limit_ms);
    const char *outside = render_native_outside(native);
    fb_buf_init(&pdf, FB_MAX_OBJECT);
    enum fb_status s = FB_DENIED;
    if (!is_auto || outside == NULL) {
        s = render_native_paint(native, &pdf, &why);
        outside = render_native_outside(native);
    }
    bool is_refused = s == FB_BUG && j->mail.letter.is_tagged;
    if (is_refused) {
        s = paint_untagged(j, document, &native, &pdf, &why);
    }
    replace(&j->plan.painter, "native");
    replace(&j->plan.painter_reason, is_refused ? WITHOUT_STRUCTURE
                                     : is_auto  ? "inside the subset"
                                                : "configured");
    if (s == FB_OK) {
        s = child_store_body(&j->talk, &j->mail.letter, fb_slice_buf(&pdf), &j->note, stored, err);
    } else if (is_auto) { /* a limit, or outside: Chromium paints it */
        replace(&j->plan.painter_reason, outside != NULL ? outside : "native gave up");
        s = FB_DENIED;
    } else {
        s = fb_error_set(err, s, "%s", why.text);
    }
    fb_buf_deinit(&pdf);
    render_native_free(&native);
    return s;
}

static enum fb_status paint_html(struct job *j, struct render_rpc_stored *stored,
                                 struct render_glyphs *glyphs, struct fb_error *err)
{
    struct fb_buf html;
    struct render_html_document document;
    fb_buf_init(&html, MAX_PREPARED);
    enum fb_status s = render_html_prepare_document(&j->mail.letter, &html, &document, err);
    bool is_chromium = strncmp(j->talk.start.engine, "chromium", 8) == 0;
    if (s == FB_OK) {
        render_glyphs_look_tree(glyphs, document.tree->document);
    }
    if (s == FB_OK && !is_chromium) {
        s = paint_native(j, &document, stored, err);
    } else if (s == FB_OK) {
        replace(&j->plan.painter_reason, is_second_try(j) ? "second try" : "configured");
        s = FB_DENIED;
    }
    if (s == FB_DENIED) {
        replace(&j->plan.painter, "chromium");
        s = child_print_body(&j->talk, &j->mail.letter, fb_slice_buf(&html), &j->note, stored, err);
    }
    render_html_document_deinit(&document);
    fb_buf_deinit(&html);
    return s;
}

static enum fb_status paint(struct job *j, uint32_t *part_r, struct fb_error *err)
{
    struct render_rpc_stored stored = {0};
    if (j->mail.letter.date_ms == 0) {
        j->mail.letter.date_ms = j->talk.start.first_ms; /* equal on a second try, unlike "now" */
    }
    struct render_glyphs glyphs = {0};
    j->mail.letter.is_tagged = j->talk.start.is_tagged;
    if (j->mail.letter.is_html && child_may_fetch(j->policy, &j->plan)) {
        child_fetch_images(&j->talk, &j->mail.letter);
    }
    enum fb_status s = child_read_sections(&j->talk, j->policy, &j->plan, &j->mail, err);
    if (s == FB_OK) {
        s = j->mail.letter.is_html ? paint_html(j, &stored, &glyphs, err)
                                   : paint_text(j, &stored, &glyphs, err);
    }
    child_tell_missing(&j->talk, &glyphs);
    if (s == FB_OK && j->note != NULL) {
        char why[160];
        (void)snprintf(why, sizeof why, "%.60s; %.90s", j->plan.painter_reason, j->note);
        replace(&j->plan.painter_reason, why);
    }
    if (s == FB_OK) {
        struct fb_part *part = &j->plan.parts[j->plan.part_count];
        part->name = fb_xstrdup(j->mail.letter.is_japanese ? "本文.pdf" : "message.pdf");
        part->type = fb_xstrdup("application/pdf");
        part->object = fb_xstrdup("body.pdf");
        part->size = stored.size;
        memcpy(part->sha1, stored.sha1, sizeof part->sha1);
        *part_r = j->plan.part_count++;
    }
    return s;
}

static enum fb_status strip_tag(struct job *j, struct fb_branch *b, struct fb_error *err)
{
    const struct fb_policy_rule *rule = fb_policy_find_rule(j->policy, b->rule);
    const char *tag =
        rule != NULL && rule->strips_tag ? fb_policy_matched_tag(rule, j->mail.subject) : NULL;
    if (tag == NULL || j->mail.raw_subject == NULL) {
        return FB_OK;
    }
    struct fb_buf subject;
    fb_buf_init(&subject, FB_MAX_HEADER_BYTES);
    enum fb_status s = render_head_strip_tag(fb_slice_str(j->mail.raw_subject), tag, &subject);
    if (s == FB_OK) {
        b->subject = fb_xstrdup(fb_buf_str(&subject));
        clean(b->subject); /* unfolded: rewrite folds it again */
    } else {
        s = fb_error_set(err, s, "the tag cannot be taken out of the subject");
    }
    fb_buf_deinit(&subject);
    return s;
}

/* holds_body: of the mail's parts, which came first and in the same order. */
static void list_parts(const struct fb_plan *p, struct fb_branch *b, uint32_t body_part,
                       const bool holds_body[FB_MAX_PARTS])
{
    b->parts = fb_xcalloc(p->part_count + 1, sizeof *b->parts);
    if (b->secures_body) {
        b->parts[b->part_count++] = body_part;
    }
    for (uint32_t i = 0; i < p->part_count; i++) {
        /* A secured body takes its other forms with it, whatever the rule says of attachments. */
        bool is_wanted =
            b->secures_attachments || (b->secures_body && i < FB_MAX_PARTS && holds_body[i]);
        if (is_wanted && !p->parts[i].is_inline &&
            i != body_part) { /* the PDF is for those whose body is secured */
            b->parts[b->part_count++] = i;
        }
    }
}

/* What the secured branches need: body PDF, kept body, header block. */
static enum fb_status derive(struct job *j, struct fb_error *err)
{
    struct render_sink sink = child_sink(&j->talk);
    struct fb_plan *p = &j->plan;
    bool needs_pdf = false;
    bool needs_kept = false;
    bool is_touched = false;
    uint32_t body_part = UINT32_MAX;
    enum fb_status s = FB_OK;
    for (uint32_t i = 0; i < p->branch_count; i++) {
        bool is_secure = p->branches[i].kind == FB_BRANCH_SECURE;
        needs_pdf = needs_pdf || (is_secure && p->branches[i].secures_body);
        needs_kept = needs_kept || (is_secure && !p->branches[i].secures_body);
        is_touched = is_touched || p->branches[i].kind != FB_BRANCH_PASS;
    }
    if (is_touched) {
        s = render_mime_keep_head(&j->mail, &sink, err);
        replace(&p->head_object, RENDER_OBJECT_HEAD);
    }
    if (s == FB_OK && needs_kept) {
        s = render_mime_keep_body(&j->mail, &sink, err);
        replace(&p->kept_text_object, RENDER_OBJECT_KEPT_TEXT);
        replace(&p->kept_html_object, j->mail.html.len > 0 ? RENDER_OBJECT_KEPT_HTML : "");
    }
    if (s == FB_OK && needs_pdf) {
        s = paint(j, &body_part, err);
    }
    for (uint32_t i = 0; i < p->branch_count && s == FB_OK; i++) {
        if (p->branches[i].kind == FB_BRANCH_SECURE) {
            s = strip_tag(j, &p->branches[i], err);
            list_parts(p, &p->branches[i], body_part, j->mail.holds_body);
        }
    }
    return s;
}

static enum fb_status work(struct job *j, struct fb_error *err)
{
    enum fb_status s = child_receive_start(&j->talk, err);
    if (s == FB_OK) {
        s = read_message(j, err);
    }
    if (s == FB_OK) {
        fill_plan(j);
        s = render_decide(j->policy, &j->mail.facts, &j->envelope, j->talk.start.first_ms, &j->plan,
                          err);
    }
    return s == FB_OK ? derive(j, err) : s;
}

void render_child_run(int fd)
{
    static struct job j; /* the process is one message's: nothing is freed, it ends */
    struct fb_error err = {0};
    struct fb_buf plan;
    child_talk_init(&j.talk, fd);
    fb_buf_init(&plan, FB_MAX_PLAN);
    enum fb_status s = work(&j, &err);
    if (s == FB_OK) {
        s = fb_plan_encode(&j.plan, &plan);
        if (s != FB_OK) {
            s = fb_error_set(&err, s, "the plan is too large");
        }
    }
    if (s == FB_OK) {
        child_done(&j.talk, fb_slice_buf(&plan));
    } else {
        child_fail(&j.talk, s, err.text);
    }
}
