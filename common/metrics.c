/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry: a list of series under one lock.  Hot loops keep a handle, everything else may look
 * up by name: a service has some dozens of series. */
#include "common/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SERIES                                                                                 \
    2000 /* labels never come from mail; this stops a mistake from growing for ever */
#define MAX_COLLECTORS 8
#define LABELS_SIZE    320

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                1,     2.5,    5,     10,   30,    60,   300, 600};
#define BOUND_COUNT (sizeof bounds / sizeof bounds[0])

struct fb_counter {
    char *name, *labels;
    enum kind kind;
    double value; /* counter and gauge; sum of a histogram */
    uint64_t counts[BOUND_COUNT + 1];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fb_counter *series[MAX_SERIES];
static size_t series_count;
static struct {
    void (*collect)(void *ctx);
    void *ctx;
} collectors[MAX_COLLECTORS];
static size_t collector_count;

static struct fb_counter *find_locked(const char *name, const char *labels, enum kind kind)
{
    if (labels == NULL) {
        labels = "";
    }
    for (size_t i = 0; i < series_count; i++) {
        if (strcmp(series[i]->name, name) == 0 && strcmp(series[i]->labels, labels) == 0) {
            return series[i];
        }
    }
    if (series_count == MAX_SERIES) {
        return NULL;
    }
    struct fb_counter *c = fb_xcalloc(1, sizeof *c);
    c->name = fb_xstrdup(name);
    c->labels = fb_xstrdup(labels);
    c->kind = kind;
    /* Kept sorted by name: the exposition format wants a metric's series together. */
    size_t at = series_count;
    while (at > 0 && strcmp(series[at - 1]->name, name) > 0) {
        series[at] = series[at - 1];
        at--;
    }
    series[at] = c;
    series_count++;
    return c;
}

void fb_metric_add(const char *name, const char *labels, double by)
{
    (void)pthread_mutex_lock(&lock);
    struct fb_counter *c = find_locked(name, labels, COUNTER);
    if (c != NULL) {
        c->value += by;
    }
    (void)pthread_mutex_unlock(&lock);
}

/* What stands before the next '|' of a list; the list is moved behind it, to NULL at its end. */
static int next_value(const char **list, const char **value_r)
{
    size_t len = strcspn(*list, "|");
    *value_r = *list;
    *list = (*list)[len] == '|' ? *list + len + 1 : NULL;
    return (int)len;
}

/* label="value" behind what is there. */
static void add_label(char *labels, size_t size, const char *label, const char *value, int len)
{
    size_t n = strlen(labels);
    (void)snprintf(labels + n, size - n, "%s%s=\"%.*s\"", n > 0 ? "," : "", label, len, value);
}

static void declare(const char *labels, const struct fb_counters *c)
{
    const char *first = c->by[0].label != NULL ? c->by[0].values : "";
    while (first != NULL) {
        char one[LABELS_SIZE];
        const char *value = NULL;
        int len = next_value(&first, &value);
        const char *second = c->by[1].label != NULL ? c->by[1].values : "";
        (void)snprintf(one, sizeof one, "%s", labels != NULL ? labels : "");
        if (c->by[0].label != NULL) {
            add_label(one, sizeof one, c->by[0].label, value, len);
        }
        while (second != NULL) {
            char two[LABELS_SIZE];
            len = next_value(&second, &value);
            (void)snprintf(two, sizeof two, "%s", one);
            if (c->by[1].label != NULL) {
                add_label(two, sizeof two, c->by[1].label, value, len);
            }
            fb_metric_add(c->name, two, 0);
        }
    }
}

void fb_metrics_declare(const char *labels, const struct fb_counters *list)
{
    for (; list->name != NULL; list++) {
        declare(labels, list);
    }
}

struct fb_counter *fb_metric_counter(const char *name, const char *labels)
{
    (void)pthread_mutex_lock(&lock);
    struct fb_counter *c = find_locked(name, labels, COUNTER);
    (void)pthread_mutex_unlock(&lock);
    return c;
}

void fb_counter_add(struct fb_counter *c, double by)
{
    if (c != NULL) {
        (void)pthread_mutex_lock(&lock);
        c->value += by;
        (void)pthread_mutex_unlock(&lock);
    }
}

void fb_metric_set(const char *name, const char *labels, double value)
{
    (void)pthread_mutex_lock(&lock);
    struct fb_counter *c = find_locked(name, labels, GAUGE);
    if (c != NULL) {
        c->value = value;
    }
    (void)pthread_mutex_unlock(&lock);
}

void fb_metric_observe(const char *name, const char *labels, double seconds)
{
    (void)pthread_mutex_lock(&lock);
    struct fb_counter *c = find_locked(name, labels, HISTOGRAM);
    if (c != NULL) {
        size_t i = 0;
        while (i < BOUND_COUNT && seconds > bounds[i]) {
            i++;
        }
        c->counts[i]++;
        c->value += seconds;
    }
    (void)pthread_mutex_unlock(&lock);
}

void fb_metrics_on_scrape(void (*collect)(void *ctx), void *ctx)
{
    (void)pthread_mutex_lock(&lock);
    FB_ASSERT(collector_count < MAX_COLLECTORS);
    collectors[collector_count].collect = collect;
    collectors[collector_count].ctx = ctx;
    collector_count++;
    (void)pthread_mutex_unlock(&lock);
}

/* As the exposition format writes a number: glibc's "-nan" would spoil the whole scrape. */
static const char *number(double value, char text[32])
{
    if (isnan(value)) {
        return "NaN";
    }
    if (isinf(value)) {
        return value > 0 ? "+Inf" : "-Inf";
    }
    (void)snprintf(text, 32, "%.17g", value);
    return text;
}

static enum fb_status render_histogram(const struct fb_counter *c, struct fb_buf *out)
{
    const char *comma = c->labels[0] != '\0' ? "," : "";
    uint64_t total = 0;
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < BOUND_COUNT && s == FB_OK; i++) {
        total += c->counts[i];
        s = fb_buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", c->name, c->labels, comma,
                          bounds[i], (unsigned long long)total);
    }
    total += c->counts[BOUND_COUNT];
    if (s == FB_OK) {
        s = fb_buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", c->name, c->labels, comma,
                          (unsigned long long)total);
    }
    const char *open = c->labels[0] != '\0' ? "{" : "";
    const char *close = c->labels[0] != '\0' ? "}" : "";
    if (s == FB_OK) {
        char sum[32];
        s = fb_buf_printf(out, "%s_sum%s%s%s %s\n%s_count%s%s%s %llu\n", c->name, open, c->labels,
                          close, number(c->value, sum), c->name, open, c->labels, close,
                          (unsigned long long)total);
    }
    return s;
}

enum fb_status fb_metrics_render(struct fb_buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    for (size_t i = 0; i < collector_count; i++) {
        collectors[i].collect(collectors[i].ctx);
    }
    enum fb_status s = FB_OK;
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < series_count && s == FB_OK; i++) {
        const struct fb_counter *c = series[i];
        char value[32];
        if (i == 0 || strcmp(series[i - 1]->name, c->name) != 0) {
            s = fb_buf_printf(out, "# TYPE %s %s\n", c->name, kinds[c->kind]);
        }
        if (s != FB_OK) {
            break;
        }
        if (c->kind == HISTOGRAM) {
            s = render_histogram(c, out);
        } else if (c->labels[0] != '\0') {
            s = fb_buf_printf(out, "%s{%s} %s\n", c->name, c->labels, number(c->value, value));
        } else {
            s = fb_buf_printf(out, "%s %s\n", c->name, number(c->value, value));
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return s;
}
