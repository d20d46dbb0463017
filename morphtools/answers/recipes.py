"""How a network is trained, by default, to give an answer."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Defaults of training for one kind of answer; those here are for classes and fractions (Walmsley et al. 2022b).

    Attributes:
        head_first: Whether the head is fitted alone before the encoder.
        slower: How many times lower the learning rate of a pretrained encoder is than the head's.
        batch_norm: Whether the batch normalisation of a pretrained encoder is trained; a few hundred galaxies would
            only make its statistics noisier.
        epochs: Maximum number of epochs of the encoder; None if patience decides.
        drops: Shares of the epochs after which the learning rate falls to a tenth.
        stretch: Stretch of the simulated sky, for weights that take pictures.
        dereddens: Whether fluxes are dereddened.
    """

    head_first: bool = True
    slower: int = 100
    batch_norm: bool = False
    epochs: int | None = None
    drops: tuple[float, ...] = ()
    stretch: str = "dr2_rgb"
    dereddens: bool = False


# Numbers: head and encoder are trained together (Hayat et al. 2021). With frozen batch normalisation a pretrained
# encoder stayed behind one from scratch (CONTRIBUTING, traps).
MEASURES = Recipe(head_first=False, slower=10, batch_norm=True, epochs=100, drops=(0.6, 0.9))
REDSHIFTS = dataclasses.replace(MEASURES, stretch="sdss_rgb", dereddens=True)
