"""Eight bytes of a text at a time, for compiled loops on little-endian machines."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np import arrayobj


@intrinsic
def load8(typing, array, index):
    """Eight bytes of a uint8 array from ``index`` on, as an int64."""

    def generate(context, builder, signature, arguments):
        data = arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.gep(data, [arguments[1]])
        return builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()), align=1)

    return types.int64(array, types.intp), generate


@intrinsic
def store8(typing, array, index, value):
    """Write an int64 to eight bytes of a uint8 array from ``index`` on."""

    def generate(context, builder, signature, arguments):
        data = arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.gep(data, [arguments[1]])
        builder.store(arguments[2], builder.bitcast(address, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@intrinsic
def trailing_zeros(typing, number):
    """How many zero bits an int64 other than 0 ends with."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate
