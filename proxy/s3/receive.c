/* proxy/s3/receive.c - see receive.h. */
#include <ctype.h>
#include <stdio.h>

#include "proxy/s3/receive.h"

void checksum_header(enum checksum_kind kind, char header[40])
{
    const char *name = checksum_name(kind);
    int         n = snprintf(header, 40, "x-amz-checksum-%s", name ? name : "");

    for (int i = 0; i < n && i < 39; i++)
        header[i] = (char)tolower((unsigned char)header[i]);
}

static int read_md5(struct s3_call *c, struct receipt *r)
{
    struct slice text = s3_header(c, "Content-MD5");
    size_t       size;

    if (!text.data)
        return 0;
    if (base64_decode(r->md5, sizeof r->md5, text, &size) || size != sizeof r->md5)
        return s3_error(c, S3_INVALID_DIGEST);
    r->md5_given = true;
    return 0;
}

static int read_kind(struct s3_call *c, struct receipt *r, enum checksum_kind kind)
{
    char         header[40];
    struct slice text;
    bool         trailing;

    checksum_header(kind, header);
    text = s3_header(c, header);
    trailing = !text.data && c->body && s3_body_announces(c->body, header);
    if (!text.data && !trailing)
        return 0;
    if (r->given)
        return s3_errorf(c, S3_INVALID_REQUEST, "Expecting a single x-amz-checksum- header.");
    if (text.data && checksum_parse(kind, text, r->value, NULL))
        return s3_errorf(c, S3_BAD_DIGEST, "The value of %s is not a checksum of that kind.", header);
    r->given = true;
    r->trailing = trailing;
    r->kind = kind;
    memcpy(r->header, header, sizeof header);
    return 0;
}

int receipt_read(struct s3_call *c, enum checksum_kind wanted, struct receipt *ret)
{
    struct receipt r = { .md5_given = false };
    int            rc = read_md5(c, &r);

    for (int kind = CHECKSUM_NONE + 1; rc == 0 && kind < CHECKSUM_END_; kind++)
        rc = read_kind(c, &r, (enum checksum_kind)kind);
    if (rc)
        return rc;
    if (wanted && r.given && r.kind != wanted)
        return s3_errorf(c, S3_INVALID_REQUEST, "Checksum Type mismatch occurred, expected checksum Type: %s, actual "
                         "checksum Type: %s", checksum_name(wanted), checksum_name(r.kind));
    if (wanted)
        r.kind = wanted;
    *ret = r;
    return 0;
}

int receipt_check(struct s3_call *c, const struct receipt *r, const struct object_put *put, struct slice trailer)
{
    uint8_t      sent[CHECKSUM_BYTES_MAX];
    struct slice have = object_put_checksum_value(put);

    if (r->md5_given && memcmp(r->md5, object_put_md5(put), sizeof r->md5) != 0)
        return s3_errorf(c, S3_BAD_DIGEST, "The Content-MD5 you specified did not match what we received.");
    if (!r->given)
        return 0;
    memcpy(sent, r->value, sizeof sent);
    if (r->trailing && checksum_parse(r->kind, trailer, sent, NULL))
        return s3_errorf(c, S3_BAD_DIGEST, "The trailer %s is missing, or not a checksum of that kind.", r->header);
    if (have.size != checksum_size(r->kind) || memcmp(sent, have.data, have.size) != 0)
        return s3_errorf(c, S3_BAD_DIGEST, "The %s you specified did not match what we received.", r->header);
    return 0;
}

int receive_body(struct s3_call *c, const struct receipt *r, struct object_put *put)
{
    struct slice trailer = SLICE_NONE;
    uint8_t     *to, spare;
    size_t       room, n = 1;
    int          rc = r->kind ? object_put_checksum(put, r->kind, &c->err) : 0;

    while (rc == 0 && n > 0) {
        rc = object_put_room(put, &to, &room, &c->err);
        /* With all bytes there, the body is read to its end still: that is when its signature is proved. */
        if (rc == 0)
            rc = s3_body_read(c->body, room ? to : &spare, room ? room : 1, &n, &c->err);
        if (rc == 0 && n > 0)
            rc = room ? object_put_filled(put, n, &c->err) : s3_error(c, S3_INCOMPLETE_BODY);
    }
    if (rc == 0)
        rc = object_put_end(put, &c->err);
    if (rc == 0 && r->trailing)
        trailer = s3_body_trailer(c->body, r->header);
    return rc ? rc : receipt_check(c, r, put, trailer);
}
