/* SPDX-License-Identifier: Apache-2.0
 *
 * render-paint [-kbuaidx] [-e ENGINE] [-n ROUNDS] [-w WARM-UPS] [-r RECYCLE] [-o FOLDER] FILE...: paints
 * mails (.eml) and bare HTML (.html) without the service around it, for tests/integration/render and
 * tests/bench/render.mjs.  ENGINE: text, native, chromium, or auto (as render does it).
 * -k: each mail in a process of its own, as render paints; -b: bare, see below; -u: without structure;
 * -a: for archives, with the mail attached; -i: with attached images; -x: plain text as HTML with the same
 * words, for those that paint no other.  -d: paints nothing, writes what
 * Chromium would get to FOLDER, 0.html, 1.html..., with the images 0-0, 0-1..., and {file, index, images}, their
 * types.
 * One JSON object a line for each file: {file, html, outside, painter, status, error, bytes, ms}, ms of
 * each round; the last line, {done, cpu_ms}, has the processor time of this process and of those that -k
 * made, not Chromium's.  PDFs go to FOLDER as 0.pdf, 1.pdf...; between warm-up and rounds a line "ready"
 * is printed and one is awaited on standard input, so that others can be measured in turn; with warm-ups
 * it ends at another line.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/render_mime/mail_kit.h"
#include "services/render/chromium.h"
#include "services/render/fonts.h"
#include "services/render/html_prepare.h"
#include "services/render/native.h"
#include "services/render/section.h"
#include "services/render/pdf_archive.h"
#include "services/render/text_paint.h"

#define FILE_MAX   (64U << 20)
#define PDF_MAX    (256U << 20)
#define TIMEOUT_MS 60000

static struct {
    const char *engine, *out;
    int rounds, warm_ups, recycle;
    bool is_forked, is_document, is_bare, is_untagged, is_archive, has_images, is_text_html;
    struct render_chromium *chromium;
} options = {.engine = "auto", .rounds = 1, .recycle = 200};

struct result {
    const char *painter;
    enum fb_status status;
    struct fb_error err;
    struct fb_buf pdf;
    json_t *outside;
    const char *hindrance; /* of an archive */
};

static double now_ms(clockid_t clock)
{
    struct timespec t = {0};
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static bool is_engine(const char *name)
{
    return strcmp(options.engine, name) == 0;
}

static void print_by_chromium(const struct render_letter *l, struct fb_slice html, struct result *r)
{
    r->painter = "chromium";
    size_t count = 0;
    struct render_image *images = render_letter_all_images(l, &count);
    r->status = render_chromium_print(options.chromium, html, images, count, "A4", l->date_ms,
                                      TIMEOUT_MS, &r->pdf, &r->err);
    free(images);
    if (r->status == FB_OK && l->is_tagged && !options.is_archive) { /* as child_body.c */
        struct fb_buf packed;
        fb_buf_init(&packed, PDF_MAX);
        r->status = render_pdf_pack(fb_slice_buf(&r->pdf), &packed, &r->err);
        fb_buf_deinit(&r->pdf);
        r->pdf = packed;
    }
}

static void paint_html(const struct render_letter *l, struct result *r)
{
    struct fb_buf html;
    struct render_html_document document;
    fb_buf_init(&html, 32U << 20);
    r->painter = options.engine;
    r->status = render_html_prepare_document(l, &html, &document, &r->err);
    if (r->status == FB_OK && is_engine("chromium")) {
        print_by_chromium(l, fb_slice_buf(&html), r);
    } else if (r->status == FB_OK) {
        bool is_auto = is_engine("auto");
        struct render_native *n = render_native_new(l, document.tree, "A4", is_auto, TIMEOUT_MS);
        bool is_inside = render_native_outside(n) == NULL;
        if (!is_auto || is_inside) {
            r->painter = "native";
            r->status = render_native_paint(n, &r->pdf, &r->err);
        }
        const char *outside = render_native_outside(n);
        if (is_auto && outside != NULL) {
            print_by_chromium(l, fb_slice_buf(&html), r);
        }
        r->outside = outside != NULL ? json_string(outside) : json_null();
        render_native_free(&n);
    }
    render_html_document_deinit(&document);
    fb_buf_deinit(&html);
}

static void archive(const struct render_letter *l, struct fb_slice mail, struct result *r)
{
    const struct render_pdf_archive a = {.title = l->subject,
                                         .is_japanese = l->is_japanese,
                                         .is_tagged = l->is_tagged,
                                         .date_ms = l->date_ms,
                                         .mail = mail};
    struct fb_buf out;
    fb_buf_init(&out, PDF_MAX);
    r->status = render_pdf_archive(fb_slice_buf(&r->pdf), &a, &out, &r->hindrance, &r->err);
    fb_buf_deinit(&r->pdf);
    r->pdf = out;
}

/* -x: what a painter of HTML is given in place of plain text. */
static enum fb_status as_html(struct fb_slice text, struct fb_buf *html)
{
    fb_buf_init(html, 4 * FILE_MAX);
    enum fb_status s =
        fb_buf_add_str(html, "<html><body><div style=\"white-space:pre-wrap;font-family:monospace;"
                             "font-size:10.5pt\">");
    for (size_t i = 0; i < text.len && s == FB_OK; i++) {
        uint8_t c = text.ptr[i];
        s = c == '&'   ? fb_buf_add_str(html, "&amp;")
            : c == '<' ? fb_buf_add_str(html, "&lt;")
                       : fb_buf_add(html, &c, 1);
    }
    return s == FB_OK ? fb_buf_add_str(html, "</div></body></html>") : s;
}

/* With -b without sender, recipients and the like, which each painter lays out in its own way. */
static void paint(const struct render_letter *letter, struct fb_slice mail, struct result *r)
{
    static char subject[] = "Subject";
    struct render_letter copy = *letter;
    copy.is_tagged = !options.is_untagged;
    const struct render_letter *l = &copy;
    if (options.is_bare) {
        copy.from = copy.to = copy.cc = copy.date = NULL;
        copy.attachment_count = 0;
        copy.subject = subject;
    }
    *r = (struct result){.painter = "text"};
    fb_buf_init(&r->pdf, PDF_MAX);
    struct fb_buf html = {0};
    if (options.is_text_html && !l->is_html) {
        r->status = as_html(fb_slice_buf(&l->body), &html);
        copy.body = html;
        copy.is_html = true;
    }
    if (r->status == FB_OK && l->is_html && !is_engine("text")) {
        paint_html(l, r);
    } else if (r->status == FB_OK) {
        r->status = render_text_paint(l, "A4", &r->pdf, &r->err);
    }
    if (r->status == FB_OK && options.is_archive) {
        archive(l, mail, r);
    }
    fb_buf_deinit(&html);
}

/* ---- files ---- */

static bool read_letter(const char *path, struct kit *k, struct render_letter *bare,
                        struct fb_slice *message_r)
{
    struct fb_buf file = {0};
    struct fb_buf message = {0};
    struct fb_error err = {0};
    const char *dot = strrchr(path, '.');
    bool is_bare = dot != NULL && strcmp(dot, ".html") == 0;
    if (fb_read_file(path, FILE_MAX, &file, &err) != FB_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return false;
    }
    if (is_bare) {
        *bare = (struct render_letter){.is_html = true,
                                       .subject = fb_xstrdup("Subject"),
                                       .from = fb_xstrdup("taro@example.jp"),
                                       .date_ms = 1700000000000};
        bare->body = file;
        return true;
    }
    kit_crlf(fb_slice_buf(&file), &message);
    kit_parse(k, fb_slice_buf(&message)); /* lends it: kept to the end */
    const struct render_section_options sections = {.has_images = options.has_images};
    if (k->status == FB_OK) {
        k->status = render_sections_read(&k->mail, &k->source, &sections, &err);
    }
    *message_r = fb_slice_buf(&message);
    fb_buf_deinit(&file);
    return k->status == FB_OK;
}

struct mail {
    const char *path;
    struct kit kit;
    struct render_letter bare;
    struct fb_slice message;
    const struct render_letter *letter; /* NULL: cannot be read */
    json_t *ms;
};

static void save_as(const char *name, struct fb_slice bytes)
{
    FILE *f = fopen(name, "wbe");
    if (f == NULL || fwrite(bytes.ptr, 1, bytes.len, f) != bytes.len) {
        perror(name);
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

static void save(const struct result *r, int index)
{
    char name[4096];
    (void)snprintf(name, sizeof name, "%s/%d.pdf", options.out, index);
    save_as(name, fb_slice_buf(&r->pdf));
}

static void print(const json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    (void)printf("%s\n", text != NULL ? text : "{}");
    (void)fflush(stdout);
    free(text);
}

static void round_of(struct mail *m, int index, int round)
{
    struct result r;
    double begun = now_ms(CLOCK_MONOTONIC);
    paint(m->letter, m->message, &r);
    double ms = now_ms(CLOCK_MONOTONIC) - begun;
    if (round >= 0) {
        (void)json_array_append_new(m->ms, json_real(ms));
    }
    if (round == options.rounds - 1) {
        json_t *o = json_object();
        (void)json_object_set_new(o, "file", json_string(m->path));
        (void)json_object_set_new(o, "html", json_boolean(m->letter->is_html));
        (void)json_object_set_new(o, "painter", json_string(r.painter));
        (void)json_object_set_new(o, "status", json_string(fb_status_name(r.status)));
        (void)json_object_set_new(o, "error", json_string(r.status != FB_OK ? r.err.text : ""));
        (void)json_object_set_new(o, "bytes", json_integer((json_int_t)r.pdf.len));
        (void)json_object_set_new(o, "ms", m->ms);
        if (r.hindrance != NULL) {
            (void)json_object_set_new(o, "hindrance", json_string(r.hindrance));
        }
        if (r.outside != NULL) {
            (void)json_object_set(o, "outside", r.outside);
        }
        print(o);
        json_decref(o);
        if (options.out != NULL && r.status == FB_OK) {
            save(&r, index);
        }
    }
    json_decref(r.outside);
    fb_buf_deinit(&r.pdf);
}

/* As the zygote does it: a process that finds what is loaded already, and ends with its mail. */
static void round_in_child(struct mail *m, int index, int round)
{
    double begun = now_ms(CLOCK_MONOTONIC);
    pid_t pid = fork();
    if (pid == 0) {
        round_of(m, index, round);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, NULL, 0) != pid) {
        perror("fork");
    } else if (round >= 0) {
        (void)json_array_append_new(m->ms, json_real(now_ms(CLOCK_MONOTONIC) - begun));
    }
}

static bool start_chromium(void)
{
    struct fb_error err = {0};
    const struct render_chromium_config config = {.instances = 1,
                                                  .memory_bytes = 1LL << 31,
                                                  .recycle_after = options.recycle,
                                                  .is_tagged = !options.is_untagged,
                                                  .user = geteuid() == 0 ? "nobody" : NULL,
                                                  .timeout_ms = TIMEOUT_MS,
                                                  .fonts_conf = render_fonts_conf()};
    if (render_chromium_new(&config, &options.chromium, &err) != FB_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return false;
    }
    return true;
}

static void save_document(const struct mail *m, int index)
{
    char name[4096];
    struct fb_buf html;
    struct fb_error err = {0};
    fb_buf_init(&html, 32U << 20);
    if (render_html_prepare(m->letter, &html, &err) == FB_OK) {
        json_t *images = json_array();
        (void)snprintf(name, sizeof name, "%s/%d.html", options.out, index);
        save_as(name, fb_slice_buf(&html));
        for (size_t i = 0; i < m->letter->image_count; i++) {
            const struct render_image *image = &m->letter->images[i];
            (void)snprintf(name, sizeof name, "%s/%d-%zu", options.out, index, i);
            save_as(name, fb_slice_buf(&image->bytes));
            (void)json_array_append_new(images, json_string(image->type));
        }
        json_t *o = json_pack("{s:s,s:i,s:o}", "file", m->path, "index", index, "images", images);
        print(o);
        json_decref(o);
    }
    fb_buf_deinit(&html);
}

static void run(struct mail *mails, int count)
{
    for (int round = -options.warm_ups; round < options.rounds; round++) {
        if (round == 0 && options.warm_ups > 0) {
            char line[16];
            (void)puts("ready");
            (void)fflush(stdout);
            if (fgets(line, sizeof line, stdin) == NULL) {
                return;
            }
        }
        for (int i = 0; i < count; i++) {
            if (mails[i].letter != NULL) {
                (options.is_forked ? round_in_child : round_of)(&mails[i], i, round);
            }
        }
    }
}

/* Processor time so far, that of children included. */
static double cpu_ms(void)
{
    struct rusage r = {0};
    (void)getrusage(RUSAGE_CHILDREN, &r);
    return now_ms(CLOCK_PROCESS_CPUTIME_ID) +
           (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000 +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1000;
}

/* -f: the classifier's table. */
static int print_features(void)
{
    size_t count = 0;
    const struct render_native_feature *f = render_native_features(&count);
    for (size_t i = 0; i < count; i++) {
        json_t *o =
            json_pack("{s:s,s:s,s:s}", "name", f[i].name, "what", f[i].what, "mail", f[i].mail);
        print(o);
        json_decref(o);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "-f") == 0) {
        return print_features();
    }
    for (int c; (c = getopt(argc, argv, "kbuaidxe:n:w:r:o:")) != -1;) {
        options.engine = c == 'e' ? optarg : options.engine;
        options.rounds = c == 'n' ? (int)strtol(optarg, NULL, 10) : options.rounds;
        options.warm_ups = c == 'w' ? (int)strtol(optarg, NULL, 10) : options.warm_ups;
        options.recycle = c == 'r' ? (int)strtol(optarg, NULL, 10) : options.recycle;
        options.out = c == 'o' ? optarg : options.out;
        options.is_forked = options.is_forked || c == 'k';
        options.is_document = options.is_document || c == 'd';
        options.is_bare = options.is_bare || c == 'b';
        options.has_images = options.has_images || c == 'i';
        options.is_untagged = options.is_untagged || c == 'u';
        options.is_archive = options.is_archive || c == 'a';
        options.is_text_html = options.is_text_html || c == 'x';
        if (c == '?') {
            return 2;
        }
    }
    int count = argc - optind;
    struct mail *mails = fb_xcalloc((size_t)count + 1, sizeof *mails);
    fb_log_init("render-paint", FB_ERROR, true);
    render_mime_init();
    render_text_warm();
    for (int i = 0; i < count; i++) {
        struct mail *m = &mails[i];
        m->path = argv[optind + i];
        m->ms = json_array();
        if (read_letter(m->path, &m->kit, &m->bare, &m->message)) {
            m->letter = m->bare.is_html ? &m->bare : &m->kit.mail.letter;
        }
    }
    for (int i = 0; i < count && options.is_document; i++) {
        if (mails[i].letter != NULL && mails[i].letter->is_html) {
            save_document(&mails[i], i);
        }
    }
    if (options.is_document) {
        (void)fflush(stdout);
        _exit(0);
    }
    bool needs_chromium = is_engine("chromium") || is_engine("auto");
    if (needs_chromium && !start_chromium()) {
        return 1;
    }
    double begun = cpu_ms();
    run(mails, count);
    json_t *done = json_pack("{s:b,s:f}", "done", 1, "cpu_ms", cpu_ms() - begun);
    print(done);
    json_decref(done);
    char line[16];
    if (options.warm_ups > 0 &&
        fgets(line, sizeof line, stdin) == NULL) { /* looked at until then */
        return 1;
    }
    render_chromium_free(&options.chromium);
    (void)fflush(stdout);
    _exit(0); /* Fontconfig and Pango keep what they have loaded: no leak to be told of */
}
