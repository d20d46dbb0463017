"""Model cards: what weights predict, which images they expect, and where they come from.

A card is a JSON file beside the weights: `NAME.json` beside `NAME.weights.h5` or `NAME.keras`, and `card.json` beside
the `model.keras` of a run.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import morphtools
from morphtools.answers.familiarity import FILE
from morphtools.answers.kinds import AnyAnswer, read_answer
from morphtools.models.references import bibtex_of
from tfrecords_builder.bounded import LIMITS
from tfrecords_builder.copies import here
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import check_known, some, unknown

_OURS = """@misc{morphtools,
  author       = {{The morphtools developers}},
  title        = {{morphtools: find, classify and understand galaxies with a few hundred labels}},
  note         = {version %s},
}"""
WEIGHTS = Path(__file__).parent / "weights"
PROJECTION = "projection"  # the folder of a run with its projection, as separate weights
RANGES = ("picture", "flux")
_ENDINGS = (".weights.h5", ".keras")
_PLAIN = {  # of fields that are not text
    **dict.fromkeys(("encoder", "schema", "redshifts", "answer", "scores"), dict),
    **dict.fromkeys(("bands", "image_size", "middle_of", "classes", "hidden", "surveys"), (list, tuple)),
    "pixel_scale": (int, float),
}
_WIDEST = 2**16  # units of a hidden layer: more are a mistake or an attack on memory
_SUCCESSORS = {"resnet18_gz2": "efficientnet_lite0_gz2", "resnet18_byol_sdss": "efficientnet_lite0_byol_sdss"}


@dataclasses.dataclass(frozen=True)
class Card:
    """Everything needed to use a set of weights.

    Attributes:
        name: As in `load_pretrained(NAME)`.
        kind: `votes` (concentrations for the answers of `schema`), `classes` (a probability for each of `classes`),
            `redshifts` (a probability for each bin of `redshifts`), `several` questions about classes, `fractions` or
            `numbers` (see `answer`), or `encoder` (representations only).
        encoder: Arguments of `build_encoder` except `input_shape`.
        bands: Names of the bands of the images, in order.
        range: `picture` for values 0–1, as of JPEG files; `flux` for pixels in the units of the survey.
        image_size: (H, W) in pixels that the network was trained on.
        middle_of: (H, W) of the images of which it was shown the middle, if `image_size` is only that.
        stretch: What turns flux into such pictures (see `morphtools.survey.stretch`), if it is known.
        schema: The question tree, as `Schema.to_dict` gives it.
        classes: Names of the classes.
        redshifts: `bins`, their `range` [low, high], `pdf` (see `redshift_head`) and `estimate` (see `Redshifts`).
        answer: Of several `questions` the classes of each; of fractions the names of the `answers`; of numbers
            `columns`, their names, `centre` and `scale`.
        hidden: Widths of the head's hidden layers.
        dereddened: Survey (see `morphtools.survey.extinction`) whose dimming by the Galaxy's dust was undone.
        pixel_scale: Arcsec per pixel, if all images had the same.
        surveys: Where the images came from.
        data: What it was trained on, in words.
        scores: What it reached on held-out galaxies, by name.
        licence: Licence of the weights.
        citation: What to cite.
        url: Where weights come from that are too large to lie beside the card.
        sha256: Of the weights' file.
    """

    name: str
    kind: str
    encoder: dict
    bands: tuple[str, ...]
    range: str
    image_size: tuple[int, int]
    middle_of: tuple[int, int] | None = None
    stretch: str | None = None
    schema: dict | None = None
    classes: tuple[str, ...] | None = None
    redshifts: dict | None = None
    answer: dict | None = None
    hidden: tuple[int, ...] = (64, 64)
    dereddened: str | None = None
    pixel_scale: float | None = None
    surveys: tuple[str, ...] = ()
    data: str = ""
    scores: dict = dataclasses.field(default_factory=dict)
    licence: str = ""
    citation: str = ""
    url: str | None = None
    sha256: str = ""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            kinds, value = _PLAIN.get(field.name, str), getattr(self, field.name)
            optional = field.default is None and value is None
            if not optional and (not isinstance(value, kinds) or isinstance(value, bool)):
                raise ValueError(f"{field.name} cannot be {value!r}")
        for field in ("bands", "image_size", "middle_of", "classes", "hidden", "surveys"):  # JSON has lists only
            if getattr(self, field) is not None:
                object.__setattr__(self, field, tuple(getattr(self, field)))
        check_known("range", self.range, RANGES)
        for field in ("bands", "classes", "surveys"):
            if not all(isinstance(name, str) for name in getattr(self, field) or ()):
                raise ValueError(f"{field} must be names, got {list(getattr(self, field))!r}")
        for field in ("image_size", "middle_of"):
            size = getattr(self, field)
            whole = size is not None and len(size) == 2 and all(type(n) is int and n > 0 for n in size)
            if not whole and not (size is None and field == "middle_of"):
                raise ValueError(f"{field} must be [height, width] in pixels, got {size and list(size)!r}")
            if whole and size[0] * size[1] * max(1, len(self.bands)) > LIMITS.pixels:
                raise ValueError(f"{field} {list(size)!r} is beyond the {LIMITS.pixels} numbers that an image may have")
        if not self.bands or not isinstance(self.encoder.get("name"), str):
            raise ValueError("a card needs the names of the bands, and an encoder with a name")
        if not all(type(width) is int and 0 < width <= _WIDEST for width in self.hidden):
            raise ValueError(f"hidden must be widths of layers, got {list(self.hidden)!r}")
        self.question()

    def question(self) -> AnyAnswer | None:
        """The kind of answer that the weights give; None for an encoder.

        Raises:
            ValueError: The card does not describe it.
        """
        described = {name: getattr(self, name) for name in ("schema", "classes", "redshifts", "answer")}
        return read_answer(self.kind, **described)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images it was trained on."""
        return (*self.image_size, len(self.bands))

    @classmethod
    def open(cls, path: str | Path) -> "Card":
        """Reads a card.

        Args:
            path: Path of the JSON file (see `find_card`).

        Raises:
            ValueError: It is damaged, or not a card; the message explains what is wrong.
        """
        try:
            fields = json.loads(Path(path).read_text())
            return cls(**fields)
        except (ValueError, TypeError, RecursionError) as error:
            reason = str(error).replace("Card.__init__() ", "")
            raise ValueError(f"{path} is not a valid model card: {reason}") from None


def write_card(card: Card, weights: str | Path) -> Card:
    """Writes a card beside its weights, with their sha256.

    Args:
        card: What is known of the weights; its `sha256` is filled in.
        weights: Their file, `NAME.weights.h5`, `NAME.keras` or the `model.keras` of a run.

    Returns:
        The card as it was written.
    """
    weights = Path(weights)
    ending = next((e for e in _ENDINGS if weights.name.endswith(e)), None)
    if ending is None:
        raise ValueError(f"weights must end in {' or '.join(_ENDINGS)}, got {weights.name}")
    card = dataclasses.replace(card, sha256=sha256_of(weights))
    name = "card.json" if weights.name == "model.keras" else weights.name.removesuffix(ending) + ".json"
    text = json.dumps(dataclasses.asdict(card), indent=1, ensure_ascii=False)
    write_whole(weights.with_name(name), text)
    return card


def find_card(weights: str | Path) -> Path:
    """The card of weights.

    Args:
        weights: Name of weights that come with the package, or `ENCODER_imagenet` (see `fetch_imagenet`); a folder
            with weights and card, such as that of a run, or `RUN/projection` (see `pretrain`); or the path of a card,
            or of weights with a card beside them.

    Raises:
        ValueError: No such name.
        FileNotFoundError: There is no card.
    """
    if (WEIGHTS / f"{weights}.json").is_file():
        return WEIGHTS / f"{weights}.json"
    path = here(weights).expanduser()
    if not path.exists() and str(weights).endswith("_imagenet"):
        return morphtools.fetch_imagenet(str(weights).removesuffix("_imagenet"))
    if path.is_dir():
        cards = [path / "card.json", *(_card_beside(p) for e in _ENDINGS for p in path.glob(f"*{e}"))]
    elif path.suffix == ".json":
        cards = [path]
    elif path.name.endswith(_ENDINGS):
        cards = [path.with_name("card.json") if path.name == "model.keras" else _card_beside(path)]
    elif str(weights) == "imagenet" and not path.exists():
        raise ValueError("weights from ImageNet need the name of their encoder, such as efficientnet_lite0_imagenet")
    elif path.exists():
        raise ValueError(f"{path} is neither a model card (.json) nor weights ({', '.join(_ENDINGS)})")
    elif path.name == PROJECTION and path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} kept no projection: pretrain again with --keep-projection")
    elif str(weights) in _SUCCESSORS:
        raise ValueError(f"{weights} is no longer shipped: use {_SUCCESSORS[str(weights)]}, which is better and faster")
    else:
        known = [card.name for card in list_pretrained()]
        raise ValueError(f"{unknown('pretrained model', str(weights), known)}; and there is no such file or folder")
    existing = sorted({card for card in cards if card.is_file()})
    if not existing:
        raise FileNotFoundError(f"there is no model card at {path} (card.json, or NAME.json beside NAME.weights.h5)")
    if len(existing) > 1:
        raise ValueError(
            f"{path} contains several model cards ({some(c.name for c in existing)}): give the path of one"
        )
    return existing[0]


def _card_beside(weights: Path) -> Path:
    return weights.with_name(weights.name.removesuffix(".weights.h5").removesuffix(".keras") + ".json")


def weights_beside(card: Path) -> Path | None:
    """The weights beside a card, if there are any."""
    stem = "model" if card.name == "card.json" else card.stem
    return next((p for e in _ENDINGS if (p := card.with_name(stem + e)).is_file()), None)


def familiarity_beside(card: Path) -> Path:
    """Path of the description of the training galaxies of a card's weights, if there is one (see `Familiarity`)."""
    return card.with_name(FILE if card.name == "card.json" else f"{card.stem}.{FILE}")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_pretrained() -> list[Card]:
    """The cards of the weights that come with the package, by name; needs no backend."""
    return [Card.open(path) for path in sorted(WEIGHTS.glob("*.json"))]


def cite(weights: str | Path | None = None, bibtex: bool = False) -> str:
    """Lists what to cite for these weights; by default for all that come with the package.

    Args:
        weights: As for `load_pretrained`.
        bibtex: Whether to give BibTeX entries instead: for morphtools, and the papers that the cards cite, each once.

    Returns:
        A line for morphtools, and one for each of the weights, with their licence.
    """
    cards = list_pretrained() if weights is None else [Card.open(find_card(weights))]
    if bibtex:
        return f"{_OURS % morphtools.__version__}\n\n{bibtex_of([card.citation for card in cards])}"
    ours = f"morphtools {morphtools.__version__}, the morphtools developers (BSD-3-Clause)"
    return "\n".join([ours, *(f"{c.name} ({c.licence or 'no licence given'}): {c.citation or c.data}" for c in cards)])
