"""Full softmax cross-entropy without ever holding the full matrix of logits.

The gradient is computed in the forward pass, block by block, so that memory is
block x catalogue whatever the batch is, and each block stays in cache for its three
passes. Affordable to about 20,000 items.
"""

from typing import Any

import torch
from torch import Tensor

BLOCK_CELLS = 800_000  # logits held at once: a block must stay in cache


class _BlockedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, embedding: Tensor, target: Tensor, weight: Tensor
    ) -> Tensor:
        grad_hidden = torch.empty_like(hidden)  # [rows, width]
        grad_embedding = torch.zeros_like(embedding)  # [items, width]
        loss = hidden.new_zeros(())
        scaled = weight / weight.sum()
        rows = max(16, BLOCK_CELLS // len(embedding))
        for start in range(0, len(hidden), rows):
            block = slice(start, start + rows)
            state, wanted = hidden[block], target[block, None]
            share = scaled[block, None]
            logits = state @ embedding.T  # [block, items]
            log_total = logits.logsumexp(dim=1, keepdim=True)
            loss += ((log_total - logits.gather(1, wanted)) * share).sum()
            slope = logits.sub_(log_total).exp_().mul_(share)
            slope.scatter_add_(1, wanted, -share)
            torch.mm(slope, embedding, out=grad_hidden[block])
            grad_embedding.addmm_(slope.T, state)
        ctx.save_for_backward(grad_hidden, grad_embedding)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_embedding = ctx.saved_tensors
        (grad,) = grad_outputs
        return grad * grad_hidden, grad * grad_embedding, None, None


def blocked_cross_entropy(
    hidden: Tensor, embedding: Tensor, target: Tensor, weight: Tensor
) -> Tensor:
    """Weighted mean of -log softmax(hidden @ embedding.T)[target].

    Args:
        hidden: float32[rows, width].
        embedding: float32[items, width].
        target: int64[rows].
        weight: float32[rows], at least 0, not all 0.
    """
    loss: Tensor = _BlockedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, embedding, target, weight
    )  # torch leaves apply untyped
    return loss
