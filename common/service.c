/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/confine.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/tracing.h"

static atomic_bool is_stopping;
static int stop_fd = -1;

bool fb_service_stopping(void)
{
    return atomic_load(&is_stopping);
}

int fb_service_stop_fd(void)
{
    return stop_fd;
}

void fb_service_stop(void)
{
    atomic_store(&is_stopping, true);
    if (stop_fd >= 0) {
        ssize_t n = write(stop_fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)n; /* full means readable already */
    }
}

static void on_signal(int number)
{
    (void)number;
    if (atomic_load(&is_stopping)) {
        _exit(FB_EXIT_FAILED); /* asked twice: whatever is in hand will be claimed by another worker
                                */
    }
    int saved = errno;
    fb_service_stop();
    errno = saved;
}

static void prepare_process(void)
{
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    FB_ASSERT(stop_fd >= 0);
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigemptyset(&stop.sa_mask);
    FB_ASSERT(sigaction(SIGTERM, &stop, NULL) == 0 && sigaction(SIGINT, &stop, NULL) == 0);
    FB_ASSERT(sigaction(SIGPIPE, &ignore, NULL) == 0);
}

/* Before there are threads: the rules hold for those that are made later. */
static enum fb_status confine(const struct fb_service *service, const struct fb_config *config,
                              struct fb_error *err)
{
    struct fb_confine_rules rules;
    fb_confine_rules_init(config, service->uses, service->metrics_port, &rules);
    enum fb_status s = fb_confine(config, &rules, err);
    fb_confine_rules_deinit(&rules);
    fb_confine_secrets(config, service->uses);
    return s;
}

static void usage(FILE *to, const struct fb_service *service)
{
    (void)fprintf(to,
                  "usage: fumibako-%s [--config FILE] [--check | --dump-config | --config-table | "
                  "--version]\n"
                  "  --config FILE   configuration (default: $FUMIBAKO_CONFIG, then "
                  "/etc/fumibako/fumibako.yaml)\n"
                  "  --check         check the configuration and exit: 0 good, 78 not\n"
                  "  --dump-config   print the configuration in effect, secrets as ***\n"
                  "  --config-table  print all keys with default and meaning, in Markdown\n"
                  "  --version       print the version\n",
                  service->name);
}

static int exit_code(const struct fb_error *err)
{
    return err->status == FB_CONFIG ? FB_EXIT_CONFIG : FB_EXIT_FAILED;
}

/* Where there is no log yet. */
static int complain(const struct fb_service *service, const struct fb_error *err)
{
    (void)fprintf(stderr, "fumibako-%s: %s\n", service->name, err->text);
    return exit_code(err);
}

/* The configuration in effect, or (NULL) the table of all keys. */
static int dump(const struct fb_config *config)
{
    struct fb_buf text;
    fb_buf_init(&text, 1U << 20);
    int code = FB_EXIT_FAILED;
    enum fb_status s = config != NULL ? fb_config_dump(config, &text) : fb_config_table(&text);
    if (s == FB_OK && fwrite(text.ptr, 1, text.len, stdout) == text.len) {
        code = 0;
    }
    fb_buf_deinit(&text);
    return code;
}

/* host alone takes the service's own port, host:port is for one service. */
static enum fb_status serve_metrics(const struct fb_service *service,
                                    const struct fb_config *config,
                                    struct fb_metrics_server **server_r, struct fb_error *err)
{
    char host[64] = "";
    uint16_t port = service->metrics_port;
    if (!fb_host_port(config->metrics.listen, host, sizeof host, &port)) {
        (void)snprintf(host, sizeof host, "%s", config->metrics.listen);
    }
    fb_metric_set("fumibako_build_info", "version=\"" FB_VERSION "\"", 1);
    return fb_metrics_serve(host, port, server_r, NULL, err);
}

static int serve(const struct fb_service *service, const struct fb_config *config)
{
    struct fb_error err = {0};
    struct fb_metrics_server *metrics = NULL;
    void *ctx = NULL;
    int code = 0;
    enum fb_level level = FB_INFO;
    (void)fb_log_level_parse(config->log.level, &level); /* checked with the configuration */
    fb_log_init(service->name, level, strcmp(config->log.format, "json") == 0);
    prepare_process();
    if (service->counters != NULL) {
        fb_metrics_declare(NULL, service->counters);
    }

    enum fb_status s = service->check != NULL ? service->check(config, &err) : FB_OK;
    if (s == FB_OK && service->prepare != NULL) {
        s = service->prepare(config, &err);
    }
    if (s == FB_OK) {
        s = confine(service, config, &err);
    }
    if (s == FB_OK) {
        s = service->init(config, &ctx, &err);
    }
    /* Has a thread, and init may fork: a lock that a thread holds stays held in the child. */
    if (s == FB_OK) {
        s = fb_tracing_start(service->name, config, &err);
    }
    if (s == FB_OK) {
        s = serve_metrics(service, config, &metrics, &err);
    }
    if (s == FB_OK) {
        fb_log(FB_INFO, "started, version %s", FB_VERSION);
        s = service->run(ctx, &err);
    }
    if (s != FB_OK) {
        fb_log(FB_FATAL, "%s", err.text);
        code = exit_code(&err);
    } else {
        fb_log(FB_INFO, "stopped, everything in hand was finished or handed back");
    }
    fb_ready_set(false, "stopping");
    fb_metrics_stop(&metrics);
    if (ctx != NULL) {
        service->deinit(ctx);
    }
    fb_tracing_stop();
    return code;
}

int fb_service_main(const struct fb_service *service, int argc, char **argv)
{
    enum { OPT_CONFIG = 1, OPT_CHECK, OPT_DUMP, OPT_TABLE, OPT_VERSION, OPT_HELP };
    static const struct option options[] = {{"config", required_argument, NULL, OPT_CONFIG},
                                            {"check", no_argument, NULL, OPT_CHECK},
                                            {"dump-config", no_argument, NULL, OPT_DUMP},
                                            {"config-table", no_argument, NULL, OPT_TABLE},
                                            {"version", no_argument, NULL, OPT_VERSION},
                                            {"help", no_argument, NULL, OPT_HELP},
                                            {NULL, 0, NULL, 0}};
    const char *path = NULL;
    int mode = 0;
    fb_confine_memory();
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case OPT_CONFIG:
            path = optarg;
            break;
        case OPT_CHECK:
        case OPT_DUMP:
            mode = o;
            break;
        case OPT_TABLE:
            return dump(NULL);
        case OPT_VERSION:
            (void)printf("fumibako-%s %s\n", service->name, FB_VERSION);
            return 0;
        case OPT_HELP:
            usage(stdout, service);
            return 0;
        default:
            usage(stderr, service);
            return FB_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        usage(stderr, service);
        return FB_EXIT_USAGE;
    }

    struct fb_config *config = NULL;
    struct fb_error err = {0};
    int code = 0;
    if (fb_config_load(path, &config, &err) != FB_OK) {
        return complain(service, &err);
    }
    /* A program of ours that a service runs reads the same configuration (services/console/helper.c). */
    if (path != NULL && setenv("FUMIBAKO_CONFIG", path, 1) != 0) {
        (void)fb_error_errno(&err, FB_IO, errno, "environment");
        code = complain(service, &err);
        fb_config_free(&config);
        return code;
    }
    if (mode == OPT_CHECK) {
        if (service->check != NULL && service->check(config, &err) != FB_OK) {
            (void)complain(service, &err);
            code =
                FB_EXIT_CONFIG; /* whatever the reason: the configuration cannot be used as it is */
        } else {
            (void)printf("fumibako-%s: the configuration is good\n", service->name);
        }
    } else if (mode == OPT_DUMP) {
        code = dump(config);
    } else {
        code = serve(service, config);
    }
    fb_config_free(&config);
    return code;
}
