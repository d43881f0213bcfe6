/* proxy/object/config.c - a container's configuration row: what a change makes of it, and its moves between LIVE,
 * SEALED and DEAD (object.h). Documents are a dialect's and opaque here; versioning and object lock are understood,
 * since the object service enforces them:
 *
 *   versioning   OFF --> ENABLED <--> SUSPENDED; never OFF again
 *   lock         once on it stays on, and so does versioning */
#include "proxy/object/service.h"

static int documents_merge(Rs__ContainerConfig *config, const struct config_changes *changes, struct arena *arena,
                           struct error *err)
{
    size_t total = 0;
    int    rc;

    for (uint32_t i = 0; i < changes->document_count; i++)
        if (changes->documents[i].value.size > DOCUMENT_BYTES_MAX)
            return error_set(err, -E_LIMIT, "a document of a container has at most %d bytes", DOCUMENT_BYTES_MAX);
    rc = items_merge(config->documents, config->n_documents, changes->documents, changes->document_count, arena,
                     &config->documents, &config->n_documents, err);
    for (size_t i = 0; rc == 0 && i < config->n_documents; i++)
        total += config->documents[i]->name.len + config->documents[i]->value.len;
    if (rc == 0 && total > DOCUMENTS_BYTES_MAX)
        return error_set(err, -E_LIMIT, "all documents of a container have at most %d bytes", DOCUMENTS_BYTES_MAX);
    return rc;
}

static int protection_change(Rs__ContainerConfig *config, const struct config_changes *changes, bool creating,
                             struct error *err)
{
    enum versioning versioning = changes->versioning ? *changes->versioning : (enum versioning)config->versioning;

    if (versioning == VERSIONING_OFF && config->versioning != VERSIONING_OFF)
        return error_set(err, -EINVAL, "versioning can be suspended, but not undone");
    if (changes->lock && creating)
        versioning = VERSIONING_ENABLED;
    if ((changes->lock || config->lock) && versioning != VERSIONING_ENABLED)
        return error_set(err, -E_CONFLICT, "object lock needs versioning");
    config->versioning = versioning;
    if (changes->lock) {
        config->lock = true;
        config->lock_mode = changes->lock->mode;
        config->lock_days = changes->lock->days;
        config->lock_years = changes->lock->years;
    }
    return 0;
}

int config_apply(Rs__ContainerConfig *config, const struct config_changes *changes, bool creating,
                 struct arena *arena, struct error *err)
{
    int rc;

    if (!changes)
        return 0;
    if (changes->read_acl)
        config->read_acl = pb_data(*changes->read_acl);
    if (changes->write_acl)
        config->write_acl = pb_data(*changes->write_acl);
    if (creating && changes->domain.size)
        config->domain = pb_data(changes->domain);
    rc = protection_change(config, changes, creating, err);
    if (rc == 0)
        rc = documents_merge(config, changes, arena, err);
    if (rc == 0)
        rc = meta_merge(config->meta, config->n_meta, changes->meta, changes->meta_count, arena, &config->meta,
                        &config->n_meta, err);
    return rc;
}

static int config_change(Rs__ContainerConfig *config, const struct config_edit *edit, struct arena *arena,
                         struct error *err)
{
    if (config->state != RS__CONTAINER_CONFIG__STATE__LIVE)
        return error_set(err, -E_CONFLICT, "the container is being deleted");
    config->modified_us = edit->now_us;
    return config_apply(config, edit->changes, false, arena, err);
}

static int config_move(Rs__ContainerConfig *config, const struct config_edit *edit, bool expected, struct error *err)
{
    bool sealed = config->state == RS__CONTAINER_CONFIG__STATE__SEALED;

    if (edit->kind == EDIT_SEAL) {
        /* A younger seal has a deleter at work; an older one's is taken over. */
        if (sealed && edit->now_us < config->state_us + CONTAINER_SEAL_TIMEOUT_MS * UINT64_C(1000))
            return error_set(err, -E_CONFLICT, "the container is being deleted");
        config->state = RS__CONTAINER_CONFIG__STATE__SEALED;
    } else if (!sealed || !expected) {
        return error_set(err, -E_CONFLICT, "the container's state changed");
    } else if (edit->kind == EDIT_UNSEAL) {
        config->state = RS__CONTAINER_CONFIG__STATE__LIVE;
    } else {
        /* What stays of a deleted container: its names are needed to finish the deletion. */
        config->state = RS__CONTAINER_CONFIG__STATE__DEAD;
        config->n_meta = config->n_documents = 0;
        config->read_acl = config->write_acl = pb_data(SLICE_NONE);
    }
    config->state_us = edit->now_us;
    return 0;
}

int config_value(const Rs__ContainerConfig *config, struct arena *arena, Rs__RowValue **ret_value,
                 struct error *err)
{
    struct slice  meta = pack_in(arena, &config->base);
    Rs__RowValue *value = arena_new(arena, Rs__RowValue);

    if (!meta.data || !value)
        return error_set(err, -ENOMEM, "the container's configuration is too large");
    rs__row_value__init(value);
    value->meta = pb_data(meta);
    value->size = config->state != RS__CONTAINER_CONFIG__STATE__LIVE;   /* Replicas refuse object writes. */
    *ret_value = value;
    return 0;
}

static int config_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                         struct error *err)
{
    const struct config_edit *edit = ctx;
    ProtobufCAllocator        allocator = arena_allocator(arena);
    Rs__ContainerConfig      *config;
    int                       rc;

    if (!now->exists)
        return error_set(err, -ENOENT, "there is no such container");
    config = rs__container_config__unpack(&allocator, now->value->meta.len, now->value->meta.data);
    if (!config)
        return error_set(err, -E_CORRUPT, "the container's configuration can't be read");
    if (config->state == RS__CONTAINER_CONFIG__STATE__DEAD)
        return error_set(err, -ENOENT, "there is no such container");
    if (edit->kind == EDIT_CHANGE)
        rc = config_change(config, edit, arena, err);
    else
        rc = config_move(config, edit, ballot_compare(now->ballot, edit->expect) == 0, err);
    return rc ? rc : config_value(config, arena, ret_value, err);
}

WAITS int config_update(struct object_service *s, const uint8_t *id, const struct policy *policy,
                        struct config_edit *edit, int64_t deadline, struct ballot *ret_ballot, struct error *err)
{
    struct arena  arena;
    struct held   held;
    struct ballot ballot;
    int           rc = held_container(s, id, policy, (struct ballot) { 0, 0 }, &held, err);

    if (rc)
        return rc;
    arena_init(&arena, CONTAINER_ARENA_MAX);
    edit->now_us = service_now_us(s);
    rc = row_update(s->options.rows, &held.shard, SLICE_NONE, config_decide, edit, deadline, &arena, NULL, &ballot, err);
    held_drop(&held);
    arena_done(&arena);
    if (rc == 0 && ret_ballot)
        *ret_ballot = ballot;
    return rc;
}

struct slice container_document(const struct container *container, struct slice name)
{
    const Rs__ContainerConfig *config = container->config;

    for (size_t i = 0; i < config->n_documents; i++)
        if (slice_equal(pb_slice(config->documents[i]->name), name))
            return pb_slice(config->documents[i]->value);
    return SLICE_NONE;
}

bool container_encrypts(const struct container *container)
{
    struct slice document = container_document(container, SLICE("encryption")), wanted = SLICE("<SSEAlgorithm>AES256<");

    return document.size && memmem(document.data, document.size, wanted.data, wanted.size);
}
