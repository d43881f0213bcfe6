/* base/conn_address.c - addresses of sockets as text. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conn_private.h"

enum { HOST_MAX = 256 };

/* "HOST:PORT" or "[HOST]:PORT" into its parts. */
static int address_split(const char *text, char host[HOST_MAX], uint16_t *ret_port, bool *ret_bracketed)
{
    const char   *colon = strrchr(text, ':');
    const char   *begin = text, *end = colon;
    unsigned long port = 0;

    if (!colon || colon[1] == '\0' || strlen(colon + 1) > 5)
        return -EINVAL;
    for (const char *p = colon + 1; *p; p++) {
        if (*p < '0' || *p > '9')
            return -EINVAL;
        port = port * 10 + (unsigned long)(*p - '0');
    }
    *ret_bracketed = text[0] == '[';
    if (*ret_bracketed) {
        begin++;
        end--;
        if (end <= begin || *end != ']')
            return -EINVAL;
    }
    if (port > UINT16_MAX || end <= begin || (size_t)(end - begin) >= HOST_MAX)
        return -EINVAL;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    *ret_port = (uint16_t)port;
    return 0;
}

static int host_parse(const char *host, bool bracketed, uint16_t port, struct sockaddr_storage *ret_address)
{
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    struct sockaddr_in  v4 = { .sin_family = AF_INET, .sin_port = htons(port) };

    memset(ret_address, 0, sizeof *ret_address);
    if (bracketed && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(ret_address, &v6, sizeof v6);
        return 0;
    }
    if (!bracketed && inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(ret_address, &v4, sizeof v4);
        return 0;
    }
    return -EINVAL;
}

socklen_t address_size(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

int address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
    char     host[HOST_MAX];
    uint16_t port;
    bool     bracketed;
    int      rc = address_split(text, host, &port, &bracketed);

    if (rc == 0)
        rc = host_parse(host, bracketed, port, ret_address);
    if (rc == 0)
        *ret_size = address_size(ret_address);
    return rc;
}

void address_format(const struct sockaddr_storage *address, char *ret_text, size_t capacity)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(ret_text, capacity, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(ret_text, capacity, "%s:%u", host, ntohs(v4->sin_port));
    }
}

struct resolve_job {
    const char      *host;
    struct addrinfo *results;
    int              rc;
};

static void resolve_run(void *arg)
{
    struct resolve_job *job = arg;
    struct addrinfo     hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };

    job->rc = getaddrinfo(job->host, NULL, &hints, &job->results);
}

int address_resolve(struct env *env, const char *text, struct sockaddr_storage ret_addresses[ADDRESS_RESULTS_MAX],
                    uint32_t *ret_count)
{
    char     host[HOST_MAX];
    uint16_t port;
    bool     bracketed;
    int      rc = address_split(text, host, &port, &bracketed);

    if (rc != 0)
        return rc;
    if (host_parse(host, bracketed, port, &ret_addresses[0]) == 0) {
        *ret_count = 1;
        return 0;
    }
    if (bracketed)
        return -EINVAL;

    struct resolve_job job = { .host = host };
    rc = env_work(env, WORK_IO, resolve_run, &job);
    if (rc != 0)
        return rc;
    if (job.rc != 0)
        return job.rc == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
    uint32_t count = 0;
    for (const struct addrinfo *r = job.results; r && count < ADDRESS_RESULTS_MAX; r = r->ai_next) {
        if (r->ai_family != AF_INET && r->ai_family != AF_INET6)
            continue;
        struct sockaddr_storage *address = &ret_addresses[count++];
        memset(address, 0, sizeof *address);
        memcpy(address, r->ai_addr, r->ai_addrlen);
        if (r->ai_family == AF_INET6)
            ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
        else
            ((struct sockaddr_in *)address)->sin_port = htons(port);
    }
    freeaddrinfo(job.results);
    *ret_count = count;
    return count ? 0 : -EHOSTUNREACH;
}
