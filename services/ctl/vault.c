/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako vault verify */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/vault/vault.h"
#include "services/ctl/ctl.h"

#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)

/* One vault of the policy under the lens. */
struct look {
    const struct ctl *c;
    const char *storage;
    json_t *findings; /* of all storages */
    struct fb_vault_verified sum;
    struct fb_vault_verify how;
    char (*ids)[FB_PARCEL_ID_SIZE];
    size_t count, cap;
};

static void show_finding(void *ctx, const struct fb_vault_finding *f)
{
    struct look *l = ctx;
    const char *fault = fb_vault_fault_name(f->fault);
    if (l->c->is_json) {
        (void)json_array_append_new(
            l->findings,
            json_pack("{s:o,s:s,s:s,s:o,s:o,s:b}", "storage", fb_json_text(l->storage), "parcel",
                      f->parcel_id, "fault", fault, "name", fb_json_text(f->name), "text",
                      fb_json_text(f->text), "repaired", (int)f->is_repaired));
        return;
    }
    (void)printf("%-9s  %s%s%s: ", fault, f->parcel_id, f->name[0] != '\0' ? "/" : "", f->name);
    ctl_print_clean(f->text);
    (void)puts(f->is_repaired ? "; removed" : "");
}

/* Ids first: what is looked at may take hours, and a listing is not held open for that. */
static bool keep_id(void *ctx, const char *parcel_id)
{
    struct look *l = ctx;
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 256 : l->cap * 2;
        char(*grown)[FB_PARCEL_ID_SIZE] = realloc(l->ids, l->cap * sizeof *grown);
        FB_ASSERT(grown != NULL);
        l->ids = grown;
    }
    (void)snprintf(l->ids[l->count++], sizeof l->ids[0], "%s", parcel_id);
    return true;
}

static enum fb_status look_at(struct look *l, struct fb_vault *vault, struct fb_error *err)
{
    const char *only = l->c->parcel;
    enum fb_status s = FB_OK;
    if (only != NULL) {
        return fb_vault_verify(vault, only, &l->how, &l->sum, err);
    }
    s = fb_vault_each(vault, keep_id, l, err);
    for (size_t i = 0; i < l->count && s == FB_OK; i++) {
        s = fb_vault_verify(vault, l->ids[i], &l->how, &l->sum, err);
        s = s == FB_NOT_FOUND ? FB_OK : s; /* purged since it was listed */
    }
    return s;
}

static uint64_t wrongs(const struct fb_vault_verified *sum)
{
    return sum->faults[FB_VAULT_DAMAGED] + sum->faults[FB_VAULT_MISSING] +
           sum->faults[FB_VAULT_UNKNOWN];
}

static void show_sum(const struct look *l, json_t *storages)
{
    const struct fb_vault_verified *v = &l->sum;
    uint64_t orphans = v->faults[FB_VAULT_ORPHAN];
    if (l->c->is_json) {
        (void)json_array_append_new(
            storages,
            json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "storage",
                      fb_json_text(l->storage), "parcels", (json_int_t)v->parcels, "files",
                      (json_int_t)v->files, "bytes", (json_int_t)v->bytes, "damaged",
                      (json_int_t)v->faults[FB_VAULT_DAMAGED], "missing",
                      (json_int_t)v->faults[FB_VAULT_MISSING], "unknown",
                      (json_int_t)v->faults[FB_VAULT_UNKNOWN], "orphans", (json_int_t)orphans,
                      "half_made", (json_int_t)v->faults[FB_VAULT_HALF_MADE], "repaired",
                      (json_int_t)v->repaired));
        return;
    }
    (void)printf("%s: %" PRIu64 " parcels, %" PRIu64 " files, %" PRIu64 " bytes: ", l->storage,
                 v->parcels, v->files, v->bytes);
    if (wrongs(v) == 0) {
        (void)printf("all whole");
    } else {
        (void)printf("%" PRIu64 " things WRONG", wrongs(v));
    }
    if (orphans > v->repaired) {
        (void)printf("; %" PRIu64 " orphans (remove them with --repair-orphans)",
                     orphans - v->repaired);
    }
    if (v->repaired > 0) {
        (void)printf("; %" PRIu64 " orphans removed", v->repaired);
    }
    (void)puts(".");
}

/* Adds to *code: what is wrong in one storage. */
static enum fb_status verify_storage(struct ctl *c, const struct fb_policy_storage *storage,
                                     json_t *findings, json_t *storages, uint64_t *wrong,
                                     struct fb_error *err)
{
    struct fb_vault *vault = NULL;
    struct look l = {.c = c, .storage = storage->name, .findings = findings};
    /* Mail waits for so long at most, and is held for so long at most. */
    l.how = (struct fb_vault_verify){.repairs_orphans = c->repairs_orphans,
                                     .half_made_ms = c->config->retention.dead_ms +
                                                     c->config->rewrite.lifetime_ms + DAY_MS,
                                     .found = show_finding,
                                     .ctx = &l};
    enum fb_status s = fb_vault_check_root(c->config, storage->url, err);
    s = s == FB_OK ? fb_vault_open(storage->url, storage->key_file, &vault, err) : s;
    s = s == FB_OK ? look_at(&l, vault, err) : s;
    fb_vault_close(&vault);
    free(l.ids);
    if (s == FB_OK) {
        show_sum(&l, storages);
        *wrong += wrongs(&l.sum);
        return FB_OK;
    }
    /* With --parcel and no --storage it lies in one of them. */
    return s == FB_NOT_FOUND ? FB_NOT_FOUND : fb_error_prefix(err, "storage \"%s\"", storage->name);
}

static int verify_all(struct ctl *c, const struct fb_policy *policy)
{
    json_t *findings = json_array();
    json_t *storages = json_array();
    struct fb_error err = {0};
    enum fb_status s = FB_OK;
    uint64_t wrong = 0;
    size_t seen = 0;
    size_t found = 0;
    for (size_t i = 0; i < policy->storage_count && s == FB_OK; i++) {
        const struct fb_policy_storage *storage = &policy->storages[i];
        if (storage->type != FB_STORAGE_VAULT ||
            (c->storage != NULL && strcmp(c->storage, storage->name) != 0)) {
            continue;
        }
        seen++;
        s = verify_storage(c, storage, findings, storages, &wrong, &err);
        found += s == FB_OK ? 1 : 0;
        s = s == FB_NOT_FOUND ? FB_OK : s;
    }
    if (s == FB_OK && seen == 0) {
        s = fb_error_set(&err, FB_NOT_FOUND, "the policy in force has no vault%s%s%s",
                         c->storage != NULL ? " \"" : "", c->storage != NULL ? c->storage : "",
                         c->storage != NULL ? "\"" : "");
    } else if (s == FB_OK && found == 0) {
        s = fb_error_set(&err, FB_NOT_FOUND, "no vault holds a parcel %s", c->parcel);
    }
    if (s != FB_OK) {
        json_decref(findings);
        json_decref(storages);
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(json_pack("{s:o,s:o}", "storages", storages, "findings", findings));
    } else {
        json_decref(findings);
        json_decref(storages);
    }
    return wrong > 0 ? FB_EXIT_FAILED : 0;
}

/* It removes files that nobody needs: written down before, where Redis is there.  A vault is mended without it, too. */
static void note_repair(struct ctl *c)
{
    struct fb_error err = {0};
    enum fb_status s =
        c->redis != NULL ? FB_OK : fb_redis_new(c->config, CTL_REDIS_TIMEOUT_MS, &c->redis, &err);
    if (s == FB_OK) {
        json_t *after = json_pack("{s:s?,s:s?}", "storage", c->storage, "parcel", c->parcel);
        s = ctl_audit(c, "vault.repair", "vault", NULL, after, &err);
        json_decref(after);
    }
    if (s != FB_OK) {
        (void)fprintf(stderr, "fumibako: the repair is not in the audit: %s\n", err.text);
    }
}

int ctl_vault_verify(struct ctl *c)
{
    int code = 0;
    struct fb_buf document;
    struct fb_policy *policy = NULL;
    struct fb_policy_findings findings = {0};
    if (!ctl_policy_in_force(c, &document, &code)) {
        return code;
    }
    enum fb_status s = fb_policy_parse(fb_slice_buf(&document), &policy, &findings);
    fb_policy_findings_deinit(&findings);
    fb_buf_deinit(&document);
    if (s != FB_OK) {
        struct fb_error err = {0};
        (void)fb_error_set(&err, FB_CONFIG,
                           "the policy in force cannot be read: `fumibako policy check` says why");
        return ctl_fail(c, &err);
    }
    if (c->repairs_orphans) {
        note_repair(c);
    }
    code = verify_all(c, policy);
    fb_policy_unref(&policy);
    return code;
}
