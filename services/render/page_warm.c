/* SPDX-License-Identifier: Apache-2.0 */
#include <fontconfig/fontconfig.h>
#include <pango/pangocairo.h>
#include <poll.h>
#include <sys/stat.h>

#include "common/log.h"
#include "services/render/fonts.h"
#include "services/render/page.h"

#define WARM_WAIT_MS 2000

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
        FcConfigBuildFonts(config) == FcTrue && FcConfigSetCurrent(config) == FcTrue;
    if (!is_done) {
        fb_log(
            FB_ERROR,
            "Fontconfig does not take our fonts.conf: letters are painted with the system's fonts");
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
}
