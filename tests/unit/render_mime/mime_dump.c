/* SPDX-License-Identifier: Apache-2.0
 *
 * render-mime-dump FILE.eml...: reads each file (LF or CRLF) as the render service would and prints
 * what it found as one JSON object a line; with -q only what is wrong.  Exit 1 when a promise is
 * broken (kit_check).
 */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mail_kit.h"
#include "tests/support/cpu_time.h"

#define FILE_MAX (64U << 20)

static void set_text(json_t *o, const char *key, const char *text)
{
    (void)json_object_set_new(o, key, text != NULL ? json_string(text) : json_null());
}

static json_t *part_json(const struct fb_part *p)
{
    static const char *const encodings[] = {"identity", "base64", "qp", "uuencode"};
    json_t *o = json_object();
    set_text(o, "name", p->name);
    set_text(o, "type", p->type);
    set_text(o, "cid", p->cid);
    set_text(o, "object", p->object);
    set_text(o, "encoding", encodings[p->encoding]);
    (void)json_object_set_new(o, "offset", json_integer((json_int_t)p->offset));
    (void)json_object_set_new(o, "length", json_integer((json_int_t)p->length));
    (void)json_object_set_new(o, "size", json_integer((json_int_t)p->size));
    (void)json_object_set_new(o, "inline", json_boolean(p->is_inline));
    return o;
}

static void print_mail(const char *path, const struct kit *k, int64_t ms)
{
    const struct render_mail *m = &k->mail;
    json_t *o = json_object();
    set_text(o, "file", path);
    set_text(o, "status", fb_status_name(k->status));
    (void)json_object_set_new(o, "ms", json_integer(ms));
    if (k->status != FB_OK) {
        set_text(o, "error", k->err.text);
    } else {
        json_t *parts = json_array();
        for (uint32_t i = 0; i < m->part_count; i++) {
            (void)json_array_append_new(parts, part_json(&m->parts[i]));
        }
        json_t *visible = json_array();
        for (uint32_t i = 0; i < m->visible_count; i++) {
            (void)json_array_append_new(visible, json_string(m->visible[i]));
        }
        set_text(o, "from", m->letter.from);
        set_text(o, "to", m->letter.to);
        set_text(o, "cc", m->letter.cc);
        set_text(o, "subject", m->subject);
        set_text(o, "date", m->letter.date);
        (void)json_object_set_new(o, "date_ms", json_integer(m->date_ms));
        set_text(o, "language", m->language);
        (void)json_object_set_new(o, "encrypted", json_boolean(m->is_encrypted));
        (void)json_object_set_new(o, "report", json_boolean(m->is_delivery_report));
        (void)json_object_set_new(o, "auto", json_boolean(m->is_auto_reply));
        (void)json_object_set_new(o, "html", json_boolean(m->letter.is_html));
        (void)json_object_set_new(o, "flowed", json_boolean(m->letter.is_flowed));
        (void)json_object_set_new(o, "images", json_integer((json_int_t)m->letter.image_count));
        (void)json_object_set_new(o, "visible", visible);
        (void)json_object_set_new(o, "parts", parts);
        set_text(o, "body", fb_buf_str(&m->letter.body));
        set_text(o, "text", fb_buf_str(&m->text));
        set_text(o, "unreadable", m->is_body_unreadable ? "yes" : NULL);
    }
    char *text = json_dumps(o, JSON_COMPACT);
    (void)printf("%s\n", text != NULL ? text : "{}");
    free(text);
    json_decref(o);
}

static int dump(const char *path, bool is_quiet)
{
    struct fb_buf file = {0};
    struct fb_buf message = {0};
    struct fb_error err = {0};
    struct kit k;
    if (fb_read_file(path, FILE_MAX, &file, &err) != FB_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    kit_crlf(fb_slice_buf(&file), &message);
    int64_t start = cpu_ms();
    kit_parse(&k, fb_slice_buf(&message));
    int64_t ms = cpu_ms() - start;
    const char *wrong = k.status == FB_OK ? kit_check(&k) : NULL;
    bool is_refused = k.status == FB_TOO_BIG;
    wrong = wrong == NULL && k.status != FB_OK && !is_refused ? k.err.text : wrong;
    wrong = wrong == NULL && ms > 20000 ? "took more than 20 seconds" : wrong;
    if (wrong == NULL && k.status == FB_OK &&
        render_mime_keep_body(&k.mail, &k.sink, &k.err) != FB_OK) {
        wrong = "the body could not be kept";
    }
    if (!is_quiet) {
        print_mail(path, &k, ms);
    }
    if (wrong != NULL) {
        (void)fprintf(stderr, "%s: %s\n", path, wrong);
    }
    kit_end(&k);
    fb_buf_deinit(&message);
    fb_buf_deinit(&file);
    return wrong != NULL ? 1 : 0;
}

/* A file, or all files below a folder. */
static int visit(const char *path, bool is_quiet, unsigned *count)
{
    struct stat st;
    int failed = 0;
    if (stat(path, &st) != 0) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        return 1;
    }
    if (!S_ISDIR(st.st_mode)) {
        ++*count;
        return dump(path, is_quiet);
    }
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char *below = NULL;
        if (entries[i]->d_name[0] != '.' &&
            asprintf(&below, "%s/%s", path, entries[i]->d_name) >= 0) {
            failed += visit(below, is_quiet, count);
            free(below);
        }
        free(entries[i]);
    }
    free(entries);
    return failed;
}

int main(int argc, char **argv)
{
    bool is_quiet = argc > 1 && strcmp(argv[1], "-q") == 0;
    int failed = 0;
    unsigned count = 0;
    render_mime_init();
    for (int i = is_quiet ? 2 : 1; i < argc; i++) {
        failed += visit(argv[i], is_quiet, &count);
    }
    (void)fprintf(stderr, "%u files, %d failed\n", count, failed);
    return failed > 0 || count == 0 ? 1 : 0;
}
