/* Lets the browser's keyboard have another layout than a US one, and not repeat keys.
 *
 * libwpe asks for the layout "us" by name, and cog never tells it another. Asked for no
 * names, libxkbcommon takes what XKB_DEFAULT_LAYOUT and its like say.
 *
 * cog repeats a key that is down for 400 ms, also when its release has long been there
 * and cog was too busy to look; and a page cannot tell that from a press of the key.
 */

#include "cog.h"

struct xkb_context;
struct xkb_keymap;
struct xkb_rule_names;
struct _GSource;

char *getenv(const char *name);
struct xkb_keymap *xkb_keymap_new_from_names(struct xkb_context *context,
					     const struct xkb_rule_names *names,
					     int flags);
void g_source_set_ready_time(struct _GSource *source, long long ready_time);

struct xkb_keymap *xkb_keymap_new_from_names(struct xkb_context *context,
					     const struct xkb_rule_names *names,
					     int flags)
{
	REAL(xkb_keymap_new_from_names);
	const char *layout = getenv("XKB_DEFAULT_LAYOUT");

	return real(context, layout && *layout ? NULL : names, flags);
}

/* Of all that cog's platform does, only repeating keys has a time. */
void g_source_set_ready_time(struct _GSource *source, long long ready_time)
{
	REAL(g_source_set_ready_time);

	real(source, FROM_COG() ? -1 : ready_time);
}
