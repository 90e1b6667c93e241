r"""The extended structural model: what would have been observed if the evidence were different?

A functional causal model has independent exogenous noises :math:`U_i \sim P(U_i)`; all observations are deterministic
functions of them. The extension adds a counterfactual copy of every noise,

.. math:: P(U'_i \mid U_i) = s\, [U'_i = U_i] + (1 - s)\, P(U'_i)

which has the same functions (Lucas and Kemp, 2015, Psychological Review 122(4), 700-734, doi:10.1037/a0039655). The
stickiness s is its only parameter: at s = 1 the copy keeps every noise, which is Pearl's counterfactual; at s = 0 the
copy is independent of the actual world. A premise is applied to the copy in one of two ways:

- counterfactual *observation*: the copy is conditioned on it, and causes are revised (backtracking);
- counterfactual *intervention*: a variable of the copy is separated from its causes and set, without backtracking.

The laws of the copy given the actual noise are in :mod:`counterfactory.scm.noise_kernels`. The other modules:

- :mod:`counterfactory.esm.samplers`: conditioning on a likelihood; functions of (noise, log-likelihood, seed) in numpy.
- :mod:`counterfactory.esm.images`: the likelihood of a generated image by a classifier, and the noise of an image.
- :mod:`counterfactory.esm.worlds`: trained generators as worlds in which queries are answered.
- :mod:`counterfactory.esm.queries`: queries, their evidence and premise.
- :mod:`counterfactory.esm.answer` and :mod:`counterfactory.esm.structure`: the steps of the workflow.
"""
