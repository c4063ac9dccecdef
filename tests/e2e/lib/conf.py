"""proxy.conf from Python values: dict -> { }, list of dicts -> ( ), list of strings -> [ ]."""


def text_of(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{ " + " ".join(f"{k} = {text_of(v)};" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        value = list(value)
        if value and isinstance(value[0], dict):
            return "(\n    " + ",\n    ".join(text_of(v) for v in value) + "\n)"
        return "[ " + ", ".join(text_of(v) for v in value) + " ]"
    text = str(value)
    return '"' + "".join(f"\\x{b:02x}" if b < 32 or b == 127 else chr(b) if b not in (34, 92) else "\\" + chr(b) for b in text.encode("latin-1")) + '"'


def conf_text(conf):
    """The whole file."""
    return "".join(f"{k} = {text_of(v)};\n" for k, v in conf.items())
