/* Gives the browser a pointer on a screen that cannot show one.
 *
 * cog has a pointer only where the graphics card shows it for cog, which QEMU's plain
 * one does not. Here, what libinput tells of pointers goes to the browser all the same:
 * when cog takes such an event. What cog itself makes of it is dropped, but for wheels:
 * of these it does not know where the pointer is. And of a wheel's turn in two
 * directions, which is all that cog tells, WebKit 2.38 takes 0 for a turn as well.
 */

#include "cog.h"

enum { MOTION = 400, MOTION_ABSOLUTE, BUTTON };	       /* libinput's events */
enum { POINTER_MOTION = 1, POINTER_BUTTON };	       /* libwpe's */
enum { VERTICAL, HORIZONTAL, AXES_2D = 1 << 16 };
enum { FIRST_BUTTON = 0x110, KEYBOARD_MODIFIERS = 15, BUTTON1_MODIFIER = 1 << 20 };

struct libinput_event;
struct libinput_event_pointer;
struct wpe_view_backend;
struct wpe_input_keyboard_event {
	uint32_t time, key_code, hardware_key_code;
	_Bool pressed;
	uint32_t modifiers;
};
struct wpe_input_pointer_event {
	uint32_t type, time;
	int x, y;
	uint32_t button, state, modifiers;
};
struct wpe_input_axis_event {
	uint32_t type, time;
	int x, y;
	uint32_t axis;
	int value;
	uint32_t modifiers;
	double x_axis, y_axis; /* of an event with AXES_2D */
};

typedef struct libinput_event_pointer pointer_event;
pointer_event *libinput_event_get_pointer_event(struct libinput_event *event);
int libinput_event_get_type(struct libinput_event *event);
uint32_t libinput_event_pointer_get_time(pointer_event *event);
uint32_t libinput_event_pointer_get_button(pointer_event *event);
int libinput_event_pointer_get_button_state(pointer_event *event);
double libinput_event_pointer_get_dx(pointer_event *event);
double libinput_event_pointer_get_dy(pointer_event *event);
double libinput_event_pointer_get_absolute_x_transformed(pointer_event *event,
							 uint32_t width);
double libinput_event_pointer_get_absolute_y_transformed(pointer_event *event,
							 uint32_t height);
void wpe_view_backend_dispatch_set_size(struct wpe_view_backend *backend,
					uint32_t width, uint32_t height);
void wpe_view_backend_dispatch_keyboard_event(
	struct wpe_view_backend *backend, struct wpe_input_keyboard_event *event);
void wpe_view_backend_dispatch_pointer_event(struct wpe_view_backend *backend,
					     struct wpe_input_pointer_event *event);
void wpe_view_backend_dispatch_axis_event(struct wpe_view_backend *backend,
					  struct wpe_input_axis_event *event);

static struct wpe_view_backend *view;
static uint32_t width, height, modifiers, last_down;
static double x, y;

static double within(double value, uint32_t size)
{
	return value < 0 ? 0 : value > size - 1 ? size - 1 : value;
}

static void send(uint32_t type, uint32_t time, uint32_t button, uint32_t state)
{
	struct wpe_input_pointer_event event = {
		type, time, (int)x, (int)y, button, state, modifiers,
	};

	if (view)
		wpe_view_backend_dispatch_pointer_event(view, &event);
}

static void moved(pointer_event *event, double to_x, double to_y)
{
	x = within(to_x, width);
	y = within(to_y, height);
	send(POINTER_MOTION, libinput_event_pointer_get_time(event), last_down,
	     last_down != 0);
}

static void pressed(pointer_event *event)
{
	uint32_t button = libinput_event_pointer_get_button(event) - FIRST_BUTTON + 1;
	uint32_t down = libinput_event_pointer_get_button_state(event) != 0;

	if (button < 1 || button > 5)
		return;
	if (down)
		modifiers |= BUTTON1_MODIFIER << (button - 1);
	else
		modifiers &= ~(BUTTON1_MODIFIER << (button - 1));
	last_down = down ? button : 0;
	send(POINTER_BUTTON, libinput_event_pointer_get_time(event), button, down);
}

pointer_event *libinput_event_get_pointer_event(struct libinput_event *event)
{
	REAL(libinput_event_get_pointer_event);
	pointer_event *found = real(event);

	if (!found || !FROM_COG())
		return found;
	switch (libinput_event_get_type(event)) {
	case MOTION:
		moved(found, x + libinput_event_pointer_get_dx(found),
		      y + libinput_event_pointer_get_dy(found));
		break;
	case MOTION_ABSOLUTE:
		moved(found,
		      libinput_event_pointer_get_absolute_x_transformed(found, width),
		      libinput_event_pointer_get_absolute_y_transformed(found, height));
		break;
	case BUTTON:
		pressed(found);
		break;
	}
	return found;
}

void wpe_view_backend_dispatch_pointer_event(struct wpe_view_backend *backend,
					     struct wpe_input_pointer_event *event)
{
	REAL(wpe_view_backend_dispatch_pointer_event);

	if (!FROM_COG())
		real(backend, event);
}

void wpe_view_backend_dispatch_axis_event(struct wpe_view_backend *backend,
					  struct wpe_input_axis_event *event)
{
	REAL(wpe_view_backend_dispatch_axis_event);

	if (!FROM_COG() || !(event->type & AXES_2D)) {
		real(backend, event);
		return;
	}
	const double turned[] = { event->y_axis, event->x_axis };
	for (uint32_t axis = VERTICAL; axis <= HORIZONTAL; axis++) {
		struct wpe_input_axis_event turn = {
			event->type & ~AXES_2D, event->time, (int)x, (int)y,
			axis, (int)turned[axis], modifiers, 0, 0,
		};
		if (turn.value)
			real(backend, &turn);
	}
}

void wpe_view_backend_dispatch_keyboard_event(struct wpe_view_backend *backend,
					      struct wpe_input_keyboard_event *event)
{
	REAL(wpe_view_backend_dispatch_keyboard_event);

	modifiers = (modifiers & ~KEYBOARD_MODIFIERS) |
		    (event->modifiers & KEYBOARD_MODIFIERS);
	real(backend, event);
}

/* By this, cog tells the page how large the screen is. */
void wpe_view_backend_dispatch_set_size(struct wpe_view_backend *backend,
					uint32_t new_width, uint32_t new_height)
{
	REAL(wpe_view_backend_dispatch_set_size);

	view = backend;
	width = new_width;
	height = new_height;
	real(backend, new_width, new_height);
}
