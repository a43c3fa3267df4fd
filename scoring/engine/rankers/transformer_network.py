"""The network: causal, pre-norm, ALiBi, SwiGLU, gated attention, tied embeddings.

References:
    Kang & McAuley, Self-attentive sequential recommendation, ICDM 2018.
    Press et al., Train short, test long (ALiBi), ICLR 2022.
    Shazeer, GLU variants improve transformer, arXiv 2002.05202.
    Zhang & Sennrich, Root mean square layer normalization, NeurIPS 2019.
    Borisyuk et al., LiGR, arXiv 2502.03417 (the gate on the attention output).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from scoring.engine.rankers.transformer import TransformerParameters

INITIAL_SCALE = 0.02


class RmsNorm(nn.Module):
    """x / rms(x) times a learned scale; written out so that it exports to ONNX."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        size = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(size + 1e-6) * self.scale


class Block(nn.Module):
    """Attention and feed-forward, each normalised before and added after."""

    def __init__(self, parameters: TransformerParameters) -> None:
        super().__init__()
        width = parameters.width
        self.heads = parameters.heads
        self.attention_norm = RmsNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.gate = nn.Linear(width, width, bias=False)
        self.mix = nn.Linear(width, width, bias=False)
        self.forward_norm = RmsNorm(width)
        self.expand = nn.Linear(width, 8 * width, bias=False)
        self.contract = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(parameters.dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """[rows, length, width] to the same; bias [1, heads, length, length]."""
        x = x + self.dropout(self._attend(self.attention_norm(x), bias))
        value, switch = self.expand(self.forward_norm(x)).chunk(2, dim=-1)
        fed: Tensor = self.dropout(self.contract(value * functional.silu(switch)))
        return x + fed

    def _attend(self, x: Tensor, bias: Tensor) -> Tensor:
        rows, length, width = x.shape
        query, key, value = (
            part.reshape(rows, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )  # [rows, heads, length, width / heads]
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias
        )
        joined = mixed.transpose(1, 2).reshape(rows, length, width)
        gated: Tensor = self.mix(joined * torch.sigmoid(self.gate(x)))
        return gated


class Network(nn.Module):
    """Embedding and blocks; `hidden @ embedding.T` are the logits."""

    def __init__(self, parameters: TransformerParameters, n_items: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_items, parameters.width)
        self.input_dropout = nn.Dropout(parameters.embedding_dropout)
        self.blocks = nn.ModuleList(Block(parameters) for _ in range(parameters.layers))
        self.norm = RmsNorm(parameters.width)
        bias = alibi(parameters.heads, parameters.length)
        self.register_buffer("bias", bias, persistent=False)
        for weight in self.parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=INITIAL_SCALE)
        residuals = (2 * parameters.layers) ** 0.5
        for block in self.blocks:
            assert isinstance(block, Block)  # noqa: S101 - narrows ModuleList's type
            nn.init.normal_(block.mix.weight, std=INITIAL_SCALE / residuals)
            nn.init.normal_(block.contract.weight, std=INITIAL_SCALE / residuals)

    def forward(self, items: Tensor) -> Tensor:
        """int64[rows, length] to hidden states [rows, length, width]."""
        embedded = self.embedding(items) * self.embedding.embedding_dim**0.5
        return self.encode(self.input_dropout(embedded))

    def encode(self, embedded: Tensor) -> Tensor:
        """Embedded inputs to hidden states, both [rows, length, width]."""
        length = embedded.shape[1]
        assert isinstance(self.bias, Tensor)  # noqa: S101 - narrows the buffer's type
        bias = self.bias[:, :, :length, :length]
        for block in self.blocks:
            embedded = block(embedded, bias)
        hidden: Tensor = self.norm(embedded)
        return hidden


class LastHidden(nn.Module):
    """What serving runs: embedded histories to the hidden state of their last item."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor, last: Tensor) -> Tensor:
        """Encode and pick.

        Args:
            inputs: float32[rows, length, width], scaled embeddings padded right.
            last: int64[rows], flat position (row x length + step) of the last item.
        """
        hidden = self.network.encode(inputs)
        return hidden.reshape(-1, hidden.shape[-1]).index_select(0, last)


def alibi(heads: int, length: int) -> Tensor:
    """Causal bias: head h of H sees distance t as -t 2^(-8 (h + 1) / H).

    Returns:
        float32[1, heads, length, length], query by key.
    """
    step = torch.arange(length)
    distance = (step[:, None] - step[None, :]).float()
    slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1) / heads)
    bias = -distance * slopes[:, None, None]
    return bias.masked_fill(distance < 0, -1e9)[None]
