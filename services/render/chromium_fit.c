/* SPDX-License-Identifier: Apache-2.0
 *
 * A letter that is wider than the page is made smaller, its header block is not; where it could not be
 * read any more, the page becomes wider.  html_prepare.c sees fixed widths; what a table without line
 * breaks needs is known only when the page is laid out. Scripts are off, so the protocol measures, and
 * writes the zoom into the style of #fb-mail.
 */
#include "services/render/chromium_internal.h"
#include "services/render/html_prepare_steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARGINS_IN (112.0 / 72) /* left and right: html_prepare_head.c */
#define MIN_ZOOM   0.2          /* smaller cannot be read; what is wider still, is cut */

static enum fb_status call_number(struct render_cdp *cdp, const char *method, json_t *params,
                                  const char *object, const char *key, double *number_r,
                                  struct fb_error *err)
{
    json_t *result = NULL;
    enum fb_status s = render_cdp_call(cdp, method, params, &result, err);
    if (s == FB_OK) {
        const json_t *in = object != NULL ? json_object_get(result, object) : result;
        *number_r = json_number_value(json_object_get(in, key));
    }
    json_decref(result);
    return s;
}

/* What html_prepare.c wrote: zoom and width of a letter that needs a wider page; 0 without.  The mail could
 * write the same before it, in a style sheet: it gets the page then that it asked for. */
static double prepared_px(struct fb_slice html)
{
    static const char mail[] = "<fb-mail id=\"fb-mail\" style=\"zoom:";
    static const char width[] = ";--fb-width:";
    size_t at = fb_slice_find(html, fb_slice_str(mail));
    char text[64] = "";
    if (at == SIZE_MAX) {
        return 0;
    }
    struct fb_slice style = fb_slice_sub(html, at + sizeof mail - 1, sizeof text - 1);
    memcpy(text, style.ptr, style.len);
    char *end = NULL;
    double zoom = strtod(text, &end);
    bool is_width = strncmp(end, width, sizeof width - 1) == 0;
    double px = is_width ? strtod(end + sizeof width - 1, NULL) : 0;
    return zoom >= RENDER_HTML_ZOOM_MIN - 0.001 && zoom <= 1 && px > 0 && px <= RENDER_HTML_WIDEST
               ? zoom * px
               : 0;
}

static void widen(struct render_chromium_page *page, double px)
{
    double width_in = px / 96 + MARGINS_IN;
    page->width_in = width_in > page->width_in ? width_in : page->width_in;
}

enum fb_status render_chromium_fit_view(struct render_chromium_page *page, struct fb_error *err)
{
    page->width_in = page->job->width_in;
    double px = prepared_px(page->job->html);
    if (px > (page->width_in - MARGINS_IN) * 96 + 1) {
        widen(page, px);
    }
    int view_px = (int)((page->width_in - MARGINS_IN) * 96);
    if (page->view_px == view_px) {
        return FB_OK;
    }
    page->view_px = view_px;
    return render_cdp_call(&page->cdp, "Emulation.setDeviceMetricsOverride",
                           json_pack("{s:i,s:i,s:i,s:b}", "width", view_px, "height", 900,
                                     "deviceScaleFactor", 1, "mobile", 0),
                           NULL, err);
}

/* The zoom that html_prepare.c gave it; 1 without one. */
static enum fb_status read_zoom(struct render_cdp *cdp, int node, double *zoom_r,
                                struct fb_error *err)
{
    json_t *result = NULL;
    enum fb_status s =
        render_cdp_call(cdp, "DOM.getAttributes", json_pack("{s:i}", "nodeId", node), &result, err);
    const json_t *list = json_object_get(result, "attributes");
    *zoom_r = 1;
    for (size_t i = 0; i + 1 < json_array_size(list); i += 2) {
        const char *name = json_string_value(json_array_get(list, i));
        const char *value = json_string_value(json_array_get(list, i + 1));
        if (name != NULL && value != NULL && strcmp(name, "style") == 0 &&
            strncmp(value, "zoom:", 5) == 0) {
            double zoom = strtod(value + 5, NULL);
            *zoom_r = zoom > MIN_ZOOM && zoom < 1 ? zoom : 1;
        }
    }
    json_decref(result);
    return s;
}

/* The zoom for a letter that takes `width` pixels with the one that it has; gives what it takes then. */
static double fit(struct render_chromium_page *page, double width, double *zoom)
{
    double least = *zoom < RENDER_HTML_ZOOM_MIN ? *zoom : RENDER_HTML_ZOOM_MIN;
    double smaller = *zoom * page->view_px / width;
    double px = page->view_px;
    if (smaller < least) {
        px = width * least / *zoom;
        smaller = px > RENDER_HTML_WIDE_PX ? least * RENDER_HTML_WIDE_PX / px : least;
        px = px > RENDER_HTML_WIDE_PX ? RENDER_HTML_WIDE_PX : px;
        widen(page, px);
    }
    *zoom = smaller > MIN_ZOOM ? smaller : MIN_ZOOM;
    return px;
}

enum fb_status render_chromium_fit(struct render_chromium_page *page, struct fb_error *err)
{
    struct render_cdp *cdp = &page->cdp;
    double width = 0, root = 0, node = 0, zoom = 1;
    enum fb_status s =
        call_number(cdp, "Page.getLayoutMetrics", NULL, "cssContentSize", "width", &width, err);
    if (s != FB_OK || width <= page->view_px + 1) {
        return s;
    }
    s = call_number(cdp, "DOM.getDocument", json_pack("{s:i}", "depth", 0), "root", "nodeId", &root,
                    err);
    if (s == FB_OK) {
        s = call_number(cdp, "DOM.querySelector",
                        json_pack("{s:i,s:s}", "nodeId", (int)root, "selector", "#fb-mail"), NULL,
                        "nodeId", &node, err);
    }
    if (s != FB_OK || node < 1) {
        return s; /* a page that is no letter of ours */
    }
    s = read_zoom(cdp, (int)node, &zoom, err);
    if (s == FB_OK) {
        char style[64];
        double px = fit(page, width, &zoom);
        (void)snprintf(style, sizeof style, "zoom:%.4f;--fb-width:%dpx", zoom, (int)(px / zoom));
        s = render_cdp_call(
            cdp, "DOM.setAttributeValue",
            json_pack("{s:i,s:s,s:s}", "nodeId", (int)node, "name", "style", "value", style), NULL,
            err);
    }
    return s;
}
