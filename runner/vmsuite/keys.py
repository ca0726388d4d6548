"""Knows every key by every name that people write for it.

A key's own name is its QKeyCode, the name QEMU gives it. The same key is found by its
evdev name (``KEY_ENTER``), its DOM code (``Enter``), and the names people use every
day (``return``). Case does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vmsuite.findings import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a keyboard and its names."""

    qcode: str
    evdev: str
    """Its name in linux/input-event-codes.h: what a guest reports."""
    dom: str = ""
    """The code of a browser's key events; empty where it has none."""
    aliases: tuple[str, ...] = ()


# One key a line: QKeyCode, evdev name, DOM code (- for none), everyday names.
_TABLE = """
esc                KEY_ESC                Escape         escape
1                  KEY_1                  Digit1
2                  KEY_2                  Digit2
3                  KEY_3                  Digit3
4                  KEY_4                  Digit4
5                  KEY_5                  Digit5
6                  KEY_6                  Digit6
7                  KEY_7                  Digit7
8                  KEY_8                  Digit8
9                  KEY_9                  Digit9
0                  KEY_0                  Digit0
minus              KEY_MINUS              Minus          dash hyphen
equal              KEY_EQUAL              Equal          equals
backspace          KEY_BACKSPACE          Backspace      bksp
tab                KEY_TAB                Tab
q                  KEY_Q                  KeyQ
w                  KEY_W                  KeyW
e                  KEY_E                  KeyE
r                  KEY_R                  KeyR
t                  KEY_T                  KeyT
y                  KEY_Y                  KeyY
u                  KEY_U                  KeyU
i                  KEY_I                  KeyI
o                  KEY_O                  KeyO
p                  KEY_P                  KeyP
bracket_left       KEY_LEFTBRACE          BracketLeft    lbracket
bracket_right      KEY_RIGHTBRACE         BracketRight   rbracket
ret                KEY_ENTER              Enter          enter return
ctrl               KEY_LEFTCTRL           ControlLeft    control lctrl ctrl_l
a                  KEY_A                  KeyA
s                  KEY_S                  KeyS
d                  KEY_D                  KeyD
f                  KEY_F                  KeyF
g                  KEY_G                  KeyG
h                  KEY_H                  KeyH
j                  KEY_J                  KeyJ
k                  KEY_K                  KeyK
l                  KEY_L                  KeyL
semicolon          KEY_SEMICOLON          Semicolon
apostrophe         KEY_APOSTROPHE         Quote
grave_accent       KEY_GRAVE              Backquote      grave backtick
shift              KEY_LEFTSHIFT          ShiftLeft      lshift shift_l
backslash          KEY_BACKSLASH          Backslash
z                  KEY_Z                  KeyZ
x                  KEY_X                  KeyX
c                  KEY_C                  KeyC
v                  KEY_V                  KeyV
b                  KEY_B                  KeyB
n                  KEY_N                  KeyN
m                  KEY_M                  KeyM
comma              KEY_COMMA              Comma
dot                KEY_DOT                Period
slash              KEY_SLASH              Slash
shift_r            KEY_RIGHTSHIFT         ShiftRight     rshift
kp_multiply        KEY_KPASTERISK         NumpadMultiply asterisk
alt                KEY_LEFTALT            AltLeft        option lalt alt_l
spc                KEY_SPACE              Space          spacebar
caps_lock          KEY_CAPSLOCK           CapsLock       caps
f1                 KEY_F1                 F1
f2                 KEY_F2                 F2
f3                 KEY_F3                 F3
f4                 KEY_F4                 F4
f5                 KEY_F5                 F5
f6                 KEY_F6                 F6
f7                 KEY_F7                 F7
f8                 KEY_F8                 F8
f9                 KEY_F9                 F9
f10                KEY_F10                F10
f11                KEY_F11                F11
f12                KEY_F12                F12
num_lock           KEY_NUMLOCK            NumLock
scroll_lock        KEY_SCROLLLOCK         ScrollLock
kp_0               KEY_KP0                Numpad0        kp0
kp_1               KEY_KP1                Numpad1        kp1
kp_2               KEY_KP2                Numpad2        kp2
kp_3               KEY_KP3                Numpad3        kp3
kp_4               KEY_KP4                Numpad4        kp4
kp_5               KEY_KP5                Numpad5        kp5
kp_6               KEY_KP6                Numpad6        kp6
kp_7               KEY_KP7                Numpad7        kp7
kp_8               KEY_KP8                Numpad8        kp8
kp_9               KEY_KP9                Numpad9        kp9
kp_subtract        KEY_KPMINUS            NumpadSubtract kp_minus
kp_add             KEY_KPPLUS             NumpadAdd      kp_plus
kp_decimal         KEY_KPDOT              NumpadDecimal  kp_dot
kp_enter           KEY_KPENTER            NumpadEnter
kp_divide          KEY_KPSLASH            NumpadDivide   kp_slash
kp_equals          KEY_KPEQUAL            NumpadEqual    kp_equal
kp_comma           KEY_KPCOMMA            NumpadComma
less               KEY_102ND              IntlBackslash
ctrl_r             KEY_RIGHTCTRL          ControlRight   rctrl
alt_r              KEY_RIGHTALT           AltRight       altgr ralt
home               KEY_HOME               Home
up                 KEY_UP                 ArrowUp
pgup               KEY_PAGEUP             PageUp         page_up prior
left               KEY_LEFT               ArrowLeft
right              KEY_RIGHT              ArrowRight
end                KEY_END                End
down               KEY_DOWN               ArrowDown
pgdn               KEY_PAGEDOWN           PageDown       page_down
insert             KEY_INSERT             Insert         ins
delete             KEY_DELETE             Delete         del
pause              KEY_PAUSE              Pause          break
print              KEY_SYSRQ              PrintScreen    prtsc print_screen
sysrq              KEY_SYSRQ              -
meta_l             KEY_LEFTMETA           MetaLeft       meta win lwin super super_l cmd
meta_r             KEY_RIGHTMETA          MetaRight      rwin super_r
compose            KEY_COMPOSE            ContextMenu    apps application
menu               KEY_MENU               -
stop               KEY_STOP               BrowserStop
again              KEY_AGAIN              Again
props              KEY_PROPS              Props
undo               KEY_UNDO               Undo
front              KEY_FRONT              -
copy               KEY_COPY               Copy
open               KEY_OPEN               Open
paste              KEY_PASTE              Paste
find               KEY_FIND               Find
cut                KEY_CUT                Cut
help               KEY_HELP               Help
lf                 KEY_LINEFEED           -              linefeed
power              KEY_POWER              Power
sleep              KEY_SLEEP              Sleep
wake               KEY_WAKEUP             WakeUp
volumeup           KEY_VOLUMEUP           AudioVolumeUp
volumedown         KEY_VOLUMEDOWN         AudioVolumeDown
audiomute          KEY_MUTE               AudioVolumeMute mute
audionext          KEY_NEXTSONG           MediaTrackNext
audioprev          KEY_PREVIOUSSONG       MediaTrackPrevious
audioplay          KEY_PLAYPAUSE          MediaPlayPause
audiostop          KEY_STOPCD             MediaStop
mediaselect        KEY_MEDIA              MediaSelect
mail               KEY_MAIL               LaunchMail
calculator         KEY_CALC               LaunchApp2
computer           KEY_COMPUTER           LaunchApp1
ac_home            KEY_HOMEPAGE           BrowserHome
ac_back            KEY_BACK               BrowserBack
ac_forward         KEY_FORWARD            BrowserForward
ac_refresh         KEY_REFRESH            BrowserRefresh
ac_bookmarks       KEY_BOOKMARKS          BrowserFavorites
ro                 KEY_RO                 IntlRo
yen                KEY_YEN                IntlYen
henkan             KEY_HENKAN             Convert
muhenkan           KEY_MUHENKAN           NonConvert
hiragana           KEY_HIRAGANA           Lang4
katakanahiragana   KEY_KATAKANAHIRAGANA   KanaMode
lang1              KEY_HANGEUL            Lang1          hangul
lang2              KEY_HANJA              Lang2          hanja
"""

MODIFIERS = frozenset(
    ("shift", "shift_r", "ctrl", "ctrl_r", "alt", "alt_r", "meta_l", "meta_r")
)
"""QKeyCodes of the keys that change what another key does while held."""


def _read_table() -> Iterator[Key]:
    for line in _TABLE.strip().splitlines():
        qcode, evdev, dom, *aliases = line.split()
        yield Key(
            qcode=qcode,
            evdev=evdev,
            dom="" if dom == "-" else dom,
            aliases=tuple(aliases),
        )


KEYS: Mapping[str, Key] = MappingProxyType({key.qcode: key for key in _read_table()})
"""Every key by its QKeyCode."""


def _read_names() -> dict[str, str]:
    names: dict[str, str] = {}
    for key in KEYS.values():
        for name in (key.evdev, key.dom, *key.aliases):
            names.setdefault(name.lower(), key.qcode)
    names.pop("", None)
    # A QKeyCode always means itself, whatever else has that name.
    return names | {qcode: qcode for qcode in KEYS}


NAMES: Mapping[str, str] = MappingProxyType(_read_names())
"""The QKeyCode of every name, the names in lower case."""


def find_key(name: str) -> str:
    """Return the QKeyCode of a key's name. Raises ValueError with the nearest one."""
    found = NAMES.get(name.lower())
    if found is None:
        near = nearest(name.lower(), NAMES)
        raise ValueError(f"no key is called {name!r}{f' ({near})' if near else ''}")
    return found
