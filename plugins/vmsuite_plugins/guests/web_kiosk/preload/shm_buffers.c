/* Keeps cog 0.16 and libwayland 1.21 out of each other's way.
 *
 * cog leaves a pointer of its own on every buffer that it shows. On a buffer in shared
 * memory that place belongs to libwayland, which then takes cog's pointer for its own
 * and crashes. Here, cog's pointers on such buffers are kept in a list beside it.
 */

#include "cog.h"

struct wl_resource;
struct wl_shm_buffer;
struct wl_list {
	struct wl_list *prev, *next;
};
struct wl_listener {
	struct wl_list link;
	void (*notify)(struct wl_listener *listener, void *data);
};

void *calloc(size_t count, size_t size);
void free(void *memory);
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

void wl_resource_set_user_data(struct wl_resource *resource, void *data)
{
	REAL(wl_resource_set_user_data);
	struct kept *kept;

	if (!FROM_COG() || !wl_shm_buffer_get(resource)) {
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
	REAL(wl_resource_get_user_data);
	struct kept *kept;

	if (!FROM_COG() || !wl_shm_buffer_get(resource))
		return real(resource);
	kept = find(resource);
	return kept ? kept->data : NULL;
}
