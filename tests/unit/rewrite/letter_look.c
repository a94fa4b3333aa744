/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the standard letters as files to look at: letter_look DIR.  For eyes and browsers, not a
 * test by itself. */
#include "letter_kit.h"

#include <stdio.h>
#include <string.h>

static const char logo[] =
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAHgAAAAoCAIAAAC6iKlyAAAAa0lEQVR42u3YQRUAEABEQUU00UE2DaRShxL7OJj/Ns"
    "Ect2xdqSAADVqgQYPWQ+jaR3agQYMGDRo0aNCgQYMOQa/Z/hlo0KBBgwYNGjRo0KBBgwbt63AqgQYNGjRo0KBBg85A"
    "CzRogQYNWukOKqL0zcz5g1oAAAAASUVORK5CYII=";

static void write_forms(const struct letter_facts *f, const char *dir, const char *name)
{
    static const char *const endings[] = {"txt", "html"};
    for (int form = NOTICE_TEXT; form <= NOTICE_HTML; form++) {
        char path[400];
        struct fb_buf out;
        fb_buf_init(&out, 1U << 20);
        if (form == NOTICE_TEXT) {
            FB_ASSERT(letter_write_subject(f, &out) == FB_OK);
            FB_ASSERT(fb_buf_add_str(&out, "\n\n") == FB_OK);
        }
        FB_ASSERT(letter_write(f, (enum notice_form)form, &out) == FB_OK);
        (void)snprintf(path, sizeof path, "%s/%s.%s", dir, name, endings[form]);
        fx_store(path, out.ptr, out.len);
        fb_buf_deinit(&out);
    }
}

/* Long names, long addresses, one of each fate. */
static void fill(struct letter_kit *l, enum fb_letter letter, const struct fb_policy *policy,
                 const char *language)
{
    letter_kit_init(l, letter, policy);
    l->facts.language = language;
    l->facts.subject = "2026年度 第3四半期 お見積りの件（至急ご確認ください） / Quotation for Q3";
    l->facts.sender = "taro.yamada@example.jp";
    l->facts.actor = "taro.yamada@example.jp";
    l->facts.page = "https://portal.example.jp/s/"
                    "AQGTY7vLq0pQ8kF2nXwZbR1tAAABo9Y3cIBmVdK3a0sQpLr5cT8xHnJ4uEwG9zDkNqRfYb2hMvA";
    l->files[0] = (struct fb_parcel_file){.name = kit_lend("本文.pdf"), .size = 84211};
    l->files[1] = (struct fb_parcel_file){
        .name = kit_lend("見積書_第3四半期_株式会社サンプル御中_最終版_v2.1.xlsx"),
        .size = 2411724};
    l->persons[0].address = "tanaka@partner.example.co.jp";
    l->persons[1].address = "a.very.long.address.of.somebody.important@subsidiary.example.com";
    l->persons[2].address = "suzuki@partner.example.co.jp";
    l->persons[3].address = "sato@other.example.com";
    l->facts.person_count = 4;
    l->persons[1].is_pending = letter != FB_LETTER_HELD && letter != FB_LETTER_RECALL;
    l->evidence[1].previews = 2;
    l->evidence[1].opened_ms = LETTER_NOW - 40 * 60000;
    l->evidence[2].downloads = 1;
    l->evidence[2].downloaded_ms = LETTER_NOW - 50 * 60000;
    l->evidence[3] = (struct fb_evidence){.kind = FB_EV_STOPPED, .is_final = true};
}

int main(int argc, char **argv)
{
    static const char *const languages[] = {"ja", "en", "both"};
    void *state = NULL;
    struct fb_buf notices;
    if (argc != 2) {
        return 2;
    }
    (void)kit_setup(&state);
    struct kit *k = state;
    fb_buf_init(&notices, 65536);
    FB_ASSERT(fb_buf_printf(&notices, "{organisation: 株式会社 文箱商事, logo: \"%s\"}", logo) ==
              FB_OK);
    kit_policy(k, fb_buf_str(&notices));
    for (size_t i = 0; i < 3; i++) {
        struct letter_kit l;
        char name[64];
        for (enum fb_letter letter = FB_LETTER_RECEIPT; letter <= FB_LETTER_UNOPENED; letter++) {
            fill(&l, letter, k->policy, languages[i]);
            l.facts.has_logo = i == 2;
            (void)snprintf(name, sizeof name, "%s-%s", letter_kind(letter), languages[i]);
            write_forms(&l.facts, argv[1], name);
        }
        fill(&l, FB_LETTER_RECALL, k->policy, languages[i]);
        l.facts.is_final = false;
        l.evidence[0].is_final = false;
        l.evidence[0].complete_ms = LETTER_NOW + 10 * 60000;
        l.evidence[3].kind = FB_EV_CLOSING;
        l.facts.reason = "宛先を間違えたため / wrong recipient";
        (void)snprintf(name, sizeof name, "recalled-interim-%s", languages[i]);
        write_forms(&l.facts, argv[1], name);
        letter_kit_init(&l, FB_LETTER_RECALL, k->policy);
        l.facts.language = languages[i];
        (void)snprintf(name, sizeof name, "recalled-good-%s", languages[i]);
        write_forms(&l.facts, argv[1], name);
        fill(&l, FB_LETTER_RECEIPT, k->policy, languages[i]);
        l.facts.page = "";
        l.facts.access = "anyone";
        l.facts.has_password = true;
        l.facts.person_count = 1;
        (void)snprintf(name, sizeof name, "receipt-link-%s", languages[i]);
        write_forms(&l.facts, argv[1], name);
    }
    fb_buf_deinit(&notices);
    (void)kit_teardown(&state);
    return 0;
}
