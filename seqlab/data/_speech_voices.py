"""English voices of the speech programs that are known: their own names, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A voice as its program calls it.

    Args:
        code: Its name there.
        person: Whose voice it is.
        pitch_hz: Its usual height, for programs that are told Hz.
    """

    code: str
    person: str
    pitch_hz: float = 120.0


def _mbrola(codes: str, suffix: str = "") -> dict[str, Known]:
    return {code: Known(f"mb-{code}{suffix}", f"mbrola-{code}") for code in codes.split()}


# The second line: people of other countries, for whom espeak-ng has rules to read English.
MBROLA = {
    **_mbrola("us1 us2 us3 en1"),
    **_mbrola("af1 de1 de2 de3 de4 de5 de6 fr1 fr4 gr2 hu1 nl2 pl1 ro1 sw1 sw2", "-en"),
}
FLITE = {
    "awb": Known("awb", "awb", pitch_hz=130),
    "kal16": Known("kal16", "kal", pitch_hz=105),
    "rms": Known("rms", "rms", pitch_hz=100),
    "slt": Known("slt", "slt", pitch_hz=180),
}
PICO = {
    "en-US": Known("en-US", "pico-en-US"),
    "en-GB": Known("en-GB", "pico-en-GB"),
}
RHVOICE = {
    "alan": Known("alan", "rhvoice-alan"),
    "bdl": Known("bdl", "bdl"),
    "clb": Known("clb", "clb"),
    "evgeniy-eng": Known("evgeniy-eng", "rhvoice-evgeniy"),
    "lyubov": Known("lyubov", "rhvoice-lyubov"),
    "slt": Known("slt", "slt"),
}
FESTIVAL = {
    "don_diphone": Known("don_diphone", "don", pitch_hz=110),
    "kal_diphone": Known("kal_diphone", "kal", pitch_hz=105),
    "ked_diphone": Known("ked_diphone", "ked", pitch_hz=105),
    "rab_diphone": Known("rab_diphone", "rab", pitch_hz=105),
    "cmu_us_slt_arctic_hts": Known("cmu_us_slt_arctic_hts", "slt", pitch_hz=180),
}
