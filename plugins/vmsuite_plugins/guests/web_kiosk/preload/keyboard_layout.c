/* Lets the browser have another keyboard than a US one; loaded by LD_PRELOAD.
 *
 * libwpe asks for the layout "us" by name, and cog's DRM platform never tells it
 * another. Asked for no names, libxkbcommon takes what XKB_DEFAULT_LAYOUT and its like
 * say.
 *
 * It is built without any header, so that building it takes a compiler and no more.
 */

#define NULL ((void *)0)
#define RTLD_NEXT ((void *)-1L)

struct xkb_context;
struct xkb_keymap;
struct xkb_rule_names;
typedef struct xkb_keymap *maker(struct xkb_context *context,
				 const struct xkb_rule_names *names, int flags);

void *dlsym(void *handle, const char *name);
char *getenv(const char *name);

struct xkb_keymap *xkb_keymap_new_from_names(struct xkb_context *context,
					     const struct xkb_rule_names *names,
					     int flags)
{
	static maker *real;
	const char *layout = getenv("XKB_DEFAULT_LAYOUT");

	if (!real)
		real = (maker *)dlsym(RTLD_NEXT, "xkb_keymap_new_from_names");
	return real(context, layout && *layout ? NULL : names, flags);
}
