/* SPDX-License-Identifier: Apache-2.0
 *
 * One mail by libcurl's SMTP with everything that it offers for exact relaying, for the wire test:
 * what does it say, and what does it tell us?  curl_wire HOST:PORT FROM MAIL_SUFFIX RCPT... < MAIL;
 * prints curl's code, the reply code that it reports, and the replies that its trace saw. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static int trace(CURL *curl, curl_infotype type, char *data, size_t size, void *ctx)
{
    (void)curl;
    (void)ctx;
    if (type == CURLINFO_HEADER_OUT || type == CURLINFO_HEADER_IN) {
        (void)printf("%s %.*s", type == CURLINFO_HEADER_OUT ? ">" : "<", (int)size, data);
        if (size == 0 || data[size - 1] != '\n') {
            (void)printf("\n");
        }
    }
    return 0;
}

static size_t from_stdin(char *to, size_t size, size_t count, void *ctx)
{
    (void)ctx;
    return fread(to, size, count, stdin);
}

int main(int argc, char **argv)
{
    char url[200];
    char from[1200];
    struct curl_slist *recipients = NULL;
    if (argc < 5 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return 2;
    }
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        return 2;
    }
    for (int i = 4; i < argc; i++) {
        recipients = curl_slist_append(recipients, argv[i]);
    }
    (void)snprintf(url, sizeof url, "smtp://%s/client.test", argv[1]);
    (void)snprintf(from, sizeof from, "<%s>%s", argv[2], argv[3]);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from);
    (void)curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
#if LIBCURL_VERSION_NUM >= 0x080200
    (void)curl_easy_setopt(curl, CURLOPT_MAIL_RCPT_ALLOWFAILS, 1L);
#else
    (void)curl_easy_setopt(curl, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
#endif
    (void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, from_stdin);
    (void)curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, trace);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
    CURLcode code = curl_easy_perform(curl);
    long reply = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply);
    (void)printf("curl %s code %d reply %ld\n", curl_version_info(CURLVERSION_NOW)->version,
                 (int)code, reply);
    curl_slist_free_all(recipients);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return 0;
}
