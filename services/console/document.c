/* SPDX-License-Identifier: Apache-2.0
 *
 * The OpenAPI document that describes the API (openapi/README.md); it is part of the program. */
#include "common/http_assets.h"
#include "services/console/api.h"

FB_ASSET_EMBED(openapi, FB_OPENAPI_FILE);

void api_document(struct call *c)
{
    if (fb_buf_add(&c->answer->body, openapi, (size_t)(openapi_end - openapi)) == FB_OK) {
        fb_http_answer_replace(c->answer, "Content-Type", "application/json");
        c->answer->status = 200;
    }
}
