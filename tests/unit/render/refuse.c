/* SPDX-License-Identifier: Apache-2.0
 *
 * render-refusing: the render service with a Cairo that finds at its end that structure elements do not fit, as
 * Cairo 1.16 did with some; links it takes.  tests/integration/render/pdf.test.mjs looks at what becomes of the
 * letters. */
#include <cairo.h>
#include <stdbool.h>
#include <string.h>

void __real_cairo_tag_begin(cairo_t *cr, const char *name, const char *attributes);
void __wrap_cairo_tag_begin(cairo_t *cr, const char *name, const char *attributes);
cairo_status_t __real_cairo_surface_status(cairo_surface_t *surface);
cairo_status_t __wrap_cairo_surface_status(cairo_surface_t *surface);

static bool has_structure;

void __wrap_cairo_tag_begin(cairo_t *cr, const char *name, const char *attributes)
{
    has_structure = has_structure || strcmp(name, CAIRO_TAG_LINK) != 0;
    __real_cairo_tag_begin(cr, name, attributes);
}

cairo_status_t __wrap_cairo_surface_status(cairo_surface_t *surface)
{
    cairo_status_t status = __real_cairo_surface_status(surface);
    if (cairo_surface_get_type(surface) == CAIRO_SURFACE_TYPE_PDF && has_structure) {
        has_structure = false;
        return CAIRO_STATUS_TAG_ERROR;
    }
    return status;
}
