"""All variant servers, created on first use since some have keys of thousands of bits."""

from __future__ import annotations

from functools import cache

from tests.clients import variants_chain, variants_handshake, variants_leaf, variants_paths
from tests.clients.variants import Variant


@cache
def all_variants() -> tuple[Variant, ...]:
    """Return all variants, in the order of their modules."""
    makers = (
        variants_leaf.keys,
        variants_leaf.names,
        variants_leaf.extensions,
        variants_leaf.forms,
        variants_chain.intermediates,
        variants_chain.roots,
        variants_chain.spellings,
        variants_chain.sent,
        variants_handshake.handshakes,
    )
    return (*(variant for maker in makers for variant in maker()), *path_variants())


@cache
def path_variants() -> tuple[Variant, ...]:
    """Return the variants that ``answers.REFUSED_BY`` is about."""
    makers = (
        variants_paths.crossings,
        variants_paths.policies,
        variants_paths.constraints,
        variants_paths.common_names,
        variants_paths.authorities,
        variants_paths.host_names,
    )
    return tuple(variant for maker in makers for variant in maker())
