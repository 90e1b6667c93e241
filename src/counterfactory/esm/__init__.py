r"""The extended structural model: what would we have seen, had the evidence been otherwise?

A functional causal model has independent exogenous noises :math:`U_i \sim P(U_i)`; all that is observed is a
deterministic function of them. It is extended by a counterfactual copy of every noise,

.. math:: P(U'_i \mid U_i) = s\, [U'_i = U_i] + (1 - s)\, P(U'_i)

which shares the functions (Lucas and Kemp, 2015, Psychological Review 122(4), 700-734,
doi:10.1037/a0039655). The stickiness s is its one parameter: at s = 1 the copy keeps every noise, which is
Pearl's counterfactual; at s = 0 it knows nothing of the actual world. A premise enters the copy in one of
two ways:

- counterfactual *observation*: the copy is conditioned on it; causes are revised (backtracking);
- counterfactual *intervention*: a variable of the copy is cut from its causes and set; nothing backtracks.

:mod:`.kernels` holds the laws of the copy given the actual noise, :mod:`.samplers` the ways to condition it
on a likelihood, whatever generator that comes from, and :mod:`.networks` the exact answers on small
discrete networks: pure functions of (noise, log-likelihood, seed), in numpy. :mod:`.images` makes a likelihood of
what a classifier says of a generated image, :mod:`.worlds` a world of a trained generator, and :mod:`.queries` asks
it in words. The steps of the workflow are :mod:`.answer`, :mod:`.scores` and :mod:`.structure`.
"""
