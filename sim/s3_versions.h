/* sim/s3_versions.h - versions of objects: each a register that is written once and deleted. */
#ifndef SIM_S3_VERSIONS_H
#define SIM_S3_VERSIONS_H

#include "sim/scenario.h"

WAITS void s3_versions_step(struct run *run, struct life *life, uint32_t client);
WAITS int  s3_versions_prepare(struct run *run, struct life *life);
WAITS int  s3_versions_verify(struct run *run, struct life *life, uint32_t key);
void       s3_versions_free(struct run *run);

#endif
