"""Holds the table of keys: what each is called and numbered in every notation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a keyboard, its names and its numbers."""

    qcode: str
    evdev: str
    """Its name in linux/input-event-codes.h."""
    code: int
    """The number of that name."""
    usb: int | None = None
    """Its USB HID usage: the page times 0x10000, and the usage in the page."""
    set1: tuple[int, ...] = ()
    """What a PS/2 keyboard sends when it is pressed alone, in scan code set 1."""
    dom: str = ""
    """The code of a browser's key events; empty where it has none."""
    aliases: tuple[str, ...] = ()


# One key a line: QKeyCode; evdev's name without KEY_ and its number; USB usage and
# set 1 in hexadecimal; DOM code. A - stands for none. Where keys share a name or
# number, the first of them is what it leads to. Set 1 is QEMU's and Linux's (Microsoft
# numbers F13 to F24 and a few others differently); F13 to F24 came with QEMU 8.0.
_TABLE = """
esc              ESC              1   070029 01           Escape
1                1                2   07001e 02           Digit1
2                2                3   07001f 03           Digit2
3                3                4   070020 04           Digit3
4                4                5   070021 05           Digit4
5                5                6   070022 06           Digit5
6                6                7   070023 07           Digit6
7                7                8   070024 08           Digit7
8                8                9   070025 09           Digit8
9                9                10  070026 0a           Digit9
0                0                11  070027 0b           Digit0
minus            MINUS            12  07002d 0c           Minus
equal            EQUAL            13  07002e 0d           Equal
backspace        BACKSPACE        14  07002a 0e           Backspace
tab              TAB              15  07002b 0f           Tab
q                Q                16  070014 10           KeyQ
w                W                17  07001a 11           KeyW
e                E                18  070008 12           KeyE
r                R                19  070015 13           KeyR
t                T                20  070017 14           KeyT
y                Y                21  07001c 15           KeyY
u                U                22  070018 16           KeyU
i                I                23  07000c 17           KeyI
o                O                24  070012 18           KeyO
p                P                25  070013 19           KeyP
bracket_left     LEFTBRACE        26  07002f 1a           BracketLeft
bracket_right    RIGHTBRACE       27  070030 1b           BracketRight
ret              ENTER            28  070028 1c           Enter
ctrl             LEFTCTRL         29  0700e0 1d           ControlLeft
a                A                30  070004 1e           KeyA
s                S                31  070016 1f           KeyS
d                D                32  070007 20           KeyD
f                F                33  070009 21           KeyF
g                G                34  07000a 22           KeyG
h                H                35  07000b 23           KeyH
j                J                36  07000d 24           KeyJ
k                K                37  07000e 25           KeyK
l                L                38  07000f 26           KeyL
semicolon        SEMICOLON        39  070033 27           Semicolon
apostrophe       APOSTROPHE       40  070034 28           Quote
grave_accent     GRAVE            41  070035 29           Backquote
shift            LEFTSHIFT        42  0700e1 2a           ShiftLeft
backslash        BACKSLASH        43  070031 2b           Backslash
z                Z                44  07001d 2c           KeyZ
x                X                45  07001b 2d           KeyX
c                C                46  070006 2e           KeyC
v                V                47  070019 2f           KeyV
b                B                48  070005 30           KeyB
n                N                49  070011 31           KeyN
m                M                50  070010 32           KeyM
comma            COMMA            51  070036 33           Comma
dot              DOT              52  070037 34           Period
slash            SLASH            53  070038 35           Slash
shift_r          RIGHTSHIFT       54  0700e5 36           ShiftRight
kp_multiply      KPASTERISK       55  070055 37           NumpadMultiply
asterisk         KPASTERISK       55  070055 37           -
alt              LEFTALT          56  0700e2 38           AltLeft
spc              SPACE            57  07002c 39           Space
caps_lock        CAPSLOCK         58  070039 3a           CapsLock
f1               F1               59  07003a 3b           F1
f2               F2               60  07003b 3c           F2
f3               F3               61  07003c 3d           F3
f4               F4               62  07003d 3e           F4
f5               F5               63  07003e 3f           F5
f6               F6               64  07003f 40           F6
f7               F7               65  070040 41           F7
f8               F8               66  070041 42           F8
f9               F9               67  070042 43           F9
f10              F10              68  070043 44           F10
f11              F11              87  070044 57           F11
f12              F12              88  070045 58           F12
f13              F13              183 070068 5d           F13
f14              F14              184 070069 5e           F14
f15              F15              185 07006a 5f           F15
f16              F16              186 07006b 55           F16
f17              F17              187 07006c e003         F17
f18              F18              188 07006d e077         F18
f19              F19              189 07006e e004         F19
f20              F20              190 07006f 5a           F20
f21              F21              191 070070 74           F21
f22              F22              192 070071 e079         F22
f23              F23              193 070072 6d           F23
f24              F24              194 070073 6f           F24
num_lock         NUMLOCK          69  070053 45           NumLock
scroll_lock      SCROLLLOCK       70  070047 46           ScrollLock
kp_0             KP0              82  070062 52           Numpad0
kp_1             KP1              79  070059 4f           Numpad1
kp_2             KP2              80  07005a 50           Numpad2
kp_3             KP3              81  07005b 51           Numpad3
kp_4             KP4              75  07005c 4b           Numpad4
kp_5             KP5              76  07005d 4c           Numpad5
kp_6             KP6              77  07005e 4d           Numpad6
kp_7             KP7              71  07005f 47           Numpad7
kp_8             KP8              72  070060 48           Numpad8
kp_9             KP9              73  070061 49           Numpad9
kp_subtract      KPMINUS          74  070056 4a           NumpadSubtract
kp_add           KPPLUS           78  070057 4e           NumpadAdd
kp_decimal       KPDOT            83  070063 53           NumpadDecimal
kp_enter         KPENTER          96  070058 e01c         NumpadEnter
kp_divide        KPSLASH          98  070054 e035         NumpadDivide
kp_equals        KPEQUAL          117 070067 59           NumpadEqual
kp_comma         KPCOMMA          121 070085 7e           NumpadComma
less             102ND            86  070064 56           IntlBackslash
ctrl_r           RIGHTCTRL        97  0700e4 e01d         ControlRight
alt_r            RIGHTALT         100 0700e6 e038         AltRight
home             HOME             102 07004a e047         Home
up               UP               103 070052 e048         ArrowUp
pgup             PAGEUP           104 07004b e049         PageUp
left             LEFT             105 070050 e04b         ArrowLeft
right            RIGHT            106 07004f e04d         ArrowRight
end              END              107 07004d e04f         End
down             DOWN             108 070051 e050         ArrowDown
pgdn             PAGEDOWN         109 07004e e051         PageDown
insert           INSERT           110 070049 e052         Insert
delete           DELETE           111 07004c e053         Delete
pause            PAUSE            119 070048 e11d45e19dc5 Pause
print            SYSRQ            99  070046 e02ae037     PrintScreen
sysrq            SYSRQ            99  070046 e02ae037     -
meta_l           LEFTMETA         125 0700e3 e05b         MetaLeft
meta_r           RIGHTMETA        126 0700e7 e05c         MetaRight
compose          COMPOSE          127 070065 e05d         ContextMenu
menu             MENU             139 0c0040 e01e         -
stop             STOP             128 070078 e068         BrowserStop
again            AGAIN            129 070079 e005         Again
props            PROPS            130 070076 e006         Props
undo             UNDO             131 07007a e007         Undo
front            FRONT            132 070077 e00c         Select
copy             COPY             133 07007c e078         Copy
open             OPEN             134 070074 64           Open
paste            PASTE            135 07007d 65           Paste
find             FIND             136 07007e e041         Find
cut              CUT              137 07007b e03c         Cut
help             HELP             138 070075 e075         Help
lf               LINEFEED         101 -      5b           -
power            POWER            116 070066 e05e         Power
sleep            SLEEP            142 010082 e05f         Sleep
wake             WAKEUP           143 010083 e063         WakeUp
volumeup         VOLUMEUP         115 070080 e030         AudioVolumeUp
volumedown       VOLUMEDOWN       114 070081 e02e         AudioVolumeDown
audiomute        MUTE             113 07007f e020         AudioVolumeMute
audionext        NEXTSONG         163 0c00b5 e019         MediaTrackNext
audioprev        PREVIOUSSONG     165 0c00b6 e010         MediaTrackPrevious
audioplay        PLAYPAUSE        164 0c00cd e022         MediaPlayPause
audiostop        STOPCD           166 0c00b7 e024         MediaStop
mediaselect      MEDIA            226 0c0183 e06d         MediaSelect
mail             MAIL             155 0c018a e06c         LaunchMail
calculator       CALC             140 0c0192 e021         LaunchApp2
computer         COMPUTER         157 0c0194 e06b         LaunchApp1
ac_home          HOMEPAGE         172 0c0223 e032         BrowserHome
ac_back          BACK             158 0c0224 e06a         BrowserBack
ac_forward       FORWARD          159 0c0225 e069         BrowserForward
ac_refresh       REFRESH          173 0c0227 e067         BrowserRefresh
ac_bookmarks     BOOKMARKS        156 0c022a e066         BrowserFavorites
ro               RO               89  070087 73           IntlRo
yen              YEN              124 070089 7d           IntlYen
henkan           HENKAN           92  07008a 79           Convert
muhenkan         MUHENKAN         94  07008b 7b           NonConvert
hiragana         HIRAGANA         91  070093 77           Lang4
katakanahiragana KATAKANAHIRAGANA 93  070088 70           KanaMode
lang1            HANGEUL          122 070090 72           Lang1
lang2            HANJA            123 070091 71           Lang2
"""

# A key, then its everyday names.
_EVERYDAY = """
esc escape
minus dash hyphen
equal equals
backspace bksp
bracket_left lbracket
bracket_right rbracket
ret enter return
ctrl control lctrl ctrl_l control_l
grave_accent grave backtick
shift lshift shift_l
shift_r rshift
alt option lalt alt_l
spc spacebar
caps_lock caps
kp_0 kp0
kp_1 kp1
kp_2 kp2
kp_3 kp3
kp_4 kp4
kp_5 kp5
kp_6 kp6
kp_7 kp7
kp_8 kp8
kp_9 kp9
kp_multiply kp_asterisk
kp_subtract kp_minus
kp_add kp_plus
kp_decimal kp_dot
kp_divide kp_slash
kp_equals kp_equal
ctrl_r rctrl control_r
alt_r altgr ralt iso_level3_shift
pgup page_up prior
pgdn page_down
insert ins
delete del
pause break
print prtsc print_screen
meta_l meta win windows lwin super super_l cmd
meta_r rwin super_r
compose apps application
lf linefeed
audiomute mute
lang1 hangul key_hanguel
lang2 hanja
"""

MODIFIERS = frozenset(
    ("shift", "shift_r", "ctrl", "ctrl_r", "alt", "alt_r", "meta_l", "meta_r")
)
"""QKeyCodes of the keys that change what another key does while held."""


def _read_table() -> Iterator[Key]:
    everyday = dict(line.split(maxsplit=1) for line in _EVERYDAY.strip().splitlines())
    for line in _TABLE.strip().splitlines():
        qcode, evdev, code, usb, set1, dom = line.split()
        yield Key(
            qcode=qcode,
            evdev=f"KEY_{evdev}",
            code=int(code),
            usb=None if usb == "-" else int(usb, 16),
            set1=() if set1 == "-" else tuple(bytes.fromhex(set1)),
            dom="" if dom == "-" else dom,
            aliases=tuple(everyday.get(qcode, "").split()),
        )


KEYS: Mapping[str, Key] = MappingProxyType({key.qcode: key for key in _read_table()})
"""Every key by its QKeyCode."""
