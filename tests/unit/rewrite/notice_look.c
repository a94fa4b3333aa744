/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the standard notices as files to look at: notice_look DIR.  For eyes and browsers, not a
 * test by itself. */
#include "compose_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char logo[] =
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAHgAAAAoCAIAAAC6iKlyAAAAa0lEQVR42u3YQRUAEABEQUU00UE2DaRShxL7OJj/Ns"
    "Ect2xdqSAADVqgQYPWQ+jaR3agQYMGDRo0aNCgQYMOQa/Z/hlo0KBBgwYNGjRo0KBBgwbt63AqgQYNGjRo0KBBg85A"
    "CzRogQYNWukOKqL0zcz5g1oAAAAASUVORK5CYII=";

static void store(const char *dir, const char *name, const char *ending, const struct fb_buf *bytes)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s.%s", dir, name, ending);
    fx_store(path, bytes->ptr, bytes->len);
}

static void look(struct kit *k, const char *dir, const char *name, const char *kind)
{
    struct fb_buf out;
    fb_buf_init(&out, 1U << 20);
    FB_ASSERT(notice_write(&k->facts, kind, NOTICE_HTML, &out) == FB_OK);
    store(dir, name, "html", &out);
    fb_buf_clear(&out);
    FB_ASSERT(notice_write(&k->facts, kind, NOTICE_TEXT, &out) == FB_OK);
    store(dir, name, "txt", &out);
    fb_buf_deinit(&out);
}

static void look_block(struct kit *k, const char *dir, const char *name)
{
    struct fb_buf out;
    fb_buf_init(&out, 1U << 20);
    FB_ASSERT(fb_buf_add_str(&out,
                             "<!DOCTYPE html><html><head><meta charset=utf-8><meta name=viewport "
                             "content=\"width=device-width\"></head><body>") == FB_OK);
    FB_ASSERT(notice_write_block(&k->facts, NOTICE_HTML, &out) == FB_OK);
    FB_ASSERT(fb_buf_add_str(
                  &out, "<p>田中様</p><p>いつもお世話になっております。見積書をお送りします。</p></"
                        "body></html>") == FB_OK);
    store(dir, name, "html", &out);
    fb_buf_clear(&out);
    FB_ASSERT(notice_write_block(&k->facts, NOTICE_TEXT, &out) == FB_OK);
    FB_ASSERT(
        fb_buf_add_str(&out, "田中様\n\nいつもお世話になっております。見積書をお送りします。\n") ==
        FB_OK);
    store(dir, name, "txt", &out);
    fb_buf_deinit(&out);
}

static void look_mail(struct kit *k, const char *dir, const char *name)
{
    struct content c;
    struct fb_error err = {0};
    content_init(&c, k->msg);
    FB_ASSERT(compose_notice(k->msg, KIT_KEY, &k->facts, 0, &c, &err) == FB_OK);
    struct fb_buf mail = kit_read(&c);
    store(dir, name, "eml", &mail);
    fb_buf_deinit(&mail);
    content_deinit(&c);
}

static void look_code(struct kit *k, const char *dir, const char *language)
{
    char name[64];
    struct fb_buf out;
    struct code_facts f = {.policy = k->policy,
                           .language = language,
                           .code = "042917",
                           .to = "tanaka@partner.example.co.jp",
                           .sender = "yamada.taro@example.jp",
                           .postmaster = "postmaster@example.jp",
                           .msg_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                           .minutes = 10,
                           .has_logo = true};
    fb_buf_init(&out, 1U << 20);
    (void)snprintf(name, sizeof name, "code-%s", language);
    FB_ASSERT(code_write(&f, NOTICE_HTML, &out) == FB_OK);
    store(dir, name, "html", &out);
    fb_buf_clear(&out);
    FB_ASSERT(code_write(&f, NOTICE_TEXT, &out) == FB_OK);
    store(dir, name, "txt", &out);
    fb_buf_deinit(&out);
}

int main(int argc, char **argv)
{
    void *state = NULL;
    struct fb_buf notices;
    if (argc != 2) {
        return 2;
    }
    (void)kit_setup(&state);
    struct kit *k = state;
    static const char *const languages[] = {"ja", "en", "both"};
    fb_buf_init(&notices, 65536);
    FB_ASSERT(fb_buf_printf(&notices, "{organisation: 株式会社 文箱商事, logo: \"%s\"}", logo) ==
              FB_OK);
    k->plan.subject = kit_lend("[secure] 2025年度 第3四半期 お見積りの件（至急ご確認ください）");
    k->branch.subject = kit_lend("x");
    k->parcel.link = kit_lend("https://app.box.com/folder/318273645509");
    k->facts.link = k->parcel.link;
    k->files[0] = (struct fb_parcel_file){.name = kit_lend("本文.pdf"), .size = 84211};
    k->files[1] = (struct fb_parcel_file){
        .name = kit_lend("見積書_第3四半期_株式会社サンプル御中_最終版_v2.1.xlsx"),
        .size = 2411724};
    k->files[2] = (struct fb_parcel_file){
        .name =
            kit_lend("a_very_long_file_name_without_any_blank_that_must_wrap_on_a_phone_2025.zip"),
        .size = 1932735283};
    k->parcel.file_count = 3;
    k->readers[0] = "tanaka@partner.example.co.jp";
    k->readers[1] = "a.very.long.address.of.somebody.important@subsidiary.example.com";
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        k->plan.language = kit_lend(languages[i]);
        kit_policy(k, "{}");
        k->facts.has_logo = false;
        (void)snprintf(name, sizeof name, "notice-%s", languages[i]);
        look(k, argv[1], name, "notice");
        look_mail(k, argv[1], name);
        kit_policy(k, fb_buf_str(&notices));
        k->facts.has_logo = true;
        (void)snprintf(name, sizeof name, "logo-%s", languages[i]);
        look(k, argv[1], name, "notice");
        look_mail(k, argv[1], name);
        k->parcel.password = kit_lend("Kq7-mZ2-rT9");
        (void)snprintf(name, sizeof name, "password-%s", languages[i]);
        look(k, argv[1], name, "password");
        k->parcel.password = kit_lend("");
        (void)snprintf(name, sizeof name, "block-%s", languages[i]);
        look_block(k, argv[1], name);
        k->facts.is_vault = true;
        k->facts.link = "https://mail.example.jp/r/"
                        "AQGPvXa1_Wk2h0oYQ3uF1bMAAAAAK9wYx0mCqk3gq7t8Q2b1Z9h4c5v6b7n8m9A0s1D2f3G";
        (void)snprintf(name, sizeof name, "vault-%s", languages[i]);
        look(k, argv[1], name, "notice");
        look_code(k, argv[1], languages[i]);
        k->facts.is_vault = false;
        k->facts.link = k->parcel.link;
    }
    fb_buf_deinit(&notices);
    (void)kit_teardown(&state);
    return 0;
}
