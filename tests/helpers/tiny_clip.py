"""A CLIP of random weights, as small as can be, saved as Hugging Face saves one."""

import json
from pathlib import Path
from typing import Any

import torch

SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
                         "projection_dim": 16}  # fmt: skip


def save_tiny_clip(folder: Path) -> None:
    """Its tokens are letters."""
    import transformers

    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    text = SIZES | {"vocab_size": len(words), "max_position_embeddings": 24, "bos_token_id": len(words) - 2,
                    "eos_token_id": len(words) - 1}  # fmt: skip
    config = transformers.CLIPConfig(
        text_config=text, vision_config=SIZES | {"image_size": 32, "patch_size": 16}, projection_dim=16
    )
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
