/* storage/row_store.h - the replica's side of rows on one device.
 *
 * One committer task a device takes queued accepts, prepares and purges in
 * order, judges each by the protocol's rules against the index (plus what the
 * same batch decided), writes the batch to the journal (one sync), applies it to
 * the index with the journal's lsn in the same kv batch, then answers. The
 * index holds only durable rows, so reads go to it directly. */
#ifndef STORAGE_ROW_STORE_H
#define STORAGE_ROW_STORE_H

#include "storage/device.h"

/* Called by device_open(): replays the journal into device->kv and starts the committer. 'memory': see
 * struct device_options. */
WAITS int row_store_open(struct device *device, const struct journal_options *journal, struct row_memory *memory,
                         struct row_store **ret_store, struct error *err);
/* Stops the committer, flushes the index and trims the journal. */
WAITS struct row_store *row_store_close(struct row_store *store);
/* Registers the METHOD_ROW_* and METHOD_SHARD_* handlers; requests name the device. */
void row_service_register(struct rpc *rpc, struct storage_service *service);

#endif
