/* sim/disk.c - the disk model. */
#include "sim/disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
    uint8_t *now, *durable;   /* NULL: zeros. The same pointer: clean. */
    bool     dirty;           /* A sync would write it. Differing but not dirty: lost by a failed sync. */
    bool     bad;             /* Reading fails until it is written again. */
    bool     allocated;       /* Takes space. */
};

struct inode {
    struct inode *next;       /* All of the disk. */
    uint32_t      refs;       /* Names, pending changes and open files. */
    uint64_t      size, durable_size;
    struct page  *pages;
    uint32_t      count;      /* Of 'pages'. */
};

/* A name space is a list of full paths; there are few files. */
struct name {
    struct name  *next;
    struct inode *inode;      /* NULL: a directory. */
    char          path[];
};

/* A change of names that the next sync of its directory makes durable. */
struct change {
    struct change *next;
    struct inode  *inode;     /* Made or moved; NULL: a directory, or a removal. */
    bool           directory;
    char           from[ENV_PATH_MAX], to[ENV_PATH_MAX];   /* "" from: made; "" to: removed. */
};

struct disk {
    struct rng         rng;
    uint64_t           capacity, used;
    struct name       *now, *durable;
    struct change     *changes, **changes_end;
    struct inode      *inodes;
    struct disk_extra *extras;
};

static uint8_t zeros[DISK_PAGE_BYTES];

/* --- Pages --- */

static const uint8_t *page_bytes(const uint8_t *bytes)
{
    return bytes ? bytes : zeros;
}

static void page_drop(uint8_t *bytes, const uint8_t *other)
{
    if (bytes != other)
        free(bytes);
}

static uint8_t *page_copy(const uint8_t *bytes)
{
    uint8_t *copy = malloc(DISK_PAGE_BYTES);

    assert(copy);
    memcpy(copy, page_bytes(bytes), DISK_PAGE_BYTES);
    return copy;
}

static void page_make_durable(struct page *page)
{
    page_drop(page->durable, page->now);
    page->durable = page->now;
    page->dirty = false;
}

static void page_revert(struct page *page)
{
    page_drop(page->now, page->durable);
    page->now = page->durable;
    page->dirty = false;
}

/* Some sectors new, the others old: a prefix, or any mix. */
static void page_tear(struct disk *disk, struct page *page)
{
    enum { SECTORS = DISK_PAGE_BYTES / DISK_SECTOR_BYTES };
    uint32_t kept = rng_chance(&disk->rng, 1, 2) ? (1u << rng_below(&disk->rng, SECTORS + 1)) - 1
                                                 : rng_u32(&disk->rng);
    uint8_t *torn = page_copy(page->durable);

    for (uint32_t s = 0; s < SECTORS; s++)
        if (kept >> s & 1)
            memcpy(torn + s * DISK_SECTOR_BYTES, page_bytes(page->now) + s * DISK_SECTOR_BYTES, DISK_SECTOR_BYTES);
    if (page->durable != page->now)
        free(page->durable);
    free(page->now);
    page->now = page->durable = torn;
    page->dirty = false;
}

static struct page *page_at(struct inode *inode, uint64_t index)
{
    if (index >= inode->count) {
        uint32_t count = inode->count ? inode->count : 16;

        while (count <= index)
            count *= 2;
        inode->pages = realloc(inode->pages, count * sizeof *inode->pages);
        assert(inode->pages);
        memset(inode->pages + inode->count, 0, (count - inode->count) * sizeof *inode->pages);
        inode->count = count;
    }
    return &inode->pages[index];
}

/* --- Inodes --- */

static struct inode *inode_new(struct disk *disk)
{
    struct inode *inode = calloc(1, sizeof *inode);

    assert(inode);
    inode->next = disk->inodes;
    disk->inodes = inode;
    return inode;
}

static void pages_drop(struct disk *disk, struct inode *inode, uint64_t from)
{
    for (uint64_t i = from; i < inode->count; i++) {
        struct page *page = &inode->pages[i];

        page_drop(page->durable, page->now);
        free(page->now);
        disk->used -= page->allocated ? DISK_PAGE_BYTES : 0;
        *page = (struct page) { 0 };
    }
}

static void inode_unref(struct disk *disk, struct inode *inode)
{
    struct inode **at = &disk->inodes;

    if (!inode || --inode->refs > 0)
        return;
    while (*at != inode)
        at = &(*at)->next;
    *at = inode->next;
    pages_drop(disk, inode, 0);
    free(inode->pages);
    free(inode);
}

static struct inode *inode_ref(struct inode *inode)
{
    if (inode)
        inode->refs++;
    return inode;
}

uint64_t inode_size(const struct inode *inode)
{
    return inode->size;
}

int inode_read(struct disk *disk, struct inode *inode, void *data, size_t size, uint64_t offset, size_t *ret_size)
{
    uint8_t *to = data;
    size_t   done = 0;

    (void)disk;
    if (offset >= inode->size)
        size = 0;
    else if (size > inode->size - offset)
        size = inode->size - offset;
    while (done < size) {
        uint64_t index = (offset + done) / DISK_PAGE_BYTES, within = (offset + done) % DISK_PAGE_BYTES;
        size_t   n = DISK_PAGE_BYTES - within < size - done ? DISK_PAGE_BYTES - within : size - done;

        if (index < inode->count && inode->pages[index].bad)
            return -EIO;
        memcpy(to + done, page_bytes(index < inode->count ? inode->pages[index].now : NULL) + within, n);
        done += n;
    }
    *ret_size = size;
    return 0;
}

static int page_allocate(struct disk *disk, struct page *page)
{
    if (page->allocated)
        return 0;
    if (disk->used + DISK_PAGE_BYTES > disk->capacity)
        return -ENOSPC;
    disk->used += DISK_PAGE_BYTES;
    page->allocated = true;
    return 0;
}

int inode_write(struct disk *disk, struct inode *inode, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *from = data;
    size_t         done = 0;

    while (done < size) {
        uint64_t     index = (offset + done) / DISK_PAGE_BYTES, within = (offset + done) % DISK_PAGE_BYTES;
        size_t       n = DISK_PAGE_BYTES - within < size - done ? DISK_PAGE_BYTES - within : size - done;
        struct page *page = page_at(inode, index);

        if (page_allocate(disk, page) < 0)
            return -ENOSPC;   /* What fitted before stays written, as in a kernel. */
        /* The kernel may have written an earlier version of the page by itself. */
        if (page->dirty && rng_chance(&disk->rng, 1, 4))
            page_make_durable(page);
        if (page->now == page->durable)
            page->now = page_copy(page->durable);
        memcpy(page->now + within, from + done, n);
        page->dirty = true;
        page->bad = false;
        done += n;
        if (inode->size < offset + done)
            inode->size = offset + done;
    }
    return 0;
}

void inode_sync_range(struct disk *disk, struct inode *inode, uint64_t offset, uint64_t size)
{
    (void)disk;
    for (uint64_t i = offset / DISK_PAGE_BYTES; i < inode->count && i * DISK_PAGE_BYTES < offset + size; i++)
        if (inode->pages[i].dirty)
            page_make_durable(&inode->pages[i]);
    if (inode->durable_size < offset + size && offset + size <= inode->size)
        inode->durable_size = offset + size;
}

void inode_sync(struct disk *disk, struct inode *inode)
{
    inode_sync_range(disk, inode, 0, (uint64_t)inode->count * DISK_PAGE_BYTES);
    inode->durable_size = inode->size;
}

void inode_sync_failed(struct disk *disk, struct inode *inode)
{
    for (uint32_t i = 0; i < inode->count; i++) {
        struct page *page = &inode->pages[i];

        if (!page->dirty)
            continue;
        switch (rng_below(&disk->rng, 3)) {
        case 0:
            page_make_durable(page);
            break;
        case 1:
            page_revert(page);
            break;
        default:
            page->dirty = false;   /* Seen until the power fails, and then gone. */
        }
    }
}

int inode_allocate(struct disk *disk, struct inode *inode, uint64_t offset, uint64_t size)
{
    uint64_t first = offset / DISK_PAGE_BYTES, end = (offset + size + DISK_PAGE_BYTES - 1) / DISK_PAGE_BYTES;
    uint64_t wanted = 0;

    for (uint64_t i = first; i < end; i++)
        wanted += i < inode->count && inode->pages[i].allocated ? 0 : DISK_PAGE_BYTES;
    if (disk->used + wanted > disk->capacity)
        return -ENOSPC;
    for (uint64_t i = first; i < end; i++)
        page_allocate(disk, page_at(inode, i));
    if (inode->size < offset + size)
        inode->size = offset + size;
    return 0;
}

int inode_truncate(struct disk *disk, struct inode *inode, uint64_t size)
{
    uint64_t kept = (size + DISK_PAGE_BYTES - 1) / DISK_PAGE_BYTES;

    if (size < inode->size) {
        pages_drop(disk, inode, kept);
        if (size % DISK_PAGE_BYTES && kept <= inode->count) {
            struct page *page = &inode->pages[kept - 1];

            if (page->now == page->durable)
                page->now = page_copy(page->durable);
            memset(page->now + size % DISK_PAGE_BYTES, 0, DISK_PAGE_BYTES - size % DISK_PAGE_BYTES);
            page->dirty = true;
        }
        /* A shorter size is kept at once: simpler, and the kernel may do so. */
        if (inode->durable_size > size)
            inode->durable_size = size;
    }
    inode->size = size;
    return 0;
}

/* --- Names --- */

static struct name *name_find(struct name *names, const char *path)
{
    while (names && strcmp(names->path, path))
        names = names->next;
    return names;
}

static void name_remove(struct disk *disk, struct name **names, const char *path)
{
    for (struct name **at = names; *at; at = &(*at)->next) {
        struct name *name = *at;

        if (strcmp(name->path, path))
            continue;
        *at = name->next;
        inode_unref(disk, name->inode);
        free(name);
        return;
    }
}

/* Replaces one that is there. */
static void name_add(struct disk *disk, struct name **names, const char *path, struct inode *inode)
{
    size_t       size = strlen(path) + 1;
    struct name *name = malloc(sizeof *name + size);

    assert(name);
    inode_ref(inode);   /* Before the removal, which may drop the same. */
    name_remove(disk, names, path);
    name->inode = inode;
    memcpy(name->path, path, size);
    name->next = *names;
    *names = name;
}

static void names_clear(struct disk *disk, struct name **names)
{
    while (*names) {
        struct name *name = *names;

        *names = name->next;
        inode_unref(disk, name->inode);
        free(name);
    }
}

static size_t parent_size(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) : 0;
}

static bool in_directory(const char *path, const char *directory)
{
    return *path && parent_size(path) == strlen(directory) && !strncmp(path, directory, strlen(directory));
}

static bool parent_exists(struct name *names, const char *path)
{
    char         parent[ENV_PATH_MAX];
    size_t       size = parent_size(path);
    struct name *name;

    if (size == 0)
        return true;
    memcpy(parent, path, size);
    parent[size] = 0;
    name = name_find(names, parent);
    return name && !name->inode;
}

static void change_add(struct disk *disk, const char *from, const char *to, struct inode *inode, bool directory)
{
    struct change *change = calloc(1, sizeof *change);

    assert(change);
    snprintf(change->from, sizeof change->from, "%s", from);
    snprintf(change->to, sizeof change->to, "%s", to);
    change->inode = inode_ref(inode);
    change->directory = directory;
    *disk->changes_end = change;
    disk->changes_end = &change->next;
}

static void change_apply(struct disk *disk, const struct change *change)
{
    if (*change->from)
        name_remove(disk, &disk->durable, change->from);
    if (*change->to)
        name_add(disk, &disk->durable, change->to, change->inode);
}

static void change_free(struct disk *disk, struct change *change)
{
    inode_unref(disk, change->inode);
    free(change);
}

int disk_open(struct disk *disk, const char *path, int flags, struct inode **ret_inode)
{
    struct name  *name = name_find(disk->now, path);
    struct inode *inode;

    if (name && !name->inode)
        return -EISDIR;
    if (name && (flags & FILE_CREATE) && (flags & FILE_EXCLUSIVE))
        return -EEXIST;
    if (!name && (!(flags & FILE_CREATE) || !parent_exists(disk->now, path)))
        return -ENOENT;
    if (name) {
        *ret_inode = inode_ref(name->inode);
        return 0;
    }
    inode = inode_new(disk);
    name_add(disk, &disk->now, path, inode);
    change_add(disk, "", path, inode, false);
    *ret_inode = inode_ref(inode);
    return 0;
}

void disk_close(struct disk *disk, struct inode *inode)
{
    inode_unref(disk, inode);
}

int disk_mkdir(struct disk *disk, const char *path)
{
    struct name *name = name_find(disk->now, path);

    if (!*path)
        return 0;
    if (name)
        return name->inode ? -EEXIST : 0;
    if (!parent_exists(disk->now, path))
        return -ENOENT;
    name_add(disk, &disk->now, path, NULL);
    change_add(disk, "", path, NULL, true);
    return 0;
}

int disk_rename(struct disk *disk, const char *from, const char *to)
{
    struct name  *name = name_find(disk->now, from);
    struct inode *inode;

    if (!name || !parent_exists(disk->now, to))
        return -ENOENT;
    if (!name->inode)
        return -EINVAL;   /* Directories are not moved by our code. */
    inode = inode_ref(name->inode);
    name_remove(disk, &disk->now, from);
    name_add(disk, &disk->now, to, inode);
    change_add(disk, from, to, inode, false);
    inode_unref(disk, inode);
    return 0;
}

int disk_unlink(struct disk *disk, const char *path)
{
    struct name *name = name_find(disk->now, path);

    if (!name)
        return -ENOENT;
    if (!name->inode)
        for (struct name *n = disk->now; n; n = n->next)
            if (in_directory(n->path, path))
                return -ENOTEMPTY;
    name_remove(disk, &disk->now, path);
    change_add(disk, path, "", NULL, false);
    return 0;
}

static int entry_order(const void *a, const void *b)
{
    return strcmp(((const struct env_entry *)a)->name, ((const struct env_entry *)b)->name);
}

int disk_list(struct disk *disk, const char *path, struct env_entry **ret_entries, uint32_t *ret_count)
{
    struct env_entry *entries;
    uint32_t          count = 0;

    if (*path) {
        struct name *name = name_find(disk->now, path);

        if (!name)
            return -ENOENT;
        if (name->inode)
            return -ENOTDIR;
    }
    for (struct name *n = disk->now; n; n = n->next)
        count += in_directory(n->path, path);
    entries = calloc(count + 1, sizeof *entries);
    assert(entries);
    count = 0;
    for (struct name *n = disk->now; n; n = n->next) {
        struct env_entry *e = &entries[count];
        size_t            skip = *path ? strlen(path) + 1 : 0;

        if (!in_directory(n->path, path))
            continue;
        snprintf(e->name, sizeof e->name, "%s", n->path + skip);
        e->directory = !n->inode;
        e->size = n->inode ? n->inode->size : 0;
        count++;
    }
    qsort(entries, count, sizeof *entries, entry_order);
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

/* Which directory's sync makes a change durable. */
static bool change_in(const struct change *change, const char *directory)
{
    return in_directory(*change->to ? change->to : change->from, directory);
}

int disk_sync_dir(struct disk *disk, const char *path)
{
    struct change **at = &disk->changes;

    if (*path && !name_find(disk->now, path))
        return -ENOENT;
    while (*at) {
        struct change *change = *at;

        if (!change_in(change, path)) {
            at = &change->next;
            continue;
        }
        change_apply(disk, change);
        *at = change->next;
        change_free(disk, change);
    }
    disk->changes_end = at;
    return 0;
}

/* --- Faults --- */

/* Of each directory's pending changes a prefix survives. */
static void changes_settle(struct disk *disk)
{
    while (disk->changes) {
        struct change *first = disk->changes, **at = &disk->changes;
        const char    *path = *first->to ? first->to : first->from;
        char           directory[ENV_PATH_MAX];
        bool           kept = true;

        memcpy(directory, path, parent_size(path));
        directory[parent_size(path)] = 0;
        while (*at) {
            struct change *change = *at;

            if (!change_in(change, directory)) {
                at = &change->next;
                continue;
            }
            kept = kept && rng_chance(&disk->rng, 3, 4);
            if (kept)
                change_apply(disk, change);
            *at = change->next;
            change_free(disk, change);
        }
    }
    disk->changes_end = &disk->changes;
}

static void inode_power_cut(struct disk *disk, struct inode *inode)
{
    for (uint32_t i = 0; i < inode->count; i++) {
        struct page *page = &inode->pages[i];

        if (!page->dirty) {
            if (page->now != page->durable)
                page_revert(page);
            continue;
        }
        switch (rng_below(&disk->rng, 4)) {
        case 0:
            page_make_durable(page);
            break;
        case 1:
            page_tear(disk, page);
            break;
        default:
            page_revert(page);
        }
    }
    if (inode->size > inode->durable_size) {
        switch (rng_below(&disk->rng, 3)) {
        case 0:
            inode->size = inode->durable_size;
            break;
        case 1:
            inode->size = rng_between(&disk->rng, inode->durable_size, inode->size);
            break;
        default:
            break;
        }
    }
    inode->durable_size = inode->size;
}

/* Names without their directory are gone. */
static bool drop_orphans(struct disk *disk)
{
    for (struct name *n = disk->durable; n; n = n->next)
        if (!parent_exists(disk->durable, n->path)) {
            char path[ENV_PATH_MAX];

            snprintf(path, sizeof path, "%s", n->path);
            name_remove(disk, &disk->durable, path);
            return true;
        }
    return false;
}

void disk_power_cut(struct disk *disk)
{
    changes_settle(disk);
    while (drop_orphans(disk))
        ;
    names_clear(disk, &disk->now);
    for (struct name *n = disk->durable; n; n = n->next)
        name_add(disk, &disk->now, n->path, n->inode);
    for (struct inode *inode = disk->inodes; inode; inode = inode->next)
        inode_power_cut(disk, inode);
}

void disk_wipe(struct disk *disk)
{
    while (disk->changes) {
        struct change *change = disk->changes;

        disk->changes = change->next;
        change_free(disk, change);
    }
    disk->changes_end = &disk->changes;
    names_clear(disk, &disk->now);
    names_clear(disk, &disk->durable);
    while (disk->extras) {
        struct disk_extra *extra = disk->extras;

        disk->extras = extra->next;
        extra->free(extra);
    }
}

void disk_mount(struct disk *disk, const char *path)
{
    name_add(disk, &disk->now, path, NULL);
    name_add(disk, &disk->durable, path, NULL);
}

static struct page *random_page(struct disk *disk, const char *part)
{
    uint64_t count = 0, chosen;

    for (int round = 0; round < 2; round++) {
        chosen = round ? rng_below(&disk->rng, count) : UINT64_MAX;
        count = 0;
        for (struct name *n = disk->now; n; n = n->next) {
            if (!n->inode || (part && !strstr(n->path, part)))
                continue;
            for (uint32_t i = 0; i < n->inode->count; i++)
                if (n->inode->pages[i].now && n->inode->pages[i].now == n->inode->pages[i].durable &&
                    count++ == chosen)
                    return &n->inode->pages[i];
        }
        if (count == 0)
            return NULL;
    }
    return NULL;
}

bool disk_lose_sector(struct disk *disk, const char *part)
{
    struct page *page = random_page(disk, part);

    if (page)
        page->bad = true;
    return page != NULL;
}

bool disk_rot(struct disk *disk, const char *part)
{
    struct page *page = random_page(disk, part);

    if (page)
        page->now[rng_below(&disk->rng, DISK_PAGE_BYTES)] ^= (uint8_t)(1u << rng_below(&disk->rng, 8));
    return page != NULL;
}

/* --- The whole --- */

struct disk *disk_new(struct rng rng, uint64_t capacity_bytes)
{
    struct disk *disk = calloc(1, sizeof *disk);

    assert(disk);
    disk->rng = rng;
    disk->capacity = capacity_bytes;
    disk->changes_end = &disk->changes;
    return disk;
}

struct disk *disk_free(struct disk *disk)
{
    if (!disk)
        return NULL;
    disk_wipe(disk);
    assert(!disk->inodes);
    free(disk);
    return NULL;
}

uint64_t disk_used(const struct disk *disk)
{
    return disk->used;
}

uint64_t disk_capacity(const struct disk *disk)
{
    return disk->capacity;
}

void disk_set_capacity(struct disk *disk, uint64_t bytes)
{
    disk->capacity = bytes;
}

struct disk_extra *disk_extra_find(struct disk *disk, const char *path)
{
    struct disk_extra *extra = disk->extras;

    while (extra && strcmp(extra->path, path))
        extra = extra->next;
    return extra;
}

void disk_extra_add(struct disk *disk, struct disk_extra *extra)
{
    extra->next = disk->extras;
    disk->extras = extra;
}

void disk_extras_crash(struct disk *disk)
{
    for (struct disk_extra *extra = disk->extras; extra; extra = extra->next)
        extra->crash(extra, &disk->rng);
}
