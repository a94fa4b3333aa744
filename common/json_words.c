/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json_words.h"

#include <stdlib.h>

#include "common/evidence_text.h"
#include "common/ledger/ledger.h"

json_t *fb_json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value == NULL) {
        char *copy = fb_xstrdup(text);
        for (char *at = copy; *at != '\0'; at++) {
            *at = (unsigned char)*at < 0x80 ? *at : '?';
        }
        value = json_string(copy);
        free(copy);
    }
    return value;
}

const char *fb_json_text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

json_t *fb_json_addresses(const struct fb_ledger_message *m, size_t most)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->recipient_count && i < most; i++) {
        (void)json_array_append_new(list, fb_json_text(m->recipients[i].address));
    }
    return list;
}

static json_t *words_json(const struct fb_evidence *e, const char *language)
{
    struct fb_buf words;
    fb_buf_init(&words, FB_EVIDENCE_WORDS + 1);
    json_t *text = fb_evidence_words(e, language, &words) == FB_OK ? json_string(fb_buf_str(&words))
                                                                   : json_null();
    fb_buf_deinit(&words);
    return text;
}

json_t *fb_json_evidence(const struct fb_evidence *e, json_t *(*time)(int64_t ms))
{
    return json_pack("{s:s,s:b,s:b,s:o,s:o,s:o,s:I,s:I,s:o,s:o,s:b,s:b,s:{s:o,s:o}}", "kind",
                     fb_evidence_kind_name(e->kind), "notice_out", e->is_notice_out, "pending",
                     e->is_pending, "removed", time(e->removed_ms), "opened", time(e->opened_ms),
                     "downloaded", time(e->downloaded_ms), "previews", (json_int_t)e->previews,
                     "downloads", (json_int_t)e->downloads, "log_until", time(e->log_until_ms),
                     "log_complete_at", time(e->complete_ms), "final", e->is_final,
                     "opened_by_others", e->by_others, "words", "en", words_json(e, "en"), "ja",
                     words_json(e, "ja"));
}

json_t *fb_json_findings(const struct fb_policy_findings *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->count; i++) {
        (void)json_array_append_new(list,
                                    json_pack("{s:i,s:s,s:o}", "line", f->items[i].line, "severity",
                                              f->items[i].is_error ? "error" : "warning", "text",
                                              fb_json_text(f->items[i].text)));
    }
    return list;
}
