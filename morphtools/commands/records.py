"""Commands that build and inspect records, and simulate a survey."""

import inspect
import sys

import click

import morphtools
from morphtools.commands.calling import arguments, call
from morphtools.commands.options import CONFIG, SCHEDULER, Listed


def _extension(context, option, text: str | None) -> int | str | None:
    """Number or name of a FITS extension."""
    return int(text) if text is not None and text.isdigit() else text


def _extensions(context, option, text: str | None) -> tuple | int | str | None:
    """A FITS extension, or several with commas between."""
    names = tuple(_extension(context, option, name.strip()) for name in (text or "").split(","))
    return names if len(names) > 1 else _extension(context, option, text)


@click.command()
@click.argument("catalog", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--images", type=click.Path(), help="Folder, zip archive or stack of images (the catalogue's folder).")
@click.option("--image-size", type=int, help="Image side in pixels (that of most images).")
@click.option("--bands", type=Listed(), help="Names of the bands in order, such as g,r,z.")
@click.option("--template", help="Path of a galaxy's file, such as {field}/{id_str}_{band}.fits.")
@click.option("--hdu", callback=_extensions, help="FITS extension, or one per band, such as 1 or SCI or 1,2,3.")
@click.option(
    "--mask",
    callback=_extension,
    help="FITS extension with the mask (nonzero = bad) or a weight map (WHT, WEIGHT, IVAR).",
)
@click.option("--mask-bits", help="Mask bits that mean bad, such as SAT,BAD or 0,3; or zero for a weight map.")
@click.option("--cutout", help="Size of cutouts from mosaics: 128, '30 arcsec', '4*petro_radius arcsec' or gz_decals.")
@click.option(
    "--align", is_flag=True, default=None, help="Resample all bands to the pixel grid of the first (needs reproject)."
)
@click.option("--crop", is_flag=True, default=None, help="Crop images to the central source.")
@click.option("--dtype", help="float32 (default) or float16.")
@click.option("--pixel-scale", type=float, help="Arcsec per pixel.")
@click.option("--max-failures", type=float, help="Stop if more than this fraction of images is unusable (0.1).")
@click.option("--outside", is_flag=True, default=None, help="Allow file_loc to point outside the images folder.")
@click.option("--max-bytes", type=int, help="Maximum size of a galaxy's file, unpacked, in bytes (1 GiB).")
@click.option("--max-pixels", type=int, help="Maximum pixels of an image, counting all bands (268435456).")
@click.option("--append", is_flag=True, default=None, help="Add the galaxies that are not in OUT yet.")
@click.option("--workers", type=int, help="Number of processes (1).")
@SCHEDULER
@click.option("--part", help="Only this part of the shards, such as 2/5; run without it last, to merge the parts.")
@click.option("--seed", type=int, help="Seed of splits and shards (0).")
@click.option("--preview", type=click.Path(), help="Only draw some galaxies into this PNG, and report what is odd.")
def build_records(preview, **options):
    """Turn a catalogue and its images into records.

    CATALOG may also be a folder or zip archive of images. Records are TFRecord shards with an index. Resumes if
    interrupted; unusable images are listed with the reason.

    morphtools build-records galaxies.csv records --images cutouts --bands g,r,z --image-size 128 --workers 2
    """
    if preview is not None:
        shared = inspect.signature(morphtools.preview_records).parameters
        _show(call(morphtools.preview_records, {name: options[name] for name in options if name in shared}), preview)
        return
    given = arguments(morphtools.build_records, options)
    records, out = morphtools.build_records(**given), given["out"]
    if records is None:
        click.echo(f"part {given['part']} of {out} is done; run the same command without --part to merge the parts")
    else:
        counts = ", ".join(f"{number} {split}" for split, number in records.splits.items())
        click.echo(f"{counts} in {out}; {records.failed} unusable{', see failures.parquet' if records.failed else ''}")


@click.command()
@click.argument("records", type=click.Path())
@click.option("--galaxies", type=int, help="Number of galaxies to look at (24).")
@click.option("--finding", help="Only galaxies with this finding, such as padded or many_missing.")
@click.option("--picture", type=click.Path(), help="Draw the galaxies into this PNG.")
@click.option("--verify", is_flag=True, help="Read everything and compare it with its checksums.")
def inspect_records(picture, verify, **options):
    """Check records: counts, votes, bands, what is odd.

    morphtools inspect-records records --picture look.png --verify
    """
    _show(call(morphtools.inspect_records, options), picture)
    if verify:
        problems = morphtools.verify_records(options["records"])
        click.echo("\n".join(problems) or "verified: all records match their checksums")
        sys.exit(1 if problems else 0)


@click.command()
@click.argument("folder", type=click.Path())
@click.argument("url")
def upload(folder, url):
    """Copy finished results to object storage.

    Other verbs read them there: give the URL instead of a folder. Resumes if interrupted.

    morphtools upload records s3://bucket/records
    """
    click.echo(f"{morphtools.upload(folder, url)} files copied to {url}")


def _show(look, picture) -> None:
    """Prints the facts about some galaxies, and writes their picture."""
    click.echo("\n".join([*look.facts, look.ranges.to_string(), *(f"odd: {finding}" for finding in look.findings)]))
    if picture is not None:
        look.figure.savefig(picture, dpi=100)
        click.echo(f"see {picture}")


def _shares(context, option, text: str | None) -> dict[str, float] | None:
    """Shares by name, as `ring=0.5,merger=0.1`."""
    try:
        pairs = [item.split("=") for item in text.split(",")] if text is not None else []
        return {name.strip(): float(share) for name, share in pairs} or None
    except ValueError:
        raise ValueError(f"fractions must be given as ring=0.5,merger=0.1, got {text!r}") from None


@click.command()
@click.argument("out", type=click.Path())
@click.option("--galaxies", type=int, help="Number of galaxies (1000).")
@click.option("--bands", help="grz (default), ugriz, or a subset of either.")
@click.option("--image-size", type=int, help="Image side in pixels (128).")
@click.option("--seed", type=int, help="Seed of the survey (0).")
@click.option("--schema", help="Question tree: gz_decals_dr5 (default) or gz2.")
@click.option("--products", help="fits (default): one file per galaxy; mosaic: one per field.")
@click.option("--fractions", callback=_shares, help="Fractions of classes, such as ring=0.5,merger=0.1 (as in nature).")
@click.option("--magnitude-limit", type=float, help="Limiting r magnitude (17).")
@click.option("--pixel-scale", type=float, help="Arcsec per pixel (that of the camera).")
@click.option("--field-radii", type=float, help="Side of the image in half-light radii, instead of a pixel scale.")
@click.option("--artifact-rate", type=float, help="Fraction of images with an artefact (0.02).")
@click.option("--crowding", type=float, help="Density of other sources, relative to the sky's (1).")
@click.option("--depth", type=float, help="Factor by which the noise is divided (1).")
@click.option("--field-side", type=int, help="Galaxies along each side of a mosaic (8).")
@CONFIG
def simulate_survey(**options):
    """Simulate a survey whose truth is known.

    Writes FITS images and catalog.csv, with every parameter of the simulation.

    morphtools simulate-survey mock-sky --galaxies 2000 --bands ugriz --fractions ring=0.3
    """
    catalog = call(morphtools.simulate_survey, options)
    click.echo(f"{len(catalog)} galaxies in {options['out']}: catalog.csv, images/")
