"""What `videval endpoint check` finds: whether an endpoint can be asked, what it takes, and if all frames arrive."""

import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches

from videval.cli.endpoint_questions import Answers, ask_it
from videval.cli.findings import Finding
from videval.errors import VidevalError
from videval.models.dialects import transport_of
from videval.models.endpoints import Endpoint, key_of
from videval.models.openai_api.failures import ANEW, MODELS, RESTART
from videval.models.openai_api.probing import Listed, list_models, takes_body
from videval.words import plural, price

__all__ = ["endpoint_findings"]

PATIENCE = 120.0
"""Seconds that one request may take."""
SIZES_MB = (16.0, 4.0, 1.0)
"""Bodies that are tried, where the entry does not say which is the largest."""
OVERHEAD = 300
"""Tokens of a question's text and its chat template, at most."""
ASKED = 1000


def endpoint_findings(name: str, endpoint: Endpoint) -> Iterator[Finding]:
    """Look at one thing after the other, as long as what comes next can be asked; `name`: of its model."""
    endpoint = replace(endpoint, timeout_s=min(endpoint.timeout_s, PATIENCE))
    yield _entry(endpoint)
    key = _key(endpoint)
    yield key
    if not key.ok:
        return
    listed = list_models(endpoint)
    addresses = [_address(one, endpoint) for one in listed]
    yield from addresses
    if not all(found.ok for found in addresses):
        return
    models = list(_models(listed, endpoint))
    yield from models
    if not all(found.ok for found in models if found.what == "model"):
        return
    try:
        answers = ask_it(name, endpoint)
    except VidevalError as error:
        yield Finding(what="question", ok=False, says=str(error), mend=_mend(error))
        return
    yield _question(answers)
    yield _frames(answers, endpoint)
    yield _usage(answers)
    yield _body(endpoint)
    yield _price(answers, endpoint)


def _mend(error: VidevalError) -> str:
    """What mends it; there is no run that could go on."""
    return re.sub(f", {RESTART}|, then videval resume RUN|, {ANEW}", "", error.hint)


def _entry(endpoint: Endpoint) -> Finding:
    transport = transport_of(endpoint.remote)
    says = f"{endpoint.model}, shown {transport.said} (transport {endpoint.transport})"
    return Finding(what="entry", ok=True, says=says)


def _key(endpoint: Endpoint) -> Finding:
    try:
        key_of(endpoint)
    except VidevalError as error:
        return Finding(what="key", ok=False, says=str(error), mend=error.hint)
    says = f"{endpoint.key_env} is set" if endpoint.key_env else "it needs none, by its entry"
    return Finding(what="key", ok=True, says=says)


def _address(listed: Listed, endpoint: Endpoint) -> Finding:
    if listed.failure is None:
        return Finding(what="address", ok=True, says=f"{listed.url} answers, with {plural(len(listed.names), 'model')}")
    said = str(listed.failure)
    if f"{MODELS} is not there" in said:
        return Finding(what="address", ok=True, says=f"{listed.url} answers, and does not say which models it has")
    return Finding(what="address", ok=False, says=said, mend=_mend(listed.failure))


def _models(listed: list[Listed], endpoint: Endpoint) -> Iterator[Finding]:
    """Whether each address that says what it has has the model, and takes the context of the entry."""
    for one in listed:
        if one.names and endpoint.model not in one.names:
            near = get_close_matches(endpoint.model, one.names, n=1, cutoff=0.0)[0]
            says = f"{one.url} has no {endpoint.model}; it has {', '.join(one.names[:5])}"
            yield Finding(what="model", ok=False, says=says, mend=f'model = "{near}" in [endpoints.{endpoint.name}]')
        elif one.names:
            yield Finding(what="model", ok=True, says=f"{one.url} has {endpoint.model}")
        if most := (one.contexts or {}).get(endpoint.model):
            yield _context(one.url, most, endpoint)


def _context(url: str, most: int, endpoint: Endpoint) -> Finding:
    mine, right = endpoint.limits.context, f"limits = {{ context = {most} }} in [endpoints.{endpoint.name}]"
    if mine is None:
        says = f"{url} takes {most:,} tokens, and the entry does not say so: too long questions fail one by one"
        return Finding(what="context", ok=True, says=says, mend=right)
    if mine > most:
        return Finding(what="context", ok=False, says=f"the entry says {mine:,} tokens, {url} {most:,}", mend=right)
    return Finding(what="context", ok=True, says=f"{mine:,} tokens by the entry, {most:,} by {url}")


def _question(answers: Answers) -> Finding:
    """Whether it answers; a wrong answer is no fault of an endpoint by itself."""
    said, question = answers.most.text.strip(), answers.question
    if not said:
        is_cut = answers.most.generation.cut_thinking
        why = answers.most.generation.refused or "cut off while it was thinking" * is_cut
        mend = "a higher --max-new-tokens" if is_cut else "ask it by hand: videval try"
        return Finding(what="question", ok=False, says=f"it answered nothing{why and f': {why}'}", mend=mend)
    if answers.is_right:
        return Finding(what="question", ok=True, says=f"{question.text} It answered {said[:80]!r}, which is right")
    says = f"{question.text} It answered {said[:80]!r}, and right is {answers.right!r}"
    mend = "a small model may be wrong; if it is a good one, what it is shown is not what is sent"
    return Finding(what="question", ok=True, says=says, mend=mend)


def _frames(answers: Answers, endpoint: Endpoint) -> Finding:
    """Whether all frames arrive, by what the server counts of two prompts that differ in their frames only."""
    few, many = answers.few_frames, answers.many_frames
    if not transport_of(endpoint.remote).exact:
        says = "the server chooses them: scores cannot be compared with those of runs whose frames videval chose"
        return Finding(what="frames", ok=True, says=says, mend='transport = "frames" shows what videval chooses')
    low, high = answers.least.generation.prompt_tokens, answers.most.generation.prompt_tokens
    if few == many:
        return Finding(what="frames", ok=True, says="one is shown at a time: none can be missing")
    if low is None or high is None:
        says = "whether all arrive cannot be told: the server does not say how many tokens a prompt has"
        return Finding(what="frames", ok=True, says=says, mend="see its log for what it makes of a question")
    says = f"{many} frames cost {high:,} tokens of the prompt, {few} cost {low:,}"
    if high <= low:
        return Finding(what="frames", ok=False, says=f"{says}: the server drops frames", mend=_kept(answers, endpoint))
    if low - few * (high - low) / (many - few) > OVERHEAD:
        says = f"{says}: those beyond {few} cost less than the others, so that some are dropped or made smaller"
        return Finding(what="frames", ok=True, says=says, mend=_kept(answers, endpoint))
    return Finding(what="frames", ok=True, says=f"{says}: all of them arrive")


def _kept(answers: Answers, endpoint: Endpoint) -> str:
    """What makes a server keep all frames."""
    if endpoint.transport == "video":
        return 'start vLLM with --trust-request-mm-kwargs, or transport = "frames"'
    if transport_of(endpoint.remote).form == "video":
        return f'does it take transport "{endpoint.transport}"? transport = "frames" shows each frame as an image'
    return "does the model take images, and as many? see the server's own flags (docs/servers.md)"


def _usage(answers: Answers) -> Finding:
    generation = answers.most.generation
    names = ("prompt_tokens", "new_tokens", "cached_tokens", "reasoning_tokens")
    told = [name for name in names if getattr(generation, name) is not None]
    if generation.prompt_tokens is None or generation.new_tokens is None:
        says = "the server does not count tokens: tokens_per_minute and --max-tokens-total are kept by a guess"
        return Finding(what="usage", ok=True, says=says, mend="have it say its usage")
    missing = "" if generation.cached_tokens is not None else "; not what its prefix cache spares"
    return Finding(what="usage", ok=True, says=f"it says {', '.join(told).replace('_', ' ')}{missing}")


def _body(endpoint: Endpoint) -> Finding:
    """The largest body that it takes, of those that are tried: none of them is answered, or paid for."""
    most = endpoint.limits.max_body_mb
    sizes = SIZES_MB if most is None else (most, *(size for size in SIZES_MB if size < most))
    for size in sizes:
        taken = takes_body(endpoint, size)
        if taken is None:
            return Finding(what="body", ok=True, says=f"how large one may be cannot be told (tried {size:g} MB)")
        if taken:
            return _taken(size, sizes[0], endpoint)
    says = f"not even one of {sizes[-1]:g} MB is taken"
    return Finding(what="body", ok=False, says=says, mend="a larger limit of the server, or of the proxy before it")


def _taken(size: float, tried: float, endpoint: Endpoint) -> Finding:
    says = f"one of {size:g} MB is taken"
    if size == tried:
        return Finding(what="body", ok=True, says=says)
    right = f"limits = {{ max_body_mb = {size:g} }} in [endpoints.{endpoint.name}]: what is larger fails beforehand"
    is_well = endpoint.limits.max_body_mb is None
    return Finding(what="body", ok=is_well, says=f"{says}, one of {tried:g} MB is not", mend=right)


def _price(answers: Answers, endpoint: Endpoint) -> Finding:
    if endpoint.prices is None:
        return Finding(what="price", ok=True, says="the entry has no prices: what runs cost is not counted")
    cost, currency = answers.most.generation.cost, endpoint.prices.currency
    if cost is None:
        return Finding(what="price", ok=True, says="cannot be told: the server does not count tokens")
    says = f"this question cost {price(cost, currency)}, {ASKED:,} like it {price(ASKED * cost, currency)}"
    return Finding(what="price", ok=True, says=says)
