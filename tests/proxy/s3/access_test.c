/* tests/proxy/s3/access_test.c - who may do what: owners, roles, ACLs, ownership controls, public access block. Buckets are
 * built by hand; those with policies are tested by policy_test.c and tests/api/. */
#include "proxy/s3/access.h"
#include "proxy/s3/docs.h"
#include "tests/proxy/s3/request.h"

enum { DOCUMENTS_MAX = 4 };

struct fixture {
    struct http_request     rq;
    struct s3               s3;
    struct identity_context who;
    struct s3_call          c;
    Rs__ContainerConfig     config;
    Rs__MetaItem            item[DOCUMENTS_MAX], *items[DOCUMENTS_MAX];
    struct container        bucket;
};

/* A bucket of project "home". */
static struct fixture *make(void)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    arena_init(&f->rq.arena, ARENA_LIMIT_DEFAULT);
    f->c = (struct s3_call) { .s3 = &f->s3, .rq = &f->rq, .arena = &f->rq.arena, .bucket = SLICE("box"), .key = SLICE("key") };
    rs__container_config__init(&f->config);
    f->config.documents = f->items;
    f->bucket = (struct container) { .refs = 1, .account = SLICE("AUTH_home"), .name = SLICE("box"), .config = &f->config };
    return f;
}

static void drop(struct fixture *f)
{
    arena_done(&f->rq.arena);
    free(f);
}

/* The request becomes one of this project's, with one role; project NULL: of nobody. */
static void ask_as(struct fixture *f, const char *project, const char *role)
{
    memset(&f->who, 0, sizeof f->who);
    f->c.who = NULL;
    if (!project)
        return;
    snprintf(f->who.project_id, sizeof f->who.project_id, "%s", project);
    snprintf(f->who.user_id, sizeof f->who.user_id, "user");
    snprintf(f->who.roles[0], sizeof f->who.roles[0], "%s", role);
    f->who.role_count = 1;
    f->c.who = &f->who;
}

static void document(struct fixture *f, struct slice name, struct slice value)
{
    Rs__MetaItem *item = &f->item[f->config.n_documents];

    assert_true(f->config.n_documents < DOCUMENTS_MAX);
    rs__meta_item__init(item);
    item->name = s3_pb_of(name);
    item->value = s3_pb_of(value);
    f->items[f->config.n_documents++] = item;
}

static Rs__Acl *canned(struct fixture *f, const char *name, bool of_bucket, const char *owner)
{
    struct acl_person me = { slice_str(owner), slice_str(owner) }, home = { SLICE("home"), SLICE("home") };
    Rs__Acl          *acl = NULL;

    assert_int_equal(s3_acl_canned(&f->rq.arena, slice_str(name), of_bucket, &me, &home, &acl, NULL), 0);
    return acl;
}

static void bucket_acl(struct fixture *f, const char *name)
{
    Rs__Acl *acl = canned(f, name, true, "home");
    size_t   size = rs__acl__get_packed_size(acl);
    uint8_t *bytes = arena_alloc(&f->rq.arena, size);

    rs__acl__pack(acl, bytes);
    document(f, S3_DOC_ACL, slice_of(bytes, size));
}

static void ownership(struct fixture *f, enum s3_ownership value)
{
    struct text t = { .limit = 4096 };

    docs_ownership_write(&t, value);
    document(f, S3_DOC_OWNERSHIP, arena_dup(&f->rq.arena, text_slice(&t)));
    text_done(&t);
}

static void block(struct fixture *f, struct public_access_block value)
{
    struct text t = { .limit = 4096 };

    docs_public_access_write(&t, &value);
    document(f, S3_DOC_PUBLIC_ACCESS, arena_dup(&f->rq.arena, text_slice(&t)));
    text_done(&t);
}

/* An action on the bucket, or on an object of 'owner' with a canned ACL (NULL: it has none). */
static bool may_bucket(struct fixture *f, enum s3_action action)
{
    struct s3_need need = { .action = action, .bucket = f->c.bucket };
    return s3_may(&f->c, &f->bucket, &need, NULL);
}

static bool may_object(struct fixture *f, enum s3_action action, const char *owner, const char *acl)
{
    struct s3_need need = { .action = action, .bucket = f->c.bucket, .key = f->c.key };
    Rs__ObjectMeta meta = RS__OBJECT_META__INIT;

    meta.owner = s3_pb_of(slice_str(owner));
    meta.acl = acl ? canned(f, acl, false, owner) : NULL;
    return s3_may(&f->c, &f->bucket, &need, &meta);
}

static void roles__of_the_owning_project(void **state)
{
    struct fixture *f = make();

    (void)state;
    for (int i = 0; i < 2; i++) {
        ask_as(f, "home", i ? "member" : "admin");
        assert_true(may_bucket(f, S3_DO_LIST_BUCKET));
        assert_true(may_bucket(f, S3_DO_DELETE_BUCKET));
        assert_true(may_object(f, S3_DO_PUT_OBJECT, "", NULL));
        assert_true(may_object(f, S3_DO_GET_OBJECT, "", NULL));
        assert_true(may_object(f, S3_DO_DELETE_OBJECT, "home", NULL));
    }
    ask_as(f, "home", "reader");
    assert_true(may_bucket(f, S3_DO_LIST_BUCKET));
    assert_true(may_bucket(f, S3_DO_GET_BUCKET_POLICY));
    assert_true(may_object(f, S3_DO_GET_OBJECT, "home", NULL));
    assert_false(may_bucket(f, S3_DO_PUT_BUCKET_POLICY));
    assert_false(may_bucket(f, S3_DO_DELETE_BUCKET));
    assert_false(may_object(f, S3_DO_PUT_OBJECT, "", NULL));
    assert_false(may_object(f, S3_DO_DELETE_OBJECT, "home", NULL));
    assert_false(may_object(f, S3_DO_PUT_OBJECT_ACL, "home", NULL));
    ask_as(f, "home", "auditor");
    assert_false(may_bucket(f, S3_DO_LIST_BUCKET));
    assert_false(may_object(f, S3_DO_GET_OBJECT, "home", NULL));
    drop(f);
}

static void private__bucket_is_closed_to_others(void **state)
{
    static const char *const projects[] = { "away", NULL, "", "hom", "home2" };
    struct fixture          *f = make();

    (void)state;
    for (size_t i = 0; i < sizeof projects / sizeof *projects; i++) {
        ask_as(f, projects[i], "admin");
        for (int action = 0; action < S3_ACTION_COUNT; action++)
            if (s3_action_on_object((enum s3_action)action) ? may_object(f, (enum s3_action)action, "home", NULL)
                                                            : may_bucket(f, (enum s3_action)action))
                fail_msg("%s may %s", projects[i] ? projects[i] : "nobody", s3_action_name((enum s3_action)action));
    }
    drop(f);
}

static void acl__of_the_bucket_opens_the_bucket_only(void **state)
{
    struct fixture *f = make();

    (void)state;
    bucket_acl(f, "public-read-write");
    ask_as(f, NULL, NULL);
    assert_true(may_bucket(f, S3_DO_LIST_BUCKET));
    assert_true(may_object(f, S3_DO_PUT_OBJECT, "", NULL));
    assert_true(may_object(f, S3_DO_DELETE_OBJECT, "home", NULL));
    assert_false(may_object(f, S3_DO_GET_OBJECT, "home", NULL));
    assert_false(may_bucket(f, S3_DO_GET_BUCKET_ACL));
    assert_false(may_bucket(f, S3_DO_PUT_BUCKET_POLICY));
    assert_false(may_bucket(f, S3_DO_DELETE_BUCKET));
    ask_as(f, "away", "member");
    assert_true(may_object(f, S3_DO_PUT_OBJECT, "", NULL));
    ask_as(f, "away", "reader");   /* Nobody does more elsewhere than at home. */
    assert_true(may_bucket(f, S3_DO_LIST_BUCKET));
    assert_false(may_object(f, S3_DO_PUT_OBJECT, "", NULL));
    drop(f);
}

static void acl__authenticated_read_is_not_for_nobody(void **state)
{
    struct fixture *f = make();

    (void)state;
    bucket_acl(f, "authenticated-read");
    ask_as(f, NULL, NULL);
    assert_false(may_bucket(f, S3_DO_LIST_BUCKET));
    assert_false(may_object(f, S3_DO_GET_OBJECT, "home", "authenticated-read"));
    ask_as(f, "away", "reader");
    assert_true(may_bucket(f, S3_DO_LIST_BUCKET));
    assert_true(may_object(f, S3_DO_GET_OBJECT, "home", "authenticated-read"));
    assert_false(may_object(f, S3_DO_PUT_OBJECT, "", NULL));
    drop(f);
}

static void object__of_another_project_goes_by_its_own_acl(void **state)
{
    struct fixture *f = make();

    (void)state;
    ask_as(f, "home", "admin");
    assert_false(may_object(f, S3_DO_GET_OBJECT, "away", "private"));
    assert_true(may_object(f, S3_DO_GET_OBJECT, "away", "bucket-owner-read"));
    assert_false(may_object(f, S3_DO_PUT_OBJECT_ACL, "away", "bucket-owner-read"));
    assert_true(may_object(f, S3_DO_PUT_OBJECT_ACL, "away", "bucket-owner-full-control"));
    assert_true(may_object(f, S3_DO_DELETE_OBJECT, "away", "private"));   /* It is the bucket's owner who may delete. */
    ask_as(f, "away", "member");
    assert_true(may_object(f, S3_DO_GET_OBJECT, "away", "private"));
    assert_true(may_object(f, S3_DO_PUT_OBJECT_ACL, "away", "private"));
    assert_false(may_object(f, S3_DO_DELETE_OBJECT, "away", "private"));
    ask_as(f, "away", "reader");
    assert_true(may_object(f, S3_DO_GET_OBJECT, "away", "private"));
    assert_false(may_object(f, S3_DO_PUT_OBJECT_ACL, "away", "private"));
    drop(f);
}

static void ownership__enforced_takes_all_acls_away(void **state)
{
    struct fixture *f = make();

    (void)state;
    bucket_acl(f, "public-read-write");
    ownership(f, OWNERSHIP_BUCKET_OWNER_ENFORCED);
    assert_int_equal(s3_bucket_ownership(&f->bucket), OWNERSHIP_BUCKET_OWNER_ENFORCED);
    ask_as(f, NULL, NULL);
    assert_false(may_bucket(f, S3_DO_LIST_BUCKET));
    assert_false(may_object(f, S3_DO_PUT_OBJECT, "", NULL));
    assert_false(may_object(f, S3_DO_GET_OBJECT, "home", "public-read"));
    ask_as(f, "away", "admin");
    assert_false(may_object(f, S3_DO_GET_OBJECT, "away", "private"));
    ask_as(f, "home", "member");
    assert_true(may_object(f, S3_DO_GET_OBJECT, "away", "private"));
    drop(f);
}

static void block__ignored_acls_give_nothing_to_everybody(void **state)
{
    struct fixture *f = make();

    (void)state;
    bucket_acl(f, "public-read");
    block(f, (struct public_access_block) { .ignore_acls = true });
    assert_true(s3_bucket_block(&f->bucket).ignore_acls);
    assert_false(s3_bucket_block(&f->bucket).block_policy);
    ask_as(f, NULL, NULL);
    assert_false(may_bucket(f, S3_DO_LIST_BUCKET));
    assert_false(may_object(f, S3_DO_GET_OBJECT, "home", "public-read"));
    ask_as(f, "away", "member");
    assert_false(may_bucket(f, S3_DO_LIST_BUCKET));
    ask_as(f, "home", "member");
    assert_true(may_bucket(f, S3_DO_LIST_BUCKET));
    assert_true(may_object(f, S3_DO_GET_OBJECT, "away", "bucket-owner-read"));   /* A grant to one is not public. */
    drop(f);
}

static void acl__that_cannot_be_read_gives_nothing(void **state)
{
    struct fixture *f = make();

    (void)state;
    document(f, S3_DOC_ACL, SLICE("\xff\xff\xff"));
    ask_as(f, "away", "admin");
    assert_false(may_bucket(f, S3_DO_LIST_BUCKET));
    ask_as(f, NULL, NULL);
    assert_false(may_bucket(f, S3_DO_LIST_BUCKET));
    drop(f);
}

static void missing__object_is_told_to_those_who_may_list(void **state)
{
    struct fixture *f = make();
    struct s3_need  need = { .action = S3_DO_GET_OBJECT, .bucket = SLICE("box"), .key = SLICE("key") };

    (void)state;
    ask_as(f, "away", "admin");
    assert_int_equal(s3_object_missing(&f->c, &f->bucket, &need), S3_ACCESS_DENIED);
    bucket_acl(f, "public-read");
    assert_int_equal(s3_object_missing(&f->c, &f->bucket, &need), S3_NO_SUCH_KEY);
    f->c.version.given = true;
    assert_int_equal(s3_object_missing(&f->c, &f->bucket, &need), S3_NO_SUCH_VERSION);
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles__of_the_owning_project),
        cmocka_unit_test(private__bucket_is_closed_to_others),
        cmocka_unit_test(acl__of_the_bucket_opens_the_bucket_only),
        cmocka_unit_test(acl__authenticated_read_is_not_for_nobody),
        cmocka_unit_test(object__of_another_project_goes_by_its_own_acl),
        cmocka_unit_test(ownership__enforced_takes_all_acls_away),
        cmocka_unit_test(block__ignored_acls_give_nothing_to_everybody),
        cmocka_unit_test(acl__that_cannot_be_read_gives_nothing),
        cmocka_unit_test(missing__object_is_told_to_those_who_may_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
