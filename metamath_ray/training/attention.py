"""Attention over sequences that lie end to end without padding: none sees another.

Hugging Face models look their attention up by name; this module registers one more. On a GPU it is torch's
variable-length flash attention, on a CPU one causal attention a sequence.
"""

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from metamath_ray.errors import ModelError

PACKED_ATTENTION = "metamath_ray_packed"
"""The name to give as `attn_implementation`."""


def packed_attention(  # noqa: PLR0913  (the interface is Hugging Face's)
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    boundaries: Tensor,
    longest: int,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Attend within each sequence, to what comes before; attention weights are not dropped out.

    Args:
        module: Not used; part of the interface.
        query: `[1, heads, tokens, head size]`; `key` and `value` the same, with as many heads or a divisor.
        key: See `query`.
        value: See `query`.
        attention_mask: Always None: the boundaries say everything.
        boundaries: `[sequences + 1]`, int32: where each sequence begins, and the number of tokens.
        longest: Tokens of the longest sequence.
        scaling: Factor of the products; one over the root of the head size by default.
        sliding_window: Attend to so many tokens and no more, the token itself among them.
        others: What a model adds; some models need of it what this attention does not have.

    Returns:
        `[1, tokens, heads, head size]`, and no weights.

    Raises:
        ModelError: The model caps its products or has attention sinks.
    """
    del attention_mask
    for name in ("softcap", "s_aux"):
        if others.get(name) is not None:
            raise ModelError(f"{type(module).__name__} needs {name!r}, which attention over packed sequences lacks")
    window = sliding_window if sliding_window and sliding_window < longest else None
    if query.is_cuda:
        attended = varlen_attn(
            query[0].transpose(0, 1),
            key[0].transpose(0, 1),
            value[0].transpose(0, 1),
            boundaries,
            boundaries,
            longest,
            longest,
            scale=scaling,
            window_size=(window - 1 if window else -1, 0),
            enable_gqa=True,
        )
        assert isinstance(attended, Tensor)  # noqa: S101  a pair only where more is asked for
        return attended[None], None
    sizes = boundaries.diff().tolist()
    pieces = zip(torch.split(query, sizes, 2), torch.split(key, sizes, 2), torch.split(value, sizes, 2), strict=True)
    attended = torch.cat([_causal(q, k, v, scaling, window) for q, k, v in pieces], 2)
    return attended.transpose(1, 2), None


def _causal(query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None) -> Tensor:
    length = query.shape[2]
    if window is None or length <= window:
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=True)
    seen = torch.ones(length, length, dtype=torch.bool, device=query.device).tril().triu(1 - window)
    return scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scaling, enable_gqa=True)


AttentionInterface.register(PACKED_ATTENTION, packed_attention)
