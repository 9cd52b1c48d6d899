"""A lexicon of the words of the tokenizers' tests, as cmudict has them, without stress."""

from __future__ import annotations

LEXICON = {
    "the": ["DH AH", "DH IY"],
    "sun": ["S AH N"],
    "rises": ["R AY Z AH Z", "R AY Z IH Z"],
    "in": ["IH N"],
    "east": ["IY S T"],
    "stars": ["S T AA R Z"],
    "rise": ["R AY Z"],
    "at": ["AE T"],
    "night": ["N AY T"],
    "nothing": ["N AH TH IH NG"],
    "rests": ["R EH S T S"],
    "sea": ["S IY"],
    "she": ["SH IY"],
    "sees": ["S IY Z"],
    "tree": ["T R IY"],
    "near": ["N IH R"],
    "shore": ["SH AO R"],
    "ten": ["T EH N"],
    "trains": ["T R EY N Z"],
    "arrive": ["ER AY V"],
    "noon": ["N UW N"],
    "star": ["S T AA R"],
}
