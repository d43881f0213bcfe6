/* sim/s3_uploads.h - multipart uploads whose calls cross, and copies, as registers. */
#ifndef SIM_S3_UPLOADS_H
#define SIM_S3_UPLOADS_H

#include "sim/scenario.h"

WAITS void s3_uploads_step(struct run *run, struct life *life, uint32_t client);
/* Copies among a few keys, onto themselves too, with overwrites and deletes. */
WAITS void s3_copies_step(struct run *run, struct life *life, uint32_t client);
WAITS int  s3_uploads_prepare(struct run *run, struct life *life);
WAITS int  s3_uploads_verify(struct run *run, struct life *life, uint32_t key);
void       s3_uploads_free(struct run *run);

#endif
