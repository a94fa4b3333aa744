/* SPDX-License-Identifier: Apache-2.0 */
#include <fontconfig/fontconfig.h>
#include <malloc.h>
#include <pango/pangocairo.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "services/render/fonts.h"
#include "services/render/glyphs.h"
#include "services/render/page.h"

#define WARM_WAIT_MS 2000
#define HOLE_MAX     65536 /* bytes; from there down by halves, below HOLE_FINE step by step */
#define HOLE_FINE    1024
#define HOLE_MIN     16
#define HOLES        100000 /* of a size: there are some thousand */
#define HEAP_MAX     (512U << 20)
#define KEPT_MAX     (32 << 20)
#define TOP_PAD      (1 << 20)

/* Fonts that were found and loaded before the fork.  NULL: each letter finds its own. */
static PangoFontMap *warm_map;

PangoFontMap *render_page_font_map(void)
{
    return warm_map != NULL ? g_object_ref(warm_map) : pango_cairo_font_map_new();
}

/* Pango asks Fontconfig's current configuration: from now on that is ours. */
static void load_fonts(void)
{
    FcConfig *config = FcConfigCreate();
    bool is_done =
        config != NULL &&
        FcConfigParseAndLoadFromMemory(config, render_fonts_conf().ptr, FcTrue) == FcTrue &&
        FcConfigBuildFonts(config) == FcTrue;
    if (is_done) {
        render_page_faces(config);
        is_done = FcConfigSetCurrent(config) == FcTrue;
    }
    if (!is_done) {
        fb_log(
            FB_ERROR,
            "Fontconfig does not take our fonts.conf: letters are painted with the system's fonts");
    }
    if (is_done) {
        render_glyphs_learn(config);
    }
    if (config != NULL) {
        FcConfigDestroy(config); /* our reference; the current configuration has its own */
    }
}

/* Waits until this process has one thread. */
static bool is_alone(int timeout_ms)
{
    for (int64_t end = fb_mono_ms() + timeout_ms;;) {
        struct stat tasks = {0};
        /* One link for the folder, one for itself, one for each thread. */
        if (stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink <= 3) {
            return true;
        }
        if (fb_mono_ms() >= end) {
            return false;
        }
        (void)poll(NULL, 0, 2);
    }
}

/* A child that took its memory from the holes between what is loaded would copy a page for nearly
 * each of them: a third of its page faults.  They are filled, once, so that it takes new memory. */
static void fill_holes(void)
{
    uintptr_t end = (uintptr_t)sbrk(0);
    for (size_t size = HOLE_MAX; size >= HOLE_MIN; size -= size > HOLE_FINE ? size / 2 : HOLE_MIN) {
        for (int i = 0; i < HOLES; i++) {
            void *hole = malloc(size);
            uintptr_t at = (uintptr_t)hole;
            if (at >= end || at + HEAP_MAX < end) { /* not of the heap as it was: no hole is left */
                free(hole);
                break;
            }
        }
    }
}

static void pack_heap(void)
{
    /* A letter's memory goes with its process: giving some back before only costs calls. */
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_MAX);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_MAX);
    (void)mallopt(M_TOP_PAD, TOP_PAD);
    (void)malloc_trim(0);
    fill_holes();
}

/* Pango asks Fontconfig in threads, and a fork takes along no thread but a lock that one holds.  So
 * the caller may fork only when all have ended.  Up to 1.50 each has one question to answer; a
 * later Pango keeps one as long as its font map lives: then the map is given up, and each letter
 * makes its own. */
void render_page_warm(void (*samples)(void))
{
    load_fonts();
    warm_map = pango_cairo_font_map_new();
    samples();
    if (!is_alone(WARM_WAIT_MS)) {
        g_clear_object(&warm_map);
        if (!is_alone(WARM_WAIT_MS)) {
            fb_log(FB_WARN,
                   "a thread of Pango's does not end: painting may hang and then be tried again");
        }
    }
    pack_heap();
}
