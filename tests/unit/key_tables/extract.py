"""Extracts numbers of keys from the sources that README.md names, into this folder."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
HEADER = Path("/usr/include/linux/input-event-codes.h")
Row = tuple[str, ...]


def hexadecimal(number: str | int, width: int = 2) -> str:
    value = number if isinstance(number, int) else int(number, 0)
    digits = f"{value:0{width}x}"
    return digits.zfill(len(digits) + len(digits) % 2)


def chromium(text: str) -> Iterator[Row]:
    entry = re.compile(
        r'^\s*DOM_CODE\((\w+), (\w+), \w+, (\w+), \w+,\s+"(\w+)",', re.MULTILINE
    )
    for usb, evdev, scan, dom in entry.findall(text):
        code, scanned = int(evdev, 0), int(scan, 0)
        if code and int(usb, 0) >= 0x10000:
            found = hexadecimal(scanned) if scanned else "-"
            yield dom, hexadecimal(usb, 6), str(code), found


def keymapdb(text: str) -> Iterator[Row]:
    columns = ("AT set1 keycode", "USB Keycodes", "HTML code", "XKB key name")
    for row in csv.DictReader(text.splitlines()):
        set1, usb, dom, xkb = (row[column] for column in columns)
        yield (
            str(int(row["Linux Keycode"], 0)),
            row["QEMU QKeyCode"] or "-",
            hexadecimal(set1) if set1 else "-",
            hexadecimal(int(usb) | 0x070000, 6) if usb else "-",
            dom or "-",
            xkb or "-",
        )


def linux_usb(text: str, names: dict[str, int]) -> Iterator[Row]:
    table = text.partition("hid_keyboard[256] = {")[2].partition("};")[0]
    for usage, code in enumerate(re.findall(r"\d+|unk", table)):
        if code not in {"0", "unk"}:
            yield "usb", hexadecimal(0x070000 | usage, 6), code
    controls = text.partition("/* SystemControl */")[2].partition("break;\n\t\t}")[0]
    consumer = text.partition("case HID_UP_CONSUMER:\t/*")[2].partition("HID_UP_GENDEV")
    for page, part in ((0x010080, controls), (0x0C0000, consumer[0])):
        for usage, name in re.findall(r"case (0x\w+): map_key_clear\((\w+)\)", part):
            if name in names:
                yield (
                    "usb",
                    hexadecimal(page | int(usage, 0), 6),
                    str(names[name]),
                )


def linux_set1(text: str) -> Iterator[Row]:
    """Yield what atkbd makes of each scan code, as QEMU's controller translates it."""
    set2 = _array(text, "atkbd_set2_keycode[ATKBD_KEYMAP_SIZE] = {")
    untranslated = _array(text, "atkbd_unxlate_table[128] = {")
    for scan, code in enumerate(untranslated):
        for prefix, plane in (("", 0), ("e0", 0x80)):
            if set2[code | plane] not in {0, 255}:
                yield "set1", prefix + hexadecimal(scan), str(set2[code | plane])


def _array(text: str, opening: str) -> list[int]:
    inside = text.partition(opening)[2].partition("};")[0]
    inside = re.sub(r"(?s)#ifdef.*?#else|#endif|/\*.*?\*/", "", inside)
    return [int(number) for number in re.findall(r"\d+", inside)]


def novnc(text: str) -> Iterator[Row]:
    for dom, code in re.findall(r'"(\w+)": (0x\w+)', text):
        yield dom, hexadecimal(code)


def webkit(text: str) -> Iterator[Row]:
    """Yield the DOM codes of X's keycodes, which are evdev's numbers and 8."""
    inside = text.partition("::keyCodeForHardwareKeyCode(")[2].partition("\n}")[0]
    for code, dom in re.findall(r'case (0x\w+):\s+return "(\w+)"', inside):
        yield dom, str(int(code, 0) - 8)


def write(name: str, rows: Iterable[Row]) -> None:
    lines = sorted({"\t".join(row) for row in rows})
    (FOLDER / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    dom_codes, keymaps, hid, atkbd, scans, hardware = (
        Path(path).read_text(encoding="utf-8") for path in sys.argv[1:]
    )
    numbers = re.findall(r"#define\s+(KEY_\w+)\s+(0x\w+|\d+)", HEADER.read_text())
    names = {name: int(number, 0) for name, number in numbers}
    write("chromium.tsv", chromium(dom_codes))
    write("keymapdb.tsv", keymapdb(keymaps))
    write("linux.tsv", [*linux_usb(hid, names), *linux_set1(atkbd)])
    write("novnc.tsv", novnc(scans))
    write("webkit.tsv", webkit(hardware))


if __name__ == "__main__":
    main()
