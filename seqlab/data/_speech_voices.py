"""Voices of the speech programs that are known: their own names, people and languages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A voice as its program calls it.

    Args:
        code: Its name there.
        person: Whose voice it is.
        language: Of the texts it reads.
        pitch_hz: Its usual height, for programs that are told Hz.
    """

    code: str
    person: str
    language: str = "en"
    pitch_hz: float = 120.0


def _mbrola(codes: str, language: str, suffix: str = "") -> dict[str, Known]:
    return {code: Known(f"mb-{code}{suffix}", f"mbrola-{code}", language) for code in codes.split()}


# Those of the second line have rules for English read with an accent.
MBROLA = {
    **_mbrola("us1 us2 us3 en1", "en"),
    **_mbrola("af1 de1 de2 de3 de4 de5 de6 fr1 fr4 gr2 hu1 nl2 pl1 ro1 sw1 sw2", "en", "-en"),
    **_mbrola("br1 br2 br3 br4 pt1", "pt"),
    **_mbrola("ca1 ca2 fr2 fr3 fr5 fr6 fr7", "fr"),
    **_mbrola("cr1", "hr"),
    **_mbrola("cz1 cz2", "cs"),
    **_mbrola("de7 de8", "de"),
    **_mbrola("ee1", "et"),
    **_mbrola("es1 es2 es3 es4 mx1 mx2 vz1", "es"),
    **_mbrola("gr1", "el"),
    **_mbrola("ic1", "is"),
    **_mbrola("id1", "id"),
    **_mbrola("in1 in2", "hi"),
    **_mbrola("it1 it2 it3 it4", "it"),
    **_mbrola("la1", "la"),
    **_mbrola("lt1 lt2", "lt"),
    **_mbrola("ma1", "ms"),
    **_mbrola("nl1 nl3", "nl"),
    **_mbrola("tl1", "te"),
    **_mbrola("tr1 tr2", "tr"),
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
    "de-DE": Known("de-DE", "pico-de-DE", "de"),
    "es-ES": Known("es-ES", "pico-es-ES", "es"),
    "fr-FR": Known("fr-FR", "pico-fr-FR", "fr"),
    "it-IT": Known("it-IT", "pico-it-IT", "it"),
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
