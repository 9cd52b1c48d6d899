"""Made-up lines such as letters, bills and lists hold: dates, prices, names, addresses, words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

_FIRST = (
    "Ada Alan Anna Boris Carla Chen Clara David Elena Emil Fatima Felix Grace Hugo Ines Ivan Jana "
    "Karl Laura Lena Marco Maria Nadia Noor Olga Oscar Paula Quentin Rosa Samir Tessa Ugo Vera "
    "Walter Xenia Yusuf Zoe"
)
_LAST = (
    "Abbott Becker Carver Duval Ekberg Fischer Garcia Haddad Iversen Jansen Kovacs Lindqvist "
    "Mbeki Novak Okafor Petrov Quigley Rossi Suzuki Tanaka Ulrich Vogel Whitfield Xavier Yilmaz "
    "Zhang"
)
_MONTHS = "January February March April May June July August September October November December"
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_STREETS = "Mill Church Station High Park River Castle Queen Orchard Bridge Victoria"
_GOODS = (
    "apples bread candles envelopes flour ginger honey ink jam keys lamps milk nails oil paper "
    "quilts rice sugar thread umbrellas vinegar wax yarn zips"
)
_WORDS = (
    "about above after again all also always and any are back been before being below between "
    "both box but by call came can case change city come could day did does door down each early "
    "end even every example eye far few find first follow food for found from gave give go good "
    "great had half hand have head help here high him home house how if important into judge jump "
    "just keep kind know large last late learn leave left letter light like line little long made "
    "make many may measure mind more most move much must name near never new next night not number "
    "of off often old once only open or other our out over own page part people place plant point "
    "put question quick quite read real right river room same saw school sea second see sentence "
    "set she should show side since small so some song soon sound spell stand still stop story "
    "study such take talk tell than that the their them then there these they thing think this "
    "thought three through time to together too took tree turn under until up us use very walk "
    "want was watch water way we well went were what when where which while white who why will "
    "wind with without word work world would write year you young zero"
)
_ONSETS = "b c d f g h j k l m n p qu r s t v w x y z bl ch dr fl gr pl sh st th tr"
_RIMES = "a e i o u ab ack ail an ar ast eek el en er est ick id ig in ing ip ob old on op or"
_ABBREVIATIONS = "No. Ref. Fig. p. Vol. Dr. St."

Draw = np.random.Generator
MAX_CHARACTERS = 32


def random_line(rng: Draw) -> str:
    """One line of 1 to 32 characters, of letters, digits and common punctuation.

    Use it to draw texts that no model can learn by heart: about a fifth of the words are invented.

    Example:
        >>> random_line(np.random.default_rng(0)) == random_line(np.random.default_rng(0))
        True
    """
    kinds: tuple[Callable[[Draw], str], ...]
    kinds = (_date, _price, _name, _address, _number_words, _reference, _sentence, _sentence)
    line = _one(rng, kinds)(rng)
    style = rng.random()
    if style < 0.08:
        line = line.upper()
    elif style < 0.12:
        line = line.lower()
    if len(line) > MAX_CHARACTERS:
        line = line[: MAX_CHARACTERS + 1].rsplit(" ", 1)[0][:MAX_CHARACTERS]
    return line


def wrapped(lines: list[str], width: int) -> Iterator[str]:
    """The words of each line in pieces of at most ``width`` characters; longer words are cut.

    >>> list(wrapped(["to be or not", "extraordinary"], 8))
    ['to be or', 'not', 'extraord', 'inary']
    """
    for line in lines:
        piece = ""
        for word in line.split():
            if piece and len(piece) + 1 + len(word) > width:
                yield piece
                piece = ""
            piece = f"{piece} {word}" if piece else word
            while len(piece) > width:
                yield piece[:width]
                piece = piece[width:]
        if piece:
            yield piece


def number_words(number: int) -> str:
    """A number from 0 to 999 in words.

    >>> number_words(342), number_words(17), number_words(200)
    ('three hundred forty-two', 'seventeen', 'two hundred')
    """
    units = _UNITS.split()
    if number >= 100:
        rest = f" {number_words(number % 100)}" if number % 100 else ""
        return f"{units[number // 100]} hundred{rest}"
    if number < 20:
        return units[number]
    return _TENS.split()[number // 10 - 2] + (f"-{units[number % 10]}" if number % 10 else "")


def _one(rng: Draw, choices: tuple[Callable[[Draw], str], ...]) -> Callable[[Draw], str]:
    return choices[int(rng.integers(len(choices)))]


def _word(rng: Draw, words: str) -> str:
    known = words.split()
    return known[int(rng.integers(len(known)))]


def _date(rng: Draw) -> str:
    day, month, year = (int(rng.integers(*span)) for span in ((1, 29), (1, 13), (1890, 2031)))
    name = _MONTHS.split()[month - 1]
    forms = (
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"{_word(rng, _DAYS)}, {day} {name}",
        f"{year}-{month:02d}-{day:02d}",
        f"{day:02d}/{month:02d}/{year}",
        f"{int(rng.integers(24)):02d}:{int(rng.integers(60)):02d}, {day} {name[:3]}. {year}",
    )
    return forms[int(rng.integers(len(forms)))]


def _price(rng: Draw) -> str:
    amount = f"{int(10 ** rng.uniform(0, 5)):,}.{int(rng.integers(100)):02d}"
    count, goods = int(rng.integers(2, 100)), _word(rng, _GOODS)
    forms = (
        f"{count} {goods}: {amount}",
        f"Total: {amount} EUR",
        f"{goods.capitalize()} {amount} (-{int(rng.integers(5, 80))} %)",
        f"{count} x {goods} at {amount}",
    )
    return forms[int(rng.integers(len(forms)))]


def _name(rng: Draw) -> str:
    first, last = _word(rng, _FIRST), _word(rng, _LAST)
    second = _word(rng, _LAST) if rng.random() < 0.5 else _invented(rng).capitalize()
    forms = (
        f"{first} {last}",
        f"{last}, {first} {second[0]}.",
        f"{first} {last} & {_word(rng, _FIRST)} {second}",
        f"Dear {first} {second},",
        f"Messrs. {last} and {second}",
    )
    return forms[int(rng.integers(len(forms)))]


def _address(rng: Draw) -> str:
    number, code = int(rng.integers(1, 400)), int(rng.integers(10000, 99999))
    forms = (
        f"{number} {_word(rng, _STREETS)} Street",
        f"{_invented(rng).capitalize()} Road {number}, {code}",
        f"P.O. Box {code}, {_invented(rng).capitalize()}",
        f"tel. {int(rng.integers(100, 999))} {int(rng.integers(10**6, 10**7))}",
    )
    return forms[int(rng.integers(len(forms)))]


def _number_words(rng: Draw) -> str:
    words = " ".join(number_words(int(rng.integers(1000))) for _ in range(int(rng.integers(1, 3))))
    return words.capitalize() if rng.random() < 0.5 else words


def _reference(rng: Draw) -> str:
    letters = "".join(chr(65 + int(i)) for i in rng.integers(26, size=int(rng.integers(1, 4))))
    digits = "".join(str(int(i)) for i in rng.integers(10, size=int(rng.integers(2, 8))))
    return f"{_word(rng, _ABBREVIATIONS)} {letters}-{digits}/{int(rng.integers(1, 30))}"


def _sentence(rng: Draw) -> str:
    words = [
        _invented(rng) if rng.random() < 0.25 else _word(rng, _WORDS)
        for _ in range(int(rng.integers(2, 7)))
    ]
    if rng.random() < 0.2:
        place = int(rng.integers(len(words) - 1))
        words[place] += (",", ";", ":")[int(rng.integers(3))]
    line = " ".join(words)
    if rng.random() < 0.6:
        line = line.capitalize() + (".", ".", "?", "!")[int(rng.integers(4))]
    return line


def _invented(rng: Draw) -> str:
    return "".join(_word(rng, _ONSETS) + _word(rng, _RIMES) for _ in range(int(rng.integers(1, 4))))
