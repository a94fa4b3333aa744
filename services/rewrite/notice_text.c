/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/notice_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/policy/template.h"
#include "proto/limits.h"
#include "services/rewrite/logo.h"
#include "services/rewrite/notice_templates.h"

/* Shown by name; a list of hundreds helps nobody. */
#define MAX_READERS 20
#define MAX_FILES   50

struct writing {
    const struct notice_facts *f;
    enum notice_form form;
    bool is_ja;
    struct fb_buf *out;
};

/* Control characters, line separators and bidi overrides of a value would let it pass for our words
 * (UTF-8 of U+2028-202E, U+2066-2069).  Length of such a one at p, 0 when it is none. */
static size_t trick_length(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x20 || u[0] == 0x7f) {
        return 1;
    }
    if (u[0] == 0xC2 && u[1] >= 0x80 && u[1] <= 0x9F) {
        return 2;
    }
    bool is_bidi = u[0] == 0xE2 && ((u[1] == 0x80 && u[2] >= 0xA8 && u[2] <= 0xAE) ||
                                    (u[1] == 0x81 && u[2] >= 0xA6 && u[2] <= 0xA9));
    return is_bidi ? 3 : 0;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static enum fb_status add_escaped(struct writing *w, const char *text)
{
    enum fb_status s = FB_OK;
    while (*text != '\0' && s == FB_OK) {
        size_t trick = trick_length(text);
        const char *as = w->form == NOTICE_HTML ? entity(*text) : NULL;
        s = trick > 0    ? fb_buf_add_char(w->out, ' ')
            : as != NULL ? fb_buf_add_str(w->out, as)
                         : fb_buf_add_char(w->out, *text);
        text += trick > 0 ? trick : 1;
    }
    return s;
}

static void format_size(uint64_t size, char *out, size_t out_size)
{
    const char *const units[] = {"B", "KB", "MB", "GB"};
    double value = (double)size;
    size_t unit = 0;
    while (value >= 1024 && unit < 3) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, out_size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static enum fb_status add_file(struct writing *w, const struct fb_parcel_file *file)
{
    char size[32];
    bool is_text = w->form == NOTICE_TEXT;
    format_size(file->size, size, sizeof size);
    enum fb_status s = is_text ? fb_buf_add_str(w->out, w->is_ja ? "  ・" : "  - ") : FB_OK;
    if (s == FB_OK) {
        s = add_escaped(w, file->name);
    }
    if (s == FB_OK) {
        s = fb_buf_printf(w->out,
                          is_text ? " (%s)\n"
                                  : " <span style=\"color:#5b6472;white-space:nowrap\">(%s)</span>",
                          size);
    }
    return s;
}

static enum fb_status add_files(struct writing *w)
{
    enum fb_status s = FB_OK;
    uint32_t count = w->f->parcel->file_count;
    for (uint32_t i = 0; i < count && i < MAX_FILES && s == FB_OK; i++) {
        s = i > 0 && w->form == NOTICE_HTML ? fb_buf_add_str(w->out, "<br>") : FB_OK;
        if (s == FB_OK) {
            s = add_file(w, &w->f->parcel->files[i]);
        }
    }
    if (s == FB_OK && count > MAX_FILES) {
        s = fb_buf_add_str(w->out, w->form == NOTICE_HTML ? "<br>" : w->is_ja ? "  ・" : "  - ");
        if (s == FB_OK) {
            s = fb_buf_printf(w->out, w->is_ja ? "ほか %u 件" : "and %u more", count - MAX_FILES);
        }
        if (s == FB_OK && w->form == NOTICE_TEXT) {
            s = fb_buf_add_char(w->out, '\n');
        }
    }
    return s;
}

/* Japan's time for Japanese readers, UTC for others: a server knows no better, and says which. */
static enum fb_status add_time(struct writing *w, int64_t ms, const char *none)
{
    char text[64];
    struct tm tm = {0};
    time_t seconds = (time_t)(ms / 1000) + (w->is_ja ? 9 * 3600 : 0);
    if (ms <= 0) {
        return fb_buf_add_str(w->out, none);
    }
    (void)gmtime_r(&seconds, &tm);
    if (strftime(text, sizeof text,
                 w->is_ja ? "%Y年%m月%d日 %H:%M (日本時間)" : "%Y-%m-%d %H:%M UTC", &tm) == 0) {
        return FB_BUG;
    }
    return fb_buf_add_str(w->out, text);
}

static enum fb_status add_readers(struct writing *w)
{
    const struct notice_facts *f = w->f;
    if (strcmp(f->parcel->access, "anyone") == 0) {
        return fb_buf_add_str(w->out, w->is_ja ? "リンクを受け取った方" : "whoever has the link");
    }
    if (strcmp(f->parcel->access, "company") == 0) {
        return fb_buf_add_str(w->out, w->is_ja ? "差出人の組織の方"
                                               : "members of the sender's organisation");
    }
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < f->reader_count && s == FB_OK; i++) {
        if (i == MAX_READERS) {
            return fb_buf_printf(w->out, w->is_ja ? " ほか %zu 名" : " and %zu more",
                                 f->reader_count - i);
        }
        s = i > 0 ? fb_buf_add_str(w->out, ", ") : FB_OK;
        if (s == FB_OK) {
            s = add_escaped(w, f->readers[i]);
        }
    }
    return s;
}

static bool is_vault(const struct notice_facts *f)
{
    const struct fb_policy_storage *storage = fb_policy_find_storage(f->policy, f->parcel->storage);
    return storage != NULL && storage->type == FB_STORAGE_VAULT;
}

/* How to get in, also for those who have no account. */
static const char *proof_text(const struct writing *w)
{
    const struct fb_parcel *p = w->f->parcel;
    if (p->password[0] != '\0') {
        return w->is_ja ? "開くにはパスワードが必要です。パスワードは別のメールでお送りします。"
                        : "A password is needed to open it; the password comes in another mail.";
    }
    if (strcmp(p->access, "anyone") == 0) {
        return w->is_ja ? "ログインは不要です。このリンクを知っている方はどなたでも開けるため、転送"
                          "にはご注意ください。"
                        : "No login is needed. Whoever has this link can open it, so take care "
                          "when you forward this mail.";
    }
    if (is_vault(w->f)) {
        return w->is_ja ? "アカウントは不要です。開くときに、このメールを受け取ったアドレスへ確認コ"
                          "ードをお送りします。"
                        : "You need no account: when you open it, a code is sent to the address at "
                          "which you received this "
                          "mail.";
    }
    if (strcmp(p->access, "company") == 0) {
        return w->is_ja
                   ? "差出人の組織の Box アカウントでログインして開きます。"
                   : "You open it by logging in with a Box account of the sender's organisation.";
    }
    return w->is_ja ? "Box にログインして開きます。Box "
                      "アカウントをお持ちでない方は、リンク先の画面から、このメールを受け取った"
                      "アドレスで登録してください(無料)。別のアドレスのアカウントでは開けません。"
                    : "You open it by logging in to Box. If you have no Box account, sign up "
                      "(free) on the page behind the "
                      "link with the address at which you received this mail; an account with "
                      "another address cannot "
                      "open it.";
}

/* The subject as the recipient sees it: without the tag, where the rule takes it out (the plan has
 * it decoded only with it). */
static enum fb_status add_subject(struct writing *w)
{
    const struct notice_facts *f = w->f;
    struct fb_buf text;
    size_t at = 0;
    size_t len = 0;
    const struct fb_policy_rule *rule = f->branch->subject != NULL && f->branch->rule != NULL
                                            ? fb_policy_find_rule(f->policy, f->branch->rule)
                                            : NULL;
    const char *tag = rule != NULL ? fb_policy_matched_tag(rule, f->plan->subject) : NULL;
    if (tag == NULL || !fb_policy_find_tag(f->plan->subject, tag, &at, &len)) {
        return add_escaped(w, f->plan->subject);
    }
    const char *rest = f->plan->subject + at + len;
    rest += strspn(rest, " \t");
    fb_buf_init(&text, FB_MAX_SUBJECT * 4);
    enum fb_status s = fb_buf_printf(&text, "%.*s%s", (int)at, f->plan->subject, rest);
    if (s == FB_OK) {
        s = add_escaped(w, fb_buf_str(&text));
    }
    fb_buf_deinit(&text);
    return s;
}

/* alt is empty: the name stands beside it, and a reader that blocks images would show it twice. */
static enum fb_status add_logo(struct writing *w)
{
    return w->f->has_logo && w->form == NOTICE_HTML
               ? fb_buf_add_str(w->out, "<img src=\"cid:" LOGO_CID
                                        "\" height=\"40\" alt=\"\" style=\"height:40px;"
                                        "width:auto;border:0;vertical-align:middle\">")
               : FB_OK;
}

/* The head of our own frame; nothing where the policy names neither logo nor organisation. */
static enum fb_status add_letterhead(struct writing *w)
{
    const char *organisation = w->f->policy->notices.organisation;
    bool has_name = organisation != NULL && organisation[0] != '\0';
    if (!has_name && !w->f->has_logo) {
        return FB_OK;
    }
    enum fb_status s = fb_buf_add_str(
        w->out, "<tr><td style=\"padding:20px 28px;border-bottom:1px solid #d5dae1;font-size:"
                "15px;font-weight:bold;color:#1f2530\">");
    if (s == FB_OK) {
        s = add_logo(w);
    }
    if (s == FB_OK && has_name) {
        s = fb_buf_add_str(w->out, w->f->has_logo
                                       ? "<span style=\"padding-left:12px;vertical-align:middle\">"
                                       : "<span>");
        s = s == FB_OK ? add_escaped(w, organisation) : s;
        s = s == FB_OK ? fb_buf_add_str(w->out, "</span>") : s;
    }
    return s == FB_OK ? fb_buf_add_str(w->out, "</td></tr>") : s;
}

static enum fb_status add_number(struct writing *w, uint64_t n)
{
    return fb_buf_printf(w->out, "%llu", (unsigned long long)n);
}

static enum fb_status add_total(struct writing *w)
{
    uint64_t total = 0;
    char size[32];
    for (uint32_t i = 0; i < w->f->parcel->file_count; i++) {
        total += w->f->parcel->files[i].size;
    }
    format_size(total, size, sizeof size);
    return fb_buf_add_str(w->out, size);
}

static bool is(const char *name, size_t len, const char *what)
{
    return strlen(what) == len && memcmp(name, what, len) == 0;
}

static enum fb_status add_placeholder(struct writing *w, const char *name, size_t len)
{
    const struct notice_facts *f = w->f;
    const char *value = "";
    if (is(name, len, "files")) {
        return add_files(w);
    } else if (is(name, len, "subject")) {
        return add_subject(w);
    } else if (is(name, len, "logo")) {
        return add_logo(w);
    } else if (is(name, len, "letterhead")) {
        return add_letterhead(w);
    } else if (is(name, len, "expires")) {
        return add_time(w, f->parcel->expires_ms, w->is_ja ? "期限なし" : "no end");
    } else if (is(name, len, "date")) {
        return add_time(w, f->plan->date_ms, "");
    } else if (is(name, len, "recipients")) {
        return add_readers(w);
    } else if (is(name, len, "file_count")) {
        return add_number(w, f->parcel->file_count);
    } else if (is(name, len, "size")) {
        return add_total(w);
    } else if (is(name, len, "link")) {
        value = f->parcel->link;
    } else if (is(name, len, "password")) {
        value = f->parcel->password;
    } else if (is(name, len, "sender")) {
        value = f->envelope->reverse_path;
    } else if (is(name, len, "recipient")) {
        value = f->recipient != NULL ? f->recipient : "";
    } else if (is(name, len, "msg_id")) {
        value = f->plan->msg_id;
    } else if (is(name, len, "organisation")) {
        value = f->policy->notices.organisation != NULL ? f->policy->notices.organisation : "";
    } else if (is(name, len, "storage")) {
        value = f->parcel->storage;
    } else if (is(name, len, "proof")) {
        value = proof_text(w);
    } else if (is(name, len, "download")) {
        value = f->parcel->can_download
                    ? (w->is_ja ? "ダウンロードできます" : "may be downloaded")
                    : (w->is_ja ? "閲覧のみ (ダウンロード不可)" : "reading only, no download");
    }
    return add_escaped(w, value);
}

static enum fb_status fill(struct writing *w, const char *text)
{
    enum fb_status s = FB_OK;
    while (s == FB_OK) {
        size_t len = 0;
        const char *rest = NULL;
        const char *name = fb_policy_template_next(text, &len, &rest);
        if (name == NULL) {
            return fb_buf_add_str(w->out, text);
        }
        const char *open = name - 2;
        while (open > text && memcmp(open, "{{", 2) != 0) {
            open--; /* blanks may stand between the braces and the name */
        }
        s = fb_buf_add(w->out, text, (size_t)(open - text));
        if (s == FB_OK) {
            s = add_placeholder(w, name, len);
        }
        text = rest;
    }
    return s;
}

/* The policy's text, or else ours (is_standard_r). */
static const char *find_template(const struct notice_facts *f, const char *kind,
                                 enum notice_form form, bool is_ja, bool *is_standard_r)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s.%s.%s", kind, is_ja ? "ja" : "en",
                   form == NOTICE_TEXT ? "text" : "html");
    *is_standard_r = false;
    for (size_t i = 0; i < f->policy->notices.template_count; i++) {
        if (strcmp(f->policy->notices.templates[i].key, key) == 0) {
            return f->policy->notices.templates[i].text;
        }
    }
    *is_standard_r = true;
    return notice_template_standard(key);
}

static void pick_languages(const struct notice_facts *f, bool *has_ja_r, bool *has_en_r)
{
    const char *language = f->policy->notices.language;
    if (language == NULL || strcmp(language, "auto") == 0) {
        language = f->plan->language;
    }
    *has_ja_r = strcmp(language, "en") != 0;
    *has_en_r = strcmp(language, "ja") != 0;
}

/* What stands between two parts: HTML of ours is in one frame, HTML of the policy brings its own.
 */
static enum fb_status change_frame(struct writing *w, bool *is_framed, bool wants_frame,
                                   bool is_first)
{
    if (w->form == NOTICE_TEXT) {
        return is_first ? FB_OK
                        : fb_buf_add_str(w->out, "\n----------------------------------------\n\n");
    }
    enum fb_status s = FB_OK;
    if (*is_framed && wants_frame) {
        return fb_buf_add_str(w->out, notice_frame_divider);
    }
    if (*is_framed) {
        s = fb_buf_add_str(w->out, notice_frame_close);
    } else if (wants_frame) {
        s = fill(w, notice_frame_open);
    } else if (!is_first) {
        s = fb_buf_add_str(w->out, "<hr>");
    }
    *is_framed = wants_frame;
    return s;
}

enum fb_status notice_write(const struct notice_facts *f, const char *kind, enum notice_form form,
                            struct fb_buf *out)
{
    bool has[2] = {false, false};
    bool is_first = true;
    bool is_framed = false;
    struct writing w = {.f = f, .form = form, .out = out};
    pick_languages(f, &has[0], &has[1]);
    enum fb_status s = FB_OK;
    if (form == NOTICE_HTML) {
        s = fb_buf_printf(
            out,
            "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\"><meta "
            "name=\"viewport\" "
            "content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" "
            "content=\"light\"></head>\n<body style=\"margin:0;padding:0\">\n",
            has[0] ? "ja" : "en");
    }
    for (int i = 0; i < 2 && s == FB_OK; i++) {
        bool is_standard = false;
        w.is_ja = i == 0;
        const char *text = find_template(f, kind, form, w.is_ja, &is_standard);
        if (!has[i]) {
            continue;
        }
        FB_ASSERT(text != NULL);
        s = change_frame(&w, &is_framed, is_standard, is_first);
        if (s == FB_OK && is_first && has[0] && has[1] && is_standard) {
            s = fb_buf_add_str(out, form == NOTICE_TEXT ? notice_english_below_text
                                                        : notice_english_below_html);
        }
        if (s == FB_OK) {
            s = fill(&w, text);
        }
        is_first = false;
    }
    if (s == FB_OK && is_framed) {
        s = fb_buf_add_str(out, notice_frame_close);
    }
    return s == FB_OK && form == NOTICE_HTML ? fb_buf_add_str(out, "\n</body></html>\n") : s;
}

enum fb_status notice_write_block(const struct notice_facts *f, enum notice_form form,
                                  struct fb_buf *out)
{
    bool has[2] = {false, false};
    enum fb_status s = FB_OK;
    struct writing w = {.f = f, .form = form, .out = out};
    pick_languages(f, &has[0], &has[1]);
    for (int i = 0; i < 2 && s == FB_OK; i++) {
        bool is_standard = false;
        w.is_ja = i == 0;
        const char *text = find_template(f, "block", form, w.is_ja, &is_standard);
        FB_ASSERT(text != NULL);
        s = has[i] ? fill(&w, text) : FB_OK;
    }
    return s;
}

enum fb_status notice_write_password_subject(const struct notice_facts *f, struct fb_buf *out)
{
    bool has_ja = false;
    bool has_en = false;
    struct writing w = {.f = f, .form = NOTICE_TEXT, .out = out};
    pick_languages(f, &has_ja, &has_en);
    enum fb_status s = fb_buf_add_str(out, has_ja && has_en ? "パスワードのお知らせ (Password): "
                                           : has_ja         ? "パスワードのお知らせ: "
                                                            : "Password for: ");
    return s == FB_OK ? add_subject(&w) : s;
}
