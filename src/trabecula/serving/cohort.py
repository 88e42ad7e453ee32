"""A cohort of virtual patients, ordered from the command line."""

from pathlib import Path

from trabecula.virtual.order import Order, simulate


def order_cohort(order: Order, number: int, out: Path, workers: int) -> None:
    """Makes what is missing of the cohort with a progress bar, then says what is there.

    Raises:
        WrongUsage: as ``virtual.order.simulate``.
    """
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("virtual patients", total=number)
        made = simulate(order, number, out, workers, lambda n: bar.update(task, completed=n))
    print(f"{number} virtual patients in {out} ({made} made now).")


def draw_gallery(out: Path, number: int, seed: int, family: str) -> None:
    """Writes a contact sheet of virtual patients with a progress bar, then says where it is.

    Raises:
        WrongUsage: as ``virtual.gallery.gallery``.
    """
    from rich.console import Console
    from rich.progress import Progress

    from trabecula.virtual.gallery import gallery

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("drawing", total=number)
        gallery(out, number, seed, family, lambda n: bar.update(task, completed=n))
    print(f"{number} virtual patients on {out}.")
