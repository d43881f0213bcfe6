/* storage/kv_rocks.c - storage/kv.h on RocksDB, without its write-ahead log.
 *
 * Calls that stay in memory run on the loop: a get that the memtable or the
 * block cache can answer, and a write that RocksDB does not want to stall. The
 * others run on a worker while the task waits. Writes stay in call order: while
 * one is on a worker, later ones (and reads) wait for it.
 *
 * The block cache is one for the process. 'path' is used by RocksDB itself, so
 * it must be absolute, or relative to the process's current directory.
 *
 * An I/O error or corruption that RocksDB reports is final for the index: it
 * refuses writes from then on, and the device leaves service. */
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "storage/kv.h"

COUNTER(kv_get_slow, "Index lookups that had to read from disk.");
COUNTER(kv_write_slow, "Index writes that RocksDB wanted to delay.");

enum {
    CACHE_BYTES = 96 * 1024 * 1024,          /* Of the whole process. */
    WRITE_BUFFER_BYTES = 16 * 1024 * 1024,
    LEVEL_BYTES = 128 * 1024 * 1024,         /* Of the first sorted level: as much as what comes down at once. */
    LEVEL0_FILES = 6,                        /* Flushed files that a compaction waits for. */
    ARENA_BYTES = 256 * 1024,                /* A memtable grows by this: idle devices stay small. */
    OPEN_FILES_MAX = 512,                    /* Of a device: 8 GiB of rows. */
    BLOCK_BYTES = 4096,
    READ_TIER_MEMORY = 1                     /* rocksdb::kBlockCacheTier */
};

struct rocks {
    struct kv                kv;
    rocksdb_t               *db;
    rocksdb_options_t       *options;
    rocksdb_readoptions_t   *read_memory, *read;
    rocksdb_writeoptions_t  *write_now, *write;
    rocksdb_writebatch_t    *batch;     /* Reused; belongs to the write that runs now. */
    bool                     slow;      /* A write is on a worker. */
    struct waitq             slow_q;
};

/* --- What every instance shares. --- */

static struct {
    pthread_once_t   once;
    rocksdb_cache_t *cache;
} shared = { .once = PTHREAD_ONCE_INIT };

static void shared_init(void)
{
    shared.cache = rocksdb_cache_create_lru(CACHE_BYTES);
}

/* RocksDB tells errors in words only; the prefixes are those of Status::ToString(). Frees 'text'. */
static int code_of(char *text, struct error *err)
{
    int code = -EIO;

    if (!text)
        return 0;
    if (strncmp(text, "Result incomplete", 17) == 0)
        code = -EAGAIN;
    else if (strncmp(text, "Corruption", 10) == 0 || strncmp(text, "Not implemented", 15) == 0)
        code = -E_CORRUPT;
    else if (strncmp(text, "NotFound", 8) == 0)
        code = -ENOENT;
    else if (strstr(text, "No space left"))
        code = -ENOSPC;
    error_set(err, code, "index: %s", text);
    rocksdb_free(text);
    return code;
}

/* --- Opening and closing. --- */

struct open_job {
    struct rocks *rocks;
    const char   *path;
    bool          read_only;
    char         *error;
};

static void open_work(void *arg)
{
    struct open_job *job = arg;

    job->rocks->db = job->read_only ? rocksdb_open_for_read_only(job->rocks->options, job->path, 0, &job->error)
                                    : rocksdb_open(job->rocks->options, job->path, &job->error);
}

static rocksdb_options_t *options_new(const struct kv_options *o)
{
    size_t                               buffer = o->write_buffer_bytes ? o->write_buffer_bytes : WRITE_BUFFER_BYTES;
    rocksdb_options_t                   *options = rocksdb_options_create();
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    /* What was just flushed is soon compacted: not worth it there. */
    int compression[] = { rocksdb_no_compression, rocksdb_lz4_compression };

    pthread_once(&shared.once, shared_init);
    rocksdb_options_set_create_if_missing(options, !o->read_only);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_write_buffer_size(options, buffer);
    rocksdb_options_set_max_write_buffer_number(options, 2);
    rocksdb_options_set_arena_block_size(options, buffer / 8 < ARENA_BYTES ? buffer / 8 : ARENA_BYTES);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_open_files(options, OPEN_FILES_MAX);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_target_file_size_base(options, buffer);
    rocksdb_options_set_max_bytes_for_level_base(options, LEVEL_BYTES);
    rocksdb_options_set_level0_file_num_compaction_trigger(options, LEVEL0_FILES);
    rocksdb_options_set_compression_per_level(options, compression, sizeof compression / sizeof compression[0]);
    /* Most lookups of a writer are for rows that are new: a filter saves it the search in the memtable. */
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.02);
    rocksdb_options_set_memtable_whole_key_filtering(options, 1);
    rocksdb_options_set_bytes_per_sync(options, 1024 * 1024);
    rocksdb_options_set_info_log_level(options, 2);   /* Warnings. */
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_max_log_file_size(options, 1024 * 1024);
    rocksdb_options_set_max_manifest_file_size(options, 4 * 1024 * 1024);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    rocksdb_options_set_avoid_unnecessary_blocking_io(options, 1);

    rocksdb_block_based_options_set_block_cache(table, shared.cache);
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    return options;
}

static void rocks_free(struct rocks *r)
{
    rocksdb_writebatch_destroy(r->batch);
    rocksdb_writeoptions_destroy(r->write);
    rocksdb_writeoptions_destroy(r->write_now);
    rocksdb_readoptions_destroy(r->read);
    rocksdb_readoptions_destroy(r->read_memory);
    rocksdb_options_destroy(r->options);
    free(r);
}

WAITS static int rocks_open(struct env *env, const char *path, const struct kv_options *o, struct kv **ret_kv,
                            struct error *err)
{
    struct rocks   *r = calloc(1, sizeof *r);
    struct open_job job = { .rocks = r, .path = path, .read_only = o->read_only };
    int             rc;

    if (!r)
        return error_set(err, -ENOMEM, "no memory for an index");
    r->options = options_new(o);
    r->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(r->read, 1);
    r->read_memory = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(r->read_memory, 1);
    rocksdb_readoptions_set_read_tier(r->read_memory, READ_TIER_MEMORY);
    r->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(r->write, 1);
    r->write_now = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(r->write_now, 1);
    rocksdb_writeoptions_set_no_slowdown(r->write_now, 1);
    r->batch = rocksdb_writebatch_create();

    rc = env_work(env, WORK_IO, open_work, &job);
    if (rc == 0)
        rc = code_of(job.error, err);
    if (rc) {
        rocks_free(r);
        return rc;
    }
    *ret_kv = &r->kv;
    return 0;
}

static void close_work(void *arg)
{
    struct rocks *r = arg;

    rocksdb_close(r->db);
}

WAITS static void rocks_close(struct kv *kv)
{
    struct rocks *r = (struct rocks *)kv;

    if (env_work(kv->env, WORK_IO, close_work, r))
        close_work(r);   /* The pool is gone or full: better late than leaked. */
    rocks_free(r);
}

/* --- Reading. --- */

WAITS static int wait_slow(struct rocks *r)
{
    int rc = 0;

    while (r->slow && rc == 0)
        rc = waitq_wait(&r->slow_q, TASK_FOREVER);
    return rc;
}

struct get_job {
    struct rocks           *rocks;
    struct slice            key;
    rocksdb_pinnableslice_t *value;
    char                   *error;
};

static void get_work(void *arg)
{
    struct get_job *job = arg;

    job->value = rocksdb_get_pinned(job->rocks->db, job->rocks->read, (const char *)job->key.data, job->key.size,
                                    &job->error);
}

/* Without touching a disk; -EAGAIN: only the disk knows. A table that RocksDB has not open (it opens few at a start,
 * and keeps OPEN_FILES_MAX) may hold the key: then it claims to have found it, with an empty value. */
static int get_now(struct get_job *job)
{
    size_t size = 0;

    job->value = rocksdb_get_pinned(job->rocks->db, job->rocks->read_memory, (const char *)job->key.data,
                                    job->key.size, &job->error);
    int rc = code_of(job->error, NULL);
    job->error = NULL;
    if (rc != 0 || !job->value)
        return rc;
    rocksdb_pinnableslice_value(job->value, &size);
    if (size > 0)
        return 0;
    rocksdb_pinnableslice_destroy(job->value);
    job->value = NULL;
    return -EAGAIN;
}

WAITS static int rocks_get(struct kv *kv, struct slice key, struct arena *arena, struct slice *ret_value)
{
    struct rocks  *r = (struct rocks *)kv;
    struct get_job job = { .rocks = r, .key = key };
    struct slice   value;
    const char    *data;
    int            rc;

    rc = wait_slow(r);
    if (rc)
        return rc;
    rc = get_now(&job);
    if (rc == -EAGAIN) {
        counter_inc(kv_get_slow);
        rc = env_work(kv->env, WORK_IO, get_work, &job);
        if (rc == 0)
            rc = code_of(job.error, NULL);
    }
    if (rc)
        return rc;
    if (!job.value)
        return -ENOENT;
    data = rocksdb_pinnableslice_value(job.value, &value.size);
    value = arena_dup(arena, slice_of(data, value.size));
    rocksdb_pinnableslice_destroy(job.value);
    if (!value.data)
        return -ENOMEM;
    *ret_value = value;
    return 0;
}

struct scan_job {
    struct rocks *rocks;
    struct slice  from, to;
    bool          reverse;
    kv_visit      visit;
    void         *arg;
    char         *error;
};

static bool in_range(const struct scan_job *job, struct slice key)
{
    if (job->reverse)
        return slice_compare(key, job->from) >= 0;
    return job->to.size == 0 || slice_compare(key, job->to) < 0;
}

static void scan_work(void *arg)
{
    struct scan_job    *job = arg;
    rocksdb_iterator_t *it = rocksdb_create_iterator(job->rocks->db, job->rocks->read);
    struct slice        key, value;

    if (!job->reverse) {
        rocksdb_iter_seek(it, job->from.size ? (const char *)job->from.data : "", job->from.size);
    } else if (job->to.size == 0) {
        rocksdb_iter_seek_to_last(it);
    } else {
        rocksdb_iter_seek_for_prev(it, (const char *)job->to.data, job->to.size);
        /* 'to' itself is outside. */
        if (rocksdb_iter_valid(it)) {
            key.data = (const uint8_t *)rocksdb_iter_key(it, &key.size);
            if (slice_equal(key, job->to))
                rocksdb_iter_prev(it);
        }
    }
    while (rocksdb_iter_valid(it)) {
        key.data = (const uint8_t *)rocksdb_iter_key(it, &key.size);
        if (!in_range(job, key))
            break;
        value.data = (const uint8_t *)rocksdb_iter_value(it, &value.size);
        if (!job->visit(job->arg, key, value))
            break;
        if (job->reverse)
            rocksdb_iter_prev(it);
        else
            rocksdb_iter_next(it);
    }
    rocksdb_iter_get_error(it, &job->error);
    rocksdb_iter_destroy(it);
}

WAITS static int rocks_scan(struct kv *kv, struct slice from, struct slice to, bool reverse, kv_visit visit,
                            void *arg)
{
    struct rocks   *r = (struct rocks *)kv;
    struct scan_job job = { .rocks = r, .from = from, .to = to, .reverse = reverse, .visit = visit, .arg = arg };
    int             rc;

    rc = wait_slow(r);
    if (rc == 0)
        rc = env_work(kv->env, WORK_IO, scan_work, &job);
    return rc ? rc : code_of(job.error, NULL);
}

/* --- Writing. --- */

static void write_work(void *arg)
{
    struct get_job *job = arg;

    rocksdb_write(job->rocks->db, job->rocks->write, job->rocks->batch, &job->error);
}

WAITS static int rocks_write(struct kv *kv, struct kv_batch *batch)
{
    struct rocks  *r = (struct rocks *)kv;
    struct get_job job = { .rocks = r };
    int            rc;

    rc = wait_slow(r);
    if (rc)
        return rc;
    rocksdb_writebatch_clear(r->batch);
    for (size_t i = 0; i < kv_batch_count(batch); i++) {
        struct slice key, value;
        bool         deletes;

        kv_batch_entry(batch, i, &deletes, &key, &value);
        if (deletes)
            rocksdb_writebatch_delete(r->batch, (const char *)key.data, key.size);
        else
            rocksdb_writebatch_put(r->batch, (const char *)key.data, key.size, (const char *)value.data, value.size);
    }
    rocksdb_write(r->db, r->write_now, r->batch, &job.error);
    rc = code_of(job.error, NULL);
    if (rc != -EAGAIN)
        return rc;

    counter_inc(kv_write_slow);
    job.error = NULL;
    r->slow = true;
    rc = env_work(kv->env, WORK_IO, write_work, &job);
    r->slow = false;
    waitq_wake_all(&r->slow_q);
    return rc ? rc : code_of(job.error, NULL);
}

static void flush_work(void *arg)
{
    struct get_job         *job = arg;
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();

    rocksdb_flushoptions_set_wait(options, 1);
    rocksdb_flush(job->rocks->db, options, &job->error);
    rocksdb_flushoptions_destroy(options);
}

WAITS static int rocks_flush(struct kv *kv)
{
    struct rocks  *r = (struct rocks *)kv;
    struct get_job job = { .rocks = r };
    int            rc;

    rc = wait_slow(r);
    if (rc == 0)
        rc = env_work(kv->env, WORK_IO, flush_work, &job);
    return rc ? rc : code_of(job.error, NULL);
}

const struct kv_backend kv_rocks = {
    .name = "rocksdb",
    .open = rocks_open,
    .close = rocks_close,
    .get = rocks_get,
    .write = rocks_write,
    .scan = rocks_scan,
    .flush = rocks_flush,
};
