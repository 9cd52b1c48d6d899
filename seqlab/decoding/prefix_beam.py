"""CTC prefix beam search with language model, lexicon and hotwords; offline and streaming."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_choice
from seqlab.contracts import Hypothesis
from seqlab.decoding.hotwords import DEFAULT_BOOST, Hotwords, Phrases
from seqlab.decoding.prefix_beam_answers import Answers
from seqlab.decoding.prefix_beam_lexicon import Lexicon, spelled_lexicon
from seqlab.decoding.prefix_beam_loops import Loops
from seqlab.decoding.prefix_beam_options import (
    Rows,
    frames_of,
    jobs_of,
    make_guidance,
    make_limits,
    make_weights,
)
from seqlab.decoding.prefix_beam_space import Search
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.decoding.prefix_beam_words import timed_words
from seqlab.decoding.priors import Priors, reweighted
from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths
from seqlab.lm.ngram.model import NGramModel
from seqlab.text.segments import TimedWord

_PIECES = 8  # of a batch for each thread: utterances are of different lengths


@dataclass(frozen=True, eq=False)
class StreamState:
    """A stream between two calls of ``step``, which never change it.

    Args:
        search: what the search remembers.
        loops: that search on, with the stream's hotwords.
    """

    search: Search
    loops: Loops


class PrefixBeamDecoder:
    """Searches the texts of the highest probability, summed over their alignments.

    Use it where accuracy counts, and wherever a language model, a lexicon or hotwords help.

    The score of a text is exact for every prefix that stays in the beam: the logarithm of the sum
    over all its alignments, plus ``lm_weight`` ln P(words, sentence end), plus ``word_bonus`` for
    each word, less ``unknown_penalty`` for each word that the language model lacks, plus the
    boosts of hotwords. ``Hypothesis.details`` holds the parts: ``"acoustic"``,
    ``"language_model"``, ``"words"``, ``"hotwords"``; they add up to the score.
    ``"posterior"`` is the answer's share among all that were in the beam at the end,
    ``"complete"`` is False where an utterance ended within a word of the lexicon; the text is
    cut before it then. Where a lexicon spells words in tokens, ``"words_at"`` says which: text,
    first token, and the one after the last.

    A token's time is that of the best alignment of its text, followed during the search. Its
    confidence is the geometric mean of its probability over these frames; an utterance's is the
    geometric mean over all frames of its acoustic probability, and 0 where there are no frames.

    Args:
        units: Tokens and how they make words; see ``for_tokenizer``.
        frame_s: Seconds from one encoded frame to the next, above 0.
        beam: Prefixes that are followed, 1 or more.
        beam_threshold: Nats; prefixes further below the best one are given up. ``inf``: none.
        max_tokens: At most so many tokens of a frame begin new prefixes; None: all.
        token_threshold: Nats; tokens further below the best one of a frame do not. ``inf``: none.
        n_best: Answers for each utterance, 1 to ``beam``; there may be fewer.
        language_model: Scores words, or tokens.
        lm_unit: ``"word"``, or ``"token"`` for a model whose words are the tokens' texts.
        lm_weight: 0 or more.
        word_bonus: Nats for each word; for each token with ``lm_unit="token"``.
        unknown_penalty: Nats, 0 or more, for each one the language model does not know.
        lookahead: Whether the best word that may still come counts while a word is spelled. It
            steers the search and is no part of the score.
        priors: Of the tokens; posteriors are divided by them before the search, whose scores and
            confidences are then those of the quotient. None: they are taken as they are.
        lexicon: The only words allowed: a list, or a mapping from words to one or several
            spellings in tokens, each a text of tokens with white space between, or a sequence.
        max_delay: Frames after which the beginning of the best prefix is final, which bounds
            memory in endless streams; None: only what all prefixes share is.
        threads: Utterances that are decoded at a time; they do not change the answers.

    Raises:
        SeqlabError: An argument is out of range, or language model or lexicon do not fit the
            tokens.

    Source: see ``seqlab.decoding.kernels.frames``.

    Example:
        >>> units = TokenUnits.characters(["<blank>", " ", "a", "b"])
        >>> import torch
        >>> decoder = PrefixBeamDecoder(units, frame_s=0.04)
        >>> probs = torch.tensor([[[0.4, 0.0, 0.3, 0.3], [0.4, 0.0, 0.6, 0.0]]])
        >>> best = decoder.decode(probs.log(), torch.tensor([2]))[0][0]
        >>> best.text, round(math.exp(best.score), 2), best.token_times
        ('a', 0.54, ((0.04, 0.08),))
    """

    def __init__(
        self,
        units: TokenUnits,
        frame_s: float,
        *,
        beam: int = 50,
        beam_threshold: float = 20.0,
        max_tokens: int | None = None,
        token_threshold: float = math.inf,
        n_best: int = 1,
        language_model: NGramModel | None = None,
        lm_unit: Literal["word", "token"] = "word",
        lm_weight: float = 0.5,
        word_bonus: float = 0.0,
        unknown_penalty: float = 0.0,
        lookahead: bool = True,
        lexicon: Lexicon | None = None,
        priors: Priors | None = None,
        max_delay: int | None = None,
        threads: int = 1,
    ) -> None:
        if not (math.isfinite(frame_s) and frame_s > 0):
            raise SeqlabError(f"frame_s={frame_s} must be above 0; it is hop times subsampling")
        check_at_least("beam", beam, 1)
        check_at_least("n_best", n_best, 1)
        check_at_least("threads", threads, 1)
        if n_best > beam:
            raise SeqlabError(f"n_best={n_best} must be at most beam={beam}; widen the beam")
        check_choice("lm_unit", lm_unit, ("word", "token"))
        self.units, self.frame_s, self.n_best, self.threads = units, frame_s, n_best, threads
        self.priors = priors
        self.limits = make_limits(
            units, beam, beam_threshold, max_tokens, token_threshold, max_delay
        )
        weights = make_weights(lm_weight, word_bonus, unknown_penalty, lookahead)
        self.guidance = make_guidance(units, language_model, lm_unit, weights, lexicon)
        self._loops = Loops(self.limits, self.guidance, self.guidance.fusion(), 0)
        self._answers = Answers(self.guidance, frame_s, n_best)

    @classmethod
    def for_tokenizer(cls, tokenizer: Any, frame_s: float, **options: Any) -> Self:
        """A decoder for the tokens of a fitted tokenizer; ``options`` are the constructor's.

        Tokens that do not spell words, such as phones, search the words of the tokenizer's
        lexicon, or those of the list ``lexicon`` as it spells them.

        Raises:
            SeqlabError: The tokenizer has no blank, or an option is out of range.
        """
        options["lexicon"] = spelled_lexicon(tokenizer, options.get("lexicon"))
        return cls(TokenUnits.of_tokenizer(tokenizer), frame_s, **options)

    def with_weights(
        self,
        lm_weight: float | None = None,
        word_bonus: float | None = None,
        unknown_penalty: float | None = None,
        prior_weight: float | None = None,
    ) -> PrefixBeamDecoder:
        """The same decoder with other weights, for tuning; words are not spelled again."""
        old = self.guidance.weights
        weights = make_weights(
            old.language_model if lm_weight is None else lm_weight,
            old.word_bonus if word_bonus is None else word_bonus,
            old.unknown_penalty if unknown_penalty is None else unknown_penalty,
            old.lookahead,
        )
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.guidance = replace(self.guidance, weights=weights)
        new._loops = Loops(new.limits, new.guidance, new.guidance.fusion(), 0)
        if prior_weight is not None:
            new.priors = reweighted(self.priors, prior_weight)
        new._answers = Answers(new.guidance, self.frame_s, self.n_best)
        return new

    def hotwords(self, phrases: Phrases, boost: float = DEFAULT_BOOST) -> Hotwords:
        """Hotwords made ready, for use in many calls.

        Args:
            phrases: Texts of one or more words, or a mapping of them to their boosts in nats.
            boost: Of texts without their own.
        """
        return Hotwords.of(phrases, self.guidance.spell, boost, self.guidance.most_symbols)

    def decode(
        self, log_probs: Tensor, lengths: Tensor, hotwords: Hotwords | Phrases | None = None
    ) -> list[list[Hypothesis]]:
        """The best texts of each utterance of log_probs (B, T', C), lengths (B,), best first.

        Args:
            log_probs: Natural logarithms (B, T', C); padding may hold anything.
            lengths: Valid frames (B,).
            hotwords: Phrases to prefer, see ``hotwords``.

        Raises:
            SeqlabError: Shapes do not fit, a frame holds NaN or nothing finite, or a hotword
                cannot be spelled.
        """
        if log_probs.dim() != 3:
            raise SeqlabError(
                f"log_probs of shape {tuple(log_probs.shape)} must be (B, T', {len(self.units)})"
            )
        rows = frames_of(log_probs, len(self.units), self.priors)
        check_lengths(lengths, rows.shape[1], "log_probs")
        if len(lengths) != len(rows):
            raise SeqlabError(
                f"{len(lengths)} lengths for {len(rows)} utterances of log_probs; pass one "
                "length for each"
            )
        loops = self._with(hotwords)
        jobs = jobs_of(rows, lengths, " of utterance {index} in the batch")

        def run(jobs: Sequence[Rows]) -> list[list[Hypothesis]]:
            return [self._decoded(loops, job) for job in jobs]

        threads = min(self.threads, len(jobs))
        if threads <= 1:
            return run(jobs)
        size = -(-len(jobs) // (_PIECES * threads))  # handing over takes as long as short searches
        pieces = [jobs[first : first + size] for first in range(0, len(jobs), size)]
        with ThreadPoolExecutor(threads) as pool:
            return [answers for piece in pool.map(run, pieces) for answers in piece]

    def _decoded(self, loops: Loops, job: Rows) -> list[Hypothesis]:
        search, scratch = loops.take(len(job[1]))
        loops.advance(search, scratch, job)
        answers = self._answers.final(search, loops)
        loops.put_back(search, scratch)
        return answers

    def words(self, answers: Sequence[Hypothesis], which: int = 0) -> tuple[TimedWord, ...]:
        """The words of one answer of an n-best list, with times and confidences.

        See ``seqlab.decoding.prefix_beam_words.timed_words``.
        """
        return timed_words(answers, self.units, which)

    def initial_state(self, hotwords: Hotwords | Phrases | None = None) -> StreamState:
        """The state of a stream before its first frame."""
        loops = self._with(hotwords)
        return StreamState(loops.begin(0), loops)

    def step(
        self, log_probs: Tensor, state: StreamState
    ) -> tuple[Hypothesis, Hypothesis, StreamState]:
        """Decode the next frames of a stream.

        Any way to cut a stream into frames gives the answers of ``decode``.

        Args:
            log_probs: The next frames (T', C), or (1, T', C).
            state: Of the stream; it stays as it is.

        Returns:
            What is final, the best answer so far, which begins with it, and the new state. The
            second may still change, and has scores without what only the end decides.

        Raises:
            SeqlabError: The shape does not fit, or a frame holds NaN or nothing finite.
        """
        if log_probs.dim() == 3 and len(log_probs) == 1:
            log_probs = log_probs[0]
        if log_probs.dim() != 2:
            raise SeqlabError(
                f"log_probs of shape {tuple(log_probs.shape)} must be (T', {len(self.units)}) or "
                "(1, T', C); a state is that of one stream"
            )
        rows = frames_of(log_probs, len(self.units), self.priors)[np.newaxis]
        (job,) = jobs_of(rows, torch.tensor([rows.shape[1]]), " of the stream's next frames")
        search, loops = state.search.copy(), state.loops
        loops.advance(search, loops.scratch(), job)
        search.collect()
        stable, partial = self._answers.so_far(search, loops)
        return stable, partial, StreamState(search, loops)

    def flush(self, state: StreamState) -> list[Hypothesis]:
        """The n-best list of a stream that has ended, best first; ``state`` stays as it is."""
        return self._answers.final(state.search, state.loops)

    def _with(self, hotwords: Hotwords | Phrases | None) -> Loops:
        if hotwords is None:
            return self._loops
        if not isinstance(hotwords, Hotwords):
            hotwords = self.hotwords(hotwords)
        if len(hotwords.fail) == 1:
            return self._loops
        fusion = self.guidance.fusion(hotwords)
        return Loops(self.limits, self.guidance, fusion, int(hotwords.start))
