/* proxy/s3/host.c - the names of the service, and the bucket in front of one of them (virtual-host style). */
#include <strings.h>

#include "proxy/s3/call.h"

enum { HOST_LABEL_MAX = 63 };   /* RFC 1035, section 2.3.4. */

bool s3_host_valid(struct slice name)
{
    size_t label = 0;

    if (name.size == 0 || name.size > S3_HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i <= name.size; i++) {
        uint8_t b = i < name.size ? name.data[i] : '.';
        bool    word = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9');

        if (b == '.' && (label == 0 || label > HOST_LABEL_MAX || name.data[i - 1] == '-'))
            return false;
        if (b != '.' && !word && (b != '-' || label == 0))
            return false;
        label = b == '.' ? 0 : label + 1;
    }
    return true;
}

/* Is 'host' this name, or one below it? '*ret_front': what stands in front of it, without the dot. */
static bool under(struct slice host, struct slice ours, struct slice *ret_front)
{
    if (host.size < ours.size)
        return false;
    if (strncasecmp((const char *)host.data + host.size - ours.size, (const char *)ours.data, ours.size) != 0)
        return false;
    if (host.size > ours.size && host.data[host.size - ours.size - 1] != '.')
        return false;
    *ret_front = slice_of(host.data, host.size > ours.size ? host.size - ours.size - 1 : 0);
    return true;
}

/* Of several names that fit the longest counts: "s3.example.org" rather than "example.org". */
bool s3_host_bucket(const struct s3 *s3, struct slice host, struct slice *ret_bucket)
{
    const uint8_t *colon = host.size ? memrchr(host.data, ':', host.size) : NULL;
    struct slice   front = SLICE_NONE, best = SLICE_NONE;
    bool           found = false;

    *ret_bucket = SLICE_NONE;
    if (host.size == 0 || host.data[0] == '[')
        return false;
    if (colon)
        host.size = (size_t)(colon - host.data);
    found = under(host, SLICE("localhost"), &best);
    for (uint32_t i = 0; i < S3_HOSTS_MAX && s3->hosts[i]; i++)
        if (under(host, slice_str(s3->hosts[i]), &front) && (!found || front.size < best.size)) {
            best = front;
            found = true;
        }
    if (!found) {
        const uint8_t *at = memmem(host.data, host.size, ".s3.", 4);
        *ret_bucket = at ? slice_of(host.data, (size_t)(at - host.data)) : SLICE_NONE;
        return false;
    }
    *ret_bucket = under(best, SLICE("s3"), &front) ? front : best;   /* "s3.localhost" is a name of ours as well. */
    return true;
}
