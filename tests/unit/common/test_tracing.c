/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics.h"
#include "common/tracing.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define UNSEEN "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"

/* A collector that is not there: the discard port of this machine. */
static struct fb_config *config(int64_t sample)
{
    static char url[] = "http://127.0.0.1:9";
    static struct fb_config c;
    c.tracing.otlp_url = url;
    c.tracing.sample = sample;
    return &c;
}

static void start(int64_t sample)
{
    struct fb_error err = {0};
    assert_int_equal(fb_tracing_start("test", config(sample), &err), FB_OK);
}

static void nothing_is_measured_without_a_collector(void **state)
{
    (void)state;
    static const struct fb_config none;
    struct fb_error err = {0};
    struct fb_span span;
    assert_int_equal(fb_tracing_start("test", &none, &err), FB_OK);
    fb_span_begin(&span, PARENT);
    assert_false(fb_span_is_on(&span));
    fb_span_end(&span, "x", FB_SPAN_INTERNAL, NULL, NULL);
    fb_tracing_stop();
}

static void a_message_goes_on_with_the_trace_it_came_with(void **state)
{
    (void)state;
    char trace[FB_TRACE_SIZE];
    fb_tracing_context(PARENT, trace);
    assert_true(fb_trace_is_valid(trace));
    assert_memory_equal(trace, PARENT, 36);
    assert_memory_not_equal(trace + 36, PARENT + 36, 16);
    assert_string_equal(trace + 52, "-01");
    fb_tracing_context("00-zz", trace);
    assert_true(fb_trace_is_valid(trace));
    assert_memory_not_equal(trace, PARENT, 36);
}

static void sampling_chooses_so_many_of_a_hundred(void **state)
{
    (void)state;
    int chosen = 0;
    start(25);
    for (int i = 0; i < 4000; i++) {
        char trace[FB_TRACE_SIZE];
        fb_tracing_context(NULL, trace);
        assert_true(fb_trace_is_valid(trace));
        chosen += strcmp(trace + 53, "01") == 0 ? 1 : 0;
    }
    fb_tracing_stop();
    assert_in_range(chosen, 850, 1150); /* 1000, and five standard deviations */
}

static void spans_lie_below_what_was_entered_and_unseen_traces_cost_nothing(void **state)
{
    (void)state;
    struct fb_span outer, inner;
    start(100);
    fb_span_begin(&outer, PARENT);
    assert_true(fb_span_is_on(&outer));
    assert_string_equal(outer.parent, "00f067aa0ba902b7");
    fb_span_enter(&outer);
    fb_span_begin(&inner, NULL);
    assert_memory_equal(inner.parent, outer.trace + 36, 16);
    assert_memory_equal(inner.trace, PARENT, 36);
    fb_span_enter(NULL);
    fb_span_begin(&inner, NULL);
    assert_false(fb_span_is_on(&inner));
    fb_span_begin(&inner, UNSEEN);
    assert_false(fb_span_is_on(&inner));
    fb_span_begin(&inner, "");
    assert_false(fb_span_is_on(&inner));
    fb_tracing_stop();
}

static void spans_are_let_go_when_nobody_takes_them(void **state)
{
    (void)state;
    struct fb_buf text;
    start(100);
    for (int i = 0; i < 20000; i++) { /* more than are kept */
        struct fb_span span;
        fb_span_begin(&span, PARENT);
        fb_span_end(&span, "upload", FB_SPAN_CONSUMER, i % 2 == 0 ? "held" : NULL, "a", "1", "b",
                    NULL, "c", "", NULL);
    }
    fb_tracing_stop();
    fb_buf_init(&text, 1U << 20);
    assert_int_equal(fb_metrics_render(&text), FB_OK);
    assert_non_null(strstr(fb_buf_str(&text), "fumibako_spans_total{outcome=\"failed\"} "));
    assert_null(strstr(fb_buf_str(&text), "fumibako_spans_total{outcome=\"failed\"} 0\n"));
    assert_non_null(strstr(fb_buf_str(&text), "fumibako_spans_total{outcome=\"sent\"} 0\n"));
    fb_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_measured_without_a_collector),
        cmocka_unit_test(a_message_goes_on_with_the_trace_it_came_with),
        cmocka_unit_test(sampling_chooses_so_many_of_a_hundred),
        cmocka_unit_test(spans_lie_below_what_was_entered_and_unseen_traces_cost_nothing),
        cmocka_unit_test(spans_are_let_go_when_nobody_takes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
