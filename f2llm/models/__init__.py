"""A network: folder, backbone, attention, packing, pooling, heads, prompts, tokenizers, device, encoder."""
