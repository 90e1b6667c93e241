"""Reads files from outside without executing anything, with bounded memory and time.

- `archives`: members of zip and tar.gz archives, gzip streams.
- `pickle_values`: an interpreter of pickles that builds values only.
- `torch_files`: tensors of `torch.save` (zip and legacy format) and of TorchScript archives.
- `npy`: numeric `.npy` files whose length is exactly the declared one.

All raise :class:`counterfactory.core.errors.BadFile`, with one line that names the file, if it is damaged or is not
what it should be.
"""
