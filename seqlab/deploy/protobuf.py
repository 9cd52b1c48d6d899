"""What an ONNX file says of data outside of it, read without the onnx package.

onnxruntime looks such data up below the folder it was started in, so that a graph could read files
of whoever runs it.

Source: the numbers of fields are those of onnx.proto (IR version 3 and above), the encoding is
that of protocol buffers, "Encoding", wire types 0, 1, 2 and 5.
"""

from __future__ import annotations

from collections.abc import Iterator

from seqlab.errors import ModelError

__all__ = ["has_outside_data"]

# Of each kind of message the fields that lead to tensors, and what kind of message they hold.
_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_OUTSIDE = (13, 14)  # external_data and data_location of a tensor
_DEEPEST = 100  # graphs within graphs


def has_outside_data(content: bytes) -> bool:
    """Whether a tensor of an ONNX model names data outside of its file.

    Raises:
        ModelError: It is no protocol buffer.

    >>> has_outside_data(b"")
    False
    """
    left = [("model", 0, len(content), 0)]
    while left:
        kind, start, end, depth = left.pop()
        if depth > _DEEPEST:
            raise ModelError(f"graphs lie {_DEEPEST} deep in one another; it cannot be a model")
        for field, begin, after, number in _fields(content, start, end):
            if kind == "tensor" and field in _OUTSIDE and (field == 13 or number != 0):
                return True
            inner = _INSIDE[kind].get(field)
            if inner is not None and number is None:
                left.append((inner, begin, after, depth + 1))
    return False


def _fields(content: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int | None]]:
    """Number of each field of a message, where its value lies, and the value if it is a number."""
    at = start
    while at < end:
        key, at = _number(content, at, end)
        kind, value = key & 7, None
        begin = after = at
        if kind == 0:
            value, after = _number(content, at, end)
        elif kind == 2:
            size, begin = _number(content, at, end)
            after = begin + size
        elif kind in (1, 5):
            value, after = 0, at + (8 if kind == 1 else 4)
        else:
            raise _damaged()
        if after > end:
            raise _damaged()
        yield key >> 3, begin, after, value
        at = after


def _number(content: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    result = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        result |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return result, at
    raise _damaged()


def _damaged() -> ModelError:
    return ModelError("it is no ONNX model, or is damaged; export the model again")
