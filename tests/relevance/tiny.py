"""A cross-encoder of a few thousand parameters, trained for a second to prefer texts with a given word."""

from __future__ import annotations

import random
from pathlib import Path

WORDS = ("owls", "mice", "bees", "rain", "night", "spring", "grain", "wings", "flowers", "grow", "where", "do")


def train_cross_encoder(folder: Path, word: str = "flowers", *, labels: int = 1, steps: int = 60) -> Path:
    """Train a BERT with a score head, save it with its tokenizer and return the folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    ids = {token: place for place, token in enumerate((*special, *WORDS))}
    words = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=32,
    )
    torch.manual_seed(0)
    draw = random.Random(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(ids),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=32,
            num_labels=labels,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps if labels == 1 else 0):
        texts = [" ".join(draw.choices(WORDS, k=6)) for _ in range(32)]
        batch = tokenizer(["where do owls grow"] * len(texts), texts, padding=True, return_tensors="pt")
        wanted = torch.tensor([float(word in text.split()) for text in texts])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(**batch).logits[:, 0], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
