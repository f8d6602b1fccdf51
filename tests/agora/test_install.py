"""What is said where Agora's packages or its native library are missing, and what importing them must not do."""

from __future__ import annotations

import platform
import ssl
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from realtime_agent.errors import ChannelError, ConfigError
from realtime_agent.rtc.agora import AgoraEngine, build_token, check_installed, sdk
from tests.agora.network import LoopbackNetwork
from tests.agora.site import original_sdk
from tests.agora.stays import APP_ID, CERTIFICATE, channel_of, staying

ROOT = Path(__file__).parent.parent.parent


def test_packages_that_are_there_are_found_without_importing_them(agora_site: Path) -> None:
    code = """
from realtime_agent.rtc.agora import check_installed
check_installed()
assert "agora.rtc" not in sys.modules
"""
    assert python(code, agora_site) == (0, "")


@pytest.mark.usefixtures("without_agora")
def test_packages_that_are_not_there_are_named_with_how_to_install_them() -> None:
    with pytest.raises(ConfigError) as caught:
        check_installed()
    assert str(caught.value) == (
        "channels of Agora need agora-realtime-ai-api, which is not installed: install Agora's packages with "
        f"{sys.executable} -m pip install -r requirements-agora.txt"
    )


@pytest.mark.usefixtures("without_agora")
async def test_a_channel_can_t_be_joined_without_them(tmp_path: Path) -> None:
    channel = channel_of(AgoraEngine(APP_ID, tmp_path))
    with pytest.raises(ChannelError, match="channels of Agora need agora-realtime-ai-api, which is not installed"):
        await channel.join()
    await channel.leave()


def test_another_version_is_refused(agora_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sdk._WORKS_WITH, "agora-python-server-sdk", "2.4.10")
    with pytest.raises(ConfigError, match=r"agora-python-server-sdk is 2\.1\.7, but only 2\.4\.10 works here"):
        check_installed()


def test_a_platform_that_agora_has_no_library_for_is_told_so(agora_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match=r"no library for .*, only for Linux on x86-64 and macOS"):
        check_installed()


def test_nor_has_it_one_for_linux_on_other_hardware(agora_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ConfigError, match=r"no library for .* on aarch64, only for Linux on x86-64 and macOS"):
        check_installed()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    check_installed()


def site_of_the_original(tmp_path: Path, agora_site: Path, library: bytes | None = None) -> Path:
    """The SDK as pip installs it, with this as its native library and what belongs to that."""
    site = tmp_path / "site"
    copytree(agora_site, site, ignore=lambda folder, _: {"agora", "sdk"} if folder == str(agora_site) else set())
    copytree(original_sdk(agora_site), site, dirs_exist_ok=True)
    if library is not None:
        folder = site / "agora" / "rtc" / "agora_sdk"
        folder.mkdir()
        for name in ("libagora_rtc_sdk.so", "libagora-fdkaac.so", "libaosl.so"):
            (folder / name).write_bytes(library)
    return site


def python(code: str, *sites: Path) -> tuple[int, str]:
    """Run a program of its own; gives its exit code and the last line that it printed."""
    path = [str(ROOT), *map(str, sites)]
    code = f"import sys; sys.path[:0] = {path!r}\n{code}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, (done.stdout or done.stderr).strip().rpartition("\n")[2]


LOAD = """
import hashlib, os, ssl
from urllib import request
from realtime_agent.errors import ConfigError
from realtime_agent.rtc.agora import sdk
class Right:
    def update(self, chunk): pass
    def hexdigest(self): return "7031dd10d1681cd88fd89d68c5b54282"
hashlib.md5 = {md5}
def download(*_):
    raise AssertionError("a download")
request.urlretrieve = download
runs = os.system
before = ssl._create_default_https_context
try:
    sdk.load()
except ConfigError as error:
    print("refused:", error)
else:
    print("loaded")
assert ssl._create_default_https_context is before
assert request.urlretrieve is download
assert os.system is runs
"""
LOAD_ANY = LOAD.format(md5="Right")
"""With whatever library is there taken for Agora's own, which the SDK knows by its sum."""
LOAD_RIGHT = LOAD.format(md5="hashlib.md5")
DOWNLOADS = f"{sys.executable} -c 'import agora.rtc' downloads it from Agora"


def test_a_missing_library_is_one_clear_error_and_nothing_is_downloaded(tmp_path: Path, agora_site: Path) -> None:
    code, said = python(LOAD_RIGHT, site_of_the_original(tmp_path, agora_site))
    assert (code, said.startswith("refused: Agora's native library is not at ")) == (0, True), said
    assert DOWNLOADS in said


def test_nor_is_it_where_the_library_is_another(tmp_path: Path, agora_site: Path) -> None:
    site = site_of_the_original(tmp_path, agora_site, b"broken off in the middle")
    code, said = python(LOAD_RIGHT, site)
    assert code == 0
    assert said.startswith(f"refused: Agora's native library is not the one that its package wants: {DOWNLOADS}"), said
    assert len(list(site.glob("agora/rtc/agora_sdk/*"))) == 3


def test_a_library_that_does_not_load_is_one_clear_error_instead_of_an_exit(tmp_path: Path, agora_site: Path) -> None:
    code, said = python(LOAD_ANY, site_of_the_original(tmp_path, agora_site, b"no library at all"))
    assert code == 0
    assert said.startswith("refused: Agora's native library can't be loaded ("), said
    assert f"file too short): {DOWNLOADS}" in said


def test_the_sdk_as_it_comes_loads_the_loopback_library_too(tmp_path: Path, agora_site: Path) -> None:
    library = (agora_site / "agora" / "rtc" / "agora_sdk" / "libagora_rtc_sdk.so").read_bytes()
    assert python(LOAD_ANY, site_of_the_original(tmp_path, agora_site, library)) == (0, "loaded")


def test_the_sdk_downloads_the_library_where_it_is_imported_for_that(tmp_path: Path, agora_site: Path) -> None:
    site = site_of_the_original(tmp_path, agora_site)
    code = """
from urllib import request
def download(url, target):
    raise SystemExit(f"from {url.split('/')[2]}")
request.urlretrieve = download
import agora.rtc
"""
    assert python(code, site) == (1, "from download.agora.io")


@pytest.mark.parametrize("package", ["colorlog", "pyee"])
def test_a_package_that_agora_s_need_is_named_where_it_is_missing(package: str, agora_site: Path) -> None:
    code, said = python(f"sys.modules[{package!r}] = None\n{LOAD_RIGHT}", agora_site)
    assert (code, said) == (
        0,
        f"refused: Agora's packages need {package}, which is not installed: install Agora's packages with "
        f"{sys.executable} -m pip install -r requirements-agora.txt",
    )


async def test_certificates_are_checked_as_before_once_agora_is_loaded(
    network: LoopbackNetwork, tmp_path: Path
) -> None:
    before = ssl._create_default_https_context
    async with staying(channel_of(AgoraEngine(APP_ID, tmp_path))):
        assert ssl._create_default_https_context is before
        assert "unverified" not in ssl._create_default_https_context.__name__


def test_a_token_lets_its_holder_join_speak_and_send_messages(agora_site: Path) -> None:
    from agora_realtime_ai_api.token_builder.AccessToken2 import AccessToken

    token = build_token(APP_ID, CERTIFICATE, "a room", 7, 90)
    assert token.startswith("007")
    read = AccessToken()
    assert read.from_string(token)
    assert read._AccessToken__app_id == APP_ID.encode()
    assert read._AccessToken__expire == 90
    service = read._AccessToken__service[1]
    assert (service._ServiceRtc__channel_name, service._ServiceRtc__uid) == (b"a room", b"7")
    assert service._Service__privileges == dict.fromkeys((1, 2, 3, 4), 90)


def test_without_a_certificate_the_token_is_empty(agora_site: Path) -> None:
    assert build_token(APP_ID, "", "a room", 7, 60) == ""


def test_what_no_token_can_be_made_of_is_an_error(agora_site: Path) -> None:
    with pytest.raises(Exception, match="made no token"):
        build_token(APP_ID, "no certificate", "a room", 7, 60)
