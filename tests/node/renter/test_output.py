"""A file appears whole or not at all, never in place of a good one before it is whole, and a part is kept."""

import io
from pathlib import Path

import pytest

from node.renter.output import FileOutput, open_output

CONTENT = b"c" * 16


@pytest.mark.parametrize("content", [None, CONTENT])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_file_appears_when_it_is_committed(
    tmp_path: Path, before: bytes | None, content: bytes | None
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    out = open_output(path, content)
    out.write(b"new ")
    out.write(b"content")
    assert (path.read_bytes() if path.exists() else None) == before
    out.commit()
    out.discard()
    assert path.read_bytes() == b"new content"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, CONTENT])
def test_nothing_is_left_of_what_is_discarded(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    out = FileOutput(path, content)
    out.write(b"half of")
    out.discard()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_kept_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "file"
    first = FileOutput(path, CONTENT)
    first.write(b"half ")
    first.keep()
    first.discard()
    assert not path.exists()
    other = FileOutput(tmp_path / "other", b"o" * 16)
    assert other.kept == 0
    other.discard()
    second = FileOutput(path, CONTENT)
    assert second.kept == 5
    assert b"".join(second.replay()) == b"half "
    second.write(b"of it")
    second.commit()
    assert path.read_bytes() == b"half of it"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_kept_can_be_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "file"
    first = FileOutput(path, CONTENT)
    first.write(b"wrong, and long")
    first.keep()
    second = FileOutput(path, CONTENT)
    list(second.replay())
    second.restart()
    assert (second.kept, list(second.replay())) == (0, [])
    second.write(b"right")
    second.commit()
    assert path.read_bytes() == b"right"


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    out = FileOutput(tmp_path / "file", CONTENT)
    out.keep()
    out.discard()
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_do_not_write_to_one_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    first, second = FileOutput(path, CONTENT), FileOutput(path, CONTENT)
    first.write(b"one")
    second.write(b"two")
    first.commit()
    assert path.read_bytes() == b"one"
    second.commit()
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_parts_place_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    link = tmp_path / f".tithe-{CONTENT.hex()}.part"
    link.symlink_to(victim)
    out = FileOutput(tmp_path / "file", CONTENT)
    out.write(b"content")
    out.commit()
    assert victim.read_bytes() == b"precious"
    assert link.readlink() == victim
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    for content in (None, CONTENT):
        with pytest.raises(FileNotFoundError):
            FileOutput(tmp_path / "nowhere" / "file", content)


def test_a_stream_takes_what_it_is_given() -> None:
    stream = io.BytesIO()
    out = open_output(stream, CONTENT)
    assert (out.kept, list(out.replay())) == (0, [])
    out.write(b"content")
    out.commit()
    out.keep()
    out.discard()
    assert stream.getvalue() == b"content"
