/* SPDX-License-Identifier: Apache-2.0
 *
 * A reply that is sent: the form is checked, the mail is made, and ingest takes it.  Nothing is sent before the reply's
 * id was claimed, and nothing is said to be sent before ingest has it in the spool. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ledger/door.h"
#include "common/ledger/reply.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/submit.h"
#include "common/yaml.h"
#include "services/portal/reply.h"

#define HOUR_MS     INT64_C(3600000)
#define CONNECT_MS  5000
#define TOTAL_MS    60000 /* the claim holds for longer: common/ledger/reply.h */
#define WAIT_STEPS  40
#define WAIT_US     250000
#define MAX_HEADERS 65536
#define MAX_SENDING (PORTAL_THREADS / 2)

/* Handlers wait for ingest: half of them are left to those who read. */
static atomic_uint sending_now;

/* ---- before the body is read ---- */

static bool token_is_good(const struct portal *p, const struct fb_http_request *request,
                          const char *text, const char *session)
{
    const char *token = fb_http_query(request, "t");
    const char *id = fb_http_query(request, "id");
    if (token == NULL || id == NULL || !fb_id_is_valid(id)) {
        return false;
    }
    const struct form_binding binding = {
        .key = p->form_key, .step = REPLY_STEP, .link = text, .cookie = session, .id = id};
    return form_token_is_good(&binding, token, fb_now_ms());
}

size_t reply_body_limit(void *ctx, const struct fb_http_request *head)
{
    const struct portal *p = ctx;
    char text[FB_READER_LINK_SIZE];
    char session[READER_ID_HASH];
    const char *path = head->path;
    size_t len = strncmp(path, "/r/", 3) == 0 ? strcspn(path + 3, "/") : 0;
    if (len == 0 || len >= sizeof text || strcmp(path + 3 + len, "/reply") != 0 ||
        strcmp(head->method, "POST") != 0) {
        return FORM_MAX_BODY;
    }
    memcpy(text, path + 3, len);
    text[len] = '\0';
    const char *length = fb_http_header(head, "Content-Length");
    int64_t bytes = 0;
    if (length != NULL && fb_parse_int(length, &bytes) && bytes <= FORM_MAX_BODY) {
        return FORM_MAX_BODY; /* needs no place among the large ones */
    }
    bool is_ours = reader_session_name(p, head, session) && token_is_good(p, head, text, session);
    return is_ours ? (size_t)p->config->portal.reply_max + REPLY_FORM_EXTRA : FORM_MAX_BODY;
}

/* ---- the form ---- */

struct sending {
    struct multipart form;
    const struct multipart_part *files[REPLY_MAX_FILES];
    size_t file_count;
    char *text;
    size_t total; /* bytes of text and files */
};

static void sending_free(struct sending **s)
{
    if (*s != NULL && (*s)->text != NULL) {
        fb_wipe((*s)->text, strlen((*s)->text));
    }
    if (*s != NULL) {
        free((*s)->text);
        free(*s);
        *s = NULL;
    }
}

/* Line ends become LF, other control characters blanks; those at the end go. */
static void tidy_text(char *text)
{
    char *to = text;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\r' && p[1] == '\n') {
            continue;
        }
        char c = *p == '\r' ? '\n' : *p;
        bool is_control = ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
        *to++ = (char)(is_control ? ' ' : c);
    }
    while (to > text && strchr(" \t\n", to[-1]) != NULL) {
        to--;
    }
    *to = '\0';
}

static enum reply_alert take_text(struct sending *s)
{
    const struct multipart_part *part = multipart_find(&s->form, "text");
    struct fb_slice bytes = part != NULL ? part->content : fb_slice_str(NULL);
    if (bytes.len > REPLY_MAX_TEXT) {
        return REPLY_LONG;
    }
    char *text = fb_slice_dup_str(bytes); /* NULL for a NUL in it */
    if (text == NULL || !form_is_utf8(text)) {
        free(text);
        return REPLY_UNREADABLE;
    }
    tidy_text(text);
    s->text = text;
    s->total += strlen(text);
    return REPLY_FINE;
}

/* A field for files that was left alone comes as one without name and content. */
static enum reply_alert take_files(struct sending *s)
{
    for (size_t i = 0; i < s->form.count; i++) {
        const struct multipart_part *part = &s->form.parts[i];
        bool is_none = part->file_name[0] == '\0' && part->content.len == 0;
        if (!part->is_file || is_none || !fb_slice_eq_str(part->name, "files")) {
            continue;
        }
        if (s->file_count == REPLY_MAX_FILES) {
            return REPLY_MANY_FILES;
        }
        s->files[s->file_count++] = part;
        s->total += part->content.len;
    }
    return s->text[0] == '\0' && s->file_count == 0 ? REPLY_EMPTY : REPLY_FINE;
}

/* False: a page was answered. */
static bool read_form(struct reader *r, struct sending *s)
{
    struct visit *v = r->visit;
    const char *type = fb_http_header(v->request, "Content-Type");
    if (v->request->is_busy) {
        page_error(v, PAGE_REPLY_BUSY);
        return false;
    }
    if (v->request->is_too_big) {
        page_error(v, PAGE_REPLY_TOO_BIG);
        return false;
    }
    if (!multipart_is(type)) {
        page_error(v, PAGE_BAD_TYPE);
        return false;
    }
    enum fb_status status = multipart_parse(type, v->request->body, &s->form);
    if (status == FB_TOO_BIG) {
        reply_form(r, REPLY_MANY_FILES, "");
        return false;
    }
    if (status != FB_OK) {
        page_error(v, PAGE_BAD_FORM);
        return false;
    }
    enum reply_alert alert = take_text(s);
    if (alert == REPLY_FINE) {
        alert = take_files(s);
    }
    if (alert != REPLY_FINE) {
        reply_form(r, alert, s->text != NULL ? s->text : "");
        return false;
    }
    if (s->total > (size_t)v->portal->config->portal.reply_max) {
        page_error(v, PAGE_REPLY_TOO_BIG);
        return false;
    }
    return true;
}

/* ---- once ---- */

static void say_done(struct reader *r, const char *id)
{
    struct visit *v = r->visit;
    fb_http_answer_header(v->answer, "Location", "/r/%s/reply?done=%s%s%s", r->text, id,
                          page_query(v)[0] != '\0' ? "&lang=" : "",
                          page_query(v)[0] != '\0' ? v->chosen : "");
    v->answer->status = 303;
}

static bool is_done_soon(struct reader *r, const char *id)
{
    enum fb_reply_state state = FB_REPLY_BUSY;
    for (int i = 0; i < WAIT_STEPS && state == FB_REPLY_BUSY; i++) {
        struct fb_error err = {0};
        (void)usleep(WAIT_US);
        if (fb_ledger_reply_state(r->redis, r->shard, id, &state, &err) != FB_OK) {
            return false;
        }
    }
    return state == FB_REPLY_DONE;
}

static void settle(struct reader *r, const char *id, bool is_sent)
{
    struct fb_error err = {0};
    if (fb_ledger_reply_settle(r->redis, r->shard, id, is_sent, &err) != FB_OK) {
        fb_log(FB_WARN, "a reply's claim stays until it ends by itself: %s", err.text);
    }
}

/* Whether this request is the one that sends it; else a page was answered.  A second click gets the answer of the
 * first. */
static bool claim(struct reader *r, const char *id, const char *text)
{
    enum fb_reply_state state = FB_REPLY_NEW;
    struct fb_error err = {0};
    int64_t wait_ms = 0;
    enum fb_status s = fb_ledger_reply_claim(r->redis, r->shard, id, &state, &err);
    if (s != FB_OK) {
        reader_unavailable(r, &err);
        return false;
    }
    if (state == FB_REPLY_DONE || (state == FB_REPLY_BUSY && is_done_soon(r, id))) {
        say_done(r, id);
        return false;
    }
    if (state == FB_REPLY_BUSY) {
        page_error(r->visit, PAGE_REPLY_UNSURE);
        return false;
    }
    s = fb_door_take(r->redis, "replies", r->grant_tag, HOUR_MS, REPLY_MAX_PER_H, &wait_ms, &err);
    if (s == FB_OK && wait_ms == 0) {
        return true;
    }
    settle(r, id, false);
    if (s != FB_OK) {
        reader_unavailable(r, &err);
        return false;
    }
    reader_audit(r, "reply refused: too many", r->session.address);
    fb_http_answer_header(r->visit->answer, "Retry-After", "%" PRId64, wait_ms / 1000 + 1);
    reply_form(r, REPLY_HOURLY, text);
    return false;
}

/* ---- the mail ---- */

static enum fb_status hand_in(struct reader *r, const char *id, const struct sending *s,
                              bool *is_unsure_r, struct fb_error *err)
{
    const struct fb_config *c = r->visit->portal->config;
    const struct reply_facts facts = {.id = id,
                                      .msg_id = r->msg_id,
                                      .postmaster = c->rewrite.postmaster,
                                      .to = r->parcel.from,
                                      .reader = r->session.address,
                                      .proof = r->session.proof,
                                      .subject = r->parcel.subject != NULL ? r->parcel.subject : "",
                                      .is_ja = r->parcel.language != NULL &&
                                               strncmp(r->parcel.language, "ja", 2) == 0,
                                      .at_ms = fb_now_ms(),
                                      .text = s->text,
                                      .files = s->files,
                                      .file_count = s->file_count};
    char url[FB_SUBMIT_URL_SIZE];
    char mail_id[FB_ID_SIZE];
    const char *const to[] = {r->parcel.from};
    struct fb_buf mail;
    *is_unsure_r = false;
    fb_buf_init(&mail, s->total + s->total / 2 + MAX_HEADERS + REPLY_MAX_TEXT * 3UL);
    enum fb_status status = reply_compose(&facts, &mail);
    if (c->portal.ingest_url != NULL) {
        (void)snprintf(url, sizeof url, "%s", c->portal.ingest_url);
    } else {
        fb_submit_url(c->ingest.http, url);
    }
    if (status != FB_OK) {
        (void)fb_error_set(err, status, "the reply's mail is larger than its limits");
    } else {
        const struct fb_submit submit = {.url = url,
                                         .token = c->ingest.token,
                                         .from = c->rewrite.postmaster,
                                         .to = to,
                                         .to_count = 1,
                                         .mail = fb_slice_buf(&mail),
                                         .connect_ms = CONNECT_MS,
                                         .total_ms = TOTAL_MS};
        status = fb_submit_mail(&submit, mail_id, is_unsure_r, err);
    }
    if (mail.len > 0) {
        fb_wipe(mail.ptr, mail.len);
    }
    fb_buf_deinit(&mail);
    if (status == FB_OK) {
        fb_log(FB_INFO, "a reply was handed in as message %s", mail_id);
    }
    return status;
}

static void send_claimed(struct reader *r, const char *id, const struct sending *s)
{
    struct fb_error err = {0};
    bool is_unsure = false;
    enum fb_status status = hand_in(r, id, s, &is_unsure, &err);
    /* In case of doubt the same form may be sent again: its mail has the same Message-ID. */
    settle(r, id, status == FB_OK);
    fb_metric_add("fumibako_portal_replies_total",
                  status == FB_OK ? "outcome=\"sent\""
                  : is_unsure     ? "outcome=\"unsure\""
                                  : "outcome=\"failed\"",
                  1);
    if (status == FB_OK) {
        reader_audit(r, "reply sent", r->session.address);
        say_done(r, id);
        return;
    }
    fb_log(FB_ERROR, "a reply was not handed in: %s", err.text);
    reader_audit(r, is_unsure ? "reply sent, unsure" : "reply failed", r->session.address);
    if (is_unsure) {
        page_error(r->visit, PAGE_REPLY_UNSURE);
    } else {
        reply_form(r, REPLY_FAILED, s->text);
    }
}

void reply_send(struct reader *r)
{
    struct visit *v = r->visit;
    if (!token_is_good(v->portal, v->request, r->text, r->session.id_hash)) {
        page_error(v, PAGE_STALE_FORM);
        return;
    }
    if (!reply_is_on(r)) {
        page_error(v, PAGE_NO_REPLY);
        return;
    }
    if (!reader_is_allowed(r)) {
        return;
    }
    char id[FB_ID_SIZE];
    (void)snprintf(id, sizeof id, "%s", fb_http_query(v->request, "id"));
    struct sending *s = fb_xcalloc(1, sizeof *s);
    if (read_form(r, s)) {
        if (atomic_fetch_add(&sending_now, 1) >= MAX_SENDING) {
            reply_form(r, REPLY_CROWDED, s->text);
        } else if (claim(r, id, s->text)) {
            send_claimed(r, id, s);
        }
        atomic_fetch_sub(&sending_now, 1);
    }
    sending_free(&s);
}
