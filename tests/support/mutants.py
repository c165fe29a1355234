"""Files spoiled at random, as people and programs spoil them: values, keys, text, bytes, encodings, names."""

import copy
import json
import re
import xml.etree.ElementTree as ElementTree

import yaml

STRANGE = [
    None, True, False, 0, -1, 1, 2, 10**30, 2**63, 1e308, -1e308, 0.5, -0.5, float("nan"), float("inf"), "",
    "x", "1", "0", "true", "../x.png", "a\0b", "\ud800", "É", [], {}, [[]], [None],
    {"a": 1}, [1, 2], [[1, 2]], "9" * 5000, "x" * 5000, [0] * 500,
]  # fmt: skip


def mutate(path, rng):
    """Spoil a file; what was done, in words."""
    structural = {".json": _spoil_json, ".yaml": _spoil_yaml, ".xml": _spoil_xml}.get(path.suffix)
    if path.suffix == ".txt":
        structural = _spoil_lines
    hows = [_spoil_bytes, _cut, _encode_otherwise, _rename] + [structural] * 16 * bool(structural)
    how = rng.choice(hows)
    return f"{path.name}: {how.__name__.strip('_')} {how(path, rng) or ''}"


def _places(tree, path=()):
    """Every path into plain data."""
    if path:
        yield path
    if isinstance(tree, dict | list):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in pairs:
            yield from _places(value, (*path, key))


def _spoil_tree(content, rng):
    """One place, sometimes two."""
    done = []
    for _ in range(rng.choice([1, 1, 1, 2])):
        paths = list(_places(content))
        if paths:
            done.append(_spoil_place(content, rng.choice(paths), rng))
    return "; ".join(done)


def _spoil_place(content, path, rng):
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    key = path[-1]
    value = parent[key]
    how = rng.choice(
        ["replace", "replace", "convert", "convert", "drop", "repeat", "rename", "wrap"]
    )
    if how == "convert" and isinstance(value, bool | int | float) and value is not None:
        new = rng.choice([str(value), -value, value * 1000, value + 0.5, float(value), [value]])
        parent[key] = new
    elif how == "convert" and isinstance(value, str):
        parent[key] = rng.choice(
            [value.upper(), f" {value} ", f"/{value}", value[:-1], f"./{value}"]
        )
    elif how == "drop":
        del parent[key]
    elif how == "repeat" and isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), copy.deepcopy(value))
    elif how == "rename" and isinstance(parent, dict):
        new = rng.choice([str(key).upper(), f"{key}s", f"{key} ", "x"])
        parent[new] = parent.pop(key)
    elif how == "wrap":
        parent[key] = [value]
    else:
        parent[key] = copy.deepcopy(rng.choice(STRANGE))
        how = f"replace by {parent[key]!r:.40}"
    return f"{'/'.join(map(str, path))} {how}"


def _spoil_json(path, rng):
    content = json.loads(path.read_bytes())
    done = _spoil_tree(content, rng)
    path.write_text(json.dumps(content))
    return done


def _spoil_yaml(path, rng):
    content = yaml.safe_load(path.read_text())
    done = _spoil_tree(content, rng)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return done


def _spoil_xml(path, rng):
    root = ElementTree.fromstring(path.read_bytes())
    parents = {child: parent for parent in root.iter() for child in parent}
    element = rng.choice(list(parents))
    how = rng.choice(["text", "text", "text", "drop", "repeat", "rename", "empty"])
    if how == "text":
        element.text = rng.choice(
            [
                "",
                "x",
                "-5",
                "0",
                "1",
                "1e9",
                "nan",
                "inf",
                "3.7",
                "31",
                "9" * 400,
                "é",
                " 7 ",
                "true",
            ]
        )
        how = f"text {element.text[:20]!r}"
    elif how == "drop":
        parents[element].remove(element)
    elif how == "repeat":
        parents[element].append(copy.deepcopy(element))
    elif how == "rename":
        element.tag = rng.choice([element.tag.upper(), f"{element.tag}s", "x"])
    else:
        for child in list(element):
            element.remove(child)
    path.write_bytes(ElementTree.tostring(root))
    return f"{element.tag} {how}"


def _spoil_lines(path, rng):
    lines = path.read_text().splitlines()
    number = rng.randrange(len(lines))
    words = lines[number].split()
    word = rng.randrange(len(words))
    how = rng.choice(["word", "word", "word", "drop", "add", "comma", "line", "twice", "blank"])
    if how == "word":
        words[word] = rng.choice(
            [
                "",
                "x",
                "-1",
                "0",
                "1",
                "5",
                "1e9",
                "nan",
                "inf",
                "1.5",
                "../a.png",
                "a\0b",
                "É",
                "x" * 5000,
            ]
        )
        how = f"word {words[word][:20]!r}"
    elif how == "drop":
        del words[word]
    elif how == "add":
        words.insert(word, rng.choice(["0.5", "x", "0"]))
    separator = "," if how == "comma" else " "
    lines[number] = separator.join(words)
    if how == "line":
        del lines[number]
    elif how == "twice":
        lines.append(lines[number])
    elif how == "blank":
        lines[number : number + 1] = ["", "\ufeff" + lines[number], "   "]
    path.write_text("\n".join(lines))
    return f"line {number + 1} {how}"


def _spoil_bytes(path, rng):
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 3])):
        place = rng.randrange(len(data) + 1)
        how = rng.choice(["overwrite", "overwrite", "flip", "insert", "repeat"])
        if how == "overwrite":
            data[place : place + 1] = bytes([rng.randrange(256)])
        elif how == "flip":
            data[place : place + 1] = bytes([(data + b"\0")[place] ^ (1 << rng.randrange(8))])
        elif how == "insert":
            data[place:place] = rng.choice(
                [b"\xff\xfe", b"\0", b"-", b"1e999", b"\n", b"<", b"nan "]
            )
        else:
            data[place:place] = data[max(0, place - 9) : place]
    path.write_bytes(bytes(data))


def _cut(path, rng):
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def _encode_otherwise(path, rng):
    if path.suffix == ".png":
        return _spoil_bytes(path, rng)
    encoding = rng.choice(["utf-16", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "gbk", "cp037"])
    # a name that is not ASCII, and line ends of Windows
    text = re.sub("dog", "dög" if encoding == "latin-1" else "狗", path.read_text())
    if encoding in ("cp037", "latin-1"):
        text = text.replace("狗", "dog")
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    return encoding


def _rename(path, rng):
    new = rng.choice([path.name.upper(), f"{path.name}.bak", f"x{path.name}", path.stem])
    if path.suffix == ".txt" and new == path.name.upper():
        new = f"{path.stem}_{path.suffix}"
    path.rename(path.with_name(new))
    return new
