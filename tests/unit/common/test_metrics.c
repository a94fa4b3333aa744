/* SPDX-License-Identifier: Apache-2.0
 *
 * What /metrics says is the text exposition format 0.0.4, read here by a reader as strict as
 * Prometheus' own; /healthz and /readyz tell the truth.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/metrics.h"

/* ---- the strict reader ---- */

#define MAX_FAMILIES 64

struct sample {
    char name[128], labels[256];
    double value;
};

struct scrape {
    struct sample samples[512];
    size_t count;
    char families[MAX_FAMILIES][128]; /* in the order of their TYPE lines */
    char kinds[MAX_FAMILIES][16];
    size_t family_count;
};

static size_t name_length(const char *p)
{
    size_t n = 0;
    while (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == ':') {
        n++;
    }
    return n > 0 && isdigit((unsigned char)p[0]) ? 0 : n;
}

static const char *read_labels(const char *p)
{
    while (*p != '}') {
        size_t n = name_length(p);
        assert_true(n > 0 && p[n] == '=' && p[n + 1] == '"');
        for (p += n + 2; *p != '"'; p++) {
            assert_true(*p != '\0' && *p != '\n');
            if (*p == '\\') {
                p++;
                assert_true(*p == '\\' || *p == '"' || *p == 'n');
            }
        }
        p++;
        assert_true(*p == ',' || *p == '}');
        p += *p == ',' ? 1 : 0;
    }
    return p + 1;
}

/* As Go's ParseFloat: no "-nan", no "0x", nothing behind the number. */
static double read_value(const char *text)
{
    if (strcmp(text, "NaN") == 0) {
        return NAN;
    }
    if (strcmp(text, "+Inf") == 0 || strcmp(text, "-Inf") == 0) {
        return text[0] == '+' ? INFINITY : -INFINITY;
    }
    assert_int_equal(strspn(text, "0123456789.+-e"), strlen(text));
    char *end = NULL;
    double value = strtod(text, &end);
    assert_true(end != text && *end == '\0');
    return value;
}

static bool belongs(const char *sample, const char *family, const char *kind)
{
    size_t n = strlen(family);
    if (strncmp(sample, family, n) != 0) {
        return false;
    }
    if (strcmp(kind, "histogram") != 0) {
        return sample[n] == '\0';
    }
    return strcmp(sample + n, "_bucket") == 0 || strcmp(sample + n, "_sum") == 0 ||
           strcmp(sample + n, "_count") == 0;
}

static void read_type(char *line, struct scrape *s)
{
    char name[128], kind[16];
    size_t n = name_length(line + 7);
    assert_true(n > 0 && n < sizeof name && line[7 + n] == ' ');
    (void)snprintf(name, sizeof name, "%.*s", (int)n, line + 7);
    (void)snprintf(kind, sizeof kind, "%s", line + 7 + n + 1);
    assert_true(strcmp(kind, "counter") == 0 || strcmp(kind, "gauge") == 0 ||
                strcmp(kind, "histogram") == 0);
    for (size_t i = 0; i < s->family_count;
         i++) { /* a family's lines stand together, under one TYPE */
        assert_string_not_equal(s->families[i], name);
    }
    assert_true(s->family_count < MAX_FAMILIES);
    (void)snprintf(s->families[s->family_count], sizeof s->families[0], "%s", name);
    (void)snprintf(s->kinds[s->family_count++], sizeof s->kinds[0], "%s", kind);
}

static void read_sample(char *line, struct scrape *s)
{
    struct sample *x = &s->samples[s->count++];
    size_t n = name_length(line);
    const char *p = line + n;
    assert_true(n > 0 && n < sizeof x->name && s->count <= 512);
    (void)snprintf(x->name, sizeof x->name, "%.*s", (int)n, line);
    if (*p == '{') {
        const char *end = read_labels(p + 1);
        (void)snprintf(x->labels, sizeof x->labels, "%.*s", (int)(end - p - 2), p + 1);
        p = end;
    }
    assert_int_equal(*p, ' ');
    x->value = read_value(p + 1);
    assert_true(s->family_count > 0);
    assert_true(belongs(x->name, s->families[s->family_count - 1], s->kinds[s->family_count - 1]));
    for (size_t i = 0; i + 1 < s->count; i++) { /* each series once */
        assert_false(strcmp(s->samples[i].name, x->name) == 0 &&
                     strcmp(s->samples[i].labels, x->labels) == 0);
    }
}

static void read_exposition(const char *text, struct scrape *s)
{
    char *copy = strdup(text), *rest = copy;
    assert_non_null(copy);
    memset(s, 0, sizeof *s);
    assert_true(copy[0] != '\0' && copy[strlen(copy) - 1] == '\n');
    while (*rest != '\0') {
        char *line = rest;
        rest = strchr(line, '\n') + 1;
        rest[-1] = '\0';
        if (strncmp(line, "# TYPE ", 7) == 0) {
            read_type(line, s);
        } else {
            read_sample(line, s);
        }
    }
    free(copy);
}

static void scrape(struct scrape *s)
{
    struct fb_buf out;
    fb_buf_init(&out, 1U << 20);
    assert_int_equal(fb_metrics_render(&out), FB_OK);
    read_exposition(fb_buf_str(&out), s);
    fb_buf_deinit(&out);
}

static double value_of(const struct scrape *s, const char *name, const char *labels)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->samples[i].name, name) == 0 && strcmp(s->samples[i].labels, labels) == 0) {
            return s->samples[i].value;
        }
    }
    fail_msg("no series %s{%s}", name, labels);
    return 0;
}

/* ---- tests ---- */

static void counters_add_up_and_families_stand_together(void **state)
{
    struct scrape *s = *state;
    fb_metric_add("fumibako_b_total", "stage=\"render\",outcome=\"ok\"", 1);
    fb_metric_set("fumibako_c", NULL, 2.5);
    fb_metric_add("fumibako_a_total", NULL, 3);
    fb_metric_add("fumibako_b_total", "stage=\"upload\",outcome=\"ok\"", 4);
    fb_metric_add("fumibako_b_total", "stage=\"render\",outcome=\"ok\"", 0.5);
    fb_metric_set("fumibako_b", NULL, 1); /* a name that begins another */
    fb_metric_set("fumibako_c", NULL, -7);
    fb_counter_add(fb_metric_counter("fumibako_a_total", NULL), 1e6);
    fb_counter_add(NULL, 1);
    scrape(s);
    assert_true(value_of(s, "fumibako_b_total", "stage=\"render\",outcome=\"ok\"") == 1.5);
    assert_true(value_of(s, "fumibako_b_total", "stage=\"upload\",outcome=\"ok\"") == 4);
    assert_true(value_of(s, "fumibako_a_total", "") == 1000003);
    assert_true(value_of(s, "fumibako_c", "") == -7);
}

static void a_histogram_counts_cumulatively(void **state)
{
    struct scrape *s = *state;
    static const double seconds[] = {0.0005, 0.001, 0.3, 0.3, 100, 10000};
    double last = 0, sum = 0;
    size_t buckets = 0;
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        fb_metric_observe("fumibako_job_seconds", "stage=\"render\"", seconds[i]);
        sum += seconds[i];
    }
    fb_metric_observe("fumibako_plain_seconds", NULL, 1);
    scrape(s);
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->samples[i].name, "fumibako_job_seconds_bucket") == 0) {
            assert_true(s->samples[i].value >= last);
            last = s->samples[i].value;
            buckets++;
        }
    }
    assert_int_equal(buckets, 18);
    assert_true(value_of(s, "fumibako_job_seconds_bucket", "stage=\"render\",le=\"0.001\"") == 2);
    assert_true(value_of(s, "fumibako_job_seconds_bucket", "stage=\"render\",le=\"0.5\"") == 4);
    assert_true(value_of(s, "fumibako_job_seconds_bucket", "stage=\"render\",le=\"600\"") == 5);
    assert_true(value_of(s, "fumibako_job_seconds_bucket", "stage=\"render\",le=\"+Inf\"") == 6);
    assert_true(value_of(s, "fumibako_job_seconds_count", "stage=\"render\"") == 6);
    assert_true(fabs(value_of(s, "fumibako_job_seconds_sum", "stage=\"render\"") - sum) < 1e-6);
    assert_true(value_of(s, "fumibako_plain_seconds_count", "") == 1);
}

/* glibc prints "-nan", which spoils the scrape of the whole service. */
static void numbers_that_are_none_are_written_as_prometheus_reads_them(void **state)
{
    struct scrape *s = *state;
    fb_metric_set("fumibako_nan", NULL, -NAN);
    fb_metric_set("fumibako_inf", "sign=\"plus\"", INFINITY);
    fb_metric_set("fumibako_inf", "sign=\"minus\"", -INFINITY);
    scrape(s);
    assert_true(isnan(value_of(s, "fumibako_nan", "")));
    assert_true(value_of(s, "fumibako_inf", "sign=\"plus\"") == INFINITY);
    assert_true(value_of(s, "fumibako_inf", "sign=\"minus\"") == -INFINITY);
}

static void render_into_too_little_says_so(void **state)
{
    (void)state;
    struct fb_buf out;
    fb_metric_set("fumibako_c", NULL, 1);
    fb_buf_init(&out, 20);
    assert_int_equal(fb_metrics_render(&out), FB_TOO_BIG);
    fb_buf_deinit(&out);
}

static void declared_counters_stand_at_zero_and_are_the_ones_that_count_later(void **state)
{
    struct scrape *s = *state;
    static const struct fb_counters list[] = {
        {"fumibako_d_plain_total", {{NULL, NULL}}},
        {"fumibako_d_one_total", {{"outcome", "ok|not needed"}}},
        {"fumibako_d_two_total", {{"kind", "a|b"}, {"outcome", "right|wrong"}}},
        {NULL, {{NULL, NULL}}}};
    fb_metric_add("fumibako_d_one_total", "outcome=\"ok\"", 2);
    fb_metrics_declare(NULL, list);
    fb_metrics_declare("storage=\"box\"", list);
    fb_metric_add("fumibako_d_two_total", "kind=\"b\",outcome=\"wrong\"", 1);
    scrape(s);
    assert_true(value_of(s, "fumibako_d_plain_total", "") == 0);
    assert_true(value_of(s, "fumibako_d_one_total", "outcome=\"ok\"") == 2); /* not taken back */
    assert_true(value_of(s, "fumibako_d_one_total", "outcome=\"not needed\"") == 0);
    assert_true(value_of(s, "fumibako_d_two_total", "kind=\"a\",outcome=\"right\"") == 0);
    assert_true(value_of(s, "fumibako_d_two_total", "kind=\"b\",outcome=\"wrong\"") == 1);
    assert_true(value_of(s, "fumibako_d_plain_total", "storage=\"box\"") == 0);
    assert_true(
        value_of(s, "fumibako_d_two_total", "storage=\"box\",kind=\"a\",outcome=\"wrong\"") == 0);
}

static void *count_up(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < 2000; i++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "n=\"%d\"", i % 10);
        fb_metric_add("fumibako_threads_total", labels, 1);
        fb_metric_observe("fumibako_threads_seconds", NULL, 0.01);
    }
    return NULL;
}

static void threads_lose_no_count(void **state)
{
    struct scrape *s = *state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    scrape(s);
    assert_true(value_of(s, "fumibako_threads_total", "n=\"3\"") == 800);
    assert_true(value_of(s, "fumibako_threads_seconds_count", "") == 8000);
}

/* ---- over HTTP ---- */

static int ask(uint16_t port, const char *request, char *answer, size_t size)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval wait = {.tv_sec = 60};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    size_t len = 0;
    ssize_t n = 0;
    while (len + 1 < size && (n = recv(fd, answer + len, size - 1 - len, 0)) > 0) {
        len += (size_t)n;
    }
    answer[len] = '\0';
    (void)close(fd);
    assert_true(strncmp(answer, "HTTP/1.1 ", 9) == 0);
    return (int)strtol(answer + 9, NULL, 10);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void collect(void *ctx)
{
    int *count = ctx;
    (*count)++;
    fb_metric_set("fumibako_fresh", NULL, *count);
}

static void the_health_port_answers(void **state)
{
    struct scrape *s = *state;
    static int collected;
    struct fb_metrics_server *server = NULL;
    struct fb_error err = {0};
    uint16_t port = 0;
    static char answer[1U << 18];
    fb_metrics_on_scrape(collect, &collected);
    assert_int_equal(fb_metrics_serve("127.0.0.1", 0, &server, &port, &err), FB_OK);
    assert_true(port != 0);

    fb_ready_set(false, "no connection to Redis");
    assert_int_equal(ask(port, GET("/readyz"), answer, sizeof answer), 503);
    assert_non_null(strstr(answer, "not ready: no connection to Redis\n"));
    fb_ready_set(true, NULL);
    assert_int_equal(ask(port, GET("/readyz"), answer, sizeof answer), 200);
    assert_int_equal(ask(port, GET("/healthz"), answer, sizeof answer), 200);
    fb_health_beat();
    assert_int_equal(ask(port, GET("/healthz"), answer, sizeof answer), 200);
    assert_int_equal(ask(port, GET("/"), answer, sizeof answer), 404);
    assert_int_equal(
        ask(port,
            "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            answer, sizeof answer),
        405);

    collected = 0;
    assert_int_equal(ask(port, GET("/metrics"), answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "text/plain; version=0.0.4"));
    read_exposition(strstr(answer, "\r\n\r\n") + 4, s);
    assert_true(value_of(s, "fumibako_fresh", "") == 1);
    assert_int_equal(collected, 1);

    struct fb_metrics_server *second = NULL;
    assert_int_equal(fb_metrics_serve("127.0.0.1", port, &second, NULL, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "metrics.listen: cannot listen on 127.0.0.1 port"));
    assert_int_equal(fb_metrics_serve("localhost", 0, &second, NULL, &err), FB_CONFIG);
    assert_non_null(strstr(err.text, "localhost is not an IP address"));
    fb_metrics_stop(&server);
    assert_null(server);
    fb_metrics_stop(&server);
}

/* Last: the registry is full after it. */
static void a_mistake_in_labels_does_not_grow_for_ever(void **state)
{
    (void)state;
    struct fb_buf out;
    fb_buf_init(&out, 4U << 20);
    for (int i = 0; i < 5000; i++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "id=\"%d\"", i);
        fb_metric_add("fumibako_mistake_total", labels, 1);
        fb_counter_add(fb_metric_counter("fumibako_mistake_total", labels), 1);
    }
    assert_int_equal(fb_metrics_render(&out), FB_OK);
    size_t lines = 0;
    for (size_t i = 0; i < out.len; i++) {
        lines += out.ptr[i] == '\n' ? 1 : 0;
    }
    assert_true(lines < 2200);
    fb_buf_deinit(&out);
}

int main(void)
{
    static struct scrape s;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(counters_add_up_and_families_stand_together, &s),
        cmocka_unit_test_prestate(a_histogram_counts_cumulatively, &s),
        cmocka_unit_test_prestate(numbers_that_are_none_are_written_as_prometheus_reads_them, &s),
        cmocka_unit_test_prestate(render_into_too_little_says_so, &s),
        cmocka_unit_test_prestate(declared_counters_stand_at_zero_and_are_the_ones_that_count_later,
                                  &s),
        cmocka_unit_test_prestate(threads_lose_no_count, &s),
        cmocka_unit_test_prestate(the_health_port_answers, &s),
        cmocka_unit_test_prestate(a_mistake_in_labels_does_not_grow_for_ever, &s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
