"""What the child process of `traces.recover` does: copy piece by piece, and leave out damage."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.bundle import read_bundle
from traces.content import content_hash_of
from traces.errors import TraceFormatError, TraceWriteError
from traces.layout import MAGIC, RecordedPopulation
from traces.recover import Recovered, as_plain
from traces.seal import verify_blocks
from traces.store import Store
from traces.tables import grows
from traces.walk import limit_memory
from traces.writer import TraceWriter

Array = NDArray[Any]

_DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError)
_OWN = ("/provenance", "/attached", "/checkpoints")
_PIECE_ROWS = 1 << 18


class Salvage:
    """Copy a trace into another file.

    Parameters
    ----------
    path, output : Path
    left_out : list of str
        Paths in the file that are not looked at.
    tell : callable
        Called with each path before it is looked at.
    """

    def __init__(
        self, path: Path, output: Path, left_out: list[str], tell: Callable[[str], None]
    ) -> None:
        self._path, self._output, self._left_out, self._tell = path, output, left_out, tell
        self._lost: list[str] = []
        self._rows: dict[str, tuple[int, int]] = {}
        self._whole = 0

    def run(self) -> Recovered:
        """Copy everything.

        Raises
        ------
        TraceFormatError
            If the file does not even say what it is.
        TraceWriteError
            If the output cannot be written.
        """
        store = Store.read(self._path)
        verify_blocks(store)
        store.salvage()
        with h5py.File(store, "r") as file:
            about = self._about(file)
            writer = TraceWriter(self._output, **about, overwrite=True)
            with writer:
                # What stays is the source's layout: its content hash holds on.
                writer.of_layout(int(file.attrs["layout_version"]))
                self._whole = self._told_whole(file, writer)
                for path, group in self._groups(file, "/"):
                    self._group(writer, path, group)
                self._bundles(writer, file)
                complete = self._complete(file, writer)
                writer.reaches(self._whole)
                if not complete:
                    writer.break_off()
        if complete:
            self._whole = about["samples"] * about["ticks"]
        return Recovered(
            complete=complete, whole_ticks=self._whole, rows=self._rows, lost=tuple(self._lost)
        )

    def _about(self, file: Any) -> dict[str, Any]:
        root = file.attrs
        if root.get("magic") != MAGIC:
            raise TraceFormatError(f"{self._path}: an HDF5 file, but no trace of spikefab")
        populations = []
        for name in map(str, root["populations"]):
            try:
                self._look("/spikes/" + name)
                populations.append(_population(file[f"spikes/{name}"], name))
            except _DAMAGE as error:
                self._lose(f"population {name!r}", error)
        provenance: dict[str, Any] = {"recovered_from": self._path.name}
        for name in file.get("provenance", h5py.Empty("f")).attrs if "provenance" in file else ():
            try:
                value = file["provenance"].attrs[name]
                provenance[name] = value.item() if isinstance(value, np.generic) else value
            except _DAMAGE as error:
                self._lose(f"provenance {name!r}", error)
        names = ("samples", "ticks", "input_ticks")
        return {
            "kind": str(root["kind"]), "dt_s": float(root["dt_s"]), "populations": populations,
            "provenance": provenance, **{name: int(root[name]) for name in names},
        }  # fmt: skip

    def _told_whole(self, file: Any, writer: TraceWriter) -> int:
        root = file.attrs
        most = int(root["samples"]) * int(root["ticks"])
        if root["complete"]:
            return most
        if "whole_ticks" in root:
            return min(max(int(root["whole_ticks"]), 0), most)
        return most  # layout 1 may not say; what is there says below

    def _look(self, path: str) -> None:
        if path in self._left_out:
            raise RuntimeError("HDF5 crashes on it")
        self._tell(path)

    def _lose(self, what: str, error: Exception) -> None:
        self._lost.append(f"{what}: {' '.join(str(error).split())}")

    def _groups(self, file: Any, path: str) -> Iterator[tuple[str, Any]]:
        """Groups to copy, with what lies in them; those of attachments and notes apart."""
        try:
            self._look(path)
            group = file[path]
            yield path, group
            inside = [n for n in group if isinstance(group.get(n, getlink=True), h5py.HardLink)]
            deeper = [n for n in inside if isinstance(group[n], h5py.Group)]
        except _DAMAGE as error:
            self._lose(path, error)
            return
        for name in deeper:
            below = f"{path.rstrip('/')}/{name}"
            if below not in _OWN:
                yield from self._groups(file, below)

    def _group(self, writer: TraceWriter, path: str, group: Any) -> None:
        columns, others = {}, []
        for name in group:
            inner = f"{path.rstrip('/')}/{name}"
            try:
                self._look(inner)
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.SoftLink):
                    writer.file.require_group(path)[name] = h5py.SoftLink(link.path)
                item = group[name] if isinstance(link, h5py.HardLink) else None
                if grows(item):
                    columns[name] = item
                elif isinstance(item, h5py.Dataset):
                    others.append(name)
            except _DAMAGE as error:
                self._lose(inner, error)
        if path.startswith("/spikes/") and path not in writer.tables:
            return
        target = writer.file.require_group(path)
        if path != "/":
            self._attributes(path, group, target)
        for name in others:
            try:
                self._look(f"{path}/{name}")
                target[name] = group[name][()]
                self._attributes(f"{path}/{name}", group[name], target[name])
            except _DAMAGE as error:
                self._lose(f"{path}/{name}", error)
        if columns:
            self._table(writer, path, columns)

    def _attributes(self, path: str, source: Any, target: Any) -> None:
        for name in source.attrs:
            try:
                if name not in target.attrs:
                    target.attrs[name] = source.attrs[name]
            except _DAMAGE as error:
                self._lose(f"{path}, attribute {name}", error)

    def _table(self, writer: TraceWriter, path: str, columns: dict[str, Any]) -> None:
        wanted = list(writer.tables[path].lengths) if path in writer.tables else list(columns)
        missing = [name for name in wanted if name not in columns]
        if missing:
            self._lose(path, ValueError(f"no {', '.join(missing)}"))
            self._ends_at(0)
            return
        columns = {name: columns[name] for name in wanted}
        if path not in writer.tables:
            widths = {n: c.shape[1] for n, c in columns.items() if c.ndim == 2}
            rows = max(c.chunks[0] for c in columns.values())
            types = {n: c.dtype for n, c in columns.items()}
            writer.tables.open(path, types, chunk_rows=rows, widths=widths)
        for name, column in columns.items():
            self._attributes(f"{path}/{name}", column, writer.file[path][name])
        told = max((len(c) for c in columns.values()), default=0)
        most = min((len(c) for c in columns.values()), default=0)
        kept, latest, by = 0, -1, next((n for n in ("timestamps", "ticks") if n in columns), None)
        for first in range(0, most, _PIECE_ROWS):
            self._look(path)
            last = min(first + _PIECE_ROWS, most)
            rows, error = _readable(columns, first, last)
            n = len(rows[wanted[0]])
            if by is not None and n:
                n = _in_order(rows[by], latest, writer.n_ticks, strictly=by == "ticks")
                latest = int(rows[by][n - 1]) if n else latest
            writer.tables.add(path, {name: values[:n] for name, values in rows.items()})
            writer.flush()
            kept += n
            if kept < last:
                self._lose(path, error or ValueError("its ticks are not in order"))
                break
        self._rows[path] = kept, told
        if kept < most:
            # The last tick that was kept may be there in part.
            self._ends_at(kept if by is None else max(latest, 0))

    def _ends_at(self, ticks: int) -> None:
        self._whole = min(self._whole, ticks)

    def _bundles(self, writer: TraceWriter, file: Any) -> None:
        for parent in ("attached", "checkpoints"):
            try:
                self._look(f"/{parent}")
                names = list(file[parent]) if parent in file else []
            except _DAMAGE as error:
                self._lose(f"/{parent}", error)
                continue
            for name in names:
                path = f"/{parent}/{name}"
                try:
                    self._look(path)
                    bundle = read_bundle(file[path])
                    if parent == "attached":
                        writer.attach(name, *bundle)
                    elif int(name) <= self._whole:
                        keep = bool(file[path].attrs["keep"])
                        writer.checkpoint(int(name), *bundle, keep=keep)
                    else:
                        self._lost.append(f"{path}: what comes before it is not whole")
                except TraceWriteError:
                    raise
                except _DAMAGE as error:
                    self._lose(path, error)

    def _complete(self, file: Any, writer: TraceWriter) -> bool:
        if not file.attrs["complete"] or self._lost:
            return False
        writer.flush()
        told = str(file.attrs.get("content_sha256"))
        if content_hash_of(writer.file) == told:
            return True
        self._lost.append("what is there differs from the content hash")
        self._whole = 0
        return False


def _population(group: Any, name: str) -> RecordedPopulation:
    about = group.attrs
    return RecordedPopulation(
        name=name, shape=tuple(int(n) for n in about["shape"]), lag=int(about["lag"]),
        output=bool(about["output"]), spiking=bool(about["spiking"]),
        payload="payload" in group, sent_ps="sent_ps" in group,
    )  # fmt: skip


def _readable(
    columns: dict[str, Any], first: int, last: int
) -> tuple[dict[str, Array], Exception | None]:
    """Read rows up to the first that cannot be read, and why."""
    try:
        return {name: column[first:last] for name, column in columns.items()}, None
    except _DAMAGE as error:
        if last - first <= 1:
            return {
                name: np.zeros((0, *c.shape[1:]), c.dtype) for name, c in columns.items()
            }, error
    middle = (first + last) // 2
    left, trouble = _readable(columns, first, middle)
    if trouble is not None:
        return left, trouble
    right, trouble = _readable(columns, middle, last)
    return {name: np.concatenate([left[name], right[name]]) for name in columns}, trouble


def _in_order(ticks: Array, latest: int, n_ticks: int, *, strictly: bool) -> int:
    """Count the ticks up to the first that cannot follow."""
    wrong = ticks >= n_ticks
    before = np.concatenate([[latest], ticks[:-1].astype(np.int64)])
    wrong |= ticks.astype(np.int64) < before + (1 if strictly and latest >= 0 else 0)
    return int(np.argmax(wrong)) if wrong.any() else len(ticks)


def main(path: str, output: str) -> int:
    """Copy, telling in lines of JSON on stdout where it is and what came of it."""
    limit_memory()
    left_out = json.load(sys.stdin)
    # Nothing but lines of JSON may come there.
    out = sys.stdout

    def tell(**what: Any) -> None:
        print(json.dumps(what), file=out, flush=True)

    tell(at="/")
    try:
        report = Salvage(Path(path), Path(output), left_out, lambda at: tell(at=at)).run()
    except TraceWriteError as error:
        tell(error="write", text=str(error))
    except BlockingIOError:
        tell(error="read", text=f"{path}: is being written; wait until the run has ended")
    except _DAMAGE as error:
        told = str(error) if isinstance(error, TraceFormatError) else f"{path}: damaged ({error})"
        tell(error="read", text=" ".join(told.split()))
    else:
        tell(report=as_plain(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
