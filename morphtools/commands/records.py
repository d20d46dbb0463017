"""Commands that make and look at records, and the mock sky."""

import inspect
import sys
from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import call, typed


@click.command()
@click.argument("catalog", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--images", type=click.Path(), help="Folder, zip or stack of images (the catalogue's folder).")
@click.option("--image-size", type=int, help="Side in pixels (that of most images).")
@click.option("--bands", help="Names of the bands in order, as g,r,z.")
@click.option("--template", help="Path of a galaxy's file, as {field}/{id_str}_{band}.fits.")
@click.option("--hdu", help="Extension of the FITS files, or one per band, as 1 or SCI or 1,2,3.")
@click.option("--mask", help="Extension that is not zero where a pixel is bad, or a weight map (WHT, WEIGHT, IVAR).")
@click.option("--mask-bits", help="Bits of the mask that are bad, as SAT,BAD or 0,3; zero: it is a weight map.")
@click.option("--cutout", help="Size of cutouts from mosaics: 128, '30 arcsec', '4*petro_radius arcsec'.")
@click.option("--align", is_flag=True, default=None, help="Resample bands to the pixels of the first (reproject).")
@click.option("--crop", is_flag=True, default=None, help="Cut images down to the source in their middle.")
@click.option("--dtype", help="float32 (default) or float16.")
@click.option("--pixel-scale", type=float, help="Arcsec per pixel.")
@click.option("--max-failures", type=float, help="Largest share of unusable images (0.1).")
@click.option("--outside", is_flag=True, default=None, help="Let file_loc lead out of the images folder.")
@click.option("--max-bytes", type=int, help="Most bytes of a galaxy's file, unpacked (1 GiB).")
@click.option("--max-pixels", type=int, help="Most numbers of an image, its bands included (268435456).")
@click.option("--append", is_flag=True, default=None, help="Add the galaxies that are not in OUT yet.")
@click.option("--workers", type=int, help="Number of processes (1).")
@click.option("--scheduler", help="Address of a dask scheduler to run on, as tcp://host:8786.")
@click.option("--part", help="Only this part of the shards, as 2/5; the same command without it merges the parts.")
@click.option("--seed", type=int, help="Seed of splits and shards (0).")
@click.option(
    "--preview", type=click.Path(), help="Build nothing: draw some galaxies into this PNG, and say what is odd."
)
def build_records(catalog, out, scheduler, preview, **options):
    """Turn a catalogue and its images into TFRecord shards; the same command goes on after a kill.

    morphtools build-records galaxies.csv records --images cutouts --bands g,r,z --image-size 128 --workers 2
    """
    given = typed(options)
    given.setdefault("images", Path(catalog).parent)
    for name in ("bands", "hdu"):
        if name in given:
            parts = tuple(int(part) if name == "hdu" and part.isdigit() else part for part in given[name].split(","))
            given[name] = parts[0] if name == "hdu" and len(parts) == 1 else parts
    if str(given.get("mask", "")).isdigit():
        given["mask"] = int(given["mask"])
    if preview is not None:
        asked = {k: given[k] for k in given if k in inspect.signature(morphtools.preview_records).parameters}
        _show(morphtools.preview_records(catalog, **asked), preview)
        return
    if scheduler is not None:
        from distributed import Client

        given["executor"] = Client(scheduler).get_executor()
    records = morphtools.build_records(catalog, out, **given)
    if records is None:
        click.echo(f"part {given['part']} of {out} is done; the same command without --part merges the parts")
    else:
        counts = ", ".join(f"{number} {split}" for split, number in records.splits.items())
        click.echo(f"{counts} in {out}; {records.failed} unusable{', see failures.parquet' if records.failed else ''}")


@click.command()
@click.argument("folder", type=click.Path())
@click.option("--galaxies", type=int, help="How many to look at (24).")
@click.option("--finding", help="Only galaxies of which this is odd, as padded or many_missing.")
@click.option("--picture", type=click.Path(), help="Draw them into this PNG.")
@click.option("--verify", is_flag=True, help="Read everything again and check it against its checksums.")
def inspect_records(folder, picture, verify, **options):
    """Look at records: counts, votes, the range of every band, what is odd.

    morphtools inspect-records records --picture look.png --verify
    """
    _show(morphtools.inspect_records(folder, **typed(options)), picture)
    if verify:
        problems = morphtools.verify_records(folder)
        click.echo("\n".join(problems) or "verified: every record is what was written")
        sys.exit(1 if problems else 0)


def _show(look, picture) -> None:
    """Prints what a look at galaxies found, and writes its picture."""
    click.echo("\n".join([*look.facts, look.ranges.to_string(), *(f"odd: {finding}" for finding in look.findings)]))
    if picture is not None:
        look.figure.savefig(picture, dpi=100)
        click.echo(f"see {picture}")


@click.command()
@click.argument("out", type=click.Path())
@click.option("--galaxies", type=int, help="How many (1000).")
@click.option("--bands", help="grz (default) or ugriz, or some of either.")
@click.option("--image-size", type=int, help="Side in pixels (128).")
@click.option("--seed", type=int, help="Seed of the survey (0).")
@click.option("--schema", help="Question tree: gz_decals_dr5 (default) or gz2.")
@click.option("--products", help="fits (default), a file per galaxy, or mosaic, a file per field.")
@click.option("--fractions", help="Shares of classes, as ring=0.5,merger=0.1 (as nature has them).")
@click.option("--magnitude-limit", type=float, help="Faintest r magnitude (17).")
@click.option("--pixel-scale", type=float, help="Arcsec per pixel (the camera's own).")
@click.option("--field-radii", type=float, help="Instead, side of an image in half-light radii.")
@click.option("--artifact-rate", type=float, help="Share of images with an artefact (0.02).")
@click.option("--crowding", type=float, help="Density of other sources (1).")
@click.option("--depth", type=float, help="Divides the noise (1).")
@click.option("--field-side", type=int, help="Galaxies on a side of a mosaic (8).")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these.")
def simulate_survey(out, config, **options):
    """Write a mock survey with known truth: FITS images and catalog.csv.

    morphtools simulate-survey mock-sky --galaxies 2000 --bands ugriz --fractions ring=0.3
    """
    given = typed(options) | {"out": out}
    if "fractions" in given:
        try:
            pairs = (item.split("=") for item in given["fractions"].split(","))
            given["fractions"] = {name.strip(): float(share) for name, share in pairs}
        except ValueError:
            raise ValueError(f"fractions must be like ring=0.5,merger=0.1, got {given['fractions']!r}") from None
    catalog = call(morphtools.simulate_survey, config, given)
    click.echo(f"{len(catalog)} galaxies in {out}: catalog.csv, images/")
