"""Object files as images that a process maps and runs, without LLVM: loading its library takes 30 ms.

LLVM's code for x86-64 names every address in full (its large code model), so that linking a kernel is to lay
its sections one behind the other and to note where addresses stand. Objects of other processors and systems
are not linked here, and `dca.loading` leaves them to LLVM.

An image is a line of text, pairs of numbers, and the bytes of the sections. The line: where the entry is, how
many of the bytes stay as they are (the rest may be written to), how many pairs follow, and after the name of
each function of the C library the places of its address. A pair: the place of an address in the image, and
which place it is the address of.
"""

import ctypes
import functools
import mmap
import struct
from typing import Any, NamedTuple

_X86_64, _ABSOLUTE = 62, 1  # the machine, and R_X86_64_64: eight bytes that hold an address
_RELA, _SYMBOLS, _EMPTY = 4, 2, 8  # types of sections: relocations, symbols, zeros that no file holds
_WRITTEN, _LOADED = 0x1, 0x2  # flags of sections
_UNWINDING = ".eh_frame"  # for exceptions and debuggers
_RUN = 0x1 | 0x4  # PROT_READ, PROT_EXEC


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    each: int


class _Symbol(NamedTuple):
    name: int
    info: int
    other: int
    section: int
    value: int
    size: int


def linked(data: bytes, entry: str) -> bytes | None:
    """Image of an object file.

    Parameters
    ----------
    data : bytes
        What LLVM wrote.
    entry : str
        The function that the image is for.

    Returns
    -------
    bytes or None
        None for what this does not link: another format or processor, other kinds of addresses, functions
        that the C library lacks.
    """
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 18)[0] != _X86_64:
        return None
    sections, names = _sections(data)
    table = next(section for section in sections if section.kind == _SYMBOLS)
    symbols = [_Symbol(*row) for row in struct.iter_unpack("<IBBHQQ", _bytes(data, table))]
    texts = sections[table.link]
    begins, fixed, image = _laid_out(data, sections, names)
    pairs: list[tuple[int, int]] = []
    imports: dict[str, list[int]] = {}
    for section in sections:
        if section.kind != _RELA or section.info not in begins:
            continue
        for offset, info, addend in struct.iter_unpack("<QQq", _bytes(data, section)):
            symbol, place = symbols[info >> 32], begins[section.info] + offset
            if info & 0xFFFFFFFF == _ABSOLUTE and symbol.section in begins:
                pairs.append((place, begins[symbol.section] + symbol.value + addend))
            elif info & 0xFFFFFFFF == _ABSOLUTE and symbol.section == 0 and addend == 0:
                imports.setdefault(_text(data, texts, symbol.name), []).append(place)
            else:
                return None
    if not all(hasattr(_library(), name) for name in imports):
        return None
    own = next(symbol for symbol in symbols if _text(data, texts, symbol.name) == entry)
    parts = [str(begins[own.section] + own.value), str(fixed), str(len(pairs))]
    parts += [f"{name}:{','.join(map(str, places))}" for name, places in imports.items()]
    flat = [number for pair in pairs for number in pair]
    return " ".join(parts).encode() + b"\n" + struct.pack(f"<{len(flat)}Q", *flat) + image


def _bytes(data: bytes, section: _Section) -> bytes:
    return data[section.offset : section.offset + section.size]


def _text(data: bytes, section: _Section, place: int) -> str:
    begin = section.offset + place
    return data[begin : data.index(b"\0", begin)].decode()


def _sections(data: bytes) -> tuple[list[_Section], list[str]]:
    """All sections of an object file, and their names."""
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count, texts = struct.unpack_from("<3H", data, 58)
    found = [_Section(*struct.unpack_from("<IIQQQQIIQQ", data, start + k * size)) for k in range(count)]
    return found, [_text(data, found[texts], section.name) for section in found]


def _laid_out(data: bytes, sections: list[_Section], names: list[str]) -> tuple[dict[int, int], int, bytes]:
    """Where each section that a process needs begins, how many bytes stay as they are, and all bytes."""
    needed = [k for k, section in enumerate(sections) if section.flags & _LOADED and names[k] != _UNWINDING]
    begins: dict[int, int] = {}
    image = bytearray()
    fixed = 0
    for written in (0, _WRITTEN):
        for k in needed:
            section = sections[k]
            if section.flags & _WRITTEN == written:
                image.extend(bytes(-len(image) % max(section.align, 1)))
                begins[k] = len(image)
                image.extend(bytes(section.size) if section.kind == _EMPTY else _bytes(data, section))
        if not written:
            image.extend(bytes(-len(image) % mmap.PAGESIZE))
            fixed = len(image)
    return begins, fixed, bytes(image)


def load(content: bytes) -> tuple[int, Any]:
    """Map an image that `linked` has made: the address of its entry, and what holds the memory."""
    head, rest = content.split(b"\n", 1)
    entry, fixed, pairs, *imports = head.decode().split()
    size = 16 * int(pairs)
    memory = mmap.mmap(-1, len(rest) - size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = rest[size:]
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for place, value in struct.iter_unpack("<QQ", rest[:size]):
        struct.pack_into("<Q", memory, place, first + value)
    for item in imports:
        name, places = item.split(":")
        address = _address(name)
        for place in places.split(","):
            struct.pack_into("<Q", memory, int(place), address)
    if _library().mprotect(ctypes.c_void_p(first), ctypes.c_size_t(int(fixed)), _RUN):
        raise OSError(ctypes.get_errno(), "the system does not let compiled code run")
    return first + int(entry), memory


@functools.cache
def _library() -> Any:
    """What is loaded in this process, the C library and its mathematics among it."""
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _address(name: str) -> int:
    """Address of a function of the C library; OSError where there is none of that name."""
    try:
        return ctypes.cast(getattr(_library(), name), ctypes.c_void_p).value or 0
    except AttributeError as reason:
        raise OSError(f"compiled code asks for {name}, which this system lacks") from reason
