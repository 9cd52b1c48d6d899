"""Asking for memory before it is needed, so that loops need not wait for it."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from seqlab.compiled import can_compile

if can_compile():

    @intrinsic
    def prefetch(typing, array, place):
        """Ask the memory for array[place], which will be read soon; it may lie anywhere."""

        def generate(context, builder, signature, arguments):
            view = context.make_array(signature.args[0])(context, builder, arguments[0])
            pointer = builder.gep(view.data, [arguments[1]])
            byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            name = "llvm.prefetch.p0"
            settings = [ir.Constant(number, value) for value in (0, 3, 1)]  # read, keep, data
            function = builder.module.declare_intrinsic(name, fnty=kind)
            builder.call(function, [builder.bitcast(pointer, byte), *settings])
            return context.get_dummy_value()

        return types.void(array, place), generate

else:

    def prefetch(array, place):
        """Nothing: loops that are not compiled do not wait for the memory."""
