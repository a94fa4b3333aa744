/* SPDX-License-Identifier: Apache-2.0
 *
 * Printing with the real Chromium: what of a page reaches the PDF, what a page cannot do, and that
 * neither a hostile page nor a killed process leaves anything behind. Skipped (77) where
 * chromium-headless-shell is not installed. The PDF is read by Poppler's tools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/render/chromium_internal.h"

#define TIMEOUT_MS 90000
#define MAX_PDF    (64U << 20)
#define DATE_MS    1700000000000LL /* 2023-11-14 22:13:20 UTC */

/* ---- helpers ---- */

static struct render_chromium_config standard(void)
{
    return (struct render_chromium_config){
        .instances = 1, .memory_bytes = 1LL << 30, .user = "nobody", .timeout_ms = TIMEOUT_MS};
}

static struct render_chromium *must_start(const struct render_chromium_config *config)
{
    struct render_chromium *c = NULL;
    struct fb_error err = {0};
    if (render_chromium_new(config, &c, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    return c;
}

static enum fb_status print_images(struct render_chromium *c, const char *html,
                                   const struct render_image *images, size_t count,
                                   struct fb_buf *pdf, struct fb_error *err)
{
    fb_buf_init(pdf, MAX_PDF);
    return render_chromium_print(c, fb_slice_str(html), images, count, "A4", DATE_MS, TIMEOUT_MS,
                                 pdf, err);
}

static void must_print(struct render_chromium *c, const char *html, struct fb_buf *pdf)
{
    struct fb_error err = {0};
    if (print_images(c, html, NULL, 0, pdf, &err) != FB_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(pdf->len > 5 && memcmp(pdf->ptr, "%PDF-", 5) == 0);
}

/* What a tool says of a PDF, which it is given as a file. */
static void ask_tool(const char *tool, const char *option, const struct fb_buf *pdf,
                     struct fb_buf *out)
{
    char path[] = "/tmp/fumibako-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, pdf->ptr, pdf->len), pdf->len);
    (void)close(fd);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], 1);
        (void)execlp(tool, tool, option, path, strcmp(tool, "pdftotext") == 0 ? "-" : NULL, NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    fb_buf_init(out, 1U << 20);
    for (;;) {
        assert_int_equal(fb_buf_reserve(out, 4096), FB_OK);
        ssize_t n = read(ends[0], out->ptr + out->len, 4095);
        if (n <= 0) {
            break;
        }
        out->len += (size_t)n;
        out->ptr[out->len] = '\0';
    }
    (void)close(ends[0]);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)unlink(path);
    assert_int_equal(status, 0);
}

static bool holds(const struct fb_buf *b, const char *text)
{
    return fb_slice_find(fb_slice_buf(b), fb_slice_str(text)) != SIZE_MAX;
}

static bool text_holds(const struct fb_buf *pdf, const char *text)
{
    struct fb_buf out;
    ask_tool("pdftotext", "-raw", pdf, &out);
    bool is_found = holds(&out, text);
    if (!is_found) {
        print_message("not in \"%s\": %s\n", fb_buf_str(&out), text);
    }
    fb_buf_deinit(&out);
    return is_found;
}

static pid_t first_child(pid_t pid)
{
    char path[96];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "re");
    char line[64] = "";
    pid_t child = 0;
    if (f != NULL) {
        if (fgets(line, sizeof line, f) != NULL) {
            child = (pid_t)strtol(line, NULL, 10);
        }
        (void)fclose(f);
    }
    return child;
}

/* The browser that this thread's last start made: service, keeper, browser. */
static pid_t browser_pid(void)
{
    pid_t keeper = first_child(getpid());
    return keeper > 0 ? first_child(keeper) : 0;
}

/* The test is the reaper of all that its descendants leave behind: orphans would be counted. */
static void assert_no_process_left(void)
{
    int left = 1;
    for (int i = 0; i < 3000 && left > 0; i++) {
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        left = first_child(getpid()) > 0 ? 1 : 0;
        if (left > 0) {
            (void)poll(NULL, 0, 20);
        }
    }
    assert_int_equal(left, 0);
}

/* Those in use by others are locked. */
static void assert_no_home_left(void)
{
    glob_t found = {0};
    int rc = glob("/tmp/fumibako-chromium-*", 0, NULL, &found);
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
        int fd = open(found.gl_pathv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool is_stale = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
        if (fd >= 0) {
            (void)close(fd);
        }
        assert_false(is_stale);
    }
    globfree(&found);
}

/* ---- what reaches the PDF ---- */

static void test_text_is_searchable(void **state)
{
    struct fb_buf pdf;
    must_print(*state,
               "<!DOCTYPE html><meta charset=utf-8><p>Grüße aus Zürich<p>請求書を送付いたします"
               "<p dir=rtl>שלום עולם<p>party \xF0\x9F\x8E\x89 time",
               &pdf);
    assert_true(text_holds(&pdf, "Grüße aus Zürich"));
    assert_true(text_holds(&pdf, "請求書を送付いたします"));
    assert_true(text_holds(&pdf, "שלום"));
    assert_true(text_holds(&pdf, "\xF0\x9F\x8E\x89"));
    fb_buf_deinit(&pdf);
}

static void test_links_become_annotations(void **state)
{
    struct fb_buf pdf;
    must_print(*state, "<a href='https://example.jp/a?b=c'>one</a> <a href='mailto:a@b.jp'>two</a>",
               &pdf);
    assert_true(holds(&pdf, "/URI (https://example.jp/a?b=c)"));
    assert_true(holds(&pdf, "/URI (mailto:a@b.jp)"));
    fb_buf_deinit(&pdf);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

/* A red bitmap (BITMAPINFOHEADER, 24 bits). */
static struct render_image bitmap(char *type, uint32_t width, uint32_t height)
{
    struct render_image image = {.type = type};
    uint32_t row = (width * 3 + 3) / 4 * 4;
    uint8_t head[54] = {'B', 'M'};
    put32(head + 2, 54 + row * height);
    put32(head + 10, 54);
    put32(head + 14, 40);
    put32(head + 18, width);
    put32(head + 22, height);
    head[26] = 1;
    head[28] = 24;
    fb_buf_init(&image.bytes, 1U << 20);
    assert_int_equal(fb_buf_add(&image.bytes, head, sizeof head), FB_OK);
    for (uint32_t i = 0; i < row * height; i++) {
        assert_int_equal(fb_buf_add_char(&image.bytes, i % 3 == 2 ? '\xff' : '\x20'), FB_OK);
    }
    return image;
}

static void assert_one_image(struct render_chromium *c, const struct render_image *image,
                             const char *size)
{
    struct fb_buf pdf, list;
    struct fb_error err = {0};
    assert_int_equal(
        print_images(c,
                     "<p>see: <img src='cid:0'><img src='cid:1' alt=''><img src='cid:0x' alt=''>",
                     image, 1, &pdf, &err),
        FB_OK);
    ask_tool("pdfimages", "-list", &pdf, &list);
    bool is_right = holds(&list, size);
    int lines = 0;
    for (size_t i = 0; i < list.len; i++) {
        lines += list.ptr[i] == '\n' ? 1 : 0;
    }
    if (!is_right || lines != 3) {
        print_message("want one image of %s: %s\n", size, fb_buf_str(&list));
    }
    assert_true(is_right && lines == 3); /* two lines of heading */
    fb_buf_deinit(&list);
    fb_buf_deinit(&pdf);
}

static void test_cid_image_is_painted_and_is_the_mails_own(void **state)
{
    char type[] = "image/bmp";
    struct render_image first = bitmap(type, 20, 10);
    struct render_image second = bitmap(type, 37, 19);
    assert_one_image(*state, &first, "   20    10 ");
    assert_one_image(*state, &second, "   37    19 "); /* the same name, another mail */
    fb_buf_deinit(&first.bytes);
    fb_buf_deinit(&second.bytes);
}

static void test_equal_input_gives_equal_bytes(void **state)
{
    static const char html[] =
        "<title>t</title><p>日本語 abc <b>bold</b> <a href='https://e.jp'>x</a>";
    struct fb_buf a, b, other;
    must_print(*state, html, &a);
    (void)poll(NULL, 0, 1100); /* a PDF's dates have seconds */
    must_print(*state, html, &b);
    assert_true(fb_slice_eq(fb_slice_buf(&a), fb_slice_buf(&b)));
    assert_true(holds(&a, "/CreationDate (D:20231114221320+00'00')"));
    assert_true(holds(&a, "/ModDate (D:20231114221320+00'00')"));
    must_print(*state, "<title>t</title><p>another", &other);
    assert_false(fb_slice_eq(fb_slice_buf(&a), fb_slice_buf(&other)));
    fb_buf_deinit(&a);
    fb_buf_deinit(&b);
    fb_buf_deinit(&other);
}

static void test_full_buffer_is_too_big_and_unchanged(void **state)
{
    struct fb_buf pdf;
    struct fb_error err = {0};
    fb_buf_init(&pdf, 1000);
    assert_int_equal(fb_buf_add_str(&pdf, "abc"), FB_OK);
    assert_int_equal(render_chromium_print(*state, FB_SLICE_LITERAL("<p>x"), NULL, 0, "Letter", 0,
                                           TIMEOUT_MS, &pdf, &err),
                     FB_TOO_BIG);
    assert_string_equal(fb_buf_str(&pdf), "abc");
    assert_int_equal(render_chromium_print(*state, FB_SLICE_LITERAL("<p>x"), NULL, 0, "B17", 0,
                                           TIMEOUT_MS, &pdf, &err),
                     FB_CONFIG);
    fb_buf_deinit(&pdf);
    must_print(*state, "<p>again", &pdf);
    fb_buf_deinit(&pdf);
}

static void test_large_document_does_not_block(void **state)
{
    struct fb_buf html, pdf;
    fb_buf_init(&html, 32U << 20);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(fb_buf_printf(&html, "<!-- %0200d -->", i), FB_OK);
    }
    assert_int_equal(fb_buf_add_str(&html, "<p>the end"), FB_OK);
    must_print(*state, fb_buf_str(&html), &pdf);
    assert_true(text_holds(&pdf, "the end"));
    fb_buf_deinit(&html);
    fb_buf_deinit(&pdf);
}

/* ---- what a page cannot do ---- */

static void test_scripts_do_not_run(void **state)
{
    struct fb_buf pdf;
    must_print(*state,
               "<p id=p>still</p><script>document.getElementById('p').textContent='RAN'</script>"
               "<img src=x onerror=\"document.body.textContent='RAN'\">"
               "<svg onload=\"document.body.textContent='RAN'\"></svg>"
               "<body onload=\"document.body.textContent='RAN'\"><noscript>quiet</noscript>",
               &pdf);
    assert_true(text_holds(&pdf, "still"));
    assert_true(text_holds(&pdf, "quiet"));
    fb_buf_deinit(&pdf);
}

static int listen_on_loopback(int *port_r)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port_r = ntohs(a.sin_port);
    return fd;
}

static void check_no_fetch(struct render_chromium *c)
{
    static const char *const forms[] = {
        "<img src='%s'>",
        "<img srcset='%s 2x' src='%s'>",
        "<link rel=stylesheet href='%s'>",
        "<link rel=preload as=image href='%s'>",
        "<link rel=prefetch href='%s'>",
        "<link rel=dns-prefetch href='%s'><link rel=preconnect href='%s'>",
        "<link rel=icon href='%s'>",
        "<link rel=manifest href='%s'>",
        "<iframe src='%s'></iframe>",
        "<iframe srcdoc=\"<img src='%s'>\"></iframe>",
        "<object data='%s'></object><embed src='%s'>",
        "<video src='%s' poster='%s' autoplay></video><audio src='%s' autoplay></audio>",
        "<style>@import url('%s');</style>",
        "<style>@font-face{font-family:f;src:url('%s')} p{font-family:f}</style>",
        "<style>body{background:url('%s')} li{list-style-image:url('%s')}</style><li>x",
        "<p style=\"background-image:image-set('%s' 1x);cursor:url('%s'),auto\">y",
        "<svg><image href='%s'/><use href='%s#a'/></svg>",
        "<table background='%s'><tr><td background='%s'>z</table>",
        "<input type=image src='%s'>",
        "<base href='%s'><img src='rel.png'>",
    };
    int port = 0;
    int fd = listen_on_loopback(&port);
    struct fb_buf html, pdf;
    fb_buf_init(&html, 1U << 20);
    assert_int_equal(fb_buf_printf(&html,
                                   "<meta http-equiv=refresh content='0;url=http://127.0.0.1:%d/r'>"
                                   "<meta http-equiv=refresh content='0;url=file:///etc/passwd'>"
                                   "<iframe src='file:///etc/passwd'></iframe>",
                                   port),
                     FB_OK);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        for (const char *p = forms[i]; *p != '\0'; p++) {
            bool is_url = p[0] == '%' && p[1] == 's';
            enum fb_status s = is_url ? fb_buf_printf(&html, "http://127.0.0.1:%d/%zu", port, i)
                                      : fb_buf_add_char(&html, *p);
            assert_int_equal(s, FB_OK);
            p += is_url ? 1 : 0;
        }
    }
    assert_int_equal(fb_buf_add_str(&html, "<p>the letter stays"), FB_OK);
    must_print(c, fb_buf_str(&html), &pdf);
    assert_true(text_holds(&pdf, "the letter stays"));
    struct fb_buf text;
    ask_tool("pdftotext", "-raw", &pdf, &text);
    assert_false(holds(&text, "root:"));
    (void)poll(NULL, 0, 300);
    int connection = accept(fd, NULL, NULL);
    assert_true(connection < 0 && errno == EAGAIN);
    (void)close(fd);
    fb_buf_deinit(&text);
    fb_buf_deinit(&html);
    fb_buf_deinit(&pdf);
}

static void test_nothing_is_fetched(void **state)
{
    check_no_fetch(*state);
}

/* The driver alone must hold, also where the system gives no name space without a network. */
static void test_nothing_is_fetched_without_namespaces(void **state)
{
    (void)state;
    struct render_chromium_config config = standard();
    config.no_namespaces = true;
    struct render_chromium *c = must_start(&config);
    check_no_fetch(c);
    render_chromium_free(&c);
    assert_no_process_left();
}

/* ---- time, memory, death ---- */

/* Each group uses the one before it ten times: 10^12 circles. */
static const char endless[] =
    "<svg width=900 height=900><defs><g id=a0><circle r=5 cx=9 cy=9 /></g>"
#define TEN(a, b)                                                                                  \
    "<g id=" b "><use href='#" a "'/><use href='#" a "'/><use href='#" a "'/><use href='#" a       \
    "'/><use href='#" a "'/><use href='#" a "'/><use href='#" a "'/><use href='#" a                \
    "'/><use href='#" a "'/><use href='#" a "'/></g>"
    TEN("a0", "a1") TEN("a1", "a2") TEN("a2", "a3") TEN("a3", "a4") TEN("a4", "a5") TEN("a5", "a6")
        TEN("a6", "a7") TEN("a7", "a8") TEN("a8", "a9") "</defs><use href='#a9'/></svg>";

static void check_endless_page(bool no_namespaces)
{
    struct render_chromium_config config = standard();
    config.no_namespaces = no_namespaces;
    struct render_chromium *c = must_start(&config);
    struct fb_buf pdf;
    struct fb_error err = {0};
    fb_buf_init(&pdf, MAX_PDF);
    int64_t before = fb_mono_ms();
    enum fb_status s =
        render_chromium_print(c, fb_slice_str(endless), NULL, 0, "A4", 0, 1500, &pdf, &err);
    int64_t took = fb_mono_ms() - before;
    assert_int_equal(s, FB_CRASHED);
    assert_true(took < 30000); /* the page never ends by itself */
    assert_int_equal(pdf.len, 0);
    assert_no_process_left();
    fb_buf_deinit(&pdf);
    must_print(c, "<p>after", &pdf);
    fb_buf_deinit(&pdf);
    render_chromium_free(&c);
    assert_no_process_left();
}

static void test_endless_page_is_ended_with_all_processes(void **state)
{
    (void)state;
    check_endless_page(false);
}

static void test_endless_page_is_ended_without_namespaces(void **state)
{
    (void)state;
    check_endless_page(true);
}

static void test_killed_browser_is_replaced(void **state)
{
    (void)state;
    for (int variant = 0; variant < 2; variant++) {
        struct render_chromium_config config = standard();
        config.no_namespaces = variant == 1;
        struct render_chromium *c = must_start(&config);
        struct fb_buf pdf;
        pid_t old = browser_pid();
        assert_true(old > 0);
        assert_int_equal(kill(old, SIGKILL), 0);
        must_print(c, "<p>after the kill", &pdf);
        assert_true(browser_pid() > 0 && browser_pid() != old);
        fb_buf_deinit(&pdf);
        render_chromium_free(&c);
        assert_no_process_left();
    }
}

static atomic_bool is_over;

/* More than once: one that is killed before it has begun to print is replaced. */
static void *kill_soon(void *ctx)
{
    (void)ctx;
    while (!atomic_load(&is_over)) {
        (void)poll(NULL, 0, 500);
        pid_t browser = browser_pid();
        if (browser > 0 && !atomic_load(&is_over)) {
            (void)kill(browser, SIGKILL);
        }
    }
    return NULL;
}

static void test_browser_killed_while_printing_is_said_at_once(void **state)
{
    (void)state;
    struct render_chromium_config config = standard();
    struct render_chromium *c = must_start(&config);
    pthread_t thread;
    struct fb_buf pdf;
    struct fb_error err = {0};
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, kill_soon, NULL), 0);
    int64_t before = fb_mono_ms();
    assert_int_equal(print_images(c, endless, NULL, 0, &pdf, &err), FB_CRASHED);
    assert_true(fb_mono_ms() - before < 60000);
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fb_buf_deinit(&pdf);
    render_chromium_free(&c);
    assert_no_process_left();
}

static void test_memory_limit_ends_the_browser(void **state)
{
    (void)state;
    struct render_chromium_config config = standard();
    config.memory_bytes = 4 << 20;
    struct render_chromium *c = NULL;
    struct fb_error err = {0};
    assert_int_equal(render_chromium_new(&config, &c, &err), FB_CRASHED);
    assert_non_null(strstr(err.text, "4194304 bytes of memory"));
    assert_null(c);
    assert_no_process_left();
}

static void test_recycles_after_the_given_number_of_prints(void **state)
{
    (void)state;
    struct render_chromium_config config = standard();
    config.recycle_after = 3;
    struct render_chromium *c = must_start(&config); /* its self-test is the first print */
    struct fb_buf pdf;
    pid_t first = browser_pid();
    must_print(c, "<p>2", &pdf);
    assert_int_equal(browser_pid(), first);
    fb_buf_deinit(&pdf);
    must_print(c, "<p>3", &pdf);
    fb_buf_deinit(&pdf);
    must_print(c, "<p>4", &pdf);
    assert_true(browser_pid() > 0 && browser_pid() != first);
    fb_buf_deinit(&pdf);
    render_chromium_free(&c);
    assert_no_process_left();
}

static void *print_five(void *ctx)
{
    for (int i = 0; i < 5; i++) {
        struct fb_buf pdf;
        struct fb_error err = {0};
        enum fb_status s = print_images(ctx, "<p>thread", NULL, 0, &pdf, &err);
        fb_buf_deinit(&pdf);
        if (s != FB_OK) {
            print_message("%s\n", err.text);
            return NULL;
        }
    }
    return ctx;
}

static void test_threads_share_the_pool(void **state)
{
    (void)state;
    struct render_chromium_config config = standard();
    config.instances = 2;
    struct render_chromium *c = must_start(&config);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, print_five, c), 0);
    }
    for (int i = 0; i < 3; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, c);
    }
    /* The thread that started the second browser is gone; the browser is not. */
    assert_ptr_equal(print_five(c), c);
    render_chromium_free(&c);
    assert_no_process_left();
}

static void test_service_killed_leaves_no_browser(void **state)
{
    (void)state;
    for (int variant = 0; variant < 2; variant++) {
        struct render_chromium_config config = standard();
        config.no_namespaces = variant == 1;
        pid_t pid = fork();
        if (pid == 0) {
            struct render_chromium *c = NULL;
            struct fb_error err = {0};
            if (render_chromium_new(&config, &c, &err) != FB_OK) {
                _exit(1);
            }
            (void)kill(getpid(), SIGKILL);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_no_process_left(); /* the keeper has become our child, and ends */
        struct render_chromium *next = must_start(&config);
        render_chromium_free(&next);
        assert_no_home_left();
    }
}

/* ---- what an operator is told ---- */

static void test_missing_program_is_said(void **state)
{
    (void)state;
    struct render_chromium_config config = standard();
    struct render_chromium *c = NULL;
    struct fb_error err = {0};
    config.binary = "/nonexistent/chromium";
    assert_int_equal(render_chromium_new(&config, &c, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "render.chromium"));
    config = standard();
    if (geteuid() == 0) {
        config.user = "root";
        assert_int_equal(render_chromium_new(&config, &c, &err), FB_CONFIG);
        assert_non_null(strstr(err.text, "render.chromium_user"));
    }
}

/* As a container's seccomp profile does it. */
static bool forbid_user_namespaces(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    bool is_done =
        f != NULL &&
        seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)) == 0 &&
        seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)) == 0 &&
        seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
        seccomp_load(f) == 0;
    seccomp_release(f);
    return is_done;
}

static void test_sandbox_that_cannot_start_is_said(void **state)
{
    (void)state;
    const struct render_chromium_config config = standard();
    pid_t pid = fork();
    if (pid == 0) {
        struct render_chromium *c = NULL;
        struct fb_error err = {0};
        if (!forbid_user_namespaces()) {
            _exit(1);
        }
        enum fb_status s = render_chromium_new(&config, &c, &err);
        bool is_right = s == FB_CONFIG && strstr(err.text, "user name spaces") != NULL;
        if (!is_right) {
            print_message("%d %s\n", (int)s, err.text);
        }
        _exit(is_right ? 0 : 2);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_no_process_left();
}

/* ---- */

static int start_shared(void **state)
{
    const struct render_chromium_config config = standard();
    struct render_chromium *c = NULL;
    struct fb_error err = {0};
    if (render_chromium_new(&config, &c, &err) != FB_OK) {
        print_message("%s\n", err.text);
        return -1;
    }
    *state = c;
    return 0;
}

static int stop_shared(void **state)
{
    struct render_chromium *c = *state;
    render_chromium_free(&c);
    *state = NULL;
    return 0;
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, start_shared, stop_shared)

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as every service does */
    if (access("/usr/lib/chromium/chromium-headless-shell", X_OK) != 0 &&
        access("/usr/bin/chromium-headless-shell", X_OK) != 0) {
        print_message("skipped: chromium-headless-shell is not installed\n");
        return 77;
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    const struct CMUnitTest tests[] = {
        SHARED(test_text_is_searchable),
        SHARED(test_links_become_annotations),
        SHARED(test_cid_image_is_painted_and_is_the_mails_own),
        SHARED(test_equal_input_gives_equal_bytes),
        SHARED(test_full_buffer_is_too_big_and_unchanged),
        SHARED(test_large_document_does_not_block),
        SHARED(test_scripts_do_not_run),
        SHARED(test_nothing_is_fetched),
        cmocka_unit_test(test_nothing_is_fetched_without_namespaces),
        cmocka_unit_test(test_endless_page_is_ended_with_all_processes),
        cmocka_unit_test(test_endless_page_is_ended_without_namespaces),
        cmocka_unit_test(test_killed_browser_is_replaced),
        cmocka_unit_test(test_browser_killed_while_printing_is_said_at_once),
        cmocka_unit_test(test_memory_limit_ends_the_browser),
        cmocka_unit_test(test_recycles_after_the_given_number_of_prints),
        cmocka_unit_test(test_threads_share_the_pool),
        cmocka_unit_test(test_service_killed_leaves_no_browser),
        cmocka_unit_test(test_missing_program_is_said),
        cmocka_unit_test(test_sandbox_that_cannot_start_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
