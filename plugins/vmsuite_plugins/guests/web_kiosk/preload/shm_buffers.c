/* Keeps cog 0.16 and libwayland 1.21 out of each other's way; loaded by LD_PRELOAD.
 *
 * cog's renderer for the screen (libcogplatform-drm) leaves a pointer of its own on
 * every buffer that it shows. On a buffer in shared memory that place belongs to
 * libwayland, which then takes cog's pointer for its own and crashes. Here, cog's
 * pointers on such buffers are kept in a list beside it.
 *
 * It is built without any header, so that building it takes a compiler and no more.
 */

#define NULL ((void *)0)
#define RTLD_NEXT ((void *)-1L)

struct wl_resource;
struct wl_shm_buffer;
struct wl_list {
	struct wl_list *prev, *next;
};
struct wl_listener {
	struct wl_list link;
	void (*notify)(struct wl_listener *listener, void *data);
};
typedef struct {
	const char *file;
	void *base;
	const char *name;
	void *address;
} Dl_info;

int dladdr(const void *address, Dl_info *info);
void *dlsym(void *handle, const char *name);
void *calloc(__SIZE_TYPE__ count, __SIZE_TYPE__ size);
void free(void *memory);
char *strstr(const char *text, const char *part);
int unsetenv(const char *name);
struct wl_shm_buffer *wl_shm_buffer_get(struct wl_resource *resource);
void wl_resource_add_destroy_listener(struct wl_resource *resource,
				      struct wl_listener *listener);

struct kept {
	struct wl_listener gone; /* first, for it is what forget() is given */
	struct kept *next;
	struct wl_resource *resource;
	void *data;
};

static struct kept *all;

static void forget(struct wl_listener *gone, void *resource)
{
	struct kept **place = &all;

	(void)resource;
	while (*place && &(*place)->gone != gone)
		place = &(*place)->next;
	if (*place) {
		struct kept *found = *place;
		*place = found->next;
		free(found);
	}
}

static struct kept *find(struct wl_resource *resource)
{
	struct kept *kept = all;

	while (kept && kept->resource != resource)
		kept = kept->next;
	return kept;
}

/* Whether a call comes from cog's renderer and means a buffer in shared memory. */
static int is_ours(const void *caller, struct wl_resource *resource)
{
	Dl_info info;

	return dladdr(caller, &info) && info.file &&
	       strstr(info.file, "libcogplatform-drm") && wl_shm_buffer_get(resource);
}

void wl_resource_set_user_data(struct wl_resource *resource, void *data)
{
	static void (*real)(struct wl_resource *, void *);
	struct kept *kept;

	if (!is_ours(__builtin_return_address(0), resource)) {
		if (!real)
			real = (void (*)(struct wl_resource *, void *))dlsym(
				RTLD_NEXT, "wl_resource_set_user_data");
		real(resource, data);
		return;
	}
	kept = find(resource);
	if (!kept) {
		kept = calloc(1, sizeof *kept);
		if (!kept)
			return;
		kept->gone.notify = forget;
		kept->resource = resource;
		kept->next = all;
		all = kept;
		wl_resource_add_destroy_listener(resource, &kept->gone);
	}
	kept->data = data;
}

void *wl_resource_get_user_data(struct wl_resource *resource)
{
	static void *(*real)(struct wl_resource *);
	struct kept *kept;

	if (!is_ours(__builtin_return_address(0), resource)) {
		if (!real)
			real = (void *(*)(struct wl_resource *))dlsym(
				RTLD_NEXT, "wl_resource_get_user_data");
		return real(resource);
	}
	kept = find(resource);
	return kept ? kept->data : NULL;
}

/* The browser's other processes have no screen. */
__attribute__((constructor)) static void only_here(void)
{
	unsetenv("LD_PRELOAD");
}
