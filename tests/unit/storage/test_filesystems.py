"""Addresses of every kind, without a server: what is accepted, what is refused, what is said."""

import pickle
from pathlib import Path

import pytest

from metamath_ray.errors import RunDirectoryError
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.filesystems import below, normalized, open_location, reason
from metamath_ray.storage.locations import content_hash, is_there, local_copy

UNSEEN = "a-secret-that-nobody-may-see"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/srv/runs/", "/srv/runs"),
        ("file:///srv/my%20runs/", "/srv/my runs"),
        ("s3://bucket/runs/first/", "s3://bucket/runs/first"),
        ("s3://bucket", "s3://bucket"),
        ("gs://bucket/runs?retry_limit_seconds=3", "gs://bucket/runs?retry_limit_seconds=3"),
        ("abfs://container@account/runs", "abfs://container@account/runs"),
    ],
)
def test_an_address_has_one_form(given: str, expected: str) -> None:
    assert normalized(given) == normalized(expected) == expected


def test_a_relative_path_is_below_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert normalized("runs/first") == str(tmp_path / "runs" / "first")


@pytest.mark.parametrize(
    "url", [f"s3://key:{UNSEEN}@bucket/run", f"s3://{UNSEEN}@bucket/run", f"gs://me:{UNSEEN}@bucket/run"]
)
def test_a_key_in_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(RunDirectoryError, match="must not hold a key") as refused:
        RunDirectory(url)
    assert UNSEEN not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file://server/run", "file:///server/run"),
        ("s3:///run", "is no URL of a folder in a bucket"),
        ("s3://bucket/run#2", "is no URL of a folder in a bucket"),
    ],
)
def test_a_malformed_url_is_refused(url: str, said: str) -> None:
    with pytest.raises(RunDirectoryError, match=said):
        RunDirectory(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/run", "cannot open .*ftp"),
        ("s3://bucket/run?access_key=x", "unknown option access_key; there are endpoint_override, region, scheme"),
    ],
)
def test_what_pyarrow_cannot_open_is_one_line(url: str, said: str) -> None:
    with pytest.raises(RunDirectoryError, match=said) as refused:
        RunDirectory(url).exists("manifest.json")
    assert "\n" not in str(refused.value)


def test_an_option_stays_at_the_end() -> None:
    assert below("s3://bucket/runs?region=eu-west-1", "a", "b") == "s3://bucket/runs/a/b?region=eu-west-1"
    assert below("s3://bucket", "a") == "s3://bucket/a"
    assert below("/runs/what?", "a") == "/runs/what?/a"


def test_a_bucket_is_opened_without_asking_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    filesystem, path = open_location("s3://bucket/my%20runs?region=eu-west-1")
    assert (filesystem.type_name, path, filesystem.region) == ("s3", "bucket/my runs", "eu-west-1")
    assert open_location("gs://bucket/runs")[1] == "bucket/runs"


def test_a_run_directory_travels_as_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", UNSEEN)
    packed = pickle.dumps(RunDirectory("s3://bucket/run?region=eu-west-1"))
    assert pickle.loads(packed).root == "s3://bucket/run?region=eu-west-1"  # noqa: S301  made in the line above
    assert UNSEEN.encode() not in packed


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Bucket 'runs' not found. To create buckets, enable …", "there is no such bucket"),
        ("When testing …: AWS Error ACCESS_DENIED during HeadBucket operation: No response body.", "access denied"),
        ("AWS Error INVALID_ACCESS_KEY_ID during ListObjectsV2 operation: The AWS Access Key …", "access denied"),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7, Could not …", "cannot be reached"),
        ("google::cloud::Status(UNAVAILABLE: Retry policy exhausted, with …", "cannot be reached"),
        ("google::cloud::Status(PERMISSION_DENIED: …", "access denied"),
        ("something\n  new", "something new"),
    ],
)
def test_what_a_service_says_becomes_what_to_do(said: str, told: str) -> None:
    assert told in reason(OSError(said))
    assert reason(OSError(28, "whatever")) == "No space left on device"


@pytest.fixture(params=["path", "file URL", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> RunDirectory:
    """A folder with three files."""
    memory = f"fsspec+memory://{tmp_path.name}/run"
    run = RunDirectory({"path": str(tmp_path), "file URL": tmp_path.as_uri(), "memory": memory}[request.param])
    for name in ("b", "a"):
        run.write_bytes(name.encode(), "outcomes", name)
    run.write_bytes(b"c", "outcomes", "deeper", "c")
    return run


def test_a_named_file_or_folder_is_found_and_read(folder: RunDirectory) -> None:
    assert is_there(folder.path("outcomes"))
    assert is_there(folder.path("outcomes", "a"))
    assert not is_there(folder.path("outcomes", "z"))
    with local_copy(folder.path("outcomes", "a")) as file:
        assert (file.name, file.read_bytes()) == ("a", b"a")
    with local_copy(folder.path("outcomes")) as copy:
        found = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file())
    assert found == ["a", "b", "deeper/c"]


def test_equal_content_has_one_hash_wherever_it_lies(folder: RunDirectory, tmp_path: Path) -> None:
    twin = RunDirectory(str(tmp_path / "twin"))
    for parts in (("a",), ("b",), ("deeper", "c")):
        twin.write_bytes(parts[-1].encode(), *parts)
    before = content_hash(folder.path("outcomes"))
    assert before == content_hash(twin.root) is not None
    assert content_hash(folder.path("outcomes", "a")) == content_hash(twin.path("a"))
    folder.write_bytes(b"changed", "outcomes", "a")
    assert content_hash(folder.path("outcomes")) != before
    assert content_hash(folder.path("nothing")) is None
