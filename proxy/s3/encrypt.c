/* proxy/s3/encrypt.c - the headers of server-side encryption: by keys of the service (SSE-S3), and by a key that comes
 * with each request (SSE-C). Keys of a management service are not there: 501.
 *
 * AWS takes a customer's key only over TLS. That is left to whoever runs the service. */
#include "proxy/s3/object.h"

#include <openssl/evp.h>

#include "proxy/object/checksum.h"

#define SSE      "x-amz-server-side-encryption"
#define CUSTOMER "x-amz-server-side-encryption-customer-"
#define SOURCE   "x-amz-copy-source-server-side-encryption-customer-"

enum { KEY_MD5_BYTES = 16, HEADER_NAME_MAX = 80 };

/* --- A customer's key. --- */

struct customer {
    bool             given;
    struct crypt_key key;
    uint8_t          md5[KEY_MD5_BYTES];
};

static struct slice customer_header(const struct s3_call *c, const char *prefix, const char *suffix)
{
    char name[HEADER_NAME_MAX];

    snprintf(name, sizeof name, "%s%s", prefix, suffix);
    return s3_header(c, name);
}

/* Nothing in the message repeats the key: messages are logged. */
static int bad_key(struct s3_call *c, const char *why)
{
    return s3_errorf(c, S3_INVALID_ARGUMENT, "%s", why);
}

/* In the arena; given or not. */
static int customer_read(struct s3_call *c, const char *prefix, struct customer **ret)
{
    struct slice     algorithm = customer_header(c, prefix, "algorithm"), key = customer_header(c, prefix, "key");
    struct slice     md5 = customer_header(c, prefix, "key-MD5");
    struct customer *customer = arena_new(c->arena, struct customer);
    uint8_t          sent[KEY_MD5_BYTES];
    size_t           size;

    if (!customer)
        return -ENOMEM;
    *ret = customer;
    if (!algorithm.data && !key.data && !md5.data)
        return 0;
    if (!algorithm.data)
        return bad_key(c, "A customer's key comes with the name of its algorithm.");
    if (!slice_equal(algorithm, SLICE("AES256")))
        return s3_errorf(c, S3_INVALID_ENCRYPTION_ALGORITHM, "The only algorithm for a customer's key is AES256.");
    if (!key.data)
        return bad_key(c, "The request names an algorithm, but has no key.");
    if (base64_decode(customer->key.bytes, sizeof customer->key.bytes, key, &size) || size != CRYPT_KEY_BYTES)
        return bad_key(c, "A key for AES256 is 32 bytes in base64.");
    if (!md5.data)
        return bad_key(c, "A customer's key comes with its MD5.");
    if (EVP_Digest(customer->key.bytes, CRYPT_KEY_BYTES, customer->md5, NULL, EVP_md5(), NULL) != 1)
        return -ENOMEM;
    if (base64_decode(sent, sizeof sent, md5, &size) || size != sizeof sent ||
        memcmp(sent, customer->md5, sizeof sent) != 0)
        return bad_key(c, "The key has another MD5 than the one that was sent with it.");
    customer->given = true;
    return 0;
}

static bool is_key_of(const struct customer *customer, const Rs__Encryption *record)
{
    return slice_equal(slice_of(customer->md5, sizeof customer->md5), s3_pb(record->key_md5));
}

/* --- Reading. --- */

static int check_object(struct s3_call *c, const char *prefix, struct object *object)
{
    const Rs__Encryption *record = object->meta->encryption;
    struct customer      *customer;
    int                   rc = customer_read(c, prefix, &customer);

    if (rc)
        return rc;
    if (!record || record->kind != ENCRYPTION_CUSTOMER)
        return customer->given ? s3_errorf(c, S3_INVALID_REQUEST, "The object is not encrypted by a customer's key.") : 0;
    if (!customer->given)
        return s3_errorf(c, S3_INVALID_REQUEST, "The object is encrypted by a customer's key, which the request must have.");
    if (!is_key_of(customer, record))
        return s3_errorf(c, S3_INVALID_REQUEST, "The object is encrypted by another key than the request has.");
    object->customer_key = &customer->key;
    return 0;
}

int s3_encryption_check(struct s3_call *c, struct object *object)
{
    if (s3_header(c, SSE).data)
        return s3_bad_argument(c, SSE, s3_header(c, SSE), "A read does not choose the encryption.");
    return check_object(c, CUSTOMER, object);
}

int s3_encryption_source(struct s3_call *c, struct object *object)
{
    return check_object(c, SOURCE, object);
}

/* --- Writing. --- */

/* x-amz-server-side-encryption: *ret_wanted, or why not. */
static int service_read(struct s3_call *c, bool customer, bool *ret_wanted)
{
    struct slice sse = s3_header(c, SSE), key_id = s3_header(c, SSE "-aws-kms-key-id");
    bool         own = slice_equal(sse, SLICE("AES256"));
    bool         kms = slice_equal(sse, SLICE("aws:kms")) || slice_equal(sse, SLICE("aws:kms:dsse"));

    *ret_wanted = own;
    if (sse.data && !own && !kms)
        return s3_bad_argument(c, SSE, sse, "This method of encryption is not known.");
    if (sse.data && customer)
        return s3_bad_argument(c, SSE, sse, "A customer's key excludes other methods of encryption.");
    if (key_id.data && !kms)
        return s3_bad_argument(c, SSE "-aws-kms-key-id", key_id, "The id of a KMS key goes with aws:kms only.");
    if (kms)
        return s3_errorf(c, S3_NOT_IMPLEMENTED, "Encryption by a key management service is not implemented.");
    return 0;
}

/* What the request asks for; kind ENCRYPTION_NONE: nothing. */
static int wanted(struct s3_call *c, struct put_encryption *ret)
{
    struct customer *customer;
    bool             own = false;
    int              rc = customer_read(c, CUSTOMER, &customer);

    if (rc == 0)
        rc = service_read(c, customer->given, &own);
    ret->kind = rc ? ENCRYPTION_NONE : customer->given ? ENCRYPTION_CUSTOMER : own ? ENCRYPTION_S3 : ENCRYPTION_NONE;
    ret->customer_key = rc == 0 && customer->given ? &customer->key : NULL;
    return rc;
}

int s3_encryption_valid(struct s3_call *c)
{
    struct put_encryption encryption;

    return wanted(c, &encryption);
}

int s3_encryption_put(struct s3_call *c, struct object_put *put)
{
    struct put_encryption encryption;
    int                   rc = wanted(c, &encryption);

    if (rc || encryption.kind == ENCRYPTION_NONE)
        return rc;   /* The bucket's default is the object service's business. */
    return object_put_encrypt(put, &encryption, &c->err);
}

int s3_encryption_upload(struct s3_call *c, Rs__ObjectMeta *meta)
{
    struct put_encryption encryption;
    int                   rc = wanted(c, &encryption);

    if (rc || encryption.kind == ENCRYPTION_NONE)
        return rc;
    return upload_encryption(c->os, &encryption, c->arena, &meta->encryption, &c->err);
}

/* --- Uploads. --- */

/* The request has the key that the upload was begun with, and no other; NULL when the upload has none. */
static int upload_key(struct s3_call *c, const Rs__ObjectMeta *meta, bool optional, struct customer **ret)
{
    const Rs__Encryption *record = meta->encryption;
    struct customer      *customer;
    bool                  needed = record && record->kind == ENCRYPTION_CUSTOMER;
    int                   rc = customer_read(c, CUSTOMER, &customer);

    *ret = NULL;
    if (rc)
        return rc;
    if (customer->given && !needed)
        return s3_errorf(c, S3_INVALID_REQUEST, "The upload was not begun with a customer's key.");
    if (!customer->given)
        return needed && !optional ? s3_errorf(c, S3_INVALID_REQUEST, "The upload was begun with a customer's key, "
                                               "which the request must have.") : 0;
    if (!is_key_of(customer, record))
        return s3_errorf(c, S3_INVALID_REQUEST, "The upload was begun with another key than the request has.");
    *ret = customer;
    return 0;
}

int s3_encryption_part(struct s3_call *c, const Rs__ObjectMeta *meta, struct object_put *put)
{
    struct customer      *customer;
    struct put_encryption encryption = { .kind = ENCRYPTION_CUSTOMER };
    int                   rc = upload_key(c, meta, false, &customer);

    if (rc || !customer)
        return rc;
    encryption.customer_key = &customer->key;
    return object_put_encrypt(put, &encryption, &c->err);
}

int s3_encryption_complete(struct s3_call *c, const Rs__ObjectMeta *meta)
{
    struct customer *customer;

    /* The bytes are there; the key is only needed, as with AWS, when checksums of the parts are compared. */
    return upload_key(c, meta, meta->checksum_kind == CHECKSUM_NONE, &customer);
}

/* --- Answers. --- */

void s3_reply_encryption(struct s3_call *c, const Rs__ObjectMeta *meta)
{
    const Rs__Encryption *record = meta->encryption;
    char                  text[32];

    if (record && record->kind == ENCRYPTION_S3)
        http_reply_header(c->rq, SSE, SLICE("AES256"));
    if (!record || record->kind != ENCRYPTION_CUSTOMER || record->key_md5.len != KEY_MD5_BYTES)
        return;
    http_reply_header(c->rq, CUSTOMER "algorithm", SLICE("AES256"));
    http_reply_header(c->rq, CUSTOMER "key-MD5",
                      slice_of(text, base64_encode(text, record->key_md5.data, record->key_md5.len)));
}
