"""Readers of files from outside: they return values and arrays, execute nothing, and bound memory and time.

- `archives`: members of zip and tar.gz archives, gzip streams.
- `pickle_values`: an interpreter of pickles that only builds values.
- `torch_files`: tensors of `torch.save` (zip and legacy format) and of TorchScript archives.
- `npy`: numeric `.npy` files of the exact length.

Each raises :class:`counterfactory.core.errors.BadFile`, one line that names the file, for whatever is wrong with it.
"""
