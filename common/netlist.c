/* SPDX-License-Identifier: Apache-2.0 */
#include "common/netlist.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct network {
    struct fb_net_address base;
    int bits; /* of 128 */
};

struct fb_netlist {
    struct network *networks;
    size_t count;
};

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void map_v4(const void *four, struct fb_net_address *a)
{
    memcpy(a->bytes, mapped, sizeof mapped);
    memcpy(a->bytes + 12, four, 4);
}

/* Whether the first bits of both agree. */
static bool same_bits(const uint8_t *a, const uint8_t *b, int bits)
{
    size_t whole = (size_t)bits / 8;
    int rest = bits % 8;
    if (memcmp(a, b, whole) != 0) {
        return false;
    }
    return rest == 0 || ((a[whole] ^ b[whole]) & (0xff << (8 - rest)) & 0xff) == 0;
}

static bool parse_bits(const char *text, int max, int *bits_r)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    long bits = strtol(text, &end, 10);
    if (*end != '\0' || bits < 0 || bits > max) {
        return false;
    }
    *bits_r = (int)bits;
    return true;
}

static bool parse_network(const char *item, struct network *n)
{
    char address[INET6_ADDRSTRLEN] = "";
    const char *slash = strchr(item, '/');
    size_t len = slash == NULL ? strlen(item) : (size_t)(slash - item);
    if (len == 0 || len >= sizeof address) {
        return false;
    }
    memcpy(address, item, len);
    struct in_addr four;
    bool is_v4 = inet_pton(AF_INET, address, &four) == 1;
    if (is_v4) {
        map_v4(&four, &n->base);
    } else if (inet_pton(AF_INET6, address, n->base.bytes) != 1) {
        return false;
    }
    int max = is_v4 ? 32 : 128;
    n->bits = max;
    if (slash != NULL && !parse_bits(slash + 1, max, &n->bits)) {
        return false;
    }
    n->bits += 128 - max;
    for (int bit = n->bits; bit < 128; bit++) {
        if ((n->base.bytes[bit / 8] & (0x80 >> (bit % 8))) != 0) {
            return false;
        }
    }
    return true;
}

enum fb_status fb_netlist_new(const struct fb_string_list *items, const char *key,
                              struct fb_netlist **list_r, struct fb_error *err)
{
    struct fb_netlist *list = fb_xcalloc(1, sizeof *list);
    list->networks = fb_xcalloc(items->count + 1, sizeof *list->networks);
    for (size_t i = 0; i < items->count; i++) {
        if (!parse_network(items->items[i], &list->networks[i])) {
            fb_netlist_free(&list);
            return fb_error_set(err, FB_CONFIG,
                                "%s: \"%s\" is not a network like 10.0.0.0/8 or 2001:db8::/32", key,
                                items->items[i]);
        }
        list->count++;
    }
    *list_r = list;
    return FB_OK;
}

void fb_netlist_free(struct fb_netlist **list)
{
    if (*list != NULL) {
        free((*list)->networks);
        free(*list);
        *list = NULL;
    }
}

bool fb_netlist_has(const struct fb_netlist *list, const struct fb_net_address *address)
{
    for (size_t i = 0; i < list->count; i++) {
        if (same_bits(list->networks[i].base.bytes, address->bytes, list->networks[i].bits)) {
            return true;
        }
    }
    return false;
}

bool fb_net_address_of(const struct sockaddr *sa, struct fb_net_address *address_r)
{
    if (sa->sa_family == AF_INET) {
        map_v4(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, address_r);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        memcpy(address_r->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
        return true;
    }
    return false;
}

bool fb_net_address_parse(const char *text, struct fb_net_address *a)
{
    struct in_addr four;
    if (inet_pton(AF_INET, text, &four) == 1) {
        map_v4(&four, a);
        return true;
    }
    return inet_pton(AF_INET6, text, a->bytes) == 1;
}

void fb_netlist_client(const struct fb_netlist *proxies, struct fb_slice rest,
                       struct fb_net_address *client)
{
    while (rest.len > 0 && fb_netlist_has(proxies, client)) {
        const uint8_t *comma = memrchr(rest.ptr, ',', rest.len);
        size_t at = comma != NULL ? (size_t)(comma - rest.ptr) + 1 : 0;
        struct fb_slice item = fb_slice_trim(fb_slice_sub(rest, at, rest.len - at));
        char text[INET6_ADDRSTRLEN] = "";
        struct fb_net_address address;
        if (item.len >= sizeof text) {
            return;
        }
        memcpy(text, item.ptr, item.len);
        if (!fb_net_address_parse(text, &address)) {
            return;
        }
        *client = address;
        rest = fb_slice_sub(rest, 0, at > 0 ? at - 1 : 0);
    }
}

void fb_net_address_text(const struct fb_net_address *a, char *out, size_t size)
{
    bool is_v4 = memcmp(a->bytes, mapped, sizeof mapped) == 0;
    if (inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? a->bytes + 12 : a->bytes, out,
                  (socklen_t)size) == NULL) {
        (void)snprintf(out, size, "unknown");
    }
}
