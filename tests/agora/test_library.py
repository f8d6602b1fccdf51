"""The loopback library offers what the SDK binds, in the SDK's own shapes."""

from __future__ import annotations

import ast
import ctypes
from pathlib import Path

import pytest

from tests.agora.network import LoopbackNetwork
from tests.agora.site import original_sdk

STRUCTS = [
    "AudioFrameInner",
    "RTCConnInfoInner",
    "AgoraServiceConfigInner",
    "RTCConnectionObserverInner",
    "RTCLocalUserObserverInner",
    "AudioFrameObserverInner",
]


def bound_symbols(sdk: Path) -> set[str]:
    """The functions that the SDK takes from its library, read from its source."""
    found = set()
    for path in sdk.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "agora_lib":
                found.add(node.attr)
    return found


def test_every_function_that_the_sdk_binds_is_there(agora_site: Path) -> None:
    library = ctypes.CDLL(str(agora_site / "agora" / "rtc" / "agora_sdk" / "libagora_rtc_sdk.so"))
    symbols = bound_symbols(original_sdk(agora_site))
    assert len(symbols) == 121
    assert [name for name in sorted(symbols) if not hasattr(library, name)] == []


@pytest.mark.parametrize("name", STRUCTS)
def test_structs_have_the_sdk_s_sizes(network: LoopbackNetwork, agora_site: Path, name: str) -> None:
    import agora.rtc.agora_service  # noqa: F401 - binds every function
    from agora.rtc import agora_lib
    from agora.rtc._ctypes_handle import (
        _audio_frame_observer,
        _ctypes_data,
        _local_user_observer,
        _rtc_connection_observer,
    )

    modules = (_ctypes_data, _rtc_connection_observer, _local_user_observer, _audio_frame_observer)
    struct = next(getattr(module, name) for module in modules if hasattr(module, name))
    agora_lib.loopback_sizeof.restype = ctypes.c_size_t
    assert agora_lib.loopback_sizeof(name.encode()) == ctypes.sizeof(struct) > 0


def test_the_places_of_what_is_passed_agree(agora_site: Path) -> None:
    from agora.rtc._ctypes_handle._audio_frame_observer import AudioFrameObserverInner
    from agora.rtc._ctypes_handle._ctypes_data import AudioFrameInner, RTCConnInfoInner
    from agora.rtc._ctypes_handle._local_user_observer import RTCLocalUserObserverInner
    from agora.rtc._ctypes_handle._rtc_connection_observer import RTCConnectionObserverInner

    assert (AudioFrameInner.buffer.offset, RTCConnInfoInner.local_user_id.offset) == (24, 24)
    slots = {
        RTCConnectionObserverInner: {
            "on_connected": 0, "on_disconnected": 1, "on_connecting": 2, "on_reconnecting": 3, "on_reconnected": 4,
            "on_connection_lost": 5, "on_token_privilege_will_expire": 8, "on_token_privilege_did_expire": 9,
            "on_connection_failure": 11, "on_user_joined": 12, "on_user_left": 13, "on_error": 22,
        },
        RTCLocalUserObserverInner: {
            "on_user_audio_track_subscribed": 7, "on_audio_subscribe_state_changed": 9, "on_stream_message": 34,
        },
        AudioFrameObserverInner: {"on_playback_audio_frame_before_mixing": 4},
    }  # fmt: skip
    for struct, names in slots.items():
        assert {name: getattr(struct, name).offset // 8 for name in names} == names


def test_the_sdk_that_is_tested_is_the_one_from_the_index(agora_site: Path) -> None:
    ours, original = agora_site / "agora", original_sdk(agora_site) / "agora"
    names = sorted(path.relative_to(original) for path in original.rglob("*.py"))
    assert len(names) > 25
    changed = [str(name) for name in names if (ours / name).read_bytes() != (original / name).read_bytes()]
    assert changed == ["rtc/__init__.py"]
