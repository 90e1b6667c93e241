"""Options of the training of image mechanisms that follow causal-gen."""

import torch

from counterfactory.models.image.hvae import Hvae
from counterfactory.models.image.train import ElboLoss, _uses_kernels, droppable_columns
from counterfactory.models.image.vae import Vae
from counterfactory.nets.likelihood import discretised_gaussian_nll
from tests.models.test_image_mechanism import NETWORK, Recorder, batch, generator, record, training
from tests.squares import SQUARES


def test_conditioning_dropout_of_whole_batches():
    """Of three equal outcomes, one hides the class from the prior, one from the decoder; the posterior keeps it."""
    found = []
    for seed in range(60):
        model, chosen = Recorder().train(), batch(12)
        changed = training(conditioning_dropout=2 / 3, conditioning_dropout_unit="batch")
        ElboLoss(changed, droppable_columns(SQUARES))(model, chosen, generator(seed), 0.5)
        assert torch.equal(model.parents, chosen["parents"])
        hidden = []
        for seen in (model.prior_parents, model.options["decoder_parents"]):
            assert torch.equal(seen[:, :2], chosen["parents"][:, :2])
            missing = (seen[:, 2:] == 0).all(1)
            assert missing.all() or not missing.any()
            hidden.append(bool(missing.all()))
        found.append(tuple(hidden))
    counts = [found.count(one) for one in ((True, False), (False, True), (False, False))]
    assert sum(counts) == 60 and all(8 <= count <= 32 for count in counts)
    assert "decoder_parents" not in record()[0].options


def test_the_decoder_of_the_simple_vae_may_receive_other_parents():
    torch.manual_seed(0)
    model = Vae((1, 8, 8), 5, channels=4, hidden=8, latent=2).eval()
    x, parents, noise = torch.zeros(2, 1, 8, 8), torch.rand(2, 5), [torch.zeros(2, 2)]
    other = torch.zeros(2, 5)
    nll, kl, z = model.elbo(x, parents, noise, decoder_parents=other)
    torch.testing.assert_close(nll, discretised_gaussian_nll(x, *model.predict(z, other)).mean())
    torch.testing.assert_close(kl, model.elbo(x, parents, noise)[1])


def test_the_capped_likelihood_changes_the_loss_and_uses_no_kernels():
    model, *_ = record(likelihood="capped")
    assert model.options == {"capped": True}
    changed = training(likelihood="capped")
    assert not _uses_kernels(Hvae((1, 6, 6), 5, **{**NETWORK, "exposure": []}), changed, "cpu")
