"""A cohort of virtual patients, ordered from the command line."""

from collections.abc import Callable, Mapping
from pathlib import Path

from trabecula.errors import wrong_usage
from trabecula.serving.spoken import say
from trabecula.virtual.order import Order, simulate
from trabecula.virtual.order_like import LikeOrder, simulate_like


def order_cohort(order: Order, number: int, out: Path, workers: int) -> None:
    """Makes what is missing of the cohort with a progress bar, then says what is there.

    Raises:
        WrongUsage: as ``virtual.order.simulate``.
    """
    made = _with_bar(say("bar-patients"), number, lambda progress: simulate(order, number, out, workers, progress))
    print(say("patients-made", number=number, path=str(out), made=made))


def order_like(order: LikeOrder, out: Path, workers: int) -> None:
    """Makes what is missing of a study's cohort with a progress bar, writes its table, then says what is there.

    Raises:
        WrongUsage: as ``virtual.order_like.simulate_like``.
    """
    from trabecula.cohort.folder import read_folder
    from trabecula.cohort.write import write_table

    number = order.people
    made = _with_bar(
        say("bar-like", name=order.like), number, lambda progress: simulate_like(order, out, workers, progress)
    )
    table = write_table(read_folder(out), out)
    parts = [f"{part.name} {count}" for part, count in order.parts]
    print(say("patients-made.like", number=number, name=order.like, path=str(out), made=made, parts=parts))
    print(say("table-at", path=str(table)))


def require_alone(name: str, others: Mapping[str, object]) -> None:
    """Refuses what a study settles by itself when it is asked for beside it.

    Raises:
        WrongUsage: ``like-settles-it``, naming the options.
    """
    given = [option for option, value in others.items() if value not in (None, False)]
    if given:
        raise wrong_usage("like-settles-it", name=name, options=given)


def _with_bar(what: str, number: int, make: Callable[[Callable[[int], None]], int]) -> int:
    """A bar with how many are made and how long it takes; it moves to and fro until the first is there."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        return make(lambda n: bar.update(task, completed=n, total=number if n else None))


def draw_gallery(out: Path, number: int, seed: int, family: str) -> None:
    """Writes a contact sheet of virtual patients with a progress bar, then says where it is.

    Raises:
        WrongUsage: as ``virtual.gallery.gallery``.
    """
    from trabecula.virtual.gallery import gallery

    def draw(progress: Callable[[int], None]) -> int:
        gallery(out, number, seed, family, progress)
        return number

    _with_bar(say("bar-drawing"), number, draw)
    print(say("patients-drawn", number=number, path=str(out)))
