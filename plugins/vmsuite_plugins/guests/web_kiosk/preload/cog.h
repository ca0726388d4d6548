/* What the parts of the preloaded library share. Each stands before a function that
 * cog's platform for the screen calls in another library, and lets all others through.
 *
 * There are no other headers, so that building it takes a compiler and no more.
 */

#ifndef COG_H
#define COG_H

#define NULL ((void *)0)
#define RTLD_NEXT ((void *)-1L)

typedef __UINT32_TYPE__ uint32_t;
typedef __SIZE_TYPE__ size_t;

typedef struct {
	const char *file;
	void *base;
	const char *name;
	void *address;
} Dl_info;

int dladdr(const void *address, Dl_info *info);
void *dlsym(void *handle, const char *name);
char *strstr(const char *text, const char *part);

/* Finds the function of this name that would be called without us. */
#define REAL(name)                                                    \
	static __typeof__(name) *real;                                \
	if (!real)                                                    \
	real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* Whether a call comes from cog's platform for the screen. */
#define FROM_COG() is_cogs(__builtin_return_address(0))

static inline int is_cogs(const void *caller)
{
	Dl_info info;

	return dladdr(caller, &info) && info.file &&
	       strstr(info.file, "libcogplatform-drm");
}

#endif
