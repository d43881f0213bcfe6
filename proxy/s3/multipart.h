/* proxy/s3/multipart.h - what multipart.c, multipart_part.c and multipart_complete.c share; only for proxy/s3. */
#ifndef PROXY_S3_MULTIPART_H
#define PROXY_S3_MULTIPART_H

#include "proxy/s3/call.h"

/* uploadId= of the request. S3_NO_SUCH_UPLOAD when it cannot be one. */
int upload_id_parse(struct s3_call *c, uint8_t ret_id[UPLOAD_ID_BYTES]);
/* What a call of the object service returned, with -ENOENT as NoSuchUpload. */
int upload_code(struct s3_call *c, int rc);
/* "COMPOSITE" or "FULL_OBJECT". */
const char *checksum_type_name(const Rs__ObjectMeta *meta);
/* <ChecksumCRC32>...</ChecksumCRC32>, nothing without a value; 'parts' as checksum_text(). */
void checksum_element(struct text *xml, uint32_t kind, struct slice value, uint32_t parts);

#endif
