/* SPDX-License-Identifier: Apache-2.0 */
#include "common/recall_preview.h"

#include "common/evidence_text.h"
#include "common/json_words.h"
#include "common/ledger/restore.h"

static const char *effect_of(const struct fb_evidence *e)
{
    switch (e->kind) {
    case FB_EV_WAITING:
        return "stop";
    case FB_EV_OPEN:
    case FB_EV_FAILED:
        return "remove";
    case FB_EV_PLAIN:
        return "plain";
    default:
        return "nothing";
    }
}

const char *fb_recall_why_not(const struct fb_ledger_message *m, const uint32_t *recipients,
                              size_t count, bool is_ja)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t branch = m->recipients[recipients[i]].branch;
        if (branch < m->branch_count && fb_ledger_is_by_link(&m->branches[branch])) {
            return is_ja ? "1 つのリンクを全員で共有しているため、全員からのみ取り消せます。"
                         : "One link opens this parcel for everybody: it can be recalled from all "
                           "recipients only.";
        }
    }
    return NULL;
}

static json_t *effects(const struct fb_ledger_message *m, const struct fb_evidence *evidence,
                       const bool *asked, bool is_ja)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->recipient_count; i++) {
        const struct fb_evidence *e = &evidence[i];
        if (!asked[i] || m->recipients[i].address[0] == '\0') {
            continue; /* a rebuilt ledger does not know who was outside the parcels */
        }
        struct fb_buf words;
        fb_buf_init(&words, FB_EVIDENCE_WORDS + 1);
        bool has_words = fb_evidence_words(e, is_ja ? "ja" : "en", &words) == FB_OK;
        (void)json_array_append_new(
            list, json_pack("{s:o,s:s,s:b,s:s}", "address", fb_json_text(m->recipients[i].address),
                            "effect", effect_of(e), "opened",
                            e->previews + e->downloads > 0 || e->opened_ms > 0, "words",
                            has_words ? fb_buf_str(&words) : ""));
        fb_buf_deinit(&words);
    }
    return list;
}

json_t *fb_recall_preview(const struct fb_ledger_message *m, const struct fb_evidence *evidence,
                          const bool *asked, const char *why_not, bool takes_content, bool is_ja)
{
    return json_pack("{s:s,s:b,s:b,s:s?,s:o,s:b}", "id", m->msg_id, "preview", 1, "can",
                     why_not == NULL, "why_not", why_not, "recipients",
                     effects(m, evidence, asked, is_ja), "can_restore", !takes_content);
}

json_t *fb_restore_answer(const struct fb_ledger_message *m, const struct fb_evidence *evidence,
                          const bool *asked, const bool *wanted, bool is_preview, size_t count,
                          bool is_ja)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (asked[i] && m->recipients[i].address[0] != '\0') {
            const char *why = wanted[i] ? NULL : fb_restore_why_not(m, &evidence[i], is_ja);
            (void)json_array_append_new(list, json_pack("{s:o,s:b,s:s?}", "address",
                                                        fb_json_text(m->recipients[i].address),
                                                        "restored", wanted[i], "reason", why));
        }
    }
    return json_pack("{s:s,s:b,s:I,s:o}", "id", m->msg_id, "preview", is_preview, "restored",
                     (json_int_t)count, "recipients", list);
}
