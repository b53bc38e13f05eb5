"""A file appears whole or not at all, and never in place of a good one before it is whole."""

import io
from pathlib import Path

import pytest

from node.renter import output
from node.renter.output import FileOutput, open_output


@pytest.fixture(params=[True, False], ids=["nameless", "beside"])
def _system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(output, "_open_nameless", lambda _: None)


@pytest.mark.usefixtures("_system")
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_file_appears_when_it_is_committed(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    out = open_output(path)
    out.write(b"new ")
    out.write(b"content")
    assert (path.read_bytes() if path.exists() else None) == before
    out.commit()
    out.discard()
    assert path.read_bytes() == b"new content"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("_system")
def test_nothing_is_left_of_what_is_discarded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    out = FileOutput(path)
    out.write(b"half of")
    out.discard()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_nameless_file_leaves_no_trace_before_it_is_whole(tmp_path: Path) -> None:
    out = FileOutput(tmp_path / "file")
    out.write(b"half of")
    assert list(tmp_path.iterdir()) == []
    out.discard()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileOutput(tmp_path / "nowhere" / "file")


def test_a_stream_takes_what_it_is_given() -> None:
    stream = io.BytesIO()
    out = open_output(stream)
    out.write(b"content")
    out.commit()
    out.discard()
    assert stream.getvalue() == b"content"
